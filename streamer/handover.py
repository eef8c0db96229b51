"""Audio on its way from PortAudio's thread to the one that captures."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from streamer.devices import Deliver

CLOCKS_AGREE_S = 1.0
"""How far a device's clock may run ahead of ours before it counts as broken."""


@dataclass(frozen=True)
class Chunk:
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


def lost_samples(previous: Chunk, chunk: Chunk, rate: int) -> int:
    """Return how many samples are missing between two chunks; at least 1.

    The device's clock tells best, where it has one that makes sense.
    """
    by_device_s = chunk.adc_s - previous.adc_s
    by_clock_s = chunk.arrived_s - previous.arrived_s
    known = previous.adc_s > 0 and 0 < by_device_s < by_clock_s + CLOCKS_AGREE_S
    passed = round((by_device_s if known else by_clock_s) * rate)
    return max(1, passed - len(previous.samples if known else chunk.samples))


class Handover:
    """Chunks on their way from PortAudio's thread to the iteration; the oldest go when full.

    Args:
        clock: Seconds that only rise.
        stopped: Set when nothing more is to be taken.
        capacity: Chunks held at most.
    """

    def __init__(
        self, clock: Callable[[], float], stopped: threading.Event, capacity: float
    ) -> None:
        self._clock = clock
        self._stopped = stopped
        self._chunks: deque[Chunk] = deque(maxlen=max(2, round(capacity)))
        self._dropped = False
        self._opening = 0
        self._changed = threading.Condition()

    def begin(self) -> Deliver:
        """Forget what is held, and return what takes the chunks of the device opened next.

        What a device that was opened before still delivers is passed over from now on.
        """
        with self._changed:
            self._opening += 1
            self._forget()
            return partial(self._put, self._opening)

    def get(self, timeout: float) -> Chunk | None:
        """Return the oldest chunk; None after ``timeout`` seconds, or when stopped and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._chunks or self._stopped.is_set(), timeout)
            if not self._chunks:
                return None
            chunk, dropped = self._chunks.popleft(), self._dropped
            self._dropped = False
            return replace(chunk, overflowed=chunk.overflowed or dropped)

    def clear(self) -> None:
        """Forget what is held."""
        with self._changed:
            self._forget()

    def wake(self) -> None:
        """End a wait, after the stop was asked for."""
        with self._changed:
            self._changed.notify_all()

    def _put(self, opening: int, samples: np.ndarray, overflowed: bool, adc_s: float) -> None:
        """Add a chunk and wake the iteration."""
        with self._changed:
            if opening == self._opening and not self._stopped.is_set():
                self._dropped = self._dropped or len(self._chunks) == self._chunks.maxlen
                self._chunks.append(Chunk(samples, overflowed, adc_s, self._clock()))
                self._changed.notify()

    def _forget(self) -> None:
        self._chunks.clear()
        self._dropped = False
