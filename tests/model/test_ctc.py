"""The loss and the greedy reading, held against sums over all alignments."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from model.evaluation.rates import greedy_labels
from model.network import ctc_loss


def collapse(path: tuple[int, ...]) -> list[int]:
    """Return what an alignment spells."""
    return [label for label, _ in itertools.groupby(path) if label]


def brute_force_loss(labels: list[int], logits: np.ndarray) -> float:
    log_probs = log_softmax(logits.astype(np.float64), axis=-1)
    frames, symbols = logits.shape
    scores = [
        log_probs[np.arange(frames), path].sum()
        for path in itertools.product(range(symbols), repeat=frames)
        if collapse(path) == labels
    ]
    return float(-logsumexp(scores))


def loss(rows: list[list[int]], logits: np.ndarray, lengths: list[int]) -> np.ndarray:
    room = max(map(len, rows))
    labels = np.zeros((len(rows), room), np.int32)
    for place, row in enumerate(rows):
        labels[place, : len(row)] = row
    counts = np.array([len(row) for row in rows], np.int32)
    return np.asarray(ctc_loss(labels, counts, logits, np.array(lengths, np.int32)))


@pytest.fixture(scope="module")
def logits() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 2, (4, 5, 4)).astype(np.float32)


def test_loss_is_the_sum_over_alignments_within_true_lengths(logits: np.ndarray) -> None:
    rows, lengths = [[1, 2], [3, 3], [2], [1, 2, 1]], [5, 4, 2, 3]
    expected = [
        brute_force_loss(row, scores[:length])
        for row, scores, length in zip(rows, logits, lengths, strict=True)
    ]
    np.testing.assert_allclose(loss(rows, logits, lengths), expected, rtol=1e-4)


def test_frames_beyond_the_length_change_nothing(logits: np.ndarray) -> None:
    changed = logits.copy()
    changed[:, 3:] = 50
    rows, lengths = [[1], [2], [3], [1]], [3, 3, 3, 3]
    np.testing.assert_allclose(loss(rows, logits, lengths), loss(rows, changed, lengths), rtol=1e-5)


def test_loss_is_a_negative_log_probability(logits: np.ndarray) -> None:
    assert (loss([[1], [2, 3], [1, 1], [3]], logits * 20, [5, 5, 5, 5]) >= -1e-4).all()


def test_a_transcript_that_cannot_fit_has_next_to_no_probability(logits: np.ndarray) -> None:
    losses = loss([[1, 2], [1, 1], [1], [1]], logits, [1, 2, 5, 5])
    assert losses[:2].min() > 500
    assert losses[2:].max() < 50


def test_greedy_reading_spells_the_best_alignment(logits: np.ndarray) -> None:
    for scores in logits:
        best = max(
            itertools.product(range(4), repeat=5),
            key=lambda path: scores[np.arange(5), path].sum(),
        )
        assert list(greedy_labels(scores)) == collapse(best)
