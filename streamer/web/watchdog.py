"""Cuts connections that take longer than they may."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Watchdog:
    """Cuts connections that take longer than they may; one thread for all of them.

    Args:
        clock: Seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._watched: dict[object, tuple[float, socket.socket]] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._ended.set()

    @contextmanager
    def watching(self, connection: socket.socket, seconds: float) -> Iterator[None]:
        """Cut ``connection`` if the context lasts longer than ``seconds``."""
        key = object()
        with self._lock:
            self._watched[key] = (self._clock() + seconds, connection)
        try:
            yield
        finally:
            with self._lock:
                del self._watched[key]

    def cut_late(self) -> None:
        """Cut what is late now."""
        now = self._clock()
        with self._lock:
            late = [connection for due, connection in self._watched.values() if due <= now]
        for connection in late:
            with suppress(OSError):
                # Not as TLS has it: that would take the keys from under the thread in there.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def _run(self) -> None:
        while not self._ended.wait(1.0):
            self.cut_late()
