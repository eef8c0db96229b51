"""``--web --private``: a server that transcribes, keeps nothing and says so."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from websocket import create_connection

from streamer.audio import SAMPLE_RATE
from tests.security.traces import can_trace, changes, traced

ROOT = Path(__file__).parents[2]
CLIP = ROOT / "tests/data/speech/common_voice_en_17369372.opus"
REASON = "this server was started with --private"
WAIT_S = 60


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        url: Of its first page.
        data: Where it would keep things; nothing is there at the start.
        trace: What it changed, by its system calls; None where they cannot be watched.
        process: That it runs in.
    """

    url: str
    data: Path
    trace: Path | None
    process: subprocess.Popen[str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A private server as its user starts it, whose live captions hear a recording."""
    folder = tmp_path_factory.mktemp("private")
    trace = folder / "trace.txt" if can_trace() else None
    data = folder / "home/data"
    options = ["--web", "--private", "--port", "0", "--data", str(data), "--wav", str(CLIP)]
    process = subprocess.Popen(
        [*(traced(trace) if trace else []), sys.executable, "run_live.py", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"HOME": str(folder / "home")},
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+/", process.stdout.readline())
        assert found is not None
        yield Server(found[0], data, trace, process)
    finally:
        ask_to_end(process)
        try:
            process.wait(WAIT_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()


def ask_to_end(process: subprocess.Popen[str]) -> None:
    """Send SIGTERM to the program: to the one that is watched, not to what watches."""
    if process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        watched = process.args[0] == "strace"  # type: ignore[index]
        os.kill(int(children[0]) if watched else process.pid, signal.SIGTERM)


def ask(server: Server, method: str, path: str, **options: object) -> requests.Response:
    return requests.request(method, f"{server.url}{path}", timeout=WAIT_S, **options)  # type: ignore[arg-type]


def test_a_file_is_transcribed(server: Server) -> None:
    answer = ask(server, "POST", "api/transcribe", data=CLIP.read_bytes())
    assert answer.status_code == 200
    assert answer.json()["text"]
    assert "recording" not in answer.json()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "api/transcribe?keep=true", b"x"),
        ("POST", "api/live/keep", {"keep": True}),
        ("GET", "api/recordings", None),
        ("GET", f"api/recordings/{'0' * 32}", None),
        ("DELETE", f"api/recordings/{'0' * 32}", None),
        ("GET", "api/learning", None),
        ("GET", "api/learning/export", None),
        ("POST", "api/learning/train", {"minutes": 1.0}),
        ("GET", "library", None),
        ("GET", f"library/{'0' * 32}", None),
        ("GET", "learn", None),
    ],
)
def test_what_keeps_or_was_kept_is_refused_with_the_reason(
    server: Server, method: str, path: str, body: object
) -> None:
    options = {"json": body} if isinstance(body, dict) else {"data": body}
    answer = ask(server, method, path, **options)
    assert answer.status_code == 403
    assert REASON in answer.text


def test_a_stream_is_transcribed_and_may_not_be_kept(server: Server) -> None:
    address = server.url.replace("http", "ws", 1) + "api/stream?rate=16000"
    with closing(create_connection(address, timeout=WAIT_S)) as socket:
        socket.send_binary(bytes(2 * SAMPLE_RATE))
        socket.send(json.dumps({"type": "keep", "title": "secret"}))
        socket.send(json.dumps({"type": "end"}))
        messages = []
        while not messages or messages[-1]["type"] != "summary":
            messages.append(json.loads(socket.recv()))
    refusals = [message for message in messages if message.get("kind") == "refused"]
    assert len(refusals) == 1 and refusals[0]["text"].startswith(REASON)
    assert not [message for message in messages if message["type"] == "kept"]


@pytest.mark.parametrize("page", ["", "record", "inference"])
def test_the_pages_say_that_it_is_private_and_offer_no_keeping(server: Server, page: str) -> None:
    text = ask(server, "GET", page, headers={"Accept": "text/html"}).text
    assert 'id="private"' in text and "nothing can be kept" in text
    assert 'href="/library"' not in text and 'href="/learn"' not in text


def test_it_is_well_and_counts_nothing_kept(server: Server) -> None:
    assert ask(server, "GET", "healthz").json()["status"] == "ok"
    assert ask(server, "GET", "metrics").status_code == 200


def test_it_has_changed_nothing(server: Server) -> None:
    """The last test: what all of them, and the end of the server, have left."""
    ask_to_end(server.process)
    assert server.process.wait(WAIT_S) == 0
    assert not server.data.parent.exists()
    if server.trace is not None:
        assert changes(server.trace) == []
