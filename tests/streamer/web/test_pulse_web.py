"""The machine's microphone in a browser: what a virtual sound card plays, its viewers read."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import soundfile
from websocket import WebSocket, create_connection

from model.audio import read_audio
from model.evaluation.rates import error_rates

CLIP = Path(__file__).resolve().parents[2] / "data/speech/3664-178355-0010.opus"
CARD_RATE = 48_000
WHOLE = (
    "--no-language-model",
    *("--set", "endpoint.finished_ms=1500"),
    *("--set", "endpoint.pause_ms=1500"),
    *("--set", "partials.settle_lag_ms=10000"),
)
"""Read as one utterance, letter by letter."""


def read_until(socket: WebSocket, kind: str, saying: str = "") -> dict[str, Any]:
    until = time.monotonic() + 60
    seen = []
    while time.monotonic() < until:
        message: dict[str, Any] = json.loads(socket.recv())
        if kind in (message["type"], message.get("kind")) and (not saying or message.get(saying)):
            return message
        seen.append(message)
    raise AssertionError(f"no {kind} came, but {[m for m in seen if m['type'] != 'status']}")


def test_a_browser_sees_that_the_microphone_is_awaited(
    virtual_sound_card: Any, tmp_path: Path
) -> None:
    virtual_sound_card.stop_server()
    arguments = ["run_live.py", "--web", "--wait", "--port", "0", "--data", str(tmp_path / "data")]
    program = virtual_sound_card.start_python(arguments)
    try:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", program.stdout.readline())
        assert found
        socket = create_connection(f"ws://127.0.0.1:{found[1]}/api/live", timeout=60)
        read_until(socket, "start")
        read_until(socket, "device_awaited")
        assert health(found[1])["live"] == "waiting"
        virtual_sound_card.start_server()
        read_until(socket, "device_back")
        assert health(found[1])["live"] == "listening"
        socket.close()
        program.send_signal(signal.SIGTERM)
        assert program.wait(60) == 0
    finally:
        program.kill()
        program.communicate()


def health(port: str) -> dict[str, Any]:
    with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_a_browser_reads_what_the_microphone_hears(
    virtual_sound_card: Any, tmp_path: Path, capsys: Any
) -> None:
    played = tmp_path / "played.wav"
    samples = read_audio(CLIP, CARD_RATE)
    soundfile.write(played, np.pad(samples, CARD_RATE // 2), CARD_RATE)
    arguments = ["run_live.py", "--web", "--port", "0", "--data", str(tmp_path / "data"), *WHOLE]
    program = virtual_sound_card.start_python(arguments)
    try:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", program.stdout.readline())
        assert found
        socket = create_connection(f"ws://127.0.0.1:{found[1]}/api/live", timeout=60)
        started = read_until(socket, "start")
        virtual_sound_card.play(played)
        heard = read_until(socket, "final", "text")
        virtual_sound_card.stop_server()
        lost = read_until(socket, "device_lost")
        socket.close()
    finally:
        program.send_signal(signal.SIGTERM)
        program.communicate(timeout=60)
    assert program.returncode == 0
    assert started["seq"] == 1
    assert lost["type"] == "notice"
    from run_live import main

    assert main(["--wav", str(played), "--speed", "max", *WHOLE]) == 0
    replayed = " ".join(capsys.readouterr().out.split())
    assert error_rates([replayed], [heard["text"]]).cer < 0.25
