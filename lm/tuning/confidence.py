"""Fitting and judging a calibration of word confidences."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from lm.calibration import Calibration, WordEvidence, measures
from model.evaluation.rates import align_words

FOLDS = 5
"""Groups of speakers, each judged by a calibration fitted on the others."""

BINS = 10
"""Equal ranges of confidence."""

RIDGE = 1.0
"""Penalty of the square of each weight against the log-likelihood of all words; it keeps the
weights finite where words are all right, or all wrong."""


@dataclass(frozen=True)
class JudgedWord:
    """A word that was read.

    Attributes:
        evidence: What the decoder knew of it.
        right: Whether the reference has it there.
        speaker: Who spoke; anything that can be told from others.
    """

    evidence: WordEvidence
    right: bool
    speaker: Hashable


@dataclass(frozen=True)
class Bin:
    """Words of about the same confidence.

    Attributes:
        confidence: Their mean confidence.
        right: Share of them that are right.
        words: How many they are.
    """

    confidence: float
    right: float
    words: int


def which_are_right(reference: str, hypothesis: str) -> list[bool]:
    """Return for each word of the hypothesis whether the best alignment finds it right."""
    pairs = align_words(reference, hypothesis)
    return [wanted == read for wanted, read in pairs if read]


def fit(words: Sequence[JudgedWord]) -> Calibration:
    """Return the calibration under which what is right is likeliest.

    Logistic regression (see :func:`logistic_weights`); the weights of both probabilities
    stay at zero or above.  Without words it is the default one.
    """
    if not words:
        return Calibration()
    inputs = np.array([measures(word.evidence) for word in words])
    rising = (True, True, False, False)
    return Calibration(*logistic_weights(inputs, [word.right for word in words], rising))


def logistic_weights(
    inputs: np.ndarray, right: Sequence[bool] | np.ndarray, rising: Sequence[bool]
) -> list[float]:
    """Return the weights under which what is right is likeliest, by penalised likelihood.

    Args:
        inputs: float (examples, measures).
        right: Whether each example is.
        rising: For each measure whether its weight stays at zero or above.

    Returns:
        The log-odds where all measures are zero, and the weight of each measure.
    """
    from scipy.optimize import minimize

    inputs = np.column_stack([np.ones(len(inputs)), inputs])
    signs = np.where(right, 1.0, -1.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (inputs @ weights)
        wrong = np.exp(-np.logaddexp(0, margins))
        value = np.logaddexp(0, -margins).sum() + RIDGE / 2 * weights @ weights
        return value, RIDGE * weights - inputs.T @ (signs * wrong)

    bounds = [(None, None), *((0 if rises else None, None) for rises in rising)]
    start = np.zeros(inputs.shape[1])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return [round(float(weight), 4) for weight in found.x]


def held_out_confidences(words: Sequence[JudgedWord], folds: int = FOLDS) -> np.ndarray:
    """Return the confidence of each word by a calibration that never heard its speaker.

    Args:
        words: Words of several speakers.
        folds: Groups that the speakers are put into, those with the most words first.

    Returns:
        float64 (words,).
    """
    groups = speaker_groups([word.speaker for word in words], folds)
    confidences = np.zeros(len(words))
    for group in set(groups):
        others = [word for word, own in zip(words, groups, strict=True) if own != group]
        calibration = fit(others)
        for place in np.flatnonzero(np.array(groups) == group):
            confidences[place] = calibration.confidence(words[place].evidence)
    return confidences


def bins(confidences: np.ndarray, right: Sequence[bool], count: int = BINS) -> list[Bin]:
    """Return words by equal ranges of confidence, ranges without words left out."""
    places = np.minimum((confidences * count).astype(int), count - 1)
    judged = np.asarray(right, float)
    found = []
    for place in range(count):
        chosen = places == place
        if chosen.any():
            mean, share = confidences[chosen].mean(), judged[chosen].mean()
            found.append(Bin(float(mean), float(share), int(chosen.sum())))
    return found


def calibration_error(found: Sequence[Bin]) -> float:
    """Return the expected calibration error.

    It is the mean distance between the confidence of a bin and its share of right words,
    by the number of words (Guo et al., On calibration of modern neural networks, ICML 2017).
    """
    words = sum(one.words for one in found)
    return sum(one.words * abs(one.confidence - one.right) for one in found) / max(1, words)


def speaker_groups(speakers: Sequence[Hashable], folds: int) -> list[int]:
    """Return the group of each word's speaker; groups have about as many words each."""
    counts: dict[Hashable, int] = {}
    for speaker in speakers:
        counts[speaker] = counts.get(speaker, 0) + 1
    held = [0] * folds
    group_of = {}
    for speaker in sorted(counts, key=lambda name: -counts[name]):
        group_of[speaker] = min(range(folds), key=held.__getitem__)
        held[group_of[speaker]] += counts[speaker]
    return [group_of[speaker] for speaker in speakers]
