"""Hotwords as their user writes them, and the file of them that is read again when it changes."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lm.hotwords import Hotwords, spell
from model.alphabet import Alphabet
from model.errors import UsageError
from streamer.events import Notice

LARGEST_FILE = 1 << 20
"""Bytes; a larger file is hardly one of hotwords."""

LONGEST_HOTWORD = 200
"""Characters; a longer line is hardly a phrase, and would fill the screen when told of."""

GREATEST_WEIGHT = 100.0
PROBLEMS_TOLD = 3

Weighed = tuple[str, float]
"""A word or phrase and its weight, in natural logarithms."""


def parse_hotword(text: str, weight: float) -> Weighed:
    """Return the word or phrase of ``WORD``, ``WORD:WEIGHT`` or ``WORD<tab>WEIGHT``.

    Args:
        text: As its user wrote it.
        weight: That of a word without its own.

    Raises:
        UsageError: If the weight is no number from 0 to 100, no word is there, or it is
            longer than 200 characters.
    """
    if len(text.strip()) > LONGEST_HOTWORD:
        raise UsageError(
            f"hotword {text.strip()[:20]!r}...: must be at most {LONGEST_HOTWORD} characters; "
            "give a word or a short phrase"
        )
    phrase, colon, number = text.replace("\t", ":").rpartition(":")
    if not colon:
        phrase, number = text, str(weight)
    try:
        own = float(number)
    except ValueError:
        own = math.nan
    if not phrase.strip() or not 0 <= own <= GREATEST_WEIGHT:
        raise UsageError(
            f"hotword {text.strip()!r}: must be a word or phrase, and may be followed by a colon "
            f"and a weight from 0 to {GREATEST_WEIGHT:g}, such as 'Ada Lovelace:8'"
        )
    return phrase.strip(), own


def parse_hotwords(texts: Iterable[str], weight: float, alphabet: Alphabet) -> list[Weighed]:
    """Return hotwords as the alphabet spells them; arguments as :func:`parse_hotword`.

    Raises:
        UsageError: If one is not of the form wanted, or cannot be spelled.
    """
    parsed = [parse_hotword(text, weight) for text in texts]
    return [(spell(phrase, alphabet), own) for phrase, own in parsed]


@dataclass(frozen=True)
class _Reading:
    """The hotwords of a file and what is wrong with its other lines."""

    hotwords: tuple[Weighed, ...]
    problems: tuple[str, ...]


class HotwordFile:
    """A file with a hotword a line, watched between utterances.

    A line is a word or phrase, with its weight after a colon or a tab if it has one of
    its own; blank lines and those that begin with ``#`` are passed over.  Where a line
    cannot be used the others are; where the file cannot be read the hotwords before stay.

    Args:
        path: The file.
        alphabet: Spells the words.
        weight: That of a word without its own.
        fixed: Hotwords from elsewhere; the file's own weight of a word wins.
        use: Takes all hotwords whenever they change.

    Owns what it last saw of the file.
    """

    def __init__(
        self,
        path: Path,
        alphabet: Alphabet,
        weight: float,
        fixed: Iterable[Weighed],
        use: Callable[[Hotwords], None],
    ) -> None:
        self._path = path
        self._alphabet = alphabet
        self._weight = weight
        self._fixed = tuple(fixed)
        self._use = use
        self._seen: object = None
        self._untold: list[Notice] = []

    def load(self) -> Hotwords:
        """Read the file for the first time and return all hotwords.

        Lines that cannot be used are told when the first utterance starts.

        Raises:
            UsageError: If it cannot be read.
        """
        self._seen = self._state()
        reading = self._read()
        self._untold = self._told(reading) if reading.problems else []
        return self._all(reading)

    def utterance_starts(self, stream_s: float) -> list[Notice]:
        """Read the file again if it changed, and tell what became of that."""
        notices, self._untold = self._untold, []
        state = self._state()
        if state == self._seen:
            return notices
        self._seen = state
        try:
            reading = self._read()
        except UsageError as error:
            return [*notices, Notice("hotwords", f"{error}; the hotwords before stay in use")]
        self._use(self._all(reading))
        return [*notices, *self._told(reading)]

    def _all(self, reading: _Reading) -> Hotwords:
        return Hotwords.parse([*self._fixed, *reading.hotwords], self._alphabet)

    def _told(self, reading: _Reading) -> list[Notice]:
        count = f"{len(reading.hotwords)} hotword{'' if len(reading.hotwords) == 1 else 's'}"
        if not reading.problems:
            return [Notice("hotwords", f"{self._path}: {count} in use", "info")]
        told = "; ".join(reading.problems[:PROBLEMS_TOLD])
        more = len(reading.problems) - PROBLEMS_TOLD
        rest = f"; and {more} more" if more > 0 else ""
        return [Notice("hotwords", f"{told}{rest}; {count} of other lines in use")]

    def _state(self) -> object:
        """Return what differs when the file was changed, replaced, taken away or locked."""
        try:
            now = self._path.stat()
        except OSError as error:
            return error.errno
        return now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns

    def _read(self) -> _Reading:
        hotwords, problems = [], []
        for number, line in enumerate(_lines(self._path), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                hotwords += parse_hotwords([line], self._weight, self._alphabet)
            except UsageError as error:
                problems.append(f"{self._path}:{number}: {error}")
        return _Reading(tuple(hotwords), tuple(problems))


def _lines(path: Path) -> list[str]:
    """Return the lines of a text file.

    Raises:
        UsageError: If it cannot be read, or is too large or not UTF-8.
    """
    try:
        # A pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UsageError(f"{path}: is no file; give a text file with a hotword a line")
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror or error}); "
            "give a text file with a hotword a line"
        ) from error
    if len(content) > LARGEST_FILE:
        raise UsageError(f"{path}: is larger than 1 MiB; leave only words to prefer in it")
    try:
        return content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: is not UTF-8 text; save it as UTF-8") from error
