"""Which input is used when none is named, on the machines that people have."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.default_input import Kind, choice_notice, default_input, is_internal, kind_of
from streamer.devices import InputDevice, choose

NANO = [f"tegra-snd-t210ref-mobile-rt565x: - (hw:1,{number})" for number in range(10)]
XAVIER = [f"jetson-xaviernx-ape: - (hw:1,{number})" for number in range(20)]
ORIN = [f"NVIDIA Jetson Orin Nano APE: - (hw:1,{number})" for number in range(20)]
PLUGINS = ["sysdefault", "samplerate", "speexrate", "upmix", "vdownmix"]
USB = "USB PnP Sound Device: Audio (hw:2,0)"
NAMELESS_USB = "OD-WB01: - (hw:2,0)"
WEBCAM = "HD Pro Webcam C920: USB Audio (hw:3,0)"
LAPTOP = "HDA Intel PCH: ALC257 Analog (hw:0,0)"
MONITOR = "Monitor of Built-in Audio Analog Stereo"

MACHINES = {
    "Nano": ([*NANO, USB, *PLUGINS, "default"], "default", USB),
    "Nano with a desktop": ([*NANO, USB, "pulse", "default"], "default", USB),
    "Xavier": ([*XAVIER, NAMELESS_USB, "default"], "default", NAMELESS_USB),
    "Orin": ([*ORIN, USB, *PLUGINS, "default"], ORIN[0], USB),
    "Orin with a USB card first": ([USB, *ORIN, "default"], "default", USB),
    "Orin with a desktop": ([*ORIN, USB, "pulse", "default"], "pulse", USB),
    "Orin with a desktop and no microphone": ([*ORIN, "pulse", "default"], "default", "default"),
    "Orin with no microphone": ([*ORIN, *PLUGINS, "default"], "default", "default"),
    "Orin with nothing else": (ORIN, ORIN[0], ORIN[0]),
    "Orin with a camera": ([*ORIN, WEBCAM, "default"], "default", WEBCAM),
    "laptop with PulseAudio": ([LAPTOP, USB, "pulse", "default"], "default", "default"),
    "laptop with PipeWire": ([LAPTOP, USB, "pipewire", "pulse", "default"], "pipewire", "pipewire"),
    "laptop with ALSA alone": ([LAPTOP, "sysdefault", "default"], "default", "default"),
    "laptop and a USB microphone": ([LAPTOP, USB, "default"], "default", USB),
    "Raspberry Pi": ([USB, "sysdefault", "default"], None, USB),
    "webcam and microphone": ([WEBCAM, USB, "default"], WEBCAM, USB),
    "only a webcam": ([WEBCAM, "default"], "default", WEBCAM),
    "monitor as default": ([MONITOR, LAPTOP], MONITOR, LAPTOP),
    "only a monitor": ([MONITOR], MONITOR, MONITOR),
    "loopback card": (["Loopback: PCM (hw:3,0)", LAPTOP], None, LAPTOP),
    "sound server alone": (["default"], "default", "default"),
    "HDMI grabber": (["vc4-hdmi: MAI PCM (hw:1,0)", "OD-WB01: - (hw:2,0)"], None, NAMELESS_USB),
    "camera on a board with a codec": (["rockchip-es8316: - (hw:0,0)", WEBCAM], None, WEBCAM),
    "Orin with a desktop and a camera": ([*ORIN, WEBCAM, "pulse", "default"], "pulse", WEBCAM),
    "two microphones": (["Yeti: USB Audio (hw:1,0)", USB], USB, USB),
}


def devices_of(names: list[str], default: str | None) -> tuple[InputDevice, ...]:
    return tuple(
        InputDevice(index, name, 2, 48_000, (), name == default) for index, name in enumerate(names)
    )


@pytest.mark.parametrize("machine", MACHINES)
def test_the_likeliest_microphone_is_chosen(machine: str) -> None:
    names, default, expected = MACHINES[machine]
    devices = devices_of(names, default)
    choice = default_input(devices)
    assert choice.device.name == expected
    assert choice.reason
    assert choose(devices, "") == choice.device


@pytest.mark.parametrize("machine", MACHINES)
def test_only_a_choice_against_the_system_is_told(machine: str) -> None:
    names, default, expected = MACHINES[machine]
    notice = choice_notice(devices_of(names, default), "")
    if default in (None, expected):
        assert notice is None
    else:
        assert notice is not None
        assert (notice.kind, notice.level) == ("default_input", "info")
        for part in (f"'{expected}'", f"'{default}'", "--device"):
            assert part in notice.text
    assert choice_notice(devices_of(names, default), "usb") is None


ANY_NAME = st.sampled_from(
    [*NANO[:2], *ORIN[:2], *PLUGINS, USB, WEBCAM, LAPTOP, MONITOR, "pulse", "pipewire", "default"]
)


@given(st.lists(ANY_NAME, min_size=1, unique=True), st.data())
def test_any_list_in_any_order_gives_one_sensible_choice(
    names: list[str], data: st.DataObject
) -> None:
    devices = devices_of(names, data.draw(st.sampled_from([None, *names])))
    choice = default_input(devices)
    shuffled = random.Random(0).sample(devices, len(devices))
    assert default_input(shuffled) == choice
    deaf = (Kind.INTERNAL, Kind.LOOPBACK)
    if any(kind_of(device) not in deaf for device in devices):
        assert kind_of(choice.device) not in deaf
    if any(map(is_internal, devices)) and USB in names:
        assert choice.device.name == USB


def test_where_a_card_is_plugged_in_tells_more_than_its_name() -> None:
    place = "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0"
    codec = InputDevice(0, "es8316: - (hw:0,0)", 2, 48_000, (), False)
    stick = InputDevice(1, "Analog In: - (hw:1,0)", 2, 48_000, (), False, place=place)
    assert (kind_of(codec), kind_of(stick)) == (Kind.CARD, Kind.USB)
    assert default_input([codec, stick]).device == stick


@given(st.text(max_size=40))
def test_any_name_is_of_some_kind(name: str) -> None:
    assert kind_of(devices_of([name], None)[0]) in Kind
