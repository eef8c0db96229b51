"""The HTTP server by itself: limits, slow and vanished clients, WebSockets, HTTPS."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from flask import Flask, request
from flask_sock import Sock
from simple_websocket import Server
from websocket import WebSocketConnectionClosedException, create_connection

from model.errors import UsageError
from streamer.web import incoming
from streamer.web import server as module
from streamer.web.server import WebServer
from streamer.web.watchdog import Watchdog
from streamer.web.web_socket import WholeSends

LARGE = 30_000_000


def application() -> Flask:
    app = Flask("answers")
    app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 20, "max_message_size": 1000}
    sock = Sock(app)

    @app.route("/", methods=["GET", "POST"])
    def answer() -> dict[str, Any]:
        return {"method": request.method, "length": len(request.get_data())}

    @app.post("/unread")
    def unread() -> tuple[str, int]:
        return "no", 503

    @app.get("/large")
    def large() -> bytes:
        return b"x" * LARGE

    @sock.route("/echo")
    def echo(ws: Server) -> None:
        while True:
            # Without a time limit simple-websocket may wait for ever behind an oversized message.
            message = ws.receive(timeout=1)
            if message is None:
                continue
            if message == "big":
                ws.send("x" * 3_000_000)
            elif message == "end":
                return
            else:
                ws.send(message)

    return app


@contextmanager
def serving(**options: Any) -> Iterator[WebServer]:
    server = WebServer("127.0.0.1", 0, application(), **options)
    server.open()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()


@pytest.fixture(scope="module")
def server() -> Iterator[WebServer]:
    with serving() as server:
        yield server


def connect(server: WebServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def read_all(connection: socket.socket) -> bytes:
    parts = []
    with suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def answers(text: bytes) -> Iterable[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith(b"{")]


def test_many_requests_go_over_one_connection(server: WebServer) -> None:
    with connect(server) as connection:
        for length in (0, 5, 100_000, 0, 7):
            connection.sendall(head("POST", "/", f"Content-Length: {length}") + b"x" * length)
            received = b""
            while not received.rstrip().endswith(b"}"):
                received += connection.recv(65_536)
            assert list(answers(received)) == [{"length": length, "method": "POST"}]


def test_requests_that_come_at_once_are_all_answered(server: WebServer) -> None:
    with connect(server) as connection:
        posts = [head("POST", "/", f"Content-Length: {n}") + b"y" * n for n in (3, 0, 2000)]
        connection.sendall(b"".join(posts) + head("GET", "/", "Connection: close"))
        found = [answer["length"] for answer in answers(read_all(connection))]
    assert found == [3, 0, 2000, 0]


def test_a_body_in_chunks_is_read(server: WebServer) -> None:
    with connect(server) as connection:
        request = head("POST", "/", "Transfer-Encoding: chunked", "Connection: close")
        connection.sendall(request + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert [answer["length"] for answer in answers(read_all(connection))] == [5]


def test_the_answer_to_a_body_that_nobody_reads_arrives(server: WebServer) -> None:
    size = 20_000_000
    with connect(server) as connection:
        connection.sendall(head("POST", "/unread", f"Content-Length: {size}"))
        with suppress(ConnectionError):
            for _ in range(size // 100_000):
                connection.sendall(b"z" * 100_000)
        assert b" 503 " in read_all(connection).splitlines()[0]


@pytest.mark.parametrize("first", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: local"])
def test_a_client_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch, first: bytes) -> None:
    monkeypatch.setattr(incoming, "REQUEST_S", 1.5)
    with serving() as server, connect(server) as connection:
        connection.sendall(first or b"G")
        ended = threading.Event()

        def drip() -> None:
            with suppress(OSError):
                while not ended.wait(0.1):
                    connection.sendall(b"a")

        dripping = threading.Thread(target=drip)
        dripping.start()
        read_all(connection)  # Comes to an end though the client goes on.
        ended.set()
        dripping.join()


def test_a_body_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "REQUEST_S", 1.5)
    with serving() as server, connect(server) as connection:
        connection.sendall(head("POST", "/", "Content-Length: 1000") + b"x")
        assert not list(answers(read_all(connection)))


def test_a_head_that_is_too_large_is_refused(server: WebServer) -> None:
    with connect(server) as connection, suppress(ConnectionError):
        connection.sendall(head("GET", "/", *(f"X-{n}: {'v' * 1000}" for n in range(100))))
        assert b" 413 " in read_all(connection).splitlines()[0]


def test_more_clients_than_threads_at_the_start_are_served() -> None:
    with serving(threads=60) as server:
        url = f"ws://127.0.0.1:{server.port}/echo"
        clients = [create_connection(url, timeout=30) for _ in range(40)]
        for number, client in enumerate(clients):
            client.send(str(number))
        assert [client.recv() for client in clients] == [str(n) for n in range(40)]
        with urlopen(f"http://127.0.0.1:{server.port}/", timeout=30) as answer:
            assert answer.status == 200
        for client in clients:
            client.close()


def test_a_websocket_echoes_and_ends(server: WebServer) -> None:
    client = create_connection(f"ws://127.0.0.1:{server.port}/echo", timeout=30)
    client.send("hello")
    assert client.recv() == "hello"
    client.send_binary(b"\x00\xff")
    assert client.recv() == b"\x00\xff"
    client.send("end")
    assert client.recv() == ""
    assert not client.connected
    client.shutdown()


def test_a_message_that_is_too_large_ends_the_websocket(server: WebServer) -> None:
    client = create_connection(f"ws://127.0.0.1:{server.port}/echo", timeout=30)
    client.send("x" * 2000)
    with suppress(WebSocketConnectionClosedException, ConnectionError):
        assert client.recv() == ""
    client.shutdown()


def test_no_compression_is_agreed_on(server: WebServer) -> None:
    with connect(server) as connection:
        connection.sendall(
            head(
                "GET",
                "/echo",
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Extensions: permessage-deflate",
            )
        )
        answer = connection.recv(65_536)
    assert b" 101 " in answer.splitlines()[0]
    assert b"Extensions" not in answer


def test_a_websocket_client_that_does_not_read_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SILENT_S", 1)
    with serving() as server:
        before = threading.active_count()
        client = create_connection(f"ws://127.0.0.1:{server.port}/echo", timeout=30)
        for _ in range(5):
            client.send("big")
        deadline = time.monotonic() + 60
        while server.requests.idle < len(server.requests._threads):
            assert time.monotonic() < deadline, "the thread is still busy with it"
            time.sleep(0.1)
        client.shutdown()
        assert threading.active_count() <= before + 8


def test_the_port_of_another_program_is_a_clear_error(server: WebServer) -> None:
    with pytest.raises(UsageError, match=r"port \d+: .*choose another"):
        WebServer("127.0.0.1", server.port, application()).open()


def test_an_address_that_is_not_this_machines_is_a_clear_error() -> None:
    with pytest.raises(UsageError, match="--host"):
        WebServer("203.0.113.7", 0, application()).open()


def test_https(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"]
    make += ["/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    server = WebServer("127.0.0.1", 0, application())
    server.secure(certificate, key)
    server.open()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        # A client that says nothing must not hold up the others.
        with connect(server):
            context = ssl.create_default_context(cafile=str(certificate))
            address = f"127.0.0.1:{server.port}"
            with urlopen(f"https://{address}/", context=context, timeout=30) as answer:
                assert answer.status == 200
            client = create_connection(
                f"wss://{address}/echo", sslopt={"ca_certs": str(certificate)}, timeout=30
            )
            for _ in range(200):
                client.send("x" * 900)
            assert [client.recv() for _ in range(200)] == ["x" * 900] * 200
            client.close()
        monkeypatch.setattr(incoming, "REQUEST_S", 1.0)
        with connect(server) as stalled:
            stalled.sendall(b"\x16\x03\x01\x02\x00\x01")
            read_all(stalled)
        with connect(server) as plain:
            plain.sendall(head("GET", "/"))
            read_all(plain)
    finally:
        server.close()
        thread.join()
    assert "Traceback" not in capsys.readouterr().err


def test_a_wrong_certificate_is_a_clear_error(tmp_path: Path) -> None:
    server = WebServer("127.0.0.1", 0, application())
    with pytest.raises(UsageError, match="no such file"):
        server.secure(tmp_path / "none.pem", tmp_path / "none.pem")
    (tmp_path / "c.pem").write_text("nonsense")
    with pytest.raises(UsageError, match="PEM"):
        server.secure(tmp_path / "c.pem", tmp_path / "c.pem")


def test_the_watchdog_cuts_what_is_late_and_nothing_else() -> None:
    now = [0.0]
    dog = Watchdog(lambda: now[0])
    late, early = socket.socketpair(), socket.socketpair()
    with dog.watching(late[0], 1.0), dog.watching(early[0], 10.0):
        dog.cut_late()
        late[1].sendall(b"a")
        now[0] = 5.0
        dog.cut_late()
        assert late[1].recv(1) == b""
        early[1].setblocking(False)
        with pytest.raises(BlockingIOError):
            early[1].recv(1)
    for pair in (late, early):
        for end in pair:
            end.close()


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Content-Length: 5", "Content-Length: 3"],
        ["Content-Length: -1"],
        ["Content-Length: +5"],
        ["Content-Length: 0_5"],
        ["Transfer-Encoding : chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Host: elsewhere"],
        ["X-Folded: a", " b"],
        [" folded"],
        ["X-Split: a\rb"],
        ["X-Nothing: a\0b"],
    ],
)
def test_a_head_that_can_be_read_in_two_ways_is_refused(
    server: WebServer, lines: list[str]
) -> None:
    with connect(server) as connection, suppress(ConnectionError):
        connection.sendall(head("POST", "/", *lines) + b"12345")
        assert b" 400 " in read_all(connection).splitlines()[0]


def test_an_address_that_is_none_is_refused(server: WebServer) -> None:
    with connect(server) as connection:
        connection.sendall(b"GET //[ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 400 " in read_all(connection).splitlines()[0]


def test_trailers_do_not_become_the_next_request(server: WebServer) -> None:
    with connect(server) as connection:
        chunked = head("POST", "/", "Transfer-Encoding: chunked")
        connection.sendall(chunked + b"3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n")
        connection.sendall(head("POST", "/", "Content-Length: 1", "Connection: close") + b"x")
        assert [answer["length"] for answer in answers(read_all(connection))] == [3, 1]


def test_chunks_that_nobody_reads_do_not_become_the_next_request(server: WebServer) -> None:
    with connect(server) as connection, suppress(ConnectionError):
        connection.sendall(head("POST", "/unread", "Transfer-Encoding: chunked") + b"99\r\n")
        connection.sendall(head("GET", "/"))
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection).count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "body", [b"5\r\nab", b"5\r\nabcde", b"-1\r\n", b"zz\r\n", b"2\r\nabXX0\r\n\r\n", b"9" * 5_000]
)
def test_chunks_that_break_off_or_are_malformed_are_no_body(server: WebServer, body: bytes) -> None:
    with connect(server) as connection, suppress(ConnectionError):
        connection.sendall(head("POST", "/", "Transfer-Encoding: chunked") + body)
        connection.shutdown(socket.SHUT_WR)
        assert b" 200 " not in read_all(connection)


def test_chunks_that_drip_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "REQUEST_S", 1.5)
    with serving() as server, connect(server) as connection:
        connection.sendall(head("POST", "/", "Transfer-Encoding: chunked"))
        ended = threading.Event()

        def drip() -> None:
            with suppress(OSError):
                while not ended.wait(0.1):
                    connection.sendall(b"1\r\na\r\n")

        dripping = threading.Thread(target=drip)
        dripping.start()
        read_all(connection)  # Comes to an end though the client goes on.
        ended.set()
        dripping.join()


def test_a_client_that_reads_in_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "REQUEST_S", 1.0)
    monkeypatch.setattr(module, "SILENT_S", 1000)
    with serving() as server, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(head("GET", "/large"))
        connection.recv(200)
        deadline = time.monotonic() + 60
        while server.requests.idle < len(server.requests._threads):
            assert time.monotonic() < deadline, "the thread is still busy with it"
            connection.recv(200)
            time.sleep(0.05)


def test_silent_clients_take_no_threads(server: WebServer) -> None:
    before = len(server.requests._threads)
    silent = [connect(server) for _ in range(60)]
    try:
        with urlopen(f"http://127.0.0.1:{server.port}/", timeout=30) as answer:
            assert answer.status == 200
        assert len(server.requests._threads) <= before + 4
    finally:
        for connection in silent:
            connection.close()


def test_threads_that_are_not_needed_any_more_go() -> None:
    with serving(threads=100) as server:
        url = f"ws://127.0.0.1:{server.port}/echo"
        clients = [create_connection(url, timeout=30) for _ in range(70)]
        assert len(server.requests._threads) > 70
        for client in clients:
            client.send("end")
            client.recv()
            client.shutdown()
        deadline = time.monotonic() + 60
        while sum(thread.is_alive() for thread in server.requests._threads) > 45:
            assert time.monotonic() < deadline, "the threads are still there"
            urlopen(f"http://127.0.0.1:{server.port}/", timeout=30).close()


def test_more_connections_than_may_be_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTIONS", 5)
    with serving() as server:
        clients = [connect(server) for _ in range(9)]
        assert read_all(clients[-1]) == b""
        for client in clients:
            client.close()


def test_a_websocket_that_ended_leaves_no_thread() -> None:
    with serving() as server:
        before = set(threading.enumerate())
        client = create_connection(f"ws://127.0.0.1:{server.port}/echo", timeout=30)
        client.send("end")
        assert client.recv() == ""
        with suppress(OSError):
            assert client.sock.recv(1) == b""  # The server has closed it, and needs it no more.
        receiving = [
            thread
            for thread in set(threading.enumerate()) - before
            if "simple_websocket" in thread.name
        ]
        for thread in receiving:
            thread.join(5)
            assert not thread.is_alive()
        client.shutdown()


def test_what_is_not_worked_on_is_not_received() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = WholeSends(ours)
        inbox: list[str | bytes] = ["message"] * 1000
        wire.hold(inbox)
        theirs.sendall(b"more")
        received: list[bytes] = []
        thread = threading.Thread(target=lambda: received.append(wire.recv(10)))
        thread.start()
        thread.join(0.3)
        assert received == []
        inbox.clear()
        thread.join()
        assert received == [b"more"]
