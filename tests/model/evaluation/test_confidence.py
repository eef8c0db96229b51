from __future__ import annotations

import numpy as np
import pytest

from model.evaluation.confidence import difference_interval, wer_interval
from model.evaluation.rates import ErrorRates

WORDS = 10


def recordings(errors: list[int]) -> list[ErrorRates]:
    return [ErrorRates(words=WORDS, substitutions=count) for count in errors]


def test_an_interval_covers_the_true_rate_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        interval = wer_interval(
            recordings(random.binomial(WORDS, 0.3, 40).tolist()), [""] * 40, resamples=300
        )
        assert interval is not None
        covered += interval.low <= 0.3 <= interval.high
    assert 52 <= covered <= 60


def test_it_is_as_wide_as_theory_has_it() -> None:
    errors = np.random.default_rng(0).integers(0, WORDS + 1, 400)
    interval = wer_interval(recordings(errors.tolist()), [""] * 400)
    assert interval is not None
    half = 1.96 * errors.std() / WORDS / 20
    mean = errors.mean() / WORDS
    assert interval.low == pytest.approx(mean - half, abs=0.1 * half)
    assert interval.high == pytest.approx(mean + half, abs=0.1 * half)


def test_recordings_of_a_speaker_are_drawn_together() -> None:
    rates = recordings([0] * 50 + [WORDS] * 50)
    speakers = ["calm"] * 50 + ["hasty"] * 50
    apart, together = wer_interval(rates, [""] * 100), wer_interval(rates, speakers)
    assert apart is not None and together is not None
    assert 0.3 < apart.low < apart.high < 0.7
    assert (together.low, together.high) == (0, 1)


@pytest.mark.parametrize("speakers", [["one"] * 100, ["one"] * 50 + [""] * 50])
def test_recordings_are_drawn_where_speakers_are_not_known_or_one(speakers: list[str]) -> None:
    rates = recordings([0] * 50 + [WORDS] * 50)
    assert wer_interval(rates, speakers) == wer_interval(rates, [""] * 100)


def test_it_is_the_same_each_time_and_a_point_where_all_are_alike() -> None:
    rates = recordings([0, 3, 7, 2])
    assert wer_interval(rates, "abcd") == wer_interval(rates, "abcd")
    alike = wer_interval(recordings([3, 3, 3]), "abc")
    assert alike is not None
    assert (alike.low, alike.high) == (pytest.approx(0.3), pytest.approx(0.3))


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_recordings_have_none(count: int) -> None:
    assert wer_interval(recordings([1] * count), ["a"] * count) is None


def test_a_difference_is_surer_than_the_rates_that_it_is_between() -> None:
    random = np.random.default_rng(1)
    hard = random.integers(0, WORDS, 60)
    before = recordings((hard + 1).tolist())
    after = recordings(hard.tolist())
    rates = wer_interval(before, [""] * 60)
    change = difference_interval(before, after, [""] * 60)
    assert rates is not None and change is not None
    assert rates.high - rates.low > 0.1
    assert (change.low, change.high) == (pytest.approx(-0.1), pytest.approx(-0.1))


def test_a_difference_by_chance_covers_no_difference() -> None:
    random = np.random.default_rng(2)
    one, other = (recordings(random.integers(0, WORDS, 60).tolist()) for _ in range(2))
    forth = difference_interval(one, other, [""] * 60)
    back = difference_interval(other, one, [""] * 60)
    assert forth is not None and back is not None
    assert forth.low < 0 < forth.high
    assert (back.low, back.high) == (pytest.approx(-forth.high), pytest.approx(-forth.low))
