"""PortAudio's own state, of which there is one for the whole process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from streamer import portaudio
from streamer.portaudio import _DeviceList

REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_list_is_old_once_something_came_or_went(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 50.0
    monkeypatch.setattr(portaudio.time, "monotonic", lambda: now_s)
    made = _DeviceList()
    assert not made.is_old("cards")
    assert not made.is_old("cards")
    assert made.is_old("other cards")
    made.made("other cards")
    assert not made.is_old("other cards")
    now_s += portaudio.LIST_LASTS_S + 1
    assert made.is_old("other cards")
    made.streams = 1
    assert not made.is_old("cards")


HUNG = """
import threading
from streamer import portaudio

system = portaudio.PortAudio()
held = threading.Event()

def hang():
    with portaudio._ONE_CALL:
        held.set()
        threading.Event().wait()

threading.Thread(target=hang, daemon=True).start()
assert held.wait(10)
print("ended")
"""


def test_a_call_that_never_answers_does_not_keep_a_program_from_ending() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HUNG],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")


SHUT = """
import os, sys
from streamer import portaudio

portaudio.PortAudio()
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
print("still read", file=sys.stderr)
"""


def test_messages_are_read_while_descriptor_2_is_shut() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHUT], cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "still read\n")
