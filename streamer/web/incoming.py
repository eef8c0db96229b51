"""Requests as they come in: strict heads, bodies in pieces, and time limits for both.

Cheroot parses them.  What it takes too lightly is refused here: heads that two programs
may read differently (RFC 9112, sections 5 and 6), and bodies without a size or an end.
"""

from __future__ import annotations

import io
import re
import socket
import time
from contextlib import suppress
from typing import Any

from cheroot.server import HeaderReader, HTTPRequest

REQUEST_S = 20.0
"""Seconds in which a request's head must have come, a small body after it, and each piece of
a larger one; and that a client may be behind in reading an answer."""

SMALL_BODY = 1_000_000
"""Bytes up to which a body is read before the request is answered."""

PIECE = 65_536
"""Bytes that are read or written at a time."""

UNREAD_BODY = 65_536
"""Bytes of an unread body that are still read to keep its connection."""

LINGER_S = 5.0
"""Seconds that a client has to read the answer to a body that is not read to its end."""

SLOWEST = 4_000
"""Bytes a second in which a client must read, once it is behind."""

CHUNK_LINE = 1_000
"""Bytes of the longest line between the chunks of a body, or of the trailers behind them."""

ENDLESS = 2**62
"""Stands for the length of a body that does not say it."""

ONCE = frozenset(
    {b"Host", b"Content-Length", b"Transfer-Encoding", b"Origin", b"Authorization", b"Upgrade"}
)
"""Headers that mean nothing when they are given twice."""

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;.*)?\r\n", re.DOTALL)


class _Head(dict[bytes, bytes]):
    """Headers that refuse a second value where only one makes sense."""

    def __setitem__(self, name: bytes, value: bytes) -> None:
        if name in ONCE and name in self:
            raise ValueError(f"{name.decode('ascii')} was given twice.")
        super().__setitem__(name, value)


