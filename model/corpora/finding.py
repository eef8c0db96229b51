"""Make the rows of a manifest from corpora: find, spell out, check.

What may be wrong with a row is told for every row, with its place, before anything
is written.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np

from model.alphabet import ENGLISH, Alphabet, frames_needed
from model.corpora.layouts import AUDIO_SUFFIXES, LAYOUTS, Entry, Kind, Problem, recognise
from model.corpora.manifest import Utterance
from model.corpora.recordings import Recordings, duration_of, remembered, speakers_of
from model.corpora.spelling import spell_out
from model.errors import AudioFileError, ManifestError
from model.recipe import Recipe
from model.text import normalise_text

TOLERANCE_S = 0.1
TOLERANCE_SHARE = 0.02
"""By how much, the larger counts, a manifest's duration may differ from the recording's."""

RECIPE = Recipe()
"""Tells how many frames the network makes of a recording."""


@dataclass(frozen=True)
class CorpusOptions:
    """How corpora are read.

    Attributes:
        corpus: Name of the corpus; each layout's usual one where empty.
        layout: One of ``LAYOUTS``; recognised where empty.
        subset: Which table of a Common Voice folder.
        weight: Weight of all rows; None for their own.
        source: What all rows say of where they come from; their own where empty.
        whole: Whether every recording is decoded to its end, to find damage.
    """

    corpus: str = ""
    layout: str = ""
    subset: str = ""
    weight: float | None = None
    source: str = ""
    whole: bool = False


@dataclass
class Findings:
    """What became of the entries of corpora.

    Attributes:
        rows: Usable ones.
        problems: What is wrong with the others, in their order; one may have several.
        left_out: How many others there are.
    """

    rows: list[Utterance] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    left_out: int = 0

    def count(self) -> str:
        """Return how many problems there are of each kind, such as "wrong durations: 2"."""
        counts = Counter(problem.kind for problem in self.problems)
        return ", ".join(f"{kind.value}: {counts[kind]}" for kind in Kind if counts[kind])


def find_entries(source: Path, options: CorpusOptions) -> tuple[str, list[Entry | Problem]]:
    """Return the name of a source's layout and what it lists, nothing checked but its form.

    Raises:
        ManifestError: If the source is of no layout, cannot be read or lists nothing.
    """
    try:
        name, path = recognise(source, options.layout, options.subset)
        found = list(LAYOUTS[name](path, options.corpus))
    except OSError as error:
        raise ManifestError(
            f"{error.filename or source}: cannot be read as part of a corpus "
            f"({error.strerror or error}); mend that, or choose another --layout"
        ) from error
    if not found:
        raise ManifestError(f"{path}: holds no recordings ({', '.join(AUDIO_SUFFIXES)})")
    return name, found


class EntryChecker:
    """Checks entries one after the other and keeps the usable ones.

    Args:
        options: Weight and source of the rows; whether recordings are decoded.
        dev: Rows to be kept apart from, by recording and by speaker.
        alphabet: The symbols that transcripts may use.
    """

    def __init__(
        self, options: CorpusOptions, dev: Sequence[Utterance] = (), alphabet: Alphabet = ENGLISH
    ) -> None:
        self.findings = Findings()
        self._options = options
        self._alphabet = alphabet
        self._known = Recordings()
        self._dev = remembered(dev)
        self._dev_speakers = speakers_of(dev)

    def check(
        self, found: Sequence[Entry | Problem], progress: Callable[[int], None] = lambda done: None
    ) -> None:
        """Add entries to the findings; ``progress`` is called with the number checked."""
        pool = ThreadPoolExecutor()
        try:
            measured = pool.map(self._measured, found)
            for done, (item, duration) in enumerate(zip(found, measured, strict=True), 1):
                if isinstance(item, Entry):
                    self._add(item, duration)
                else:
                    self._leave_out([item])
                progress(done)
        finally:
            pool.shutdown(cancel_futures=True)

    def _measured(self, item: Entry | Problem) -> float | Problem:
        """Return the length of an entry's recording, seconds, or what is wrong with it."""
        if isinstance(item, Problem):
            return item
        try:
            return duration_of(item.row.audio, self._options.whole)
        except AudioFileError as error:
            missing = not os.path.exists(item.row.audio)
            remedy = "put it there" if missing else "mend it"
            return Problem(
                Kind.MISSING if missing else Kind.DAMAGED,
                item.place,
                f"{error}; {remedy} or take the row out",
            )

    def _add(self, entry: Entry, duration: float | Problem) -> None:
        text = self._spelt(entry)
        problems = [part for part in (text, duration) if isinstance(part, Problem)]
        if not isinstance(duration, Problem):
            problems += _wrong_duration(entry, duration)
            if not isinstance(text, Problem):
                problems += _too_long(entry.place, self._alphabet.encode(text), duration)
        problems += [*self._repeated(entry), *self._in_dev(entry)]
        if problems:
            return self._leave_out(problems)
        self._known.add(entry.row.audio, entry.place)
        self.findings.rows.append(self._row(entry.row, str(text), cast(float, duration)))

    def _row(self, row: Utterance, text: str, duration: float) -> Utterance:
        weight = row.weight if self._options.weight is None else self._options.weight
        return replace(
            row,
            text=text,
            duration=row.duration or duration,
            weight=weight,
            source=self._options.source or row.source,
        )

    def _leave_out(self, problems: Sequence[Problem]) -> None:
        self.findings.problems.extend(problems)
        self.findings.left_out += 1

    def _spelt(self, entry: Entry) -> str | Problem:
        """Return an entry's text as the model writes it; one that it may have written stays."""
        text = entry.row.text
        try:
            if set(text) - set(self._alphabet.symbols) or text.split() != text.split(" "):
                text = normalise_text(spell_out(text), self._alphabet)
        except ValueError as error:
            return Problem(Kind.SYMBOLS, entry.place, f"{error}, or take the row out")
        if not text.strip():
            empty = "has no words; write what is said in the recording, or take the row out"
            return Problem(Kind.TRANSCRIPT, entry.place, empty)
        return text

    def _repeated(self, entry: Entry) -> list[Problem]:
        place = self._known.find(entry.row.audio)
        if place is None:
            return []
        text = f"{entry.row.audio} is the recording of {place} once more; take one of the rows out"
        return [Problem(Kind.REPEATED, entry.place, text)]

    def _in_dev(self, entry: Entry) -> list[Problem]:
        row = entry.row
        if place := self._dev.find(row.audio):
            what = f"{row.audio} is a recording to judge by, {place}"
        elif row.speaker and (row.corpus, row.speaker) in self._dev_speakers:
            what = f"the speaker {row.corpus} {row.speaker} is among those to judge by"
        else:
            return []
        text = f"{what}; take the row out of one of the two"
        return [Problem(Kind.IN_DEV, entry.place, text)]


def _wrong_duration(entry: Entry, duration: float) -> list[Problem]:
    given = entry.row.duration
    if not given or abs(given - duration) <= max(TOLERANCE_S, TOLERANCE_SHARE * duration):
        return []
    text = (
        f"duration: is given as {given:.2f} s, but {entry.row.audio} lasts {duration:.2f} s; "
        "correct the one or get the other anew"
    )
    return [Problem(Kind.DURATION, entry.place, text)]


def _too_long(place: str, labels: Sequence[int], duration: float) -> list[Problem]:
    """Return a problem where CTC cannot write so much in a recording of this length."""
    features, network = RECIPE.features, RECIPE.network
    samples = round(duration * features.sample_rate)
    frames = network.output_frames(features.frames_in(samples))
    needed = frames_needed(np.asarray(labels, np.int32))
    if needed <= frames:
        return []
    text = (
        f"the transcript needs {needed} frames of the network, one a letter and one more "
        f"between equal letters, but {duration:.2f} s of audio give {frames}; check that the "
        "two belong together, or take the row out"
    )
    return [Problem(Kind.TOO_LONG, place, text)]
