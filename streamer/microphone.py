"""The microphone: found by name, opened at its own rate, reopened when it comes back.

Only here is PortAudio used, and only once a device is asked for.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import soxr

from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.errors import DeviceError, PortAudioMissing
from streamer.events import Notice
from streamer.settings import AudioSettings

RATES = (8_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000)
"""Hz; the rates that a device is asked about."""

FALLBACK_RATES = (48_000, 44_100, 32_000, 16_000, 96_000, 8_000)
"""Hz; tried in this order when a device refuses its own default rate."""

MOST_CHANNELS = 8
"""Channels opened at most when a device refuses one and two."""

FIRST_AUDIO_S = 5.0
"""How long a device may take to give its first audio; Bluetooth takes seconds."""

SILENT_CALLBACK_S = 1.0
"""After this long without audio a device that was running counts as gone."""

POLL_S = 0.1
"""How often it is looked whether the device still runs while no audio comes."""

CLOCKS_AGREE_S = 1.0
"""How far a device's clock may run ahead of ours before it counts as broken."""

HANDOVER_S = 10.0
"""Audio that may wait between PortAudio's thread and the iteration."""

DEAD_CHANNEL_PEAK = 1e-3
"""A channel that never went above this (-60 dB of full scale) has no microphone on it."""

Deliver = Callable[[np.ndarray, bool, float], None]
"""Takes samples float32 (n, channels), whether audio was lost just before them, and the
time of the first one by the device's clock in seconds (0 if unknown)."""


@dataclass(frozen=True)
class InputDevice:
    """A device that records.

    Attributes:
        index: Its number in PortAudio's list; it may change when devices come and go.
        name: Its name.
        channels: Channels it has.
        default_rate: The rate it prefers, Hz.
        rates: Those of ``RATES`` that it accepts, Hz; empty where it was not asked.
        is_default: Whether it is used when no device is named.
        host_api: The system that it belongs to, such as ALSA.
    """

    index: int
    name: str
    channels: int
    default_rate: float
    rates: tuple[int, ...]
    is_default: bool
    host_api: str

    @property
    def stable_name(self) -> str:
        """The name without ALSA's card number, which changes when it is plugged in again."""
        return re.sub(r" \(hw:\d+,\d+\)$", "", self.name)


class FormatRefused(DeviceError):
    """The device does not take this rate or number of channels; another one may do."""


class OpenInput(Protocol):
    """An input stream that runs."""

    @property
    def active(self) -> bool:
        """Whether it still runs."""
        ...

    def close(self) -> None:
        """End it; never raises."""
        ...


class Backend(Protocol):
    """What the microphone needs of PortAudio."""

    def inputs(self) -> tuple[InputDevice, ...]:
        """Return the devices that record, their ``rates`` left empty."""
        ...

    def accepts(self, device: InputDevice, rate: int, channels: int) -> bool:
        """Return whether the device can be opened so."""
        ...

    def open(
        self, device: InputDevice, rate: int, channels: int, block: int, deliver: Deliver
    ) -> OpenInput:
        """Open a device; ``deliver`` is called from another thread, ``block`` samples a time.

        Raises:
            FormatRefused: If it does not take the rate or the number of channels.
            DeviceError: If it cannot be opened at all; the message says why.
        """
        ...

    def refresh(self) -> None:
        """Look again which devices there are; no stream may be open.

        Raises:
            DeviceError: If the audio system does not answer.
        """
        ...


def list_devices(backend: Backend | None = None) -> tuple[InputDevice, ...]:
    """Return the devices that record, with the rates that they accept.

    Raises:
        DeviceError: If there is none.
        PortAudioMissing: If the PortAudio library is not installed.
    """
    backend = PortAudio() if backend is None else backend
    return tuple(
        replace(device, rates=_accepted_rates(backend, device)) for device in _inputs(backend)
    )


