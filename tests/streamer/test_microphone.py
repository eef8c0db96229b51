"""The microphone, with a sound system of our own making below it."""

from __future__ import annotations

import importlib.abc
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.devices import InputDevice, choose, list_devices
from streamer.errors import DeviceError, PortAudioMissing
from streamer.events import Notice
from streamer.microphone import FIRST_AUDIO_S, SILENT_CALLBACK_S, MicrophoneSource
from streamer.portaudio import PortAudio
from streamer.settings import AudioSettings
from tests.streamer.sound_system import Clock, OpenedInput, SoundSystem, device, ones

REPOSITORY = Path(__file__).resolve().parents[2]
TIMEOUT_S = 10.0
SETTINGS = AudioSettings(reopen_every_s=0.1)


def microphone(
    system: SoundSystem, wanted: str = "", clock: Callable[[], float] | None = None
) -> MicrophoneSource:
    return MicrophoneSource(wanted, SETTINGS, clock or Clock(), system)


def stopped(source: MicrophoneSource) -> list[AudioBlock | Notice]:
    """Return everything that was heard up to now, and end."""
    source.stop()
    return list(source)


def blocks_of(items: Iterable[AudioBlock | Notice]) -> list[AudioBlock]:
    return [item for item in items if isinstance(item, AudioBlock)]


def audio_of(items: Iterable[AudioBlock | Notice]) -> np.ndarray:
    return np.concatenate([block.samples for block in blocks_of(items)])


def tone(rate: int, seconds: float = 0.5) -> np.ndarray:
    moments = np.arange(round(rate * seconds)) / rate
    samples: np.ndarray = 0.5 * np.sin(2 * np.pi * 440 * moments)
    return samples.astype(np.float32)


class TestChoosingADevice:
    """By index, name or part of a name."""

    DEVICES = (
        device(0, "HDA Intel PCH: ALC257 Analog (hw:0,0)"),
        device(2, "USB PnP Sound Device: Audio (hw:1,0)"),
        device(3, "USB PnP Camera: Audio (hw:2,0)"),
        device(5, "pulse"),
        device(6, "pulse monitor", default=True),
    )

    @pytest.mark.parametrize(
        ("wanted", "index"),
        [
            ("", 2),
            ("2", 2),
            ("camera", 3),
            ("USB PnP SOUND device: audio", 2),
            ("pulse", 5),
            ("Pulse M", 6),
            ("hw:1,0", 2),
        ],
    )
    def test_found(self, wanted: str, index: int) -> None:
        assert choose(self.DEVICES, wanted).index == index

    def test_without_a_default_the_likeliest_microphone_is_taken(self) -> None:
        assert choose(self.DEVICES[:3], "").index == 2
        assert choose(self.DEVICES[:1], "").index == 0

    @pytest.mark.parametrize("wanted", ["1", "7", "bluetooth"])
    def test_none_found_lists_those_there_are(self, wanted: str) -> None:
        with pytest.raises(DeviceError, match=f"'{wanted}'.*2: USB PnP Sound.*5: pulse"):
            choose(self.DEVICES, wanted)

    def test_several_found_lists_them_only(self) -> None:
        with pytest.raises(DeviceError, match="several") as raised:
            choose(self.DEVICES, "usb pnp")
        assert "2: USB PnP Sound" in str(raised.value)
        assert "3: USB PnP Camera" in str(raised.value)
        assert "pulse" not in str(raised.value)


def test_no_input_at_all_says_how_to_check() -> None:
    for ask in (lambda: list_devices(SoundSystem([])), microphone(SoundSystem([])).__enter__):
        with pytest.raises(DeviceError) as raised:
            ask()
        for remedy in ("arecord -l", "--list-devices", "--wav"):
            assert remedy in str(raised.value)


def test_devices_are_listed_with_the_rates_that_they_accept() -> None:
    system = SoundSystem([device(3, "usb", channels=2)], refused={1, 8_000, 16_000, 22_050})
    [listed] = list_devices(system)
    assert listed.rates == (32_000, 44_100, 48_000, 96_000)
    assert (listed.index, listed.name) == (3, "usb")


def test_the_device_is_opened_at_its_own_rate_and_closed() -> None:
    system = SoundSystem([device(0, "usb", rate=44_100.0)])
    with microphone(system) as source:
        assert source.name == "usb"
        assert not source.lossless
        assert system.asked == [(44_100, 1)]
        assert system.opened[0].block == round(44_100 * SETTINGS.block_ms / 1000)
    assert system.opened[0].closed


