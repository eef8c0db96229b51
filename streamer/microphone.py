"""The microphone: found by name, opened at its own rate, reopened when it comes back."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import soxr

from model.audio import finite
from streamer.audio import SAMPLE_RATE, AudioBlock, on_16_bit_grid
from streamer.devices import (
    Backend,
    InputDevice,
    OpenInput,
    channel_choices,
    choose,
    require_inputs,
    same_device,
)
from streamer.errors import DeviceError, FormatRefused
from streamer.events import Notice
from streamer.portaudio import PortAudio
from streamer.settings import AudioSettings

FALLBACK_RATES = (48_000, 44_100, 32_000, 16_000, 96_000, 8_000)
"""Hz; tried in this order when a device refuses its own default rate."""

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
        self._open(self._backend, choose(require_inputs(self._backend), self._wanted))
        return self

    def __exit__(self, *_: object) -> None:
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

    def forget(self) -> None:
        """Forget what was heard since the device was opened: the stream starts now."""
        self._handover.clear()

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
                self._open(self._backend, same_device(require_inputs(self._backend), self._device))
                return

    def _open(self, backend: Backend, device: InputDevice) -> None:
        refusal: FormatRefused | None = None
        for rate in dict.fromkeys((round(device.default_rate), *FALLBACK_RATES)):
            for channels in channel_choices(device):
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
        """Add audio; never waits for the iteration.  A ``streamer.devices.Deliver``."""
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
        samples = finite(samples)
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
        converted = on_16_bit_grid(self._resampler.resample_chunk(samples, last=last))
        if len(converted):
            block = AudioBlock(converted, self._end, self._lost)
            self._end, self._lost = block.end, 0
            yield block
