"""Calibration: a probability that grows with the evidence."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm.calibration import Calibration, WordEvidence
from model.settings import RangeError

shares = st.floats(0, 1)
lengths = st.integers(1, 30)
weights = st.floats(-5, 5)


@given(shares, shares, lengths, st.booleans())
def test_a_confidence_is_a_probability(
    posterior: float, acoustic: float, letters: int, known: bool
) -> None:
    confidence = Calibration().confidence(WordEvidence(posterior, acoustic, letters, known))
    assert 0 < confidence < 1


@given(shares, shares, shares, lengths, st.floats(0, 5), st.floats(0, 5), weights)
def test_more_of_a_probability_never_makes_a_word_less_sure(
    one: float,
    other: float,
    same: float,
    letters: int,
    posterior: float,
    acoustic: float,
    rest: float,
) -> None:
    less, more = sorted((one, other))
    calibration = Calibration(rest, posterior, acoustic, rest, rest)
    for low, high in (
        (WordEvidence(less, same, letters), WordEvidence(more, same, letters)),
        (WordEvidence(same, less, letters), WordEvidence(same, more, letters)),
    ):
        assert calibration.confidence(low) <= calibration.confidence(high)


def test_the_log_odds_are_the_weighted_sum_of_the_evidence() -> None:
    calibration = Calibration(bias=0.5, posterior=0.2, acoustic=0.3, letters=0.4, known=0.6)
    log_odds = 0.5 + 0.2 * math.log(0.8 / 0.2) + 0.3 * math.log(0.6 / 0.4) + 0.4 * math.log(3) + 0.6
    found = calibration.confidence(WordEvidence(0.8, 0.6, 3, True))
    assert found == pytest.approx(1 / (1 + math.exp(-log_odds)))


def test_extreme_weights_do_not_overflow() -> None:
    for bias in (-1e6, 1e6):
        assert Calibration(bias=bias).confidence(WordEvidence(0.5, 0.5, 3)) in (0.0, 1.0)


@pytest.mark.parametrize(
    ("values", "named"),
    [((1.1, 0.5, 3), "posterior"), ((0.5, -0.1, 3), "acoustic"), ((0.5, 0.5, 0), "letters")],
)
def test_evidence_out_of_range_is_named(values: tuple[float, float, int], named: str) -> None:
    with pytest.raises(RangeError, match=named):
        WordEvidence(*values)


def test_a_weight_below_zero_for_a_probability_is_refused() -> None:
    with pytest.raises(RangeError, match="acoustic: must be at least 0"):
        Calibration(acoustic=-1)
