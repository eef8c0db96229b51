"""Audio that a client sends, as a source of a caption stream."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import soxr
from typing_extensions import Self

from streamer.audio import SAMPLE_RATE, AudioBlock, from_pcm, on_16_bit_grid
from streamer.events import Notice
from streamer.ring_buffer import RingBuffer

LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000
"""Hz; rates that clients may send at."""

AHEAD_S = 30.0
"""Audio that a client may send ahead of the time it takes to speak it, seconds."""


SHORTEST_S = 0.01
"""Audio that is passed on at once, seconds; less than that waits for more."""


class TooFast(Exception):
    """A client sends audio faster than anybody speaks."""


class SocketSource:
    """16-bit PCM of any rate, pushed by one thread and iterated over by another.

    It does not wait: where the stream is slow its oldest audio is dropped and counted, as
    a microphone's would be.  Samples lie on the 16-bit grid, so that what is kept of them
    is what was heard.

    Args:
        name: What the client is called.
        rate: Of what it sends, Hz.
        longest_s: Audio after which the stream ends, seconds.
        ring_s: Audio that may wait, seconds.
        clock: Seconds that only rise.
    """

    def __init__(
        self,
        name: str,
        rate: int,
        longest_s: float,
        ring_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._rate = rate
        self._longest = round(longest_s * SAMPLE_RATE)
        self._ring = RingBuffer(round(ring_s * SAMPLE_RATE), "drop")
        self._clock = clock
        self._began = clock()
        self._resampler = self._new_resampler()
        self._sent = 0
        self._lost = 0
        self._end = 0
        self._missing = 0
        self._odd = b""
        self._short = np.zeros(0, np.float32)
        self._pushing = threading.Lock()

    @property
    def name(self) -> str:
        """What the client is called."""
        return self._name

    @property
    def lossless(self) -> bool:
        """False: a client in front of a microphone cannot wait."""
        return False

    @property
    def received_s(self) -> float:
        """Audio that came, lost audio included, seconds."""
        return (self._sent + self._lost) / self._rate

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __iter__(self) -> Iterator[AudioBlock | Notice]:
        while True:
            item = self._ring.pop()
            if item is None:
                return
            yield item

    def push(self, pcm: bytes) -> bool:
        """Take what the client sent; return whether more is wanted.

        Args:
            pcm: Little-endian 16-bit samples, mono; a sample may be cut between two calls.

        Raises:
            TooFast: If it is more than ``AHEAD_S`` ahead of time.
        """
        with self._pushing:
            pcm = self._odd + pcm
            whole = len(pcm) // 2 * 2
            self._odd = pcm[whole:]
            samples = from_pcm(np.frombuffer(pcm[:whole], "<i2"))
            self._sent += len(samples)
            self._check_pace()
            self._give(self._resampled(samples, last=False))
            # A client that sends slowly has no more time than one that speaks.
            late = self._clock() - self._began > self._longest / SAMPLE_RATE + AHEAD_S
            return self._end < self._longest and not late

    def lose(self, samples: int) -> None:
        """Take note that the client had to drop audio.

        Args:
            samples: How much, at its rate.

        Raises:
            TooFast: As :meth:`push`.
        """
        with self._pushing:
            self._lost += samples
            self._check_pace()
            self._give(self._resampled(np.zeros(0, np.float32), last=True), last=True)
            self._resampler = self._new_resampler()
            self._missing = max(0, round(self.received_s * SAMPLE_RATE) - self._end)

    def finish(self) -> None:
        """Say that no more comes; what waits is still heard."""
        with self._pushing:
            self._give(self._resampled(np.zeros(0, np.float32), last=True), last=True)
            self._ring.close()

    def stop(self) -> None:
        """End the iteration soon; may be called from any thread, more than once."""
        self._ring.close()

    def _new_resampler(self) -> soxr.ResampleStream | None:
        if self._rate == SAMPLE_RATE:
            return None
        return soxr.ResampleStream(self._rate, SAMPLE_RATE, 1, dtype="float32")

    def _resampled(self, samples: np.ndarray, last: bool) -> np.ndarray:
        if self._resampler is None:
            return samples
        chunk = self._resampler.resample_chunk(samples, last=last)
        return on_16_bit_grid(chunk)

    def _check_pace(self) -> None:
        if self.received_s - (self._clock() - self._began) > AHEAD_S:
            raise TooFast

    def _give(self, samples: np.ndarray, last: bool = False) -> None:
        """Pass samples on; a few wait for more, since every block has its price."""
        if len(self._short):
            samples = np.concatenate((self._short, samples))
            self._short = samples[:0]
        if len(samples) == 0:
            return
        if not last and len(samples) < SHORTEST_S * SAMPLE_RATE:
            self._short = samples
            return
        missing, self._missing = self._missing, 0
        self._end += missing
        samples = samples[: max(0, self._longest - self._end)].astype(np.float32, copy=False)
        self._ring.push(AudioBlock(samples, self._end, missing))
        self._end += len(samples)
