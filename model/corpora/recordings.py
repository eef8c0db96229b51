"""Recordings of a corpus: how long they are, and which are the same."""

from __future__ import annotations

import filecmp
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import soundfile

from model.audio import OPEN_END, SequentialFile, open_audio, stream_audio
from model.corpora.manifest import Utterance, list_problems
from model.errors import AudioFileError, ManifestError

TAIL_S = 0.1
"""End of a file that is read to see whether the file was cut off."""

SAMPLED_BYTES = 8192
"""Read at the start, the middle and the end of files of equal size to tell them apart."""

SHOWN_SPEAKERS = 10


def duration_of(path: Path, whole: bool = False) -> float:
    """Return the length of a recording in seconds.

    Its header is believed where the file can be read at its end; else, and always where
    ``whole``, all of it is decoded.

    Raises:
        AudioFileError: If it is missing, empty, not audio or, as far as was looked,
            damaged.
    """
    with open_audio(path) as file:
        if not file.frames:
            raise AudioFileError(f"{path}: holds no samples; give a recording with sound in it")
        if not whole and _has_its_end(file, path):
            return float(file.frames / file.samplerate)
        rate = file.samplerate
    return float(sum(len(block) for block in stream_audio(path, rate, block_s=0.5)) / rate)


def _has_its_end(file: SequentialFile, path: Path) -> bool:
    """Return whether the header's length is that of the file.

    The length of a cut-off WAV or Ogg file is that of its rest already.
    """
    if file.frames == OPEN_END:
        return False
    if file.format not in ("FLAC", "MP3"):
        return True
    tail = min(file.frames, max(1, round(TAIL_S * file.samplerate)))
    try:
        file.seek(file.frames - tail)
        found = len(file.read(tail))
    except soundfile.SoundFileError as error:
        if file.format == "MP3":
            return False
        raise AudioFileError(
            f"{path}: damaged: its last {TAIL_S} s cannot be read; get the file anew"
        ) from error
    return found == tail


class Recordings:
    """Recordings and where they are named, to find those that come twice.

    A file is the same by another path, through a link, and as a copy of another name.
    Only files of equal size are read for this.
    """

    def __init__(self) -> None:
        self._by_file: dict[tuple[int, int], str] = {}
        self._alone_of_size: dict[int, _Named | None] = {}
        self._by_sample: dict[tuple[int, bytes], _Named] = {}

    def find(self, path: Path) -> str | None:
        """Return where the recording was named before; None where it was not, or is not there."""
        try:
            status = path.stat()
            place = self._by_file.get((status.st_dev, status.st_ino))
            if place is not None or status.st_size not in self._alone_of_size:
                return place
            alike = self._alike(path, status.st_size)
            same = alike is not None and filecmp.cmp(path, alike.path, shallow=False)
            return alike.place if alike is not None and same else None
        except OSError:
            return None

    def add(self, path: Path, place: str) -> None:
        """Remember a recording that :meth:`find` does not find; one that is not there is not."""
        try:
            status, named = path.stat(), _Named(path, place)
            self._by_file[status.st_dev, status.st_ino] = place
            if self._alone_of_size.setdefault(status.st_size, named) is not named:
                self._alike(path, status.st_size)
                sample = _sample(path, status.st_size)
                self._by_sample.setdefault((status.st_size, sample), named)
        except OSError:
            return

    def _alike(self, path: Path, size: int) -> _Named | None:
        """Return a recording of the same size whose sampled bytes are the same."""
        alone = self._alone_of_size[size]
        if alone is not None:
            self._by_sample[size, _sample(alone.path, size)] = alone
            self._alone_of_size[size] = None
        return self._by_sample.get((size, _sample(path, size)))


class _Named(NamedTuple):
    path: Path
    place: str


def _sample(path: Path, size: int) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for start in sorted({0, max(0, size // 2), max(0, size - SAMPLED_BYTES)}):
            file.seek(start)
            digest.update(file.read(SAMPLED_BYTES))
    return digest.digest()


def speakers_of(rows: Iterable[Utterance]) -> set[tuple[str, str]]:
    """Return (corpus, speaker) of every row that names its speaker."""
    return {(row.corpus, row.speaker) for row in rows if row.speaker}


def check_apart(train: Sequence[Utterance], dev: Sequence[Utterance]) -> str:
    """Return a warning of the speakers that are in both; "" where there are none.

    Raises:
        ManifestError: If recordings to learn from are among those to judge by.
    """
    judged = remembered(dev)
    problems = [
        f"{row.audio}: is among the recordings to judge by, as {place}"
        for row in train
        if (place := judged.find(row.audio)) is not None
    ]
    if problems:
        raise ManifestError(
            f"{list_problems(problems)}\n{len(problems)} recordings to learn from are in --dev "
            "as well; what is learnt cannot judge: take them out of one of the two"
        )
    return _speaker_warning(sorted(speakers_of(train) & speakers_of(dev)))


def remembered(rows: Iterable[Utterance]) -> Recordings:
    """Return the recordings of ``rows``, each named by its path."""
    recordings = Recordings()
    for row in rows:
        if recordings.find(row.audio) is None:
            recordings.add(row.audio, str(row.audio))
    return recordings


def _speaker_warning(speakers: Sequence[tuple[str, str]]) -> str:
    if not speakers:
        return ""
    names = [f"{corpus} {speaker}".strip() for corpus, speaker in speakers[:SHOWN_SPEAKERS]]
    more = len(speakers) - len(names)
    listed = ", ".join(names) + (f" and {more} more" if more else "")
    return (
        f"speakers to learn from who are in --dev as well: {listed}; the dev figures hold for "
        "these voices, not for others"
    )
