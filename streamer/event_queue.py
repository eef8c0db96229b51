"""Events on their way from one thread to another, with a bound on how many may wait."""

from __future__ import annotations

import threading
from collections import deque

from streamer.events import Event, PartialTranscript, Status


class EventQueue:
    """Events that wait for a sink; a newer partial or status replaces one that nothing
    else has followed.

    Owns the events that wait.

    Args:
        most: Events that may wait.
        patient: Whether :meth:`put` waits while so many do.  Otherwise the oldest one goes,
            and is counted.
    """

    def __init__(self, most: int, patient: bool = True) -> None:
        self._most = most
        self._patient = patient
        self._events: deque[tuple[Event, float]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._dropped = 0

    def put(self, event: Event, emitted_s: float) -> None:
        """Add an event; waits for room, unless the queue is closed or drops."""
        with self._changed:
            if not (isinstance(event, PartialTranscript | Status) and self._drop_last(type(event))):
                self._make_room()
            self._events.append((event, emitted_s))
            self._changed.notify_all()

    def get(self, timeout: float | None) -> tuple[Event, float] | None:
        """Return the oldest event, or None when there is none within ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._closed, timeout)
            if not self._events:
                return None
            self._changed.notify_all()
            return self._events.popleft()

    def close(self) -> None:
        """Say that no more events come; nobody waits for room any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget what waits."""
        with self._changed:
            self._events.clear()
            self._changed.notify_all()

    def take_dropped(self) -> int:
        """Return how many events were dropped since this was asked last."""
        with self._changed:
            dropped, self._dropped = self._dropped, 0
            return dropped

    @property
    def finished(self) -> bool:
        """Whether it was closed and everything was taken."""
        with self._changed:
            return self._closed and not self._events

    def _make_room(self) -> None:
        if self._patient:
            self._changed.wait_for(lambda: self._closed or len(self._events) < self._most)
        elif len(self._events) >= self._most:
            self._events.popleft()
            self._dropped += 1

    def _drop_last(self, kind: type[Event]) -> bool:
        """Drop the newest event if it is of a kind, or the one before that such a one follows."""
        for place in range(len(self._events) - 1, max(-1, len(self._events) - 3), -1):
            waiting = self._events[place][0]
            if type(waiting) is kind:
                del self._events[place]
                return True
            if not isinstance(waiting, PartialTranscript | Status):
                return False
        return False
