"""What a manifest holds: hours, speakers, lengths and symbols."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.corpora.manifest import Utterance, hours_by_corpus

PERCENTILES = (0, 5, 25, 50, 75, 95, 100)


@dataclass(frozen=True)
class CorpusSize:
    """How much speech a corpus holds.

    Attributes:
        corpus: Its name, or "".
        utterances: Number of recordings.
        hours: Hours of speech.
        weighted_hours: The same, each hour multiplied by the weight of its row.
        speakers: Number of named speakers.
        accents: Number of named accents.
        machine: Recordings whose transcript a recogniser wrote.
        synthetic: Recordings that a synthesiser spoke.
    """

    corpus: str
    utterances: int
    hours: float
    weighted_hours: float
    speakers: int
    accents: int
    machine: int
    synthetic: int


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
        weighted_hours=sum(row.duration * row.weight for row in rows) / 3600,
        speakers=len({row.speaker for row in rows if row.speaker}),
        accents=len({row.accent for row in rows if row.accent}),
        machine=sum(row.source == "machine" for row in rows),
        synthetic=sum(row.source == "synthetic" for row in rows),
    )


def size_table(corpora: Sequence[CorpusSize]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the columns and rows of a table of sizes; columns that tell nothing are left out."""
    columns = {
        "corpus": [size.corpus or "unnamed" for size in corpora],
        "recordings": [str(size.utterances) for size in corpora],
        "hours": [f"{size.hours:.2f}" for size in corpora],
        "weighted": [f"{size.weighted_hours:.2f}" for size in corpora],
        "speakers": [str(size.speakers) for size in corpora],
        "accents": [str(size.accents) for size in corpora],
        "machine": [str(size.machine) for size in corpora],
        "synthetic": [str(size.synthetic) for size in corpora],
    }
    if columns["weighted"] == columns["hours"]:
        del columns["weighted"]
    for name in ("accents", "machine", "synthetic"):
        if set(columns[name]) == {"0"}:
            del columns[name]
    return tuple(columns), list(zip(*columns.values(), strict=True))