class MicrophoneSource:
    """A microphone as a stream of 16 kHz mono blocks; what is lost is counted.

    The device is opened at its own rate and resampled by one resampler for as long
    as audio follows on.  Of several channels the mean is taken of those that have
    carried a signal (``DEAD_CHANNEL_PEAK``), so an unused channel does not halve the
    level.  Samples lie on a grid of 16 bits, so that a recording holds them exactly.

    A device that goes away gives a notice ``device_lost``.  It is looked for by name
    until it is back (``device_back``) or :meth:`stop` is called; the time in between
    is ``lost_before`` the next block.

    Args:
        device: Index or part of the name (any case; a whole name wins); empty for
            the default.
        settings: Length of the blocks and time between attempts to reopen.
        clock: Seconds that only rise.
        backend: The audio system; PortAudio unless a test gives another.
    """

    def __init__(
        self,
        device: str,
        settings: AudioSettings,
        clock: Callable[[], float] = time.monotonic,
        backend: Backend | None = None,
    ) -> None:
        self._wanted = device
        self._settings = settings
        self._clock = clock
        self._backend = backend
        self._device: InputDevice | None = None
        self._input: OpenInput | None = None
        self._stopped = threading.Event()
        self._handover = _Handover(clock, self._stopped, HANDOVER_S * 1000 / settings.block_ms)
        self._rate = SAMPLE_RATE
        self._away = False
        self._heard_until_s = 0.0

    @property
    def name(self) -> str:
        """The device's name; before it is entered, what was asked for."""
        return self._device.name if self._device else self._wanted or "default microphone"

    @property
    def lossless(self) -> bool:
        """False: a microphone does not wait."""
        return False

    def __enter__(self) -> Self:
        """Open the device; audio is kept from here on.

        Raises:
            DeviceError: If there is no such device, or it cannot be opened.
            PortAudioMissing: If the PortAudio library is not installed.
        """
        self._backend = PortAudio() if self._backend is None else self._backend
        self._open(self._backend, choose(_inputs(self._backend), self._wanted))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._close()

    def __iter__(self) -> Iterator[AudioBlock | Notice]:
        stream = _Resampling()
        while True:
            yield from self._listen(stream)
            yield from stream.finish()
            if self._stopped.is_set():
                return
            if not self._away:
                self._away = True
                yield Notice("device_lost", self._lost_text())
            self._reopen()

    def stop(self) -> None:
        """End the iteration soon; may be called from any thread, more than once."""
        self._stopped.set()
        self._handover.wake()

    def _listen(self, stream: _Resampling) -> Iterator[AudioBlock | Notice]:
        """Yield what the open device gives, until it goes away or :meth:`stop` is called."""
        mixer = _ChannelMixer()
        previous: _Chunk | None = None
        for chunk in self._chunks():
            if previous is None:
                stream.start(self._rate, self._away_s(chunk))
            elif chunk.overflowed:
                yield from stream.finish()
                stream.start(self._rate, _lost_samples(previous, chunk, self._rate) / self._rate)
            if self._away:
                self._away = False
                yield Notice("device_back", f"microphone '{self.name}' is back", "info")
            yield from stream.push(mixer.mix(chunk.samples))
            self._heard_until_s = chunk.arrived_s
            previous = chunk

    def _chunks(self) -> Iterator[_Chunk]:
        quiet_since_s, patience_s = self._clock(), FIRST_AUDIO_S
        while True:
            chunk = self._handover.get(POLL_S)
            if chunk is not None:
                yield chunk
                quiet_since_s, patience_s = self._clock(), SILENT_CALLBACK_S
            elif (
                self._stopped.is_set()
                or self._input is None
                or not self._input.active
                or self._clock() - quiet_since_s >= patience_s
            ):
                return

    def _away_s(self, chunk: _Chunk) -> float:
        """Seconds of audio lost while the device was away, before its first chunk."""
        if not self._away:
            return 0.0
        return max(0.0, chunk.arrived_s - len(chunk.samples) / self._rate - self._heard_until_s)

    def _reopen(self) -> None:
        """Try to open the device by its name until that works or :meth:`stop` is called."""
        assert self._backend is not None and self._device is not None
        self._close()
        while not self._stopped.wait(self._settings.reopen_every_s):
            with suppress(DeviceError):
                self._backend.refresh()
                self._open(self._backend, _same(_inputs(self._backend), self._device))
                return

    def _open(self, backend: Backend, device: InputDevice) -> None:
        refusal: FormatRefused | None = None
        for rate in dict.fromkeys((round(device.default_rate), *FALLBACK_RATES)):
            for channels in _channel_choices(device):
                try:
                    self._open_as(backend, device, rate, channels)
                    return
                except FormatRefused as error:
                    refusal = error
        raise DeviceError(
            f"microphone '{device.name}' takes none of the usual rates and numbers of channels "
            f"({refusal}); choose another with --list-devices and --device"
        )

    def _open_as(self, backend: Backend, device: InputDevice, rate: int, channels: int) -> None:
        block = max(1, round(rate * self._settings.block_ms / 1000))
        self._handover.clear()
        self._heard_until_s = self._heard_until_s if self._away else self._clock()
        self._input = backend.open(device, rate, channels, block, self._handover.put)
        self._device, self._rate = device, rate

    def _close(self) -> None:
        opened, self._input = self._input, None
        if opened is not None:
            opened.close()

    def _lost_text(self) -> str:
        return (
            f"microphone '{self.name}' is gone or gives no audio: plug it in again; "
            f"it is looked for by its name every {self._settings.reopen_every_s:g} s"
        )


