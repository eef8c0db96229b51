"""Tell the service manager that started the program how it does.

This is the protocol of ``sd_notify(3)``: lines of ``NAME=value`` in a datagram to the socket
that ``$NOTIFY_SOCKET`` names.  Without that variable everything here does nothing.  No word
that was spoken is told.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass

from streamer.events import Event, EventSink, Notice, Status, StreamStarted

LIVING_LAG_S = 1.0
"""Audio that waits for recognition, in seconds, up to which it is taken to keep up."""

SENDING_S = 1.0
"""Longest time that telling may take; what cannot be told in it is left out."""

AWAY = frozenset({"device_awaited", "device_lost"})
"""Kinds of notices after which no audio comes, and that is no fault of the program."""

NOT_AWAY = frozenset({"device_back", "device_changed", "device_hangs"})
"""Kinds of notices after which audio is to come; what hangs in the audio system goes with the
program, so starting that anew is a remedy."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class Manager:
    """How the service manager is reached, and what it wants.

    Attributes:
        address: Of its socket: a path, or a name of Linux's abstract ones after ``@``;
            empty for none.
        watchdog_s: Seconds within which it wants to hear that all goes on; 0 for never.
    """

    address: str = ""
    watchdog_s: float = 0.0

    @classmethod
    def take(cls, environment: MutableMapping[str, str]) -> Manager:
        """Return what the environment says, and take it out.

        So no program that this one starts can speak in its name.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        interval = environment.pop("WATCHDOG_USEC", "")
        process = environment.pop("WATCHDOG_PID", "")
        mine = not process or process == str(os.getpid())
        watchdog_s = int(interval) / 1e6 if mine and interval.isdecimal() else 0.0
        return cls(address if address[:1] in ("/", "@") else "", watchdog_s)


class Progress:
    """Tells from a stream's events whether captions go on.

    They do while audio comes, or a microphone is away that is being waited for, and while
    recognition gets on with the audio or has none to do.  May be used from any thread.

    Args:
        patience_s: Seconds without that, after which they do not.
        clock: Seconds that only rise.
    """

    def __init__(self, patience_s: float, clock: Clock) -> None:
        self._patience_s = patience_s
        self._clock = clock
        self._lock = threading.Lock()
        self._running = self._away = False
        self._heard_s = self._read_s = 0.0
        self._heard_at = self._read_at = 0.0
        self.told = "starting"

    def begin(self) -> None:
        """A stream begins."""
        with self._lock:
            self._running, self._away = True, False
            self._heard_s = self._read_s = -1.0
            self._heard_at = self._read_at = self._clock()

    def end(self) -> None:
        """It has ended; until the next there is nothing to get on with."""
        with self._lock:
            self._running = False

    def take(self, event: Event) -> None:
        """Take an event of the stream, after it has been shown."""
        with self._lock:
            if isinstance(event, Status):
                self._take_status(event)
            elif isinstance(event, StreamStarted):
                self.told = f"listening to {event.source}"
            elif isinstance(event, Notice) and event.kind in AWAY | NOT_AWAY:
                self._away = event.kind in AWAY
                self._heard_at = self._clock()
                self.told = event.text

    def _take_status(self, status: Status) -> None:
        read_s = status.audio_s - status.lag_s
        if status.audio_s != self._heard_s or self._away:
            self._heard_s, self._heard_at = status.audio_s, self._clock()
        if read_s != self._read_s or status.lag_s <= LIVING_LAG_S:
            self._read_s, self._read_at = read_s, self._clock()

    @property
    def alive(self) -> bool:
        """Whether captions go on, or none are wanted now."""
        with self._lock:
            oldest = min(self._heard_at, self._read_at)
            return not self._running or self._clock() - oldest <= self._patience_s


class Service:
    """The program's side of it; nothing here raises or waits for long.

    Args:
        manager: Who is told.
        clock: Seconds that only rise.
    """

    def __init__(self, manager: Manager | None = None, clock: Clock = time.monotonic) -> None:
        self._manager = manager or Manager.take(os.environ)
        self._progress = Progress(self._manager.watchdog_s / 2, clock)
        self._ended = threading.Event()
        self._stopping = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Tell again and again that all goes on, while it does; at the end, that it ends."""
        beat_s = self._manager.watchdog_s / 4
        thread = threading.Thread(target=self._beat, args=(beat_s,), name="watchdog", daemon=True)
        if self._manager.address and beat_s > 0:
            thread.start()
        try:
            yield
        finally:
            self.stopping()
            self._ended.set()

    @contextmanager
    def watch(self, sink: EventSink) -> Iterator[EventSink]:
        """Yield a sink that hands on all events, by which a stream's progress is judged."""
        self._progress.begin()
        try:
            yield _Watched(sink, self._progress)
        finally:
            self._progress.end()

    def ready(self, status: str) -> None:
        """Say that the program does what it is for.

        Args:
            status: What that is, for people; one line.
        """
        self._tell("READY=1", f"STATUS={_line(status)}")

    def before(self, stop: Callable[[], None]) -> Callable[[], None]:
        """Return what says that the program is about to end, and then calls ``stop``."""

        def tell_and_stop() -> None:
            self.stopping()
            stop()

        return tell_and_stop

    def stopping(self) -> None:
        """Say that it is about to end; told once."""
        if self._stopping:
            return
        self._stopping = True
        self._tell("STOPPING=1", "STATUS=finishing what was heard")

    def _beat(self, beat_s: float) -> None:
        while not self._ended.wait(beat_s):
            if self._progress.alive:
                told = [] if self._stopping else [f"STATUS={_line(self._progress.told)}"]
                self._tell("WATCHDOG=1", *told)
            else:
                self._tell("STATUS=recognition hangs")

    def _tell(self, *lines: str) -> None:
        address = self._manager.address
        if not address:
            return
        place = "\0" + address[1:] if address.startswith("@") else address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
                connection.settimeout(SENDING_S)
                connection.sendto("\n".join(lines).encode(), place)
        except OSError:
            return


class _Watched:
    """Hands on events, and shows them to the one who judges progress."""

    def __init__(self, sink: EventSink, progress: Progress) -> None:
        self._sink = sink
        self._progress = progress

    def emit(self, event: Event, emitted_s: float) -> None:
        self._sink.emit(event, emitted_s)
        self._progress.take(event)

    def close(self) -> None:
        self._sink.close()


def _line(text: str) -> str:
    """Return a text as one line, for a protocol in which each line is another message."""
    return " ".join(text.split())
