"""Losses that a device does not tell of, and rates that are not what they should be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.handover import Chunk
from streamer.pace import UNTOLD_S, Pace

RATE = 8_000
BLOCK = 320
BLOCK_S = BLOCK / RATE


def chunks(arrivals_s: Iterable[float], adc: Iterable[float] | None = None) -> Iterator[Chunk]:
    arrivals = list(arrivals_s)
    times = [0.0] * len(arrivals) if adc is None else list(adc)
    for arrived_s, adc_s in zip(arrivals, times, strict=True):
        yield Chunk(np.zeros((BLOCK, 1), np.float32), False, adc_s, arrived_s)


def regular(seconds: float, speed: float = 1.0, start_s: float = 100.0) -> np.ndarray:
    """Return when blocks arrive; ``speed`` above 1 has the device give too many."""
    arrivals: np.ndarray = start_s + np.arange(1, round(seconds / BLOCK_S)) * BLOCK_S / speed
    return arrivals


def losses(pace: Pace, heard: Iterable[Chunk]) -> list[float]:
    return [lost_s for chunk in heard if (lost_s := pace.untold_s(chunk))]


@given(st.floats(-2e-4, 2e-4), st.integers(0, 2**32 - 1))
def test_drift_and_late_chunks_are_no_losses(drift: float, seed: int) -> None:
    arrivals = regular(60, 1 + drift)
    late = np.random.default_rng(seed).exponential(0.05, len(arrivals))
    assert losses(Pace(RATE), chunks(np.maximum.accumulate(arrivals + late))) == []


def test_a_day_of_drift_is_no_loss() -> None:
    pace = Pace(RATE)
    hours = [float(lost) for lost in losses(pace, _sparse(regular_s=86_400, drift=1e-4))]
    assert hours == []
    assert pace.wrong_rate is None


def _sparse(regular_s: float, drift: float) -> Iterator[Chunk]:
    """Yield seconds as chunks, so that a day does not take long."""
    second = np.zeros((RATE, 1), np.float32)
    for number in range(round(regular_s)):
        yield Chunk(second, False, 0.0, 100 + number * (1 + drift))


@given(st.floats(UNTOLD_S + 0.1, 2.5), st.floats(5, 40), st.booleans())
def test_a_loss_is_found_with_its_length(lost_s: float, at_s: float, adc: bool) -> None:
    arrivals = regular(60)
    arrivals[arrivals > 100 + at_s] += lost_s
    [found] = losses(Pace(RATE), chunks(arrivals, arrivals - BLOCK_S if adc else None))
    assert found == pytest.approx(lost_s, abs=0.02)


@given(st.floats(0.1, 2.5), st.floats(5, 40))
def test_audio_that_only_comes_late_is_no_loss(stall_s: float, at_s: float) -> None:
    arrivals = regular(60)
    stalled = (arrivals > 100 + at_s) & (arrivals < 100 + at_s + stall_s)
    arrivals[stalled] = 100 + at_s + stall_s
    assert losses(Pace(RATE), chunks(arrivals)) == []


def test_more_delay_is_no_loss_where_the_device_says_so() -> None:
    arrivals = regular(60)
    later = np.where(arrivals > 120, 1.5, 0.0)
    assert losses(Pace(RATE), chunks(arrivals + later, arrivals - BLOCK_S)) == []


def test_a_leap_of_the_devices_clock_alone_is_no_loss() -> None:
    arrivals = regular(60)
    leap = np.where(arrivals > 120, 3600.0, 0.0)
    assert losses(Pace(RATE), chunks(arrivals, arrivals + leap)) == []


@pytest.mark.parametrize(("speed", "wrong"), [(48 / 44.1, True), (0.9, True), (1.005, False)])
def test_a_wrong_rate_is_measured(speed: float, wrong: bool) -> None:
    pace = Pace(RATE)
    losses(pace, chunks(regular(100, speed)))
    if wrong:
        assert pace.wrong_rate == pytest.approx(RATE * speed, rel=0.01)
    else:
        assert pace.wrong_rate is None


@given(st.lists(st.floats(0.1, 0.9), min_size=20, max_size=40))
def test_losses_that_are_told_are_not_found_again(lost_s: list[float]) -> None:
    pace, now_s = Pace(RATE), 100.0
    for known_s in lost_s:
        now_s += known_s + BLOCK_S
        pace.lost(known_s)
        assert losses(pace, chunks([now_s])) == []


def test_one_loss_does_not_make_a_rate_wrong() -> None:
    arrivals = regular(200)
    arrivals[arrivals > 150] += 2.0
    pace = Pace(RATE)
    losses(pace, chunks(arrivals))
    assert pace.wrong_rate is None