class _Lines:
    """The lines of a head; one that continues the line before is refused."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def readline(self) -> bytes:
        line: bytes = self._reader.readline()
        if line[:1] in (b" ", b"\t"):
            raise ValueError("Headers must not be folded.")
        return line


class StrictHead(HeaderReader):
    """Reads headers, and refuses those that could be understood in two ways."""

    def __call__(self, rfile: Any, hdict: Any = None) -> Any:
        found = super().__call__(_Lines(rfile), hdict)
        if any(b"\r" in value or b"\0" in value for value in found.values()):
            raise ValueError("Illegal character in a header.")
        length = found.get(b"Content-Length")
        if length is not None and not _LENGTH.fullmatch(length):
            raise ValueError("Malformed Content-Length.")
        if length is not None and b"Transfer-Encoding" in found:
            raise ValueError("Content-Length and Transfer-Encoding exclude each other.")
        return found

    def _transform_key(self, key_name: bytes) -> bytes:
        if not _NAME.fullmatch(key_name):
            raise ValueError("Illegal header name.")
        return key_name.title()

    def _allow_header(self, key_name: bytes) -> bool:
        # WSGI could not tell it from the name with a hyphen.
        return b"_" not in key_name


class Body:
    """A request's body of known length, or in chunks, read in pieces that must come in time.

    Args:
        request: Whose it is.
        length: In bytes; None if it comes in chunks.
    """

    def __init__(self, request: Request, length: int | None) -> None:
        self._connection = request.conn
        self._watchdog = request.server.watchdog
        self._chunked = length is None
        self._left = 0 if length is None else length
        self._ended = length == 0
        self._first = True

    @property
    def remaining(self) -> int:
        """Bytes that were not read; very many where that is not known."""
        if self._ended:
            return 0
        return ENDLESS if self._chunked else self._left

    def read(self, size: int | None = -1) -> bytes:
        """Return ``size`` bytes, all of them if it is negative; fewer at the body's end.

        Raises:
            ValueError: If the chunks are malformed.
            OSError: If the client stalls.
        """
        wanted = ENDLESS if size is None or size < 0 else size
        found = bytearray()
        while wanted > len(found) and not self._ended:
            with self._watchdog.watching(self._connection.socket, REQUEST_S):
                piece = self._piece(min(PIECE, wanted - len(found)))
            if not piece:
                break
            found += piece
        return bytes(found)

    def readline(self, size: int | None = -1) -> bytes:
        """Return a line, or ``size`` bytes of one."""
        line = bytearray()
        while (size is None or size < 0 or len(line) < size) and line[-1:] != b"\n":
            byte = self.read(1)
            if not byte:
                break
            line += byte
        return bytes(line)

    def _piece(self, size: int) -> bytes:
        """Return up to ``size`` bytes, less only where the body ends."""
        found = bytearray()
        while len(found) < size and not self._ended:
            if self._chunked and self._left == 0:
                self._begin_chunk()
                continue
            read = self._connection.rfile.read(min(size - len(found), self._left))
            found += read
            self._left -= len(read)
            if not read and self._chunked:
                raise ValueError("the body broke off")
            if not read or (self._left == 0 and not self._chunked):
                self._ended = self._left == 0
                break
        return bytes(found)

    def _begin_chunk(self) -> None:
        if not self._first and self._line() != b"\r\n":
            raise ValueError("a chunk of the body is longer than it says")
        self._first = False
        found = _CHUNK.fullmatch(self._line())
        if found is None:
            raise ValueError("the length of a chunk is malformed")
        self._left = int(found[1], 16)
        if self._left == 0:
            self._skip_trailers()

    def _skip_trailers(self) -> None:
        skipped = 0
        while (line := self._line()) != b"\r\n":
            skipped += len(line)
            if not line.endswith(b"\r\n") or skipped > CHUNK_LINE:
                raise ValueError("the trailers of the body are malformed")
        self._ended = True

    def _line(self) -> bytes:
        line: bytes = self._connection.rfile.readline(CHUNK_LINE)
        return line


class Request(HTTPRequest):
    """A request that must come in time, and whose answer must be read in time."""

    header_reader = StrictHead()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.inheaders = _Head()
        self._patience_s = REQUEST_S

    def parse_request(self) -> None:
        with self.server.watchdog.watching(self.conn.socket, REQUEST_S):
            super().parse_request()
            if self.ready and not self.chunked_read:
                self._read_small_body()

    def read_request_line(self) -> bool:
        try:
            return bool(super().read_request_line())  # type: ignore[no-untyped-call]
        except ValueError:
            self.simple_response("400 Bad Request", "Malformed Request-URI")
            return False

    def read_request_headers(self) -> bool:
        if not super().read_request_headers():  # type: ignore[no-untyped-call]
            return False
        if b"Transfer-Encoding" in self.inheaders and not self.chunked_read:
            self.simple_response("400 Bad Request", "HTTP/1.0 has no Transfer-Encoding.")
            return False
        return True

    def respond(self) -> None:
        """Have the gateway answer."""
        length = None if self.chunked_read else int(self.inheaders.get(b"Content-Length", 0))
        self.rfile = Body(self, length)
        self.server.gateway(self).respond()
        if self.ready:
            self.ensure_headers_sent()
        if self.chunked_write:
            self.conn.wfile.write(b"0\r\n\r\n")
        if self.rfile.remaining > 0:
            self.close_connection = True
            self._let_answer_arrive()

    def send_headers(self) -> None:
        with self.server.watchdog.watching(self.conn.socket, REQUEST_S):
            super().send_headers()

    def write(self, chunk: bytes) -> None:
        """Write to the client, which may not be slower than :data:`SLOWEST` for long."""
        for start in range(0, len(chunk), PIECE):
            piece = chunk[start : start + PIECE]
            began = time.monotonic()
            with self.server.watchdog.watching(self.conn.socket, self._patience_s):
                super().write(piece)
            waited = time.monotonic() - began
            self._patience_s += len(piece) / SLOWEST - waited
            self._patience_s = min(REQUEST_S, max(0.0, self._patience_s))

    def _read_small_body(self) -> None:
        length = int(self.inheaders.get(b"Content-Length", 0))
        if 0 < length <= SMALL_BODY:
            reader = self.conn.rfile
            rest = reader.rest if isinstance(reader, _Replayed) else reader
            body = rest.read(length)
            if len(body) < length:
                self.ready = False
                return
            self.conn.rfile = _Replayed(body, rest)

    def _let_answer_arrive(self) -> None:
        """Throw away what the client still sends, so that it comes to read the answer."""
        connection = self.conn.socket
        with suppress(OSError), self.server.watchdog.watching(connection, LINGER_S):
            socket.socket.shutdown(connection, socket.SHUT_WR)
            while connection.recv(PIECE):
                pass


class _Replayed:
    """A connection's reader with some bytes of it read already."""

    def __init__(self, body: bytes, rest: Any) -> None:
        self._body = io.BytesIO(body)
        self.rest = rest

    def read(self, size: int = -1) -> bytes:
        return self._body.read(size) or bytes(self.rest.read(size))

    def readline(self, size: int = -1) -> bytes:
        return self._body.readline(size) or bytes(self.rest.readline(size))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rest, name)
