"""``run_live.py --web`` as a program: what it says, what it refuses, how it ends."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import requests
import soundfile
from websocket import WebSocket, create_connection

from tests.streamer.web.test_streaming import wait_until

ROOT = Path(__file__).parents[3]
CLIP = ROOT / "tests/data/speech/669-129074-0011.opus"
GIVEN_UP_S = 120


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "run_live.py", "--web", *map(str, arguments)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def serving(*arguments: str | Path) -> Iterator[tuple[str, str]]:
    """Run the program until it is ended as Ctrl-C does; yield its address and its greeting."""
    program = start("--port", "0", "--wav", ROOT / "demo" / "librispeech.flac", *arguments)
    assert program.stdout is not None
    assert program.stderr is not None
    try:
        said = program.stdout.readline()
        found = re.search(r"(https?)://[^:]+:(\d+)/", said)
        assert found, said + program.stderr.read()
        if "--host" in arguments:
            said += program.stdout.readline() + program.stdout.readline()
        yield f"{found[1]}://127.0.0.1:{found[2]}/", said
    finally:
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=GIVEN_UP_S)
    assert (program.returncode, out, err) == (0, "", "")


@contextmanager
def running(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the program until it is killed; yield it and its address."""
    program = start("--port", "0", "--wav", ROOT / "demo" / "librispeech.flac", *arguments)
    with program:
        assert program.stdout is not None
        try:
            yield program, program.stdout.readline().split()[2]
        finally:
            program.kill()


def is_kept_live(url: str) -> bool:
    """Ask that the live captions be kept; return whether they are."""
    answer = requests.post(f"{url}api/live/keep", json={"keep": True}, timeout=GIVEN_UP_S)
    return answer.ok


def first_final(client: WebSocket) -> str:
    """Return the text of the next final with words that a WebSocket tells."""
    while message := json.loads(client.recv()):
        if message["type"] == "final" and message["text"]:
            return str(message["text"])
    raise AssertionError("it ended")


def test_a_killed_program_has_what_it_kept_at_its_next_start(tmp_path: Path) -> None:
    """Two recordings are being made when it is killed: of a client, and of the live captions."""
    folder, (samples, _) = tmp_path / "data", soundfile.read(CLIP, dtype="int16")
    with running("--data", folder) as (program, url):
        wait_until(lambda: is_kept_live(url))
        sockets = url.replace("http", "ws", 1)
        with (
            closing(create_connection(f"{sockets}api/live", timeout=GIVEN_UP_S)) as live,
            closing(create_connection(f"{sockets}api/stream?keep=true", timeout=GIVEN_UP_S)) as own,
        ):
            own.send_binary(samples.tobytes() + bytes(64_000))
            said = first_final(own)
            first_final(live)
            program.kill()
            program.wait(GIVEN_UP_S)
    with serving("--data", folder) as (url, _):
        found = requests.get(f"{url}api/recordings", timeout=GIVEN_UP_S).json()["recordings"]
        recordings = {one["origin"]: one for one in found}
        assert {one["state"] for one in found} == {"interrupted"}
        assert recordings["microphone"]["text"].startswith(said)
        assert recordings["microphone"]["duration_s"] > len(said.split()) / 8
        assert recordings["live"]["text"]
        for one in found:
            address = f"{url}api/recordings/{one['id']}/audio"
            audio, rate = soundfile.read(io.BytesIO(requests.get(address, timeout=60).content))
            assert len(audio) / rate == pytest.approx(one["duration_s"], abs=1e-3)


def status_of(url: str, token: str = "") -> int:
    request = Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urlopen(request, timeout=GIVEN_UP_S) as answer:
            return int(answer.status)
    except HTTPError as error:
        error.close()
        return int(error.code)


def test_it_serves_until_it_is_ended_and_keeps_to_itself(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    before = os.umask(0o000)
    try:
        with serving("--data", folder) as (url, said):
            assert "token" not in said
            assert status_of(url) == 200
            second = start("--port", "0", "--data", folder)
            _, error = second.communicate(timeout=GIVEN_UP_S)
            assert second.returncode != 0
            assert str(folder) in error
            assert "Traceback" not in error
            for path in [folder, *folder.rglob("*")]:
                mode = stat.S_IMODE(path.stat().st_mode)
                assert mode == (0o700 if path.is_dir() else 0o600), path
    finally:
        os.umask(before)


def test_other_machines_need_the_token_that_was_shown_once(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with serving("--host", "0.0.0.0", "--data", folder) as (url, said):
        shown = re.search(r"shown this once: (\S+)", said)
        assert shown
        token = shown[1]
        assert status_of(f"{url}api/recordings") == 401
        assert status_of(f"{url}api/recordings", token) == 200
        assert status_of(f"{url}healthz") == 200
    assert all(token.encode() not in p.read_bytes() for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["--web", "--port", "70000"], "0 to 65535"),
        (["--web", "--host", "203.0.113.9", "--data", "{}"], "cannot listen"),
        (["--web", "--output", "x.srt"], "no use with --web"),
        (["--web", "--record", "x.wav"], "no use with --web"),
        (["--web", "--speed", "max", "--wav", "demo/librispeech.flac"], "no use with --web"),
        (["--web", "--certificate", "c.pem"], "give both"),
        (["--web", "--wav", "missing.wav"], "missing.wav"),
        (["--web", "--model", "missing", "--data", "{}"], "missing"),
        (["--web", "--data", "/proc/none"], "--data"),
        (["--port", "5001"], "add --web"),
        (["--new-token"], "add --web"),
    ],
)
def test_wrong_requests_say_what_to_do(tmp_path: Path, arguments: list[str], rule: str) -> None:
    given = [argument.replace("{}", str(tmp_path / "data")) for argument in arguments]
    done = subprocess.run(
        [sys.executable, "run_live.py", *given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=GIVEN_UP_S,
    )
    assert done.returncode in (1, 2)
    assert rule in done.stderr
    assert "Traceback" not in done.stderr