def test_a_microphone_on_the_second_channel_is_heard() -> None:
    system = SoundSystem([device(0, "usb", channels=2)])
    with microphone(system) as source:
        assert system.asked == [(16_000, 2)]
        system.hear(np.tile(np.array([0.0, 0.5], np.float32), (100, 1)))
        np.testing.assert_allclose(audio_of(stopped(source)), 0.5, atol=1e-4)


def test_a_refused_rate_and_a_refused_mono_make_it_try_others() -> None:
    system = SoundSystem([device(0, "usb", channels=32, rate=16_000)], refused={16_000, 1, 2})
    with microphone(system):
        assert system.asked == [(16_000, 2), (16_000, 1), (16_000, 8)] + [
            (48_000, channels) for channels in (2, 1, 8)
        ]
        assert (system.opened[0].rate, system.opened[0].channels) == (48_000, 8)


def test_a_device_that_refuses_everything_is_named() -> None:
    system = SoundSystem([device(0, "odd one")], refused={1})
    with pytest.raises(DeviceError, match=r"'odd one' takes none.*invalid sample rate"):
        microphone(system).__enter__()


def test_a_busy_device_is_named_at_once() -> None:
    system = SoundSystem([device(0, "usb")], busy=True)
    with pytest.raises(DeviceError, match="'usb' is busy"):
        microphone(system).__enter__()
    assert len(system.asked) == 1


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_any_rate_arrives_as_16_khz_without_a_seam(rate: int) -> None:
    system = SoundSystem([device(0, "usb", rate=rate)])
    played = tone(rate)
    with microphone(system) as source:
        for start in range(0, len(played), 1000):
            system.hear(played[start : start + 1000])
        items = stopped(source)
    expected = soxr.resample(played, rate, SAMPLE_RATE)
    heard = audio_of(items)
    assert len(heard) == pytest.approx(len(expected), abs=1)
    np.testing.assert_allclose(heard[: len(expected)], expected[: len(heard)], atol=1e-4)
    ends = [block.end for block in blocks_of(items)]
    assert [block.start for block in blocks_of(items)] == [0, *ends[:-1]]


def test_samples_are_within_16_bits_and_on_their_grid() -> None:
    system = SoundSystem([device(0, "usb")])
    with microphone(system) as source:
        system.hear(np.array([2.0, -2.0, 0.1, 1e-6], np.float32))
        heard = audio_of(stopped(source)) * 32768
    assert heard.tolist() == [32767, -32768, round(0.1 * 32768), 0]


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_samples_that_are_no_numbers_spoil_nothing_behind_them(rate: int) -> None:
    system = SoundSystem([device(0, "usb", rate=rate)])
    played = tone(rate)
    broken = played.copy()
    broken[100:103] = np.nan, np.inf, -np.inf
    with microphone(system) as source:
        system.hear(broken)
        heard = audio_of(stopped(source))
    assert np.isfinite(heard).all()
    expected = soxr.resample(played, rate, SAMPLE_RATE)
    shared = min(len(heard), len(expected))
    np.testing.assert_allclose(heard[1_000:shared], expected[1_000:shared], atol=1e-4)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [(0.5, 0.25, 0.375), (0.5, 0.0, 0.5), (0.0, 0.5, 0.5), (0.5, 1e-4, 0.5), (0.0, 0.0, 0.0)],
)
def test_an_unused_channel_does_not_halve_the_level(
    left: float, right: float, expected: float
) -> None:
    system = SoundSystem([device(0, "usb", channels=2)], refused={1})
    with microphone(system) as source:
        system.hear(np.tile(np.array([left, right], np.float32), (100, 1)))
        heard = audio_of(stopped(source))
    np.testing.assert_allclose(heard, expected, atol=1e-4)


def test_a_channel_that_has_carried_speech_counts_also_while_it_is_quiet() -> None:
    system = SoundSystem([device(0, "usb", channels=2)], refused={1})
    with microphone(system) as source:
        system.hear(np.full((100, 2), 0.5, np.float32))
        system.hear(np.tile(np.array([0.5, 0.0], np.float32), (100, 1)))
        heard = audio_of(stopped(source))
    np.testing.assert_allclose(heard, [0.5] * 100 + [0.25] * 100)


