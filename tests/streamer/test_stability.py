"""How likely a word is to stay."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from streamer.stability import WordStability, measures

probabilities = st.floats(0, 1)
seconds = st.floats(0, 30)


@given(probabilities, probabilities, seconds, seconds, seconds, seconds, st.integers(1, 30))
def test_a_surer_older_and_earlier_word_is_likelier_to_stay(
    confidence: float,
    more: float,
    lag_s: float,
    later_s: float,
    age_s: float,
    older_s: float,
    letters: int,
) -> None:
    stability = WordStability()
    before = stability.probability(confidence, lag_s, age_s, False, letters)
    after = stability.probability(
        max(confidence, more), lag_s + later_s, age_s + older_s, True, letters
    )
    assert 0 <= before <= after <= 1


def test_the_probability_is_that_of_a_logistic_regression() -> None:
    stability = WordStability(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    log_odds = 0.1 + 0.2 * math.log(4) + 0.3 * math.log(0.5) + 0.4 * 0.25 + 0.6 * math.log(3)
    assert math.isclose(
        stability.probability(0.8, 0.5, 0.25, False, 3), 1 / (1 + math.exp(-log_odds))
    )


def test_measures_are_finite_at_the_edges() -> None:
    for confidence in (0.0, 1.0):
        assert all(map(math.isfinite, measures(confidence, 0.0, 0.0, True, 1)))
