"""Show captions from a thread of their own: who does not read them holds up nothing else."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from streamer.errors import OutputError, ReaderGone
from streamer.event_queue import EventQueue
from streamer.events import Event, EventSink, Notice

WAITING = 1000
"""Events that may wait for the screen."""

PATIENCE_S = 5.0
"""How long the end waits for a screen that takes nothing, seconds."""


class BackgroundSink:
    """Gives events to a sink in a thread of its own.

    A terminal that was stopped (Ctrl-S), or a pipe that is not read, then holds up neither
    files nor recognition.  Of what it does not take in time the oldest goes, and how much is
    told where it is missing (``screen_behind``); from a source that can wait nothing goes.

    Owns the thread.

    Args:
        sink: Used by nobody else.
        patient: Whether to wait for the sink rather than to drop something.
        waiting: Events that may wait for it.
        patience_s: How long :meth:`close` waits for a sink that takes nothing, unless it is
            to be waited for; seconds.
    """

    def __init__(
        self,
        sink: EventSink,
        patient: bool,
        waiting: int = WAITING,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._sink = sink
        self._patient = patient
        self._patience_s = patience_s
        self._events = EventQueue(waiting, patient)
        self._error: Exception | None = None
        self._taken = 0
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name="screen", daemon=True)
        self._thread.start()

    def emit(self, event: Event, emitted_s: float) -> None:
        """Hand over an event.

        Raises:
            OutputError: If the sink could not take an event before, as it raised it.
        """
        self._raise()
        self._events.put(event, emitted_s)
        self._raise()

    def close(self) -> None:
        """Wait until the sink has taken everything and is closed.

        Raises:
            OutputError: If it could not, or if it takes nothing any more.
        """
        self._events.close()
        try:
            self._wait()
        except BaseException:
            _exit_without(self._thread)
            raise
        self._raise()

    def abandon(self) -> None:
        """Wait for the sink no more: the program is to end at once."""
        self._abandoned = True
        self._events.clear()
        self._events.close()

    def _wait(self) -> None:
        while self._thread.is_alive():
            taken = self._taken
            self._thread.join(0.2 if self._abandoned else self._patience_s)
            stuck = taken == self._taken and self._thread.is_alive()
            if stuck and (self._abandoned or not self._patient):
                raise OutputError("it takes no captions any more")

    def _run(self) -> None:
        try:
            self._show()
        except Exception as error:
            self._error = error
        finally:
            self._events.close()

    def _show(self) -> None:
        try:
            while (waiting := self._events.get(None)) is not None:
                self._taken += 1
                if dropped := self._events.take_dropped():
                    self._sink.emit(_behind(dropped), waiting[1])
                self._sink.emit(*waiting)
        finally:
            self._sink.close()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error


@contextmanager
def to_standard_output() -> Iterator[None]:
    """Turn a failure to print into an error for people; nothing may be printed afterwards.

    Raises:
        ReaderGone: If standard output is a pipe that nobody reads any more.
        OutputError: If it cannot be written.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        # What is left of it shall not be tried again when Python ends.
        with suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        kind = ReaderGone if isinstance(error, BrokenPipeError) else OutputError
        raise kind(
            f"standard output cannot be written: {error.strerror or error}; give another place"
        ) from error


def _behind(dropped: int) -> Notice:
    return Notice(
        "screen_behind",
        f"standard output was not read in time, so {dropped} events before this are missing "
        "here; files that were asked for have them",
    )


def _exit_without(thread: threading.Thread) -> None:
    """Let the program end although a thread hangs in a write.

    Python would wait at its end for the lock of the file that the thread writes.
    """

    def leave() -> None:
        if thread.is_alive():
            sys.stderr.flush()
            os._exit(1)

    atexit.register(leave)


@contextmanager
def abandoned_when_interrupted(screen: BackgroundSink | None) -> Iterator[None]:
    """Wait for the screen no more, if there is one, when the program is to stop at once."""
    try:
        yield
    except KeyboardInterrupt:
        if screen is not None:
            screen.abandon()
        raise
