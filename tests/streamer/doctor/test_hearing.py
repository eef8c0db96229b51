"""Inputs tried and listened to, with an audio system of our own making below them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from streamer.devices import InputDevice
from streamer.doctor import recording
from streamer.doctor.finding import Progress
from streamer.doctor.hearing import (
    LISTEN_S,
    SILENT,
    check_portaudio,
    find,
    list_inputs,
    listen,
    try_input,
)
from streamer.doctor.recording import BLOCK_S, record
from streamer.errors import PortAudioMissing
from tests.streamer.sound_system import OpenedInput, SoundSystem, device

USB = device(4, "USB Mic: Audio (hw:2,0)", 1, 44_100)
STEREO = device(0, "Interface (hw:1,0)", 2, 48_000)
APE = [device(n, f"NVIDIA Jetson Orin Nano APE: - (hw:1,{n})", 16, 44_100) for n in range(4)]

Sound = Callable[[int, int], np.ndarray]
"""Makes samples (n,) of a count and a rate."""


def system(
    devices: Sequence[InputDevice],
    sound: Sound | None = None,
    *,
    refused: Sequence[int] = (),
    overflows: Sequence[int] = (),
    live: Sequence[int] = range(64),
) -> SoundSystem:
    """Return an audio system whose inputs give four seconds at once, or nothing.

    Args:
        devices: What is plugged in.
        sound: What is heard.
        refused: Rates and numbers of channels that are refused.
        overflows: Which blocks come after a loss.
        live: Which channels carry it.
    """

    def play(opened: OpenedInput) -> None:
        if sound is None:
            return
        samples = sound(4 * opened.rate, opened.rate)[:, None]
        samples = samples * np.isin(np.arange(opened.channels), live)
        for number, start in enumerate(range(0, len(samples), opened.block)):
            block = samples[start : start + opened.block].astype(np.float32)
            opened.deliver(block, number in overflows, 0.0)

    return SoundSystem(devices, refused=set(refused), on_open=play)


def talk(count: int, rate: int) -> np.ndarray:
    """Return bursts of noise with pauses, as speech has them."""
    noise = np.random.default_rng(0).normal(0, 0.1, count).clip(-0.9, 0.9)
    loud: np.ndarray = np.where(np.arange(count) % rate < rate / 2, noise, noise / 1000)
    return loud


class SteadyClock:
    """A clock by which the chunks of a sound system come at some share of their pace."""

    def __init__(self, pace: float = 1.0) -> None:
        self._now_s = 0.0
        self._step_s = BLOCK_S / pace

    def __call__(self) -> float:
        self._now_s += self._step_s
        return self._now_s


def test_the_chosen_input_is_named_with_the_reason() -> None:
    finding = list_inputs(system([*APE, USB]), "")
    assert finding.status == "ok"
    assert "4: USB Mic" in finding.text and "a USB microphone" in finding.text
    assert "4 internal channels" in finding.text
    assert finding.figures["chosen"]["index"] == 4
    assert [each["name"] for each in finding.figures["inputs"]] == [USB.name]


def test_an_internal_channel_as_the_only_input_is_a_warning() -> None:
    finding = list_inputs(system(APE), "")
    assert (finding.status, "USB" in finding.remedy) == ("warning", True)


@pytest.mark.parametrize("wanted", ["", "bluetooth"])
def test_no_such_input_is_a_failure(wanted: str) -> None:
    finding = list_inputs(system([USB] if wanted else []), wanted)
    assert (finding.status, finding.figures["chosen"]) == ("failure", None)
    assert finding.remedy


def test_a_missing_portaudio_is_told_with_the_command_that_installs_it() -> None:
    def missing() -> object:
        raise PortAudioMissing("not there")

    finding = check_portaudio(missing)
    assert (finding.status, "apt-get install" in finding.remedy) == ("failure", True)


def test_rates_are_tried_and_not_only_asked_for() -> None:
    sounds = system([USB], talk, refused=(16_000, 96_000))
    finding = try_input(sounds, USB)
    assert finding.status == "ok"
    assert finding.figures["rates"] == [44_100, 8_000, 22_050, 32_000, 48_000]
    assert finding.figures["problems"] == {16_000: "refused", 96_000: "refused"}
    assert all(opened.closed for opened in sounds.opened)


def test_a_busy_input_is_tried_once_and_told() -> None:
    sounds = SoundSystem([USB], busy=True)
    finding = try_input(sounds, USB)
    assert (finding.status, "is busy" in finding.text) == ("warning", True)
    assert len(sounds.asked) == 1


def test_an_input_that_gives_nothing_is_closed_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "FIRST_AUDIO_S", 0.05)
    sounds = system([USB])
    assert try_input(sounds, USB).status == "warning"
    [finding] = listen(sounds, USB)
    assert finding.status == "failure" and SILENT in finding.text
    assert all(opened.closed for opened in sounds.opened)


def test_listening_shows_the_level_and_judges_it() -> None:
    shown: list[Progress] = []
    [finding] = listen(system([USB], talk), USB, shown.append, SteadyClock())
    assert (finding.check, finding.status) == ("level", "ok")
    assert len(shown) == pytest.approx(LISTEN_S / BLOCK_S, abs=1)
    assert all(progress.level_db is not None for progress in shown)


def test_a_muted_input_is_a_failure() -> None:
    muted = system([USB], lambda count, rate: np.zeros(count))
    [finding] = listen(muted, USB, clock=SteadyClock())
    assert (finding.status, "silent" in finding.text) == ("failure", True)


def test_a_wrong_pace_and_losses_are_told() -> None:
    sounds = system([USB], talk, overflows=(0, 5, 9))
    findings = {each.check: each for each in listen(sounds, USB, clock=SteadyClock(0.92))}
    assert findings["pace"].figures["pace"] == pytest.approx(0.92, abs=0.01)
    assert findings["losses"].figures["losses"] == 2
    assert set(findings) == {"level", "pace", "losses"}


def test_a_microphone_on_the_second_channel_alone_is_found() -> None:
    sounds = system([STEREO], talk, live=[1])
    level, channels = listen(sounds, STEREO, clock=SteadyClock())
    assert level.status == "ok"
    assert (channels.status, "channel 2 of 2" in channels.text) == ("ok", True)
    assert sounds.asked == [(48_000, 2)]


def test_channels_that_all_carry_sound_need_no_word() -> None:
    refusing = system([STEREO], talk, refused=[2])
    for sounds in (system([STEREO], talk), refusing):
        assert [each.check for each in listen(sounds, STEREO, clock=SteadyClock())] == ["level"]
    assert refusing.asked[:2] == [(48_000, 2), (48_000, 1)]


def test_an_input_is_found_again_by_its_name() -> None:
    twin = device(7, USB.name, 1, 44_100)
    sounds = system([USB, twin])
    assert find(sounds, 7, USB.name) == twin
    assert find(sounds, 99, USB.name) in (USB, twin)
    assert find(sounds, 4, "another") is None


def test_audio_may_come_from_another_thread() -> None:
    def play_later(opened: OpenedInput) -> None:
        chunk = np.zeros((opened.block, opened.channels), np.float32)
        threading.Timer(0.05, opened.deliver, (chunk, False, 0.0)).start()

    heard = record(SoundSystem([USB], on_open=play_later), USB, 16_000, 0.01)
    assert heard is not None and len(heard.samples) == round(16_000 * BLOCK_S)
