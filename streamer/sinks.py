"""The group that feeds all sinks, and keeps what goes wrong in one from the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol, runtime_checkable

from model.errors import CaptionerError
from streamer.errors import OutputError, ReaderGone
from streamer.events import Event, EventSink, Notice
from streamer.writers import printable


@runtime_checkable
class TellingSink(Protocol):
    """A sink that has something to say itself."""

    def tell_to(self, tell: Callable[[Notice], None]) -> None:
        """Use ``tell`` from now on; it is called within :meth:`EventSink.emit` only."""
        ...


class GuardedSink:
    """Keep a sink's failure from the rest of the program.

    The first error stops and closes the sink for good.  It is told once, to
    ``on_failure``; a reader who left is no failure and is told to nobody.

    Args:
        sink: Used by nobody else.
        name: What the user knows it by: a file's name, or "the screen".
        on_failure: Takes the notice ``writer_stopped``.
    """

    def __init__(self, sink: EventSink, name: str, on_failure: Callable[[Notice], None]) -> None:
        self._sink = sink
        self._name = name
        self._on_failure = on_failure
        self.stopped = False

    def emit(self, event: Event, emitted_s: float) -> None:
        """Hand on an event, unless the sink has stopped; raises nothing."""
        if self.stopped:
            return
        try:
            self._sink.emit(event, emitted_s)
        except Exception as error:
            self.stopped = True
            with suppress(Exception):
                self._sink.close()
            self._tell(error)

    def close(self) -> None:
        """Close the sink, unless it has stopped; raises nothing."""
        if self.stopped:
            return
        self.stopped = True
        try:
            self._sink.close()
        except Exception as error:
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        if isinstance(error, ReaderGone):
            return
        cause = error.__cause__ or error
        own = str(cause) if isinstance(cause, CaptionerError) else ""
        reason = getattr(cause, "strerror", None) or own or f"{type(cause).__name__}: {cause}"
        text = (
            f"Captions no longer go to {self._name}: {reason}. What it holds is kept;"
            " make room or choose another place, and start again to have the rest there."
        )
        self._on_failure(Notice("writer_stopped", printable(text), "error"))


class SinkGroup:
    """Give every event to several sinks; one that fails is dropped and the others are told.

    Called by one thread; a sink that blocks, such as a full pipe, blocks the group.

    Args:
        sinks: The sinks by the names that the user knows them by.  They are given
            events and closed in reverse order: what the first one, the screen, shows
            is in the files already, and it hears of a file that could not be finished.
        log: Is given every event before them, and counts for nothing else.
    """

    def __init__(self, sinks: Mapping[str, EventSink], log: EventSink | None = None) -> None:
        self._untold: list[Notice] = []
        self._sinks = [GuardedSink(sink, name, self._untold.append) for name, sink in sinks.items()]
        self._emitted_s = 0.0
        self._log = log
        for sink in sinks.values():
            if isinstance(sink, TellingSink):
                sink.tell_to(self._untold.append)

    @property
    def abandoned(self) -> bool:
        """Whether every sink has stopped, so that nobody gets captions any more.

        Standard output into ``head`` and a file: the file goes on, so this is False.
        """
        return bool(self._sinks) and all(sink.stopped for sink in self._sinks)

    def emit(self, event: Event, emitted_s: float) -> None:
        """Give an event to every sink that works.

        Raises:
            OutputError: If the last one failed, so that nobody could be told; not
                if its reader left (see :attr:`abandoned`).
        """
        self._emitted_s = emitted_s
        self._give(event)
        self._tell_failures()

    def close(self) -> None:
        """Close every sink that works.

        Raises:
            OutputError: If one failed and none was left to show it.
        """
        for sink in reversed(self._sinks):
            sink.close()
            self._tell_failures()

    def _give(self, event: Event) -> None:
        if self._log is not None:
            self._log.emit(event, self._emitted_s)
        for sink in reversed(self._sinks):
            sink.emit(event, self._emitted_s)

    def _tell_failures(self) -> None:
        while self._untold and not self.abandoned:
            self._give(self._untold.pop(0))
        failures = [notice.text for notice in self._untold if notice.level == "error"]
        self._untold.clear()
        if failures:
            raise OutputError(" ".join(failures))
