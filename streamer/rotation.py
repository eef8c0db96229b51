"""When a long stream's files are cut into parts, what the parts are called, how long they stay.

A :class:`Rotation` decides where in the stream a part begins; recording and captions follow
it, so that the files of a part belong together.  The wall clock names parts and tells days
and hours.  It may leap: nothing is overwritten then, and parts become longer, not many.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from model.errors import UsageError
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.errors import OutputError

PAUSE_WAIT_S = 30.0
"""Stream time that a cut waits for a pause in the speech, seconds."""

SHORTEST_S = 60.0
"""Least length of a part that the wall clock ends, seconds: what leaps makes no crowd of files."""

LEAP_S = 3600.0
"""What the wall clock must go wrong by to have leapt, and how long it must then have gone
right before a file is deleted for its age, seconds."""

REMEMBERED = 1000
"""Cuts that are remembered for those who lag behind."""

UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9}

_STAMP = "%Y%m%dT%H%M%S"


@dataclass(frozen=True)
class Every:
    """When a part ends.

    Attributes:
        period: At the end of each local day or hour.
        size: Once one of its files has so many bytes.
    """

    period: Literal["day", "hour"] | None = None
    size: int | None = None

    @classmethod
    def of(cls, text: str, name: str = "rotation.every") -> Every:
        """Read what the command line or a setting says: day, hour, or a size such as 100MB.

        Args:
            text: What it says.
            name: Of the option or setting.

        Raises:
            UsageError: If it is none of them.
        """
        if text == "day":
            return cls("day")
        if text == "hour":
            return cls("hour")
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)\s*([kmg]b)", text.strip().lower())
        size = round(float(found[1]) * UNITS[found[2]]) if found else 0
        if size < 10**6:
            raise UsageError(
                f"{name}: must be day, hour, or a size of 1 MB or more, such as 100MB; got {text!r}"
            )
        return cls(size=size)

    def ends(self, began: float) -> float:
        """Return when a part that began at a time has to end, seconds since 1970."""
        local = datetime.fromtimestamp(began).astimezone()
        if self.period == "hour":
            return (
                local.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
            ).timestamp()
        midnight = datetime(local.year, local.month, local.day) + timedelta(days=1)
        return midnight.timestamp()


@dataclass(frozen=True)
class Part:
    """A part of the stream.

    Attributes:
        number: From 1.
        start: Index of its first sample in the stream.
        began: When, seconds since 1970 by the wall clock.
    """

    number: int
    start: int
    began: float

    @property
    def start_s(self) -> float:
        """Where it begins, seconds of stream time."""
        return self.start / SAMPLE_RATE

    @property
    def stamp(self) -> str:
        """The local time at which it began, as names of files have it."""
        return datetime.fromtimestamp(self.began).strftime(_STAMP)

    @property
    def began_text(self) -> str:
        """The local time at which it began, by ISO 8601, with its zone."""
        return datetime.fromtimestamp(self.began).astimezone().isoformat(timespec="seconds")


class Rotation:
    """Decides where parts begin, and knows which there were.

    A part that is to end waits up to ``PAUSE_WAIT_S`` for a pause.  May be used from any
    thread; :meth:`hear` belongs to the one that hears.

    Args:
        every: When a part ends.
        clock: Seconds since 1970; may leap.
        steady: Seconds that only rise.
    """

    def __init__(
        self,
        every: Every,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._every = every
        self._clock = clock
        self.leaps = LeapWatch(clock, steady)
        self._speaking: Callable[[], bool] = lambda: False
        self._requested = False
        self._due_at: int | None = None
        self._largest = 0
        self._lock = threading.Lock()
        self._parts: deque[Part] = deque([Part(1, 0, clock())], REMEMBERED)
        self._ends = every.ends(self._parts[0].began)

    @property
    def newest(self) -> Part:
        """The part that goes on."""
        return self._parts[-1]

    def watch(self, speaking: Callable[[], bool]) -> None:
        """Let ``speaking`` tell whether somebody speaks, so that cuts fall into pauses."""
        self._speaking = speaking

    def request(self) -> None:
        """Begin a new part soon, whatever the time and the size.

        Takes no lock, so a signal's handler may call it.
        """
        self._requested = True

    def wrote(self, part: Part, size: int) -> None:
        """Take note of the size of a file of a part, bytes; only the newest one's counts."""
        with self._lock:
            if part is self.newest:
                self._largest = max(self._largest, size)

    def hear(self, block: AudioBlock) -> Part:
        """Return the part that the next block of the stream belongs to, perhaps a new one."""
        self.leaps.look()
        if not self._due(block.start - self.newest.start):
            self._due_at = None
            return self.newest
        if self._due_at is None:
            self._due_at = block.start
        waited = block.start - self._due_at
        if self._speaking() and waited < PAUSE_WAIT_S * SAMPLE_RATE:
            return self.newest
        return self._cut(block.start)

    def part_of(self, start_s: float, at_least: Part) -> Part:
        """Return the part in which something began, or ``at_least`` if that came later."""
        if self.newest is at_least:
            return at_least
        with self._lock:
            begun = (part for part in reversed(self._parts) if part.start_s <= start_s)
            return max(next(begun, at_least), at_least, key=lambda part: part.number)

    def _due(self, age: int) -> bool:
        if self._requested:
            return age > 0
        if self._every.size is not None:
            return self._largest >= self._every.size
        if age < SHORTEST_S * SAMPLE_RATE:
            return False
        now, began = self._clock(), self.newest.began
        period_s = 86_400 if self._every.period == "day" else 3600
        return now >= self._ends or now < began - period_s

    def _cut(self, start: int) -> Part:
        self._requested = False
        self._due_at = None
        part = Part(self.newest.number + 1, start, self._clock())
        self._ends = self._every.ends(part.began)
        with self._lock:
            self._parts.append(part)
            self._largest = 0
        return part


