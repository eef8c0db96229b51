"""A WebSocket's connection: whole messages, both directions at once, and nothing piled up."""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from simple_websocket import Server

PATIENCE_S = 15.0
"""Seconds in which a message must be sent, or the rest of a TLS record must come."""

MESSAGES_HELD, BYTES_HELD = 256, 4_000_000
"""What may wait to be worked on, of what a client sent; then it is read no further."""

RELEASE_S = 5.0
"""Seconds in which the receiving thread ends at the latest, once its connection has."""

LOOK_S = 0.02
"""Time between two looks whether what waits was worked on, seconds."""

_T = TypeVar("_T")


class WholeSends:
    """A connection as a WebSocket needs it: a message is sent whole, or the connection ends.

    Its receiving thread and the one that sends events may be in here at the same time.
    OpenSSL does not allow that for one connection, so with TLS each call of it is short and
    alone, and the waiting is done outside.

    Args:
        connection: The server's, with TLS or without.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._tls = isinstance(connection, ssl.SSLSocket)
        self._sending = threading.Lock()
        self._using = threading.Lock()
        self._inbox: Sequence[str | bytes] = ()
        self._closed = False
        self._released = threading.Event()

    def hold(self, inbox: Sequence[str | bytes]) -> None:
        """Receive nothing more while too much waits in ``inbox``."""
        self._inbox = inbox

    def send(self, data: bytes) -> int:
        """Send all of ``data``, in the connection's time limit.

        Raises:
            OSError: If it could not be sent.
        """
        with self._sending:
            if self._tls:
                self._send_encrypted(memoryview(data))
            else:
                self._connection.sendall(data)
        return len(data)

    def recv(self, size: int) -> bytes:
        """Receive up to ``size`` bytes.

        Raises:
            OSError: If the connection has ended, or stalls.
        """
        while self._is_full() and not self._closed:
            time.sleep(LOOK_S)
        if self._tls:
            return self._when_ready(partial(self._connection.recv, size), self._due())
        return self._connection.recv(size)

    def fileno(self) -> int:
        """Return the file descriptor, for selectors."""
        return self._connection.fileno()

    def close(self) -> None:
        """End both directions; called by the receiving thread, that needs it no more."""
        self._shut_down()
        self._released.set()

    def finish(self) -> None:
        """End both directions, and wait until the receiving thread needs it no more.

        Were the connection closed before, that thread would not notice until its next ping.
        """
        self._shut_down()
        self._released.wait(RELEASE_S)

    def _shut_down(self) -> None:
        self._closed = True
        with suppress(OSError):
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)

    def _is_full(self) -> bool:
        held = tuple(self._inbox)
        return len(held) > MESSAGES_HELD or sum(map(len, held)) > BYTES_HELD

    def _due(self) -> float:
        return time.monotonic() + PATIENCE_S

    def _send_encrypted(self, rest: memoryview) -> None:
        due = self._due()
        while rest:
            rest = rest[self._when_ready(partial(self._connection.send, rest), due) :]

    def _when_ready(self, call: Callable[[], _T], due: float) -> _T:
        """Call when the connection is ready for it.

        Raises:
            OSError: If it is not by ``due``, or has ended.
        """
        self._connection.setblocking(False)
        while True:
            try:
                with self._using:
                    return call()
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, due)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, due)

    def _wait(self, events: int, due: float) -> None:
        poll = select.poll()
        try:
            poll.register(self._connection.fileno(), events)
        except ValueError as error:
            raise OSError("the connection was closed") from error
        if not poll.poll(max(0.0, due - time.monotonic()) * 1000):
            raise TimeoutError("timed out")


def bound(client: Server) -> None:
    """Let a WebSocket's client send no faster than its messages are worked on."""
    if isinstance(client.sock, WholeSends):
        client.sock.hold(client.input_buffer)