class PortAudio:
    """PortAudio, through sounddevice.

    PortAudio and the libraries below it (ALSA, JACK, PulseAudio) write to standard
    error whatever they stumble on, also while a stream runs; this is kept off the
    terminal, and what matters of it comes as a :class:`DeviceError`.

    Raises:
        PortAudioMissing: If the library is not installed.
    """

    def __init__(self) -> None:
        self._library = _load_library()

    def inputs(self) -> tuple[InputDevice, ...]:
        """Return the devices that record; see :class:`Backend`."""
        with self._guarded("the audio system"):
            devices = self._library.query_devices()
            host_apis = self._library.query_hostapis()
        default = self._default_index()
        return tuple(
            InputDevice(
                index=device["index"],
                name=device["name"],
                channels=device["max_input_channels"],
                default_rate=device["default_samplerate"],
                rates=(),
                is_default=device["index"] == default,
                host_api=host_apis[device["hostapi"]]["name"],
            )
            for device in devices
            if device["max_input_channels"] > 0
        )

    def accepts(self, device: InputDevice, rate: int, channels: int) -> bool:
        """Return whether the device can be opened so."""
        try:
            with self._guarded(device.name):
                self._library.check_input_settings(device.index, channels, "float32", None, rate)
        except DeviceError:
            return False
        return True

    def open(
        self, device: InputDevice, rate: int, channels: int, block: int, deliver: Deliver
    ) -> OpenInput:
        """Open a device and start it; see :class:`Backend`."""

        def hand_over(samples: np.ndarray, _count: int, times: Any, status: Any) -> None:
            deliver(samples.copy(), bool(status.input_overflow), times.inputBufferAdcTime)

        with self._guarded(f"microphone '{device.name}'"):
            stream = self._library.InputStream(
                rate, block, device.index, channels, "float32", callback=hand_over
            )
            try:
                stream.start()
            except self._library.PortAudioError:
                stream.close()
                raise
        return _PortAudioInput(stream)

    def refresh(self) -> None:
        """Start PortAudio anew, the only way to a fresh list of devices."""
        with self._guarded("the audio system"):
            # Fails when the start after the last stop failed: then there is nothing to stop.
            with suppress(self._library.PortAudioError):
                self._library._terminate()
            self._library._initialize()

    def _default_index(self) -> int | None:
        with suppress(DeviceError), self._guarded("the default input"):
            return int(self._library.query_devices(kind="input")["index"])
        return None

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        """Turn the errors of PortAudio into ours."""
        try:
            yield
        except self._library.PortAudioError as error:
            code = error.args[1] if len(error.args) > 1 else None
            if code in _FORMAT_CODES:
                raise FormatRefused(f"{what}: {error}") from error
            raise DeviceError(
                f"{what} cannot be opened: {error}; close the program that uses it, "
                "or choose another device with --list-devices and --device"
            ) from error


_FORMAT_CODES = (-9998, -9997, -9994)
"""PortAudio: invalid channel count, invalid sample rate, sample format not supported."""


