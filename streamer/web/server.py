"""The HTTP server: threads of one process, bounded in number, time and size.

Cheroot parses HTTP and hands requests to Flask.  What is added here: a WebSocket gets the
connection it came by; threads are made as they are needed, up to a limit; a request that
does not come to its end is cut off, however slowly it drips; and what is left of a body
that nobody wanted is not read.
"""

from __future__ import annotations

import io
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cheroot import wsgi
from cheroot.server import HTTPConnection, HTTPRequest
from cheroot.ssl.builtin import BuiltinSSLAdapter
from cheroot.workers.threadpool import ThreadPool

from model.errors import UsageError

REQUEST_S = 20.0
"""Seconds in which a request's head must have come, and a small body after it."""

SILENT_S = 15
"""Seconds without a byte after which a connection is given up."""

HEAD_BYTES = 32_768
"""Largest head of a request."""

SMALL_BODY = 1_000_000
"""Bytes up to which a body is read before the request is answered."""

UNREAD_BODY = 65_536
"""Bytes of an unread body that are still read to keep its connection."""

LINGER_S = 5.0
"""Seconds that a client has to read the answer to a body that is not read to its end."""

THREADS_AT_START, THREADS_SPARE = 12, 4


class Watchdog:
    """Cuts connections that take longer than they may; one thread for all of them."""

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
                connection.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        while not self._ended.wait(1.0):
            self.cut_late()


class WholeSends:
    """A connection as a WebSocket needs it: a message is sent whole, or the connection ends.

    Its receiving thread and the one that sends events may send at the same time.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def send(self, data: bytes) -> int:
        """Send all of ``data``, in the connection's time limit.

        Raises:
            OSError: If it could not be sent.
        """
        with self._sending:
            self._connection.sendall(data)
        return len(data)

    def recv(self, size: int) -> bytes:
        """Receive up to ``size`` bytes."""
        return self._connection.recv(size)

    def fileno(self) -> int:
        """Return the file descriptor, for selectors."""
        return self._connection.fileno()

    def close(self) -> None:
        """End both directions; the server closes the connection."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


class _Gateway(wsgi.Gateway_10):
    """Gives WebSockets their connection."""

    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]
        environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        environ["captioner.socket"] = self.req.conn.socket
        if environ.get("HTTP_UPGRADE", "").lower() == "websocket":
            # With this name simple-websocket raises StopIteration when it has ended, so that
            # no answer is written behind it.
            environ["gunicorn.socket"] = WholeSends(self.req.conn.socket)
            # A compressed message may become any size before it is measured.
            environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
        return environ

    def respond(self) -> None:
        try:
            super().respond()
        except StopIteration:
            self.req.sent_headers = True
            self.req.close_connection = True

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        if getattr(self.req.rfile, "remaining", 0) > UNREAD_BODY:
            self.req.close_connection = True
        return super().start_response(status, headers, exc_info)


class _Request(HTTPRequest):
    """A request whose head, and body if it is small, must come in time."""

    def parse_request(self) -> None:
        with self.server.watchdog.watching(self.conn.socket, REQUEST_S):
            super().parse_request()
            if self.ready and not self.chunked_read:
                self._read_small_body()

    def _read_small_body(self) -> None:
        length = self.inheaders.get(b"Content-Length", b"0")
        if length.isdigit() and 0 < int(length) <= SMALL_BODY:
            reader = self.conn.rfile
            rest = reader.rest if isinstance(reader, _Replayed) else reader
            body = rest.read(int(length))
            if len(body) < int(length):
                self.ready = False
                return
            self.conn.rfile = _Replayed(body, rest)

    def respond(self) -> None:
        super().respond()
        if getattr(self.rfile, "remaining", 0) > 0 and self.close_connection:
            self._let_answer_arrive()

    def _let_answer_arrive(self) -> None:
        """Throw away what the client still sends, so that it comes to read the answer."""
        connection = self.conn.socket
        with suppress(OSError), self.server.watchdog.watching(connection, LINGER_S):
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass


