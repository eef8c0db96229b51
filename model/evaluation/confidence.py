"""How sure an error rate is: bootstrap intervals."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from model.evaluation.rates import ErrorRates

LEVEL = 0.95
"""Share of the resampled error rates that lie in an interval."""

RESAMPLES = 1000
BATCH = 1_000_000
"""Numbers drawn at once, which bounds the memory that a bootstrap takes."""

SEED = 0


@dataclass(frozen=True)
class Interval:
    """Where a word error rate would lie on other recordings of the same kind.

    Attributes:
        low: Lower end.
        high: Upper end.
    """

    low: float
    high: float


def wer_interval(
    rates: Sequence[ErrorRates], speakers: Sequence[Hashable], resamples: int = RESAMPLES
) -> Interval | None:
    """Return the bootstrap interval of the word error rate of all recordings together.

    Whole speakers are drawn where each recording has one and there are at least two,
    since recordings of one speaker tend to fail together; else recordings are drawn.
    The ends are percentiles (Bisani and Ney, Bootstrap estimates for confidence
    intervals in ASR performance evaluation, ICASSP 2004).  The same input gives the
    same interval.

    Args:
        rates: Errors of each recording.
        speakers: Who speaks in each; anything that counts as false where not known.
        resamples: How often to draw as many as there are.

    Returns:
        None where there are fewer than two recordings.
    """
    errors = np.array([one.word_errors for one in rates])
    words = np.array([one.words for one in rates])
    if all(speakers) and len(set(speakers)) > 1:
        errors, words = _sums(errors, speakers), _sums(words, speakers)
    if len(errors) < 2:
        return None
    return _percentiles(errors, words, resamples)


def difference_interval(
    before: Sequence[ErrorRates],
    after: Sequence[ErrorRates],
    speakers: Sequence[Hashable],
    resamples: int = RESAMPLES,
) -> Interval | None:
    """Return the bootstrap interval of how much the word error rate rises between two readings.

    Both are of the same recordings, which are drawn together (the paired bootstrap of
    Bisani and Ney, 2004), so that what makes a recording hard counts in neither.

    Args:
        before: Errors of each recording, once.
        after: Errors of each in the other reading.
        speakers: As in :func:`wer_interval`.
        resamples: Likewise.

    Returns:
        None where there are fewer than two recordings.
    """
    more = [
        ErrorRates(one.words, other.word_errors - one.word_errors)
        for one, other in zip(before, after, strict=True)
    ]
    return wer_interval(more, speakers, resamples)


def _sums(counts: np.ndarray, speakers: Sequence[Hashable]) -> np.ndarray:
    """Return the sum of the counts of each speaker."""
    sums = dict.fromkeys(speakers, 0)
    for speaker, count in zip(speakers, counts.tolist(), strict=True):
        sums[speaker] += count
    return np.array(list(sums.values()))


def _percentiles(errors: np.ndarray, words: np.ndarray, resamples: int) -> Interval:
    from scipy.stats import bootstrap

    found = bootstrap(
        (errors, words),
        lambda e, w, axis: e.sum(axis=axis) / np.maximum(1, w.sum(axis=axis)),
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, BATCH // len(errors)),
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))
