"""Fitting confidences: synthetic words whose probabilities are known."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from lm.calibration import Calibration, WordEvidence
from lm.tuning.confidence import (
    Bin,
    JudgedWord,
    bins,
    calibration_error,
    fit,
    held_out_confidences,
    which_are_right,
)

TRUTH = Calibration(bias=-1.0, posterior=0.5, acoustic=1.0, letters=0.3, known=0.7)


def synthetic(count: int = 6000, speakers: int = 12, seed: int = 0) -> list[JudgedWord]:
    """Return words that are right as often as ``TRUTH`` says."""
    random = np.random.default_rng(seed)
    words = []
    for place in range(count):
        posterior, acoustic = random.uniform(0.02, 0.98, 2)
        evidence = WordEvidence(
            posterior, acoustic, int(random.integers(1, 12)), bool(random.random() < 0.8)
        )
        right = bool(random.random() < TRUTH.confidence(evidence))
        words.append(JudgedWord(evidence, right, place % speakers))
    return words


def test_the_weights_behind_synthetic_words_are_found() -> None:
    assert astuple(fit(synthetic())) == pytest.approx(astuple(TRUTH), abs=0.15)


def test_words_of_confidence_0_9_are_right_nine_times_in_ten() -> None:
    words = synthetic()
    confidences = held_out_confidences(words)
    found = bins(confidences, [word.right for word in words])
    assert calibration_error(found) < 0.02
    assert found[-1].words > 500
    assert found[-1].right == pytest.approx(found[-1].confidence, abs=0.03)


def test_overconfident_probabilities_have_a_large_error() -> None:
    words = synthetic()
    right = [word.right for word in words]
    sure = np.full(len(words), 0.99)
    assert calibration_error(bins(sure, right)) == pytest.approx(0.99 - np.mean(right))


def test_a_speaker_is_judged_by_a_calibration_that_never_heard_it() -> None:
    words = synthetic(600, speakers=3)
    contrary = [
        JudgedWord(word.evidence, word.right != (word.speaker == 0), word.speaker) for word in words
    ]
    before, after = held_out_confidences(words, 3), held_out_confidences(contrary, 3)
    own = np.array([word.speaker == 0 for word in words])
    np.testing.assert_array_equal(before[own], after[own])
    assert (before[~own] != after[~own]).any()


@pytest.mark.parametrize("right", [True, False])
def test_weights_stay_finite_where_all_words_are_alike(right: bool) -> None:
    words = [JudgedWord(WordEvidence(0.9, 0.8, 4), right, "one")] * 50
    found = fit(words)
    assert np.isfinite(astuple(found)).all()
    assert (found.confidence(words[0].evidence) > 0.5) == right


def test_weights_of_probabilities_never_fall_below_zero() -> None:
    words = [
        JudgedWord(WordEvidence(share, 1 - share, 4), share < 0.5, "one")
        for share in np.linspace(0.05, 0.95, 40)
    ]
    assert fit(words).posterior == 0


def test_without_words_there_is_the_default() -> None:
    assert fit([]) == Calibration()
    assert held_out_confidences([]).shape == (0,)
    assert calibration_error([]) == 0


def test_right_words_are_those_that_the_alignment_finds() -> None:
    assert which_are_right("the cat sat", "the cut sat down") == [True, False, True, False]
    assert which_are_right("the cat sat", "cat sat") == [True, True]
    assert which_are_right("the", "") == []


def test_bins_cover_both_ends() -> None:
    found = bins(np.array([0.0, 0.04, 1.0]), [False, True, True])
    assert found == [Bin(0.02, 0.5, 2), Bin(1.0, 1.0, 1)]
