"""What a manifest holds: hours, speakers, lengths and symbols."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.manifest import Utterance, hours_by_corpus

PERCENTILES = (0, 5, 25, 50, 75, 95, 100)


@dataclass(frozen=True)
class CorpusSize:
    """How much speech a corpus holds.

    Attributes:
        corpus: Its name, or "".
        utterances: Number of recordings.
        hours: Hours of speech.
        speakers: Number of named speakers.
        machine: Recordings whose transcript a recogniser wrote.
    """

    corpus: str
    utterances: int
    hours: float
    speakers: int
    machine: int


@dataclass(frozen=True)
class Survey:
    """What a manifest holds.

    Attributes:
        corpora: The size of each corpus, the largest first.
        durations: Seconds at each of ``PERCENTILES``.
        symbols: How often each symbol occurs, the most frequent first.
    """

    corpora: tuple[CorpusSize, ...]
    durations: tuple[float, ...]
    symbols: dict[str, int]


def survey(rows: Sequence[Utterance]) -> Survey:
    """Return what ``rows``, at least one, hold."""
    counts = Counter(character for row in rows for character in row.text)
    durations = np.percentile([row.duration for row in rows], PERCENTILES)
    return Survey(
        corpora=tuple(
            _size(corpus, hours, [row for row in rows if row.corpus == corpus])
            for corpus, hours in hours_by_corpus(rows).items()
        ),
        durations=tuple(float(value) for value in durations),
        symbols=dict(counts.most_common()),
    )


def _size(corpus: str, hours: float, rows: Sequence[Utterance]) -> CorpusSize:
    return CorpusSize(
        corpus=corpus,
        utterances=len(rows),
        hours=hours,
        speakers=len({row.speaker for row in rows if row.speaker}),
        machine=sum(row.source == "machine" for row in rows),
    )
