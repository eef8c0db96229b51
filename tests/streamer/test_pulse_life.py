"""A long life in short: sources come, go and change under captions that go on."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from model.audio import read_audio
from model.evaluation.rates import error_rates

CLIP = Path(__file__).resolve().parents[1] / "data/speech/1737-146161-0013.opus"
TRUTH = "knit seven make one knit two together"
CARD_RATE = 48_000
TIMEOUT_S = 60.0

CAPTIONS = (
    *("run_live.py", "--format", "jsonl", "--no-language-model"),
    *("--set", "endpoint.finished_ms=1500", "--set", "endpoint.pause_ms=1500"),
    *("--set", "audio.reopen_every_s=0.2"),
)


class Captions:
    """A program that captions the virtual card, and what it said so far."""

    def __init__(self, card: Any, *options: str) -> None:
        self._card = card
        self.program: subprocess.Popen[str] = card.start_python([*CAPTIONS, *options])
        self._events: list[dict[str, Any]] = []
        self._seen = 0
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.program.stdout is not None
        for line in self.program.stdout:
            with self._changed:
                self._events.append(json.loads(line))
                self._changed.notify()

    def until(self, kind: str) -> dict[str, Any]:
        """Return the next event of a type, or notice of a kind."""
        with self._changed:
            until = time.monotonic() + TIMEOUT_S
            while time.monotonic() < until:
                while self._seen < len(self._events):
                    event = self._events[self._seen]
                    self._seen += 1
                    if kind in (event["type"], event.get("kind")):
                        return event
                self._changed.wait(0.5)
        raise AssertionError(f"no {kind} came: {self._events[-5:]}")

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self._events if kind in (event["type"], event.get("kind"))]

    def hear(self, path: Path, sink: str = "card") -> None:
        """Play the clip, and see that it was read."""
        self._card.run(["paplay", f"--device={sink}", str(path)])
        final = self.until("final")
        while not final["text"]:
            final = self.until("final")
        assert error_rates([TRUTH], [final["text"]]).cer < 0.4, final["text"]

    def end(self) -> None:
        self.program.send_signal(signal.SIGINT)
        assert self.program.wait(TIMEOUT_S) == 0
        self._reader.join(TIMEOUT_S)

    def behind_s(self) -> list[float]:
        """Return, for each stretch between gaps, by how much stream time is behind the clock.

        The captions that came soonest tell it; the others waited for the network.
        """
        stretches: list[list[float]] = [[]]
        for event in self._events:
            if event["type"] == "gap":
                stretches.append([])
            elif event["type"] == "partial":
                stretches[-1].append(event["emitted_s"] - event["audio_s"])
        return [min(stretch) for stretch in stretches if stretch]


@pytest.fixture
def played(tmp_path: Path) -> Path:
    path = tmp_path / "played.wav"
    soundfile.write(path, np.pad(read_audio(CLIP, CARD_RATE), CARD_RATE // 2), CARD_RATE)
    return path


@pytest.fixture
def captions(virtual_sound_card: Any) -> Iterator[Captions]:
    # The microphone is awaited from the start: the sound server is not there yet.
    virtual_sound_card.stop_server()
    started = Captions(virtual_sound_card, "--wait")
    yield started
    started.program.kill()
    started.program.communicate()


def load_card(card: Any, name: str, rate: int) -> str:
    """Give the sound server another sink, whose monitor is the default source."""
    sink = ["module-null-sink", f"sink_name={name}", f"rate={rate}", "norewinds=true"]
    number = card.run(["pactl", "load-module", *sink]).stdout.strip()
    card.run(["pactl", "set-default-source", f"{name}.monitor"])
    return str(number)


def test_captions_go_on_through_all_that_happens_to_a_microphone(
    virtual_sound_card: Any, captions: Captions, played: Path
) -> None:
    card = virtual_sound_card
    captions.until("device_awaited")
    card.start_server()
    captions.until("device_back")
    captions.hear(played)

    asleep_s = time.monotonic()
    card.run(["pactl", "suspend-sink", "card", "1"])
    captions.until("device_lost")
    card.run(["pactl", "suspend-sink", "card", "0"])
    asleep_s = time.monotonic() - asleep_s
    captions.until("device_back")
    gap = captions.until("gap")
    assert gap["lost_s"] == pytest.approx(asleep_s, abs=1.0)

    other = load_card(card, "other", 44_100)
    assert "other.monitor" in captions.until("device_moved")["text"]
    captions.hear(played, "other")
    card.run(["pactl", "unload-module", other])
    captions.until("device_moved")

    card.stop_server()
    captions.until("device_lost")
    card.start_server()
    load_card(card, "other", 16_000)
    captions.until("device_back")
    captions.until("gap")
    captions.hear(played, "other")
    captions.end()

    [start] = captions.of_type("start")
    assert start["source"] == "default microphone"
    summary = captions.of_type("summary")[-1]
    lost_s = sum(gap["lost_s"] for gap in captions.of_type("gap"))
    assert summary["lost_s"] == pytest.approx(lost_s, abs=0.01)
    assert len(captions.of_type("gap")) == 2
    behind = captions.behind_s()
    assert len(behind) == 3
    assert behind == pytest.approx([behind[0]] * 3, abs=0.5)


def test_an_audio_system_that_does_not_answer_keeps_nothing_from_ending(
    virtual_sound_card: Any,
) -> None:
    captions = Captions(virtual_sound_card)
    with captions.program:
        captions.until("start")
        frozen_s = time.monotonic()
        virtual_sound_card.signal_server(signal.SIGSTOP)
        captions.until("device_lost")
        virtual_sound_card.signal_server(signal.SIGCONT)
        captions.until("device_back")
        frozen_s = time.monotonic() - frozen_s
        assert captions.until("gap")["lost_s"] == pytest.approx(frozen_s, abs=1.0)
        virtual_sound_card.signal_server(signal.SIGSTOP)
        captions.until("device_lost")
        captions.end()
    assert "end without it" in captions.until("device_hangs")["text"]
    assert captions.until("summary")["lost_s"] > 0


def test_a_wait_for_a_microphone_ends_at_once(captions: Captions) -> None:
    captions.until("device_awaited")
    captions.end()
    assert captions.of_type("summary")[0]["audio_s"] == 0


def test_a_microphone_that_is_not_there_ends_the_program_with_the_remedy(
    virtual_sound_card: Any,
) -> None:
    program = virtual_sound_card.start_python([*CAPTIONS, "--device", "usb"])
    out, errors = program.communicate(timeout=TIMEOUT_S)
    assert (program.returncode, out) == (2, "")
    assert "no input device matches 'usb'" in errors


FLAT = """
import gc, os, sys, threading
from pathlib import Path
from streamer.portaudio import PortAudio

system = PortAudio()

def handles():
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

def cycle():
    device = next(d for d in system.inputs() if d.is_default)
    heard = threading.Event()
    opened = system.open(device, 48_000, 1, 480, lambda *_: heard.set())
    assert heard.wait(10)
    opened.close()

for _ in range(5):
    cycle()
before = handles()
for _ in range(int(sys.argv[1])):
    cycle()
system.refresh()
cycle()
assert handles() == before, (before, handles())
print("flat")
"""


def test_opening_again_and_again_leaves_no_handles_and_threads(virtual_sound_card: Any) -> None:
    program = virtual_sound_card.start_python(["-c", FLAT, "40"])
    out, errors = program.communicate(timeout=TIMEOUT_S)
    assert (out.strip(), errors) == ("flat", "")
    assert program.returncode == 0