class LeapWatch:
    """Knows for how long the wall clock has gone right.

    Args:
        clock: The wall clock, seconds.
        steady: Seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float], steady: Callable[[], float]) -> None:
        self.clock = clock
        self.steady = steady
        self._difference = clock() - steady()
        self._since = steady()

    def look(self) -> None:
        """Compare the clocks."""
        difference = self.clock() - self.steady()
        if abs(difference - self._difference) >= LEAP_S:
            self._since = self.steady()
            self._difference = difference

    @property
    def trusted(self) -> bool:
        """Whether it has gone right for long enough to tell the age of files."""
        return self.steady() - self._since >= LEAP_S


@dataclass(frozen=True)
class Keeping:
    """Which old parts stay.

    Attributes:
        files: Most files of an output; 0 for all.
        days: Age at which they go, days; 0 for never.
    """

    files: int = 0
    days: int = 0


KEEP_ALL = Keeping()


class PartFiles:
    """Makes the files of one output, part by part, and deletes old ones.

    ``talk.srt`` becomes ``talk-20261123T194005.srt``, with ``-2`` and so on behind the
    time where there is such a file: none is ever overwritten, and none deleted that is
    not called so.

    Owns the list of the files of this run that may be deleted.

    Args:
        path: The name that was asked for.
        leaps: Tells whether ages can be told.
        keeping: Which stay.
    """

    def __init__(self, path: Path, leaps: LeapWatch, keeping: Keeping = KEEP_ALL) -> None:
        self.path = path
        self._leaps = leaps
        self._keeping = keeping
        self._mine: deque[tuple[Path, float]] = deque()
        self._tidy = True
        name = re.escape(path.stem), re.escape(path.suffix)
        self._pattern = re.compile(rf"{name[0]}-(\d{{8}}T\d{{6}})(?:-(\d+))?{name[1]}")

    def make(self, part: Part) -> Path:
        """Make an empty file for a part, or for more of it.

        Raises:
            UsageError: If there is no folder for it.
            OutputError: If it cannot be made.
        """
        number = 1
        while True:
            more = f"-{number}" if number > 1 else ""
            path = self.path.with_name(f"{self.path.stem}-{part.stamp}{more}{self.path.suffix}")
            try:
                path.open("xb").close()
                break
            except FileExistsError:
                number += 1
            except FileNotFoundError as error:
                raise UsageError(
                    f"{self.path}: there is no folder {self.path.parent}; make it first"
                ) from error
            except OSError as error:
                raise OutputError(
                    f"{path}: cannot be written: {error.strerror or error}; choose another place"
                ) from error
        self._began(path)
        return path

    def drop(self, path: Path) -> None:
        """Delete a file of this run that came to nothing, if it is empty."""
        with suppress(OSError):
            if path.is_file() and path.stat().st_size == 0:
                path.unlink(missing_ok=True)
                self._mine = deque(entry for entry in self._mine if entry[0] != path)

    def tidy(self) -> None:
        """Delete what need not stay, once after each new part."""
        if not self._tidy or (self._keeping.days and not self._leaps.trusted):
            return
        self._tidy = False
        for path in self._old():
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _began(self, path: Path) -> None:
        if self._keeping != KEEP_ALL:
            self._mine.append((path, self._leaps.steady()))
            self._tidy = True

    def _old(self) -> list[Path]:
        mine = [path for path, _ in self._mine]
        before = self._before(set(mine))
        limit = self._keeping.files or len(before) + len(mine)
        surplus = [*before, *mine[:-1]][: max(0, len(before) + len(mine) - limit)]
        aged = self._aged(before) if self._keeping.days else []
        old = set(surplus) | set(aged)
        self._mine = deque(entry for entry in self._mine if entry[0] not in old)
        return sorted(old)

    def _before(self, mine: set[Path]) -> list[Path]:
        """Return the files of earlier runs, by their names' times."""
        try:
            there = list(self.path.parent.iterdir())
        except OSError:
            return []
        found = [(self._pattern.fullmatch(path.name), path) for path in there]
        named = [(m[1], int(m[2] or 1), path) for m, path in found if m and path not in mine]
        return [path for _, _, path in sorted(named)]

    def _aged(self, before: list[Path]) -> list[Path]:
        """Return what is too old: by its name, or for files of this run by the steady clock."""
        limit_s = 86_400 * self._keeping.days
        now, steady = self._leaps.clock(), self._leaps.steady()
        mine = [path for path, began in list(self._mine)[:-1] if steady - began > limit_s]
        return [path for path in before if now - self._named_time(path) > limit_s] + mine

    def _named_time(self, path: Path) -> float:
        found = self._pattern.fullmatch(path.name)
        try:
            return datetime.strptime(found[1], _STAMP).timestamp() if found else self._leaps.clock()
        except (ValueError, OverflowError, OSError):
            return self._leaps.clock()