class TestOverflow:
    """Audio that the sound system had to throw away."""

    def hear_with_overflow(
        self, adc_s: tuple[float, float], arrived_s: tuple[float, float]
    ) -> list[AudioBlock]:
        clock = Clock()
        system = SoundSystem([device(0, "usb")])
        with microphone(system, clock=clock) as source:
            for adc, arrived, overflowed in zip(adc_s, arrived_s, (False, True), strict=True):
                clock.now_s = arrived
                system.hear(ones(1600), overflowed, adc)
            return blocks_of(stopped(source))

    def test_is_measured_by_the_clock_of_the_device(self) -> None:
        _, second = self.hear_with_overflow(adc_s=(5.0, 5.35), arrived_s=(100.0, 100.4))
        assert (second.start, second.lost_before) == (5600, 4000)

    @pytest.mark.parametrize("adc_s", [(0.0, 0.0), (5.0, 5000.0), (5.0, 4.0), (5.0, 0.0)])
    def test_is_measured_by_our_clock_where_the_device_has_no_good_one(
        self, adc_s: tuple[float, float]
    ) -> None:
        _, second = self.hear_with_overflow(adc_s, arrived_s=(100.0, 100.35))
        assert (second.start, second.lost_before) == (5600, 4000)

    def test_is_never_passed_over(self) -> None:
        _, second = self.hear_with_overflow(adc_s=(5.0, 5.1), arrived_s=(100.0, 100.1))
        assert (second.start, second.lost_before) == (1601, 1)

    def test_of_the_handover_counts_too(self) -> None:
        clock = Clock()
        system = SoundSystem([device(0, "usb")])
        with microphone(system, clock=clock) as source:
            items = iter(source)

            def hear(chunks: int) -> None:
                for _ in range(chunks):
                    clock.now_s += 512 / SAMPLE_RATE
                    system.hear(ones(512))

            hear(1)
            assert isinstance(next(items), AudioBlock)
            hear(1000)
            source.stop()
            second, *_, last = blocks_of(items)
        assert second.lost_before == second.start - 512 > 600 * 512
        assert last.end == 1001 * 512


@given(
    st.sampled_from([8_000, 22_050, 44_100, 48_000]),
    st.lists(st.tuples(st.integers(1, 3000), st.sampled_from([0, 0, 0, 777])), min_size=1),
)
def test_places_stay_true_through_any_chunks_and_losses(
    rate: int, chunks: list[tuple[int, int]]
) -> None:
    system = SoundSystem([device(0, "usb", rate=rate)])
    passed = 0
    with microphone(system) as source:
        # Something follows on every loss: the place of what comes next tells of it.
        for number, (samples, lost) in enumerate([*chunks, (3000, 0)]):
            passed += lost if number else 0
            system.hear(ones(samples), bool(number and lost), 1 + passed / rate)
            passed += samples
        blocks = blocks_of(stopped(source))
    end = 0
    for block in blocks:
        assert block.start == end + block.lost_before
        end = block.end
    assert end == pytest.approx(passed * SAMPLE_RATE / rate, abs=2 + len(chunks))


class Unplugged:
    """A microphone that was heard for 0.1 s and then pulled out, 2.5 s before it is back."""

    def __init__(self, name: str = "USB Mic: Audio (hw:1,0)", wanted: str = "") -> None:
        self.clock = Clock()
        self.system = SoundSystem([device(1, name)], on_open=self._hear_on)
        self.source = microphone(self.system, wanted, self.clock)
        self.source.__enter__()
        self.items = iter(self.source)
        self.first = next(self.items)

    def _hear_on(self, opened: OpenedInput) -> None:
        self.clock.now_s += len(ones(1600)) / SAMPLE_RATE
        opened.deliver(ones(1600)[:, None], False, 0.0)

    def unplug(self) -> None:
        self.system.devices = [device(0, "Webcam")]
        self.system.opened[-1].active = False

    def plug_in_at_refresh(self, number: int, plugged: InputDevice) -> None:
        def refresh() -> None:
            self.refreshed += 1
            if self.refreshed == number:
                self.clock.now_s += 2.5
                self.system.devices = [device(0, "Webcam"), plugged]

        self.refreshed = 0
        self.system.on_refresh = refresh


def test_what_was_heard_while_the_model_loaded_is_forgotten_on_request() -> None:
    system = SoundSystem([device(1, "Mic")])
    with microphone(system) as source:
        system.hear(ones(1600))
        source.forget()
        system.hear(ones(320))
        blocks = blocks_of(stopped(source))
    assert blocks[0].start == 0
    assert blocks[-1].end == 320


def test_a_device_that_is_plugged_in_again_goes_on_at_the_true_time() -> None:
    mic = Unplugged()
    mic.unplug()
    mic.plug_in_at_refresh(2, device(4, "USB Mic: Audio (hw:3,0)"))
    lost, back, block = (next(mic.items) for _ in range(3))
    assert isinstance(lost, Notice)
    assert (lost.kind, lost.level) == ("device_lost", "warning")
    assert "USB Mic" in lost.text
    assert isinstance(back, Notice)
    assert (back.kind, back.level) == ("device_back", "info")
    assert isinstance(block, AudioBlock)
    assert block.lost_before == 2.5 * SAMPLE_RATE
    assert block.start == 1600 + 2.5 * SAMPLE_RATE
    assert mic.source.name == "USB Mic: Audio (hw:3,0)"
    assert mic.system.opened[0].closed