class _PortAudioInput:
    """A stream of sounddevice."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def active(self) -> bool:
        return bool(self._stream.active)

    def close(self) -> None:
        self._stream.abort()
        self._stream.close()


def _load_library() -> Any:
    # JACK would otherwise start its server only because it was asked for devices.
    os.environ.setdefault("JACK_NO_START_SERVER", "1")
    _silence_c_libraries()
    try:
        import sounddevice
    except OSError as error:
        raise PortAudioMissing(
            f"the microphone needs the PortAudio library ({error}): install it with "
            "`sudo apt-get install libportaudio2`; --wav FILE works without it"
        ) from error
    return sounddevice


@cache
def _silence_c_libraries() -> None:
    """Send what C libraries write to standard error nowhere, from now on.

    They write through C's stream, which glibc lets a program replace.  Python does
    not: its messages, also from other threads, still reach file descriptor 2.  With
    another C library nothing is changed.
    """
    c_library = ctypes.CDLL(None)
    if hasattr(c_library, "gnu_get_libc_version"):
        c_library.fopen.restype = ctypes.c_void_p
        nowhere = c_library.fopen(os.devnull.encode(), b"w")
        ctypes.c_void_p.in_dll(c_library, "stderr").value = nowhere


def choose(devices: tuple[InputDevice, ...], wanted: str) -> InputDevice:
    """Return the device that is asked for.

    Args:
        devices: Those there are, at least one.
        wanted: Index, name or part of a name in any case; empty for the default.

    Raises:
        DeviceError: If none or several match; the message lists them.
    """
    if not wanted:
        return next((device for device in devices if device.is_default), devices[0])
    matches = _matches(devices, wanted)
    if not matches:
        raise DeviceError(f"no input device matches '{wanted}'; there are: {_listing(devices)}")
    if len(matches) > 1:
        raise DeviceError(
            f"'{wanted}' matches several input devices: {_listing(matches)}; "
            "give the index or more of the name"
        )
    return matches[0]


def _matches(devices: tuple[InputDevice, ...], wanted: str) -> tuple[InputDevice, ...]:
    if wanted.isdecimal():
        return tuple(device for device in devices if device.index == int(wanted))
    name = wanted.casefold()
    exact = tuple(
        device
        for device in devices
        if name in (device.name.casefold(), device.stable_name.casefold())
    )
    return exact or tuple(device for device in devices if name in device.name.casefold())


def _same(devices: tuple[InputDevice, ...], lost: InputDevice) -> InputDevice:
    """Return the device that went away, wherever it is plugged in now."""
    matches = [device for device in devices if device.stable_name == lost.stable_name]
    matches.sort(key=lambda device: device.name != lost.name)
    if not matches:
        raise DeviceError(f"microphone '{lost.name}' is not there")
    return matches[0]


def _inputs(backend: Backend) -> tuple[InputDevice, ...]:
    """Return the devices that record, at least one."""
    devices = backend.inputs()
    if not devices:
        raise DeviceError(
            "no input device: plug a microphone in and look for it with `arecord -l` and "
            "--list-devices (a container needs `--device /dev/snd`), "
            "or caption a file with --wav FILE"
        )
    return devices


def _listing(devices: tuple[InputDevice, ...]) -> str:
    return ", ".join(f"{device.index}: {device.name}" for device in devices)


def _channel_choices(device: InputDevice) -> tuple[int, ...]:
    """Return the numbers of channels to try: one, two, and all it has up to eight."""
    most = min(device.channels, MOST_CHANNELS)
    return tuple(channels for channels in dict.fromkeys((1, 2, most)) if channels <= most)


def _accepted_rates(backend: Backend, device: InputDevice) -> tuple[int, ...]:
    return tuple(
        rate
        for rate in RATES
        if any(backend.accepts(device, rate, channels) for channels in _channel_choices(device))
    )


@dataclass(frozen=True)
class _Chunk:
    """What PortAudio handed over at once.

    Attributes:
        samples: float32 (n, channels), at the device's rate.
        overflowed: Whether audio was lost just before it.
        adc_s: When its first sample was recorded, by the device's clock; 0 if unknown.
        arrived_s: When it was handed over, by ours.
    """

    samples: np.ndarray
    overflowed: bool
    adc_s: float
    arrived_s: float


def _lost_samples(previous: _Chunk, chunk: _Chunk, rate: int) -> int:
    """Return how many samples are missing between two chunks; at least 1.

    The device's clock tells best, where it has one that makes sense.
    """
    by_device_s = chunk.adc_s - previous.adc_s
    by_clock_s = chunk.arrived_s - previous.arrived_s
    known = previous.adc_s > 0 and 0 < by_device_s < by_clock_s + CLOCKS_AGREE_S
    passed = round((by_device_s if known else by_clock_s) * rate)
    return max(1, passed - len(previous.samples if known else chunk.samples))


class _Handover:
    """Chunks on their way from PortAudio's thread to the iteration; the oldest go when full."""

    def __init__(
        self, clock: Callable[[], float], stopped: threading.Event, capacity: float
    ) -> None:
        self._clock = clock
        self._stopped = stopped
        self._chunks: deque[_Chunk] = deque(maxlen=max(2, round(capacity)))
        self._dropped = False
        self._changed = threading.Condition()

    def put(self, samples: np.ndarray, overflowed: bool, adc_s: float) -> None:
        """Add audio; never waits for the iteration.  A :data:`Deliver`."""
        with self._changed:
            if not self._stopped.is_set():
                self._dropped = self._dropped or len(self._chunks) == self._chunks.maxlen
                self._chunks.append(_Chunk(samples, overflowed, adc_s, self._clock()))
                self._changed.notify()

    def get(self, timeout: float) -> _Chunk | None:
        """Return the oldest chunk; None after ``timeout`` seconds, or when stopped and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._chunks or self._stopped.is_set(), timeout)
            if not self._chunks:
                return None
            chunk, dropped = self._chunks.popleft(), self._dropped
            self._dropped = False
            return replace(chunk, overflowed=chunk.overflowed or dropped)

    def clear(self) -> None:
        """Forget what is held, before another device is opened."""
        with self._changed:
            self._chunks.clear()
            self._dropped = False

    def wake(self) -> None:
        """End a wait, after the stop was asked for."""
        with self._changed:
            self._changed.notify_all()


class _ChannelMixer:
    """Mixes channels to mono; owns which of them have carried a signal so far."""

    def __init__(self) -> None:
        self._alive: np.ndarray | None = None

    def mix(self, samples: np.ndarray) -> np.ndarray:
        """Return float32 (n,): the mean of the channels alive in samples (n, channels)."""
        heard = np.abs(samples).max(axis=0, initial=0) > DEAD_CHANNEL_PEAK
        self._alive = heard if self._alive is None else self._alive | heard
        used = samples[:, self._alive] if self._alive.any() else samples
        return np.ascontiguousarray(used.mean(axis=1, dtype=np.float32))


class _Resampling:
    """Makes 16 kHz blocks of device audio and places them in the stream.

    A stretch is audio that follows on without loss: one resampler serves it.  Owns
    the resampler with the samples that it holds back, and the count of all samples.
    """

    def __init__(self) -> None:
        self._resampler: soxr.ResampleStream | None = None
        self._rate = SAMPLE_RATE
        self._taken = 0
        self._origin = 0
        self._end = 0
        self._lost = 0

    def start(self, rate: int, lost_s: float) -> None:
        """Begin a stretch at ``rate`` Hz, ``lost_s`` seconds after the end of the last one."""
        passed = (self._taken / self._rate + lost_s) * SAMPLE_RATE
        self._origin = max(self._end, self._origin + round(passed))
        self._lost += self._origin - self._end
        self._end = self._origin
        self._rate, self._taken = rate, 0
        self._resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")

    def push(self, samples: np.ndarray) -> Iterator[AudioBlock]:
        """Take samples (n,) of the stretch and yield the block that they complete, if any."""
        self._taken += len(samples)
        yield from self._convert(samples, last=False)

    def finish(self) -> Iterator[AudioBlock]:
        """End the stretch and yield what the resampler held back, if anything."""
        yield from self._convert(np.zeros(0, np.float32), last=True)
        self._resampler = None

    def _convert(self, samples: np.ndarray, last: bool) -> Iterator[AudioBlock]:
        if self._resampler is None:
            return
        converted = _on_16_bit_grid(self._resampler.resample_chunk(samples, last=last))
        if len(converted):
            block = AudioBlock(converted, self._end, self._lost)
            self._end, self._lost = block.end, 0
            yield block


def _on_16_bit_grid(samples: np.ndarray) -> np.ndarray:
    """Round samples to multiples of 1/32768, within the range of 16 bits."""
    scaled: np.ndarray = np.rint(samples * np.float32(32_768))
    return scaled.clip(-32_768, 32_767) / np.float32(32_768)
