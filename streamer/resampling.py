"""From the samples of a device to blocks of 16 kHz mono that know their place."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soxr

from model.audio import finite
from streamer.audio import SAMPLE_RATE, AudioBlock, on_16_bit_grid

DEAD_CHANNEL_PEAK = 1e-3
"""A channel that never went above this (-60 dB of full scale) has no microphone on it."""


class ChannelMixer:
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


class Resampling:
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
