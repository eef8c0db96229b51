"""How many recordings and streams are transcribed at once."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from streamer.web.errors import Busy
from streamer.web.metrics import Metrics

SEATS_A_CORE = 3
"""Streams that a core is given by default: half of what two fast ones bear in time, see
``benchmarks/sessions.py``, since cores differ and others want to work too."""

MOST_SEATS = 10
"""Streams by default on any number of cores: much of a stream is Python, of which one process
runs one thread at a time."""


def seats_of(sessions: int) -> int:
    """Return how many seats a setting of ``web.sessions`` means on this machine."""
    return sessions or min(MOST_SEATS, SEATS_A_CORE * len(os.sched_getaffinity(0)))


@dataclass(eq=False)
class Seat:
    """A place at the desk.

    Attributes:
        kind: What it is used for.
        reason: Why it was left, for the metrics: ``finished`` or another short name.
        end: Called when the server stops, to end what the seat is used for.
    """

    kind: str
    reason: str = "failed"
    end: Callable[[], None] | None = None


class SessionDesk:
    """Gives out as many seats as there are; may be used from any thread.

    Args:
        seats: How many there are, 1 or more.
        metrics: Told of every seat taken, left or refused.
    """

    def __init__(self, seats: int, metrics: Metrics) -> None:
        self._seats = seats
        self._metrics = metrics
        self._used: set[Seat] = set()
        self._lingering: deque[Callable[[], None]] = deque()
        self._closed = False
        self._change = threading.Condition()

    @property
    def seats(self) -> int:
        """How many there are."""
        return self._seats

    @property
    def taken(self) -> int:
        """How many are in use."""
        return len(self._used)

    @contextmanager
    def seat(self, kind: str) -> Iterator[Seat]:
        """Take a seat for as long as the context lasts.

        Args:
            kind: What it is used for, such as ``stream`` or ``upload``.

        Raises:
            Busy: If there is none.
        """
        seat = Seat(kind)
        with self._change:
            if self._closed or len(self._used) >= self._seats:
                self._metrics.refused(kind)
                raise Busy(_ENDING if self._closed else _FULL.format(self._seats))
            self._used.add(seat)
        self._metrics.session_started(kind)
        try:
            yield seat
        finally:
            with self._change:
                self._used.discard(seat)
                self._change.notify_all()
            self._metrics.session_ended(kind, seat.reason)

    @contextmanager
    def lingering(self, leave: Callable[[], None]) -> Iterator[None]:
        """Let what left its seat stay a while with all that it holds in memory.

        As many may as there are seats; then the one that stays longest has to leave.

        Args:
            leave: Called, from any thread, to make it leave soon.
        """
        with self._change:
            self._lingering.append(leave)
            longest = self._lingering.popleft() if len(self._lingering) > self._seats else None
        if longest is not None:
            longest()
        try:
            yield
        finally:
            with self._change, suppress(ValueError):
                self._lingering.remove(leave)

    def close(self, timeout: float) -> None:
        """Give out no seat any more, end what those in use are for, and wait for that.

        Args:
            timeout: Seconds to wait at most.
        """
        with self._change:
            self._closed = True
            ends = [seat.end for seat in self._used if seat.end is not None]
        for end in ends:
            end()
        with self._change:
            self._change.wait_for(lambda: not self._used, timeout)


_ENDING = "the server is being stopped"
_FULL = (
    "all places ({}) are taken: as many recordings and streams are being transcribed now as "
    "this machine can do in time; try again when one has ended"
)
