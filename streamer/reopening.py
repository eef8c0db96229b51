"""When a microphone that is away is looked for, and when that is told again."""

from __future__ import annotations

from collections.abc import Callable

LONGEST_WAIT_S = 10.0
"""Time between two attempts at most."""

LONGEST_UNLISTED_S = 600.0
"""Time between two fresh lists of devices at most, where nothing seems to have changed;
PortAudio loses some memory, and disturbs other programs, with each."""

REMIND_S = 600.0
"""Time after which it is told again that a microphone is away; twice that the next time."""

LONGEST_REMIND_S = 86_400.0
"""Time between two reminders at most."""


class Attempts:
    """When to look for a device: at once after a change, ever more seldom without one.

    Time is what is waited here, told by the caller; no clock is read.

    Args:
        every_s: Seconds before the first attempt.
        stamp: What differs once devices came or went.
    """

    def __init__(self, every_s: float, stamp: Callable[[], object]) -> None:
        self._every_s = every_s
        self._stamp = stamp
        self._seen = stamp()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Look soon again: the device was there, or something changed."""
        self._wait_s = self._list_wait_s = self._every_s
        self._waited_s = self._unlisted_s = 0.0
        self._changed = False

    def due(self, waited_s: float) -> bool:
        """Return whether to look now, after ``waited_s`` more seconds.

        A change counts at once; what just came may not be ready, so it is soon looked again.
        """
        self._waited_s += waited_s
        self._unlisted_s += waited_s
        now = self._stamp()
        if now != self._seen:
            self._seen = now
            self.begin_anew()
            self._changed = True
            return True
        if self._waited_s < self._wait_s - 1e-9:
            return False
        self._waited_s = 0.0
        self._wait_s = min(2 * self._wait_s, max(LONGEST_WAIT_S, self._every_s))
        return True

    def list_due(self) -> bool:
        """Return whether the attempt that is due is to ask for a fresh list of devices."""
        if self._changed:
            self._changed, self._unlisted_s = False, 0.0
            return True
        if self._unlisted_s < self._list_wait_s - 1e-9:
            return False
        self._unlisted_s = 0.0
        self._list_wait_s = min(2 * self._list_wait_s, max(LONGEST_UNLISTED_S, self._every_s))
        return True


class Reminder:
    """Whether to tell again what still is so; ever more seldom.

    Args:
        clock: Seconds that only rise.
        at_once: Whether it is to be told the first time too.
    """

    def __init__(self, clock: Callable[[], float], at_once: bool = False) -> None:
        self._clock = clock
        self._began_s = self._told_s = clock()
        self._every_s = REMIND_S
        self._at_once = at_once

    @property
    def lasting_s(self) -> float:
        """Seconds since it became so."""
        return self._clock() - self._began_s

    def due(self) -> bool:
        """Return whether to tell it now."""
        at_once, self._at_once = self._at_once, False
        if at_once:
            self._told_s = self._clock()
            return True
        if self._clock() - self._told_s < self._every_s:
            return False
        self._told_s = self._clock()
        self._every_s = min(2 * self._every_s, LONGEST_REMIND_S)
        return True


class Reminders:
    """What is told of one absence of a microphone.

    Args:
        clock: Seconds that only rise.

    Attributes:
        away: That it is away; told by another notice at first.
        busy: That another program holds it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.away = Reminder(clock)
        self.busy = Reminder(clock, at_once=True)