def test_of_two_devices_of_one_name_the_same_socket_is_preferred() -> None:
    mic = Unplugged()
    mic.unplug()
    mic.system.devices = [
        device(2, "USB Mic: Audio (hw:0,0)"),
        device(5, "USB Mic: Audio (hw:1,0)"),
    ]
    kinds = [next(mic.items) for _ in range(2)]
    assert [item.kind for item in kinds if isinstance(item, Notice)] == [
        "device_lost",
        "device_back",
    ]
    assert mic.system.opened[-1].device.index == 5


def test_a_device_back_at_another_rate_keeps_the_times_true() -> None:
    mic = Unplugged()
    mic.unplug()
    mic.plug_in_at_refresh(1, device(1, "USB Mic: Audio (hw:1,0)", rate=8_000))
    assert [type(next(mic.items)) for _ in range(2)] == [Notice, Notice]
    mic.source.stop()
    [block, *_] = blocks = blocks_of(mic.items)
    # 1600 samples at 8 kHz are 0.2 s, of which the clock saw 0.1 s pass since the opening.
    assert block.start == 1600 + round(2.4 * SAMPLE_RATE)
    assert blocks[-1].end == block.start + 3200


def test_a_device_that_falls_silent_without_a_word_counts_as_lost() -> None:
    mic = Unplugged()
    started = threading.Event()
    got: list[AudioBlock | Notice] = []

    def read() -> None:
        started.set()
        got.append(next(mic.items))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert started.wait(TIMEOUT_S)
    # The clock moves until the reader has seen enough of it.
    while reader.is_alive():
        mic.clock.now_s += SILENT_CALLBACK_S
        reader.join(0.02)
    assert isinstance(got[0], Notice)
    assert got[0].kind == "device_lost"


def test_a_device_that_never_gives_audio_is_told_once_and_tried_again() -> None:
    clock = Clock()
    refreshed = threading.Event()
    system = SoundSystem([device(0, "usb")])
    source = microphone(system, clock=clock)
    tries = 0

    def refresh() -> None:
        nonlocal tries
        tries += 1
        if tries == 3:
            refreshed.set()

    system.on_refresh = refresh
    got: list[AudioBlock | Notice] = []
    with source:
        reader = threading.Thread(target=lambda: got.extend(source), daemon=True)
        reader.start()
        while not refreshed.wait(0.02):
            clock.now_s += FIRST_AUDIO_S
        source.stop()
        reader.join(TIMEOUT_S)
        assert not reader.is_alive()
    assert [item.kind for item in got if isinstance(item, Notice)] == ["device_lost"]


def test_stop_ends_the_wait_for_audio() -> None:
    source = microphone(SoundSystem([device(0, "usb")]))
    got: list[AudioBlock | Notice] = []
    with source:
        reader = threading.Thread(target=lambda: got.extend(source), daemon=True)
        reader.start()
        source.stop()
        source.stop()
        reader.join(TIMEOUT_S)
        assert not reader.is_alive()
    assert got == []


def test_stop_ends_the_wait_for_a_device_that_is_away() -> None:
    system = SoundSystem([device(0, "usb")])
    away = threading.Event()
    system.on_refresh = away.set
    source = MicrophoneSource("", SETTINGS, Clock(), system)
    got: list[AudioBlock | Notice] = []
    with source:
        system.devices = []
        system.opened[-1].active = False
        reader = threading.Thread(target=lambda: got.extend(source), daemon=True)
        reader.start()
        assert away.wait(TIMEOUT_S)
        source.stop()
        reader.join(TIMEOUT_S)
        assert not reader.is_alive()
    assert [item.kind for item in got if isinstance(item, Notice)] == ["device_lost"]


def test_what_was_heard_before_the_stop_is_given_out_whole() -> None:
    system = SoundSystem([device(0, "usb", rate=48_000)])
    with microphone(system) as source:
        for _ in range(10):
            system.hear(ones(4800))
        source.stop()
        system.hear(ones(4800))
        assert len(audio_of(source)) == SAMPLE_RATE


class NoPortAudio(importlib.abc.MetaPathFinder):
    """Makes sounddevice fail as it does where the library is not installed."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "sounddevice":
            raise OSError("PortAudio library not found")


def test_a_missing_portaudio_library_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoPortAudio(), *sys.meta_path])
    with pytest.raises(PortAudioMissing, match=r"libportaudio2.*--wav"):
        PortAudio()


def test_importing_the_module_loads_no_portaudio() -> None:
    script = "import sys, streamer.microphone; print('sounddevice' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
