"""Whether a device's samples keep pace with the clock: losses that nobody told, wrong rates."""

from __future__ import annotations

import math
from collections import deque

from streamer.handover import Chunk

DRIFT = 1e-3
"""How far the clocks of a device and the machine may differ, as a share; crystals differ by
a tenth of that at most."""

WINDOW_S = 2.0
"""Time over which the least lag is taken, so that chunks that are late do not count."""

UNTOLD_S = 0.5
"""Lag beyond which audio was lost, though the device did not say so."""

RATE_WINDOW_S = 30.0
"""Time over which the rate is measured."""

WRONG_RATE = 0.02
"""Share by which a device may miss its rate."""


class Pace:
    """Compares the samples of a device with the time that passes; serves one opening of it.

    The lag is the time that passed less the audio that came, counted losses included.  It
    swings with the load of the machine, so its least value in each ``WINDOW_S`` is compared
    with those before, as Moon, Skelly and Towsley ("Estimation and removal of clock skew
    from network delay measurements", 1999) find skew by minima.  What rises faster than
    clocks drift is lost audio.  Where the device tells the time of its samples, that clock
    has to agree.

    Args:
        rate: Samples a second that the device should give.

    Attributes:
        rate: Samples a second that the device should give.
        told: Whether the user knows of the wrong rate; for the caller's use.
    """

    def __init__(self, rate: int) -> None:
        self.told = False
        self.rate = rate
        self._taken = 0
        self._lags = (_Lag(), _Lag())
        self._adc_known = True
        self._given = 0
        self._measured_from: tuple[float, int] | None = None
        self._measured: deque[float] = deque(maxlen=2)

    def untold_s(self, chunk: Chunk) -> float:
        """Take the next chunk and return the seconds lost unnoticed up to it; mostly 0."""
        before_s = self._taken / self.rate
        self._taken += len(chunk.samples)
        self._adc_known = self._adc_known and chunk.adc_s > 0
        self._measure(chunk)
        now_s = chunk.arrived_s
        by_clock = self._lags[0].rise(now_s - self._taken / self.rate, now_s)
        by_device = self._lags[1].rise(chunk.adc_s - before_s, now_s)
        lost_s = min(by_clock, by_device) if self._adc_known else by_clock
        if lost_s <= UNTOLD_S:
            return 0.0
        self.lost(lost_s)
        return lost_s

    def lost(self, lost_s: float) -> None:
        """Count a loss that is known; before the chunk that comes behind it is taken."""
        self._taken += round(lost_s * self.rate)

    @property
    def wrong_rate(self) -> float | None:
        """Samples a second, if twice in a row they were not what they should be; else None."""
        twice = len(self._measured) == 2 and all(map(self._is_wrong, self._measured))
        same = twice and len({rate > self.rate for rate in self._measured}) == 1
        return self._measured[-1] if same else None

    def _is_wrong(self, measured: float) -> bool:
        return abs(measured / self.rate - 1) > WRONG_RATE

    def _measure(self, chunk: Chunk) -> None:
        self._given += len(chunk.samples)
        if self._measured_from is None or chunk.overflowed:
            self._measured_from = (chunk.arrived_s, self._given)
        since_s, given = self._measured_from
        if chunk.arrived_s - since_s >= RATE_WINDOW_S:
            self._measured.append((self._given - given) / (chunk.arrived_s - since_s))
            self._measured_from = (chunk.arrived_s, self._given)


class _Lag:
    """The least lag of each window, and how far it rose above those before."""

    def __init__(self) -> None:
        self._usual_s: float | None = None
        self._least_s = math.inf
        self._window_ends_s = -math.inf
        self._rise_s = 0.0

    def rise(self, lag_s: float, now_s: float) -> float:
        """Take a lag; return how far that of the last whole window lay above the usual one."""
        if now_s >= self._window_ends_s:
            self._rise_s = self._end_window()
            self._least_s, self._window_ends_s = math.inf, now_s + WINDOW_S
        self._least_s = min(self._least_s, lag_s)
        if self._usual_s is None:
            return 0.0
        # What came since is a witness too: audio that was only late has made up for it.
        return min(self._rise_s, lag_s - self._usual_s)

    def _end_window(self) -> float:
        if not math.isfinite(self._least_s):
            return 0.0
        if self._usual_s is None:
            self._usual_s = self._least_s
        rise_s = self._least_s - self._usual_s
        self._usual_s += min(rise_s, DRIFT * WINDOW_S)
        return max(0.0, rise_s)
