from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.recipe import TrainingSettings
from model.training.averaging import WeightAverage
from model.training.schedule import draw_base, learning_rate

SETTINGS = {"learning_rate": 1e-3, "warmup_steps": 4, "hold": 0.2}


@pytest.mark.parametrize(
    ("decay", "final", "half", "end"),
    [
        ("cosine", 0.0, 0.5, 0.0),
        ("linear", 0.0, 0.5, 0.0),
        ("linear", 0.2, 0.6, 0.2),
        ("constant", 0.0, 1.0, 1.0),
    ],
)
def test_the_rate_rises_stays_and_falls(decay: str, final: float, half: float, end: float) -> None:
    settings = TrainingSettings(decay=decay, final_rate=final, **SETTINGS)  # type: ignore[arg-type]
    rates = [learning_rate(settings, step, 0.0) / 1e-3 for step in range(6)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    for share, expected in ((0.2, 1.0), (0.6, half), (1.0, end)):
        assert learning_rate(settings, 100, share) / 1e-3 == pytest.approx(expected, abs=1e-9)


def test_a_training_that_holds_to_its_end_keeps_its_rate() -> None:
    settings = TrainingSettings(hold=1.0, warmup_steps=0)
    assert learning_rate(settings, 0, 1.0) == pytest.approx(settings.learning_rate)


def test_the_average_follows_its_definition() -> None:
    random = np.random.default_rng(0)
    path = random.normal(size=(41, 3))
    average = WeightAverage(0.7, [path[0]])
    expected = path[0]
    for step in range(1, 41):
        average.update([path[step]], step)
        decay = min(0.7, step / (9 + step))
        expected = decay * expected + (1 - decay) * path[step]
    np.testing.assert_allclose(average.weights[0], expected, rtol=1e-5)


def test_an_update_after_several_steps_counts_for_all_of_them() -> None:
    ends, steps = (np.ones(2), np.zeros(2)), (1, 4)
    once = WeightAverage(0.7, [ends[0]])
    often = WeightAverage(0.7, [ends[0]])
    once.update([ends[1]], 8)
    for step in (*steps, 8):
        often.update([ends[1]], step)
    np.testing.assert_allclose(once.weights[0], often.weights[0], atol=1e-6)


@given(
    st.lists(st.floats(1, 20), min_size=1, max_size=40),
    st.floats(0, 600),
    st.floats(0, 0.9),
    st.integers(0, 9),
)
def test_the_base_takes_its_share_of_a_pass(
    durations: list[float], own_s: float, share: float, seed: int
) -> None:
    seconds = np.array(durations)
    counts = draw_base(seconds, own_s, share, np.random.default_rng(seed))
    wanted = own_s * share / (1 - share)
    assert abs(float(counts @ seconds) - wanted) <= max(durations) / 2 + 1e-6
    assert counts.max() - counts.min() <= 1


def test_each_pass_draws_other_base_speech() -> None:
    seconds = np.full(100, 5.0)
    draws = [draw_base(seconds, 100.0, 0.5, np.random.default_rng(seed)) for seed in range(2)]
    assert [draw.sum() for draw in draws] == [20, 20]
    assert (draws[0] != draws[1]).any()
    assert not draw_base(seconds[:0], 100.0, 0.5, np.random.default_rng(0)).size