class _Replayed:
    """A connection's reader with some bytes of it read already."""

    def __init__(self, body: bytes, rest: Any) -> None:
        self._body = io.BytesIO(body)
        self.rest = rest

    def read(self, size: int = -1) -> bytes:
        return self._body.read(size) or self.rest.read(size)

    def readline(self, size: int = -1) -> bytes:
        return self._body.readline(size) or self.rest.readline(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rest, name)


class _Connection(HTTPConnection):
    RequestHandlerClass = _Request


class _Threads(ThreadPool):
    """Makes threads as they are needed."""

    def put(self, obj: Any) -> None:
        if self.idle < THREADS_SPARE:
            self.grow(THREADS_SPARE)
        super().put(obj)


class _LazyTls(BuiltinSSLAdapter):
    """Shakes hands when the first byte is read, so that a slow client holds up only itself."""

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, dict[str, str]]:
        wrapped = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return wrapped, {"wsgi.url_scheme": "https", "HTTPS": "on"}


class WebServer(wsgi.Server):
    """A server for one application.

    Args:
        host: Name or address to listen on.
        port: TCP port; 0 takes a free one.
        application: What answers (WSGI).
        threads: Connections that are worked on at once, at most.

    Raises:
        UsageError: By :meth:`open`, if it cannot listen there.
    """

    ConnectionClass = _Connection
    max_request_header_size = HEAD_BYTES

    def __init__(self, host: str, port: int, application: Any, threads: int = 600) -> None:
        super().__init__((host, port), application, server_name="captioner", timeout=SILENT_S)
        self.gateway = _Gateway
        self.watchdog = Watchdog()
        self.software = "captioner"
        self.request_queue_size = 128
        self.shutdown_timeout = 3
        self.requests = _Threads(self, min=THREADS_AT_START, max=threads)

    def secure(self, certificate: Path, key: Path) -> None:
        """Answer by HTTPS only.

        Args:
            certificate: PEM file with the certificate and those that vouch for it.
            key: PEM file with its key.

        Raises:
            UsageError: If they cannot be used.
        """
        for path in (certificate, key):
            if not path.is_file():
                raise UsageError(f"{path}: no such file; give --certificate and --key PEM files")
        try:
            self.ssl_adapter = _LazyTls(str(certificate), str(key))
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"{certificate}, {key}: not a certificate and its key in PEM form: {error}"
            ) from error

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.bind_addr[1])

    def open(self) -> None:
        """Listen, so that clients can connect; :meth:`serve` answers them.

        Raises:
            UsageError: If it cannot listen there.
        """
        try:
            self.prepare()
        except OSError as error:
            host, port = self.bind_addr
            raise UsageError(
                f"cannot listen on {host}, port {port}: {error.strerror or error}; choose another "
                "with --host and --port, or stop the program that has it"
            ) from error
        self.watchdog.start()

    @staticmethod
    def bind_socket(socket_: socket.socket, bind_addr: tuple[str, int]) -> socket.socket:
        """Bind a socket, or close it."""
        try:
            bound: socket.socket = wsgi.Server.bind_socket(  # type: ignore[no-untyped-call]
                socket_, bind_addr
            )
            return bound
        except OSError:
            socket_.close()
            raise

    def serve(self) -> None:
        """Answer until :meth:`close` is called."""
        super().serve()
        # Connections that came while the threads ended wait for nobody.
        with suppress(queue.Empty):
            while True:
                connection = self.requests.get(block=False)
                if isinstance(connection, HTTPConnection):
                    connection.close()

    def close(self) -> None:
        """Stop answering; may be called from any thread."""
        self.watchdog.stop()
        self.stop()

    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
        """Say only what is an error of ours."""
        if level >= 40:
            super().error_log(msg, level, traceback)
