"""``--list-devices``."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from functools import cached_property
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from streamer.default_input import is_internal
from streamer.device_list import show_devices
from streamer.devices import InputDevice
from streamer.errors import DeviceError
from tests.streamer.sound_system import SoundSystem, device

REPOSITORY = Path(__file__).resolve().parents[2]

USB = device(20, "USB Mic: Audio (hw:2,0)", 1, 48_000)
APE = "NVIDIA Jetson Orin Nano APE: - (hw:1,{})"
ORIN = [device(number, APE.format(number), 16, 44_100, number == 0) for number in range(20)]


class Listed(SoundSystem):
    """A sound system of which it is known which devices were asked for their rates."""

    def accepts(self, device: InputDevice, rate: int, channels: int) -> bool:
        self.questions.add(device.name)
        return rate in (44_100, 48_000)

    @cached_property
    def questions(self) -> set[str]:
        return set()


def shown(backend: Listed, every: bool = False) -> str:
    screen = StringIO()
    show_devices(Console(file=screen, width=200), every, backend=backend)
    return screen.getvalue()


def test_a_usb_microphone_is_not_buried_under_internal_channels() -> None:
    backend = Listed([*ORIN, USB])
    text = shown(backend)
    assert text.count("APE") == 2, "folded into one line, and named as the system's default"
    assert "20 internal channels" in text
    [marked] = [line for line in text.splitlines() if "*" in line and "kHz" in line]
    assert "USB Mic" in marked and "44.1, 48 kHz" in marked
    assert "a USB microphone" in text
    assert (backend.questions, backend.asked) == ({USB.name}, [])


def test_every_channel_is_shown_on_request() -> None:
    text = shown(Listed([*ORIN, USB]), every=True)
    assert all(device.name in text for device in (*ORIN, USB))
    assert "internal channels" not in text


def test_the_channel_that_would_be_used_is_not_folded() -> None:
    text = shown(Listed(ORIN))
    assert "19 internal channels" in text
    assert ORIN[0].name in text


def test_json_tells_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    show_devices(Console(), as_json=True, backend=Listed([*ORIN, USB]))
    record = json.loads(capsys.readouterr().out)
    assert (record["schema"], record["default"], record["folded"]) == (1, 20, 20)
    [listed] = record["inputs"]
    assert listed["rates"] == [44_100, 48_000] and not listed["system_default"]


def test_no_device_is_an_error() -> None:
    with pytest.raises(DeviceError, match="--list-devices"):
        shown(Listed([]))


def test_all_of_an_orin_is_known_as_internal() -> None:
    assert all(map(is_internal, ORIN)) and not is_internal(USB)


def test_an_audio_system_that_never_answers_ends_the_list() -> None:
    asked = threading.Event()

    class Hanging(Listed):
        def inputs(self) -> tuple[InputDevice, ...]:
            asked.wait()
            return ()

    with pytest.raises(DeviceError, match="does not answer"):
        show_devices(Console(), backend=Hanging([USB]), patience_s=0.01)
    asked.set()


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_full_disk_gives_no_traceback(form: tuple[str, ...]) -> None:
    program = (
        "import sys\n"
        "from streamer import device_list\n"
        "from run_live import main\n"
        "from tests.streamer.sound_system import SoundSystem, device\n"
        "device_list.PortAudio = lambda: SoundSystem([device(0, 'a')])\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program, "--list-devices", *form],
            cwd=REPOSITORY,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("run_live.py: error: standard output cannot be written")
    assert len(done.stderr.splitlines()) == 1
