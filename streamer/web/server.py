"""The HTTP server: threads of one process, bounded in number, time and size.

Cheroot parses HTTP and hands requests to Flask.  What is added here: a WebSocket gets the
connection it came by; threads are made as they are needed, up to a limit; a request that
does not come to its end is cut off, however slowly it drips; and what is left of a body
that nobody wanted is not read.
"""

from __future__ import annotations

import errno
import queue
import resource
import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from cheroot import wsgi
from cheroot.server import HTTPConnection
from cheroot.ssl.builtin import BuiltinSSLAdapter
from cheroot.workers.threadpool import ThreadPool

from model.errors import UsageError
from streamer.web.incoming import UNREAD_BODY, Request
from streamer.web.watchdog import Watchdog
from streamer.web.web_socket import WholeSends

SILENT_S = 15
"""Seconds without a byte after which a connection is given up."""

HEAD_BYTES = 32_768
"""Largest head of a request."""

CONNECTIONS = 4_000
"""Connections that are open at once, at most; most of them idle."""

FILES = 200
"""Open files beside the connections."""

THREADS_AT_START, THREADS_SPARE, THREADS_IDLE = 12, 4, 32
"""Threads made at first, kept ready, and kept at most while they have nothing to do."""

REST_S = 0.1
"""Rest after a connection that could not be accepted, seconds."""


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
            self.env["gunicorn.socket"].finish()
            self.req.sent_headers = True
            self.req.close_connection = True

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        if self.req.rfile.remaining > UNREAD_BODY:
            self.req.close_connection = True
        return super().start_response(status, headers, exc_info)


class _Connection(HTTPConnection):
    RequestHandlerClass = Request

    def __init__(self, server: WebServer, *args: Any) -> None:
        super().__init__(server, *args)
        self._counted = server.connections
        self._counted.add(self)

    def communicate(self) -> bool:
        """Answer a request; a connection that breaks is no news."""
        try:
            return bool(super().communicate())  # type: ignore[no-untyped-call]
        except OSError:
            return False

    def close(self) -> None:
        """Close it; may be called again."""
        self._counted.discard(self)
        super().close()
        # Otherwise the socket lives until its writer is found by the garbage collector.
        with suppress(OSError, ValueError):
            self.wfile.close()


class _Threads(ThreadPool):
    """Makes threads as they are needed, and lets them go when they are not."""

    def put(self, obj: Any) -> None:
        spare = self.idle - self.qsize
        if spare < THREADS_SPARE:
            self.grow(THREADS_SPARE)
        elif spare > THREADS_IDLE:
            self.shrink(spare - THREADS_IDLE)
        super().put(obj)

    def grow(self, amount: int) -> None:
        """Make threads; unlike cheroot's this does not wait until they run."""
        workers: list[threading.Thread] = self._threads  # type: ignore[attr-defined]
        room = max(int(self.max) - len(workers), 0)
        for _ in range(min(amount, room)):
            workers.append(self._spawn_worker())  # type: ignore[attr-defined]


class _Listener(socket.socket):
    """A listening socket that rests a little when nothing more can be opened."""

    def accept(self) -> tuple[socket.socket, Any]:
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise
            time.sleep(REST_S)
            raise TimeoutError from error


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
        self.connections: set[_Connection] = set()
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
        self._most = min(CONNECTIONS, _files_allowed() - FILES)
        self.watchdog.start()

    def process_conn(self, conn: _Connection) -> None:
        """Have a thread work on a connection, once its client has said something."""
        if conn.last_used is not None:
            super().process_conn(conn)
        elif len(self.connections) > self._most:
            conn.close()
        else:
            self.put_conn(conn)

    @staticmethod
    def bind_socket(socket_: socket.socket, bind_addr: tuple[str, int]) -> socket.socket:
        """Bind a socket, or close it."""
        try:
            bound: socket.socket = wsgi.Server.bind_socket(  # type: ignore[no-untyped-call]
                socket_, bind_addr
            )
            return _Listener(fileno=bound.detach())
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


def _files_allowed() -> int:
    """Return how many files may be open, after asking for as many as we need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + FILES
    if soft < wanted:
        soft = min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft
