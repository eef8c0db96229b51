"""Making a model small: n-grams that say little more than backing off would, left out.

Relative-entropy pruning (Stolcke 1998, "Entropy-based pruning of backoff language
models"): an n-gram goes if the perplexity of the model rises by less than a threshold
without it.  How much that is depends on how often its history comes.  The model itself
can tell (:func:`own_histories`), but not one smoothed by Kneser and Ney's method, whose
lower orders are no probabilities of what comes (Chelba, Brants, Neveitt and Xu 2010,
"Study on interaction between entropy pruning and Kneser-Ney smoothing"): for those,
count the histories in a text (:func:`counted_histories`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lm.building.ngrams import (
    SENTENCE_END,
    SENTENCE_START,
    NGramModel,
    probabilities,
)
from lm.errors import LanguageModelError
from model.settings import between, check

LEAST_COUNT = 0.5
"""How often a history is taken to come that the text to count in does not have."""

HALVINGS = 60
"""Steps in which a threshold is found."""

Histories = Sequence[np.ndarray]
"""For each order float64 (n-grams,): the probability that the n-gram comes at a place."""


def prune(model: NGramModel, threshold: float, histories: Histories | None = None) -> NGramModel:
    """Return the model without the n-grams that matter less than a threshold.

    The history and the ending of an n-gram that stays do too, and single words always.

    Args:
        model: The model.
        threshold: Relative rise of the perplexity from which an n-gram stays; 0 leaves
            out nothing, 1e-8 little and 1e-6 much of a large model.
        histories: How likely each n-gram is as a history; the model's own opinion
            where not given.
    """
    return _above(model, importance(model, histories), threshold)


def prune_to(
    model: NGramModel,
    limit: float,
    size: Callable[[Sequence[int]], float] = sum,
    histories: Histories | None = None,
) -> NGramModel:
    """Return the largest pruned model whose size is within a limit.

    Args:
        model: The model.
        limit: Largest size.
        size: Size of a model with so many n-grams of each order, such as
            :meth:`TrieFormat.bytes_of_counts`; by default the number of
            n-grams.
        histories: As for :func:`prune`.

    Raises:
        LanguageModelError: If even the single words are larger.
    """
    if size(model.counts) <= limit:
        return model
    worth = importance(model, histories)
    ranked = [np.sort(some) for some in worth[1:]]

    def size_at(threshold: float) -> float:
        counts = [len(some) - int(np.searchsorted(some, threshold)) for some in ranked]
        return size([len(model.words), *counts])

    highest = max((float(some[-1]) for some in ranked if len(some)), default=0.0)
    low, high = 0.0, np.nextafter(highest, np.inf)
    if size_at(high) > limit:
        raise LanguageModelError(
            f"the model must be at most {limit:,.0f} large, and its {len(model.words)} words "
            f"alone take {size_at(high):,.0f}; give it fewer words or more room"
        )
    for _ in range(HALVINGS):
        middle = np.sqrt(max(low, highest * 1e-15) * high)
        low, high = (middle, high) if size_at(middle) > limit else (low, middle)
    return _above(model, worth, high)


def importance(model: NGramModel, histories: Histories | None = None) -> list[np.ndarray]:
    """Return from which threshold on each n-gram is pruned.

    Args:
        model: The model.
        histories: As for :func:`prune`.

    Returns:
        For each order float64 (n-grams,): the relative rise of the perplexity without
        the n-gram, or more where it is the history or the ending of one that matters
        more; infinite for single words.
    """
    known = own_histories(model) if histories is None else histories
    worth = [np.full(len(model.words), np.inf)]
    worth += [losses(model, n, known[n - 2]) for n in range(2, model.order + 1)]
    for n in range(model.order, 2, -1):
        np.maximum.at(worth[n - 2], model.histories(n), worth[n - 1])
        np.maximum.at(worth[n - 2], model.endings[n - 1], worth[n - 1])
    return worth


def losses(model: NGramModel, n: int, history_probs: np.ndarray) -> np.ndarray:
    """Return how much the perplexity rises without each n-gram of one order.

    Args:
        model: The model.
        n: The order, at least 2.
        history_probs: float64 (n-grams of the order below,): how likely each is as
            a history.

    Returns:
        float64 (n-grams,), relative to the perplexity of the whole model.
    """
    history, ending = model.histories(n), model.endings[n - 1]
    left, left_below = (some[history] for some in model.left_over(n - 1))
    log_prob = model.orders[n - 1].log_probs * np.log(10.0)
    log_below = model.orders[n - 2].log_probs[ending] * np.log(10.0)
    prob, below = np.exp(log_prob, dtype=np.float64), np.exp(log_below, dtype=np.float64)
    back_off = np.log(left / left_below)
    without = np.log((left + prob) / (left_below + below))
    change = prob * (log_below + without - log_prob) + left * (without - back_off)
    return np.asarray(np.expm1(np.maximum(-history_probs[history] * change, 0.0)))


def own_histories(model: NGramModel) -> list[np.ndarray]:
    """Return how likely a model takes its n-grams to be, each word after those before.

    Returns:
        As :data:`Histories`; a sentence starts as often as one ends.
    """
    joint = [probabilities(model.orders[0].log_probs)]
    start, end = (model.numbers.get(word, -1) for word in (SENTENCE_START, SENTENCE_END))
    if start >= 0 and end >= 0:
        joint[0][start] = joint[0][end]
    for n in range(2, model.order):
        after = probabilities(model.orders[n - 1].log_probs)
        joint.append(joint[-1][model.histories(n)] * after)
    return joint


def counted_histories(
    model: NGramModel, texts: Sequence[Iterable[str]], weights: Sequence[float] = (1.0,)
) -> list[np.ndarray]:
    """Return how often the n-grams of a model come in texts as histories.

    Args:
        model: The model.
        texts: For each part of a mixture the sentences it was made from, words
            separated by white space.
        weights: Of each part.

    Returns:
        As :data:`Histories`.
    """
    total = [np.zeros(count) for count in model.counts[:-1]]
    for sentences, weight in zip(texts, weights, strict=True):
        words, counts = _counted(model, sentences)
        for some, found in zip(total, counts, strict=True):
            some += weight / max(words, 1) * np.maximum(found, LEAST_COUNT)
    return total


@dataclass(frozen=True)
class TrieFormat:
    """How KenLM stores a model as a quantised trie with compressed pointers.

    Attributes:
        probability_bits: Of a logarithm of a probability; ``build_binary -q``.
        back_off_bits: Of a logarithm of a back-off weight; ``build_binary -b``.
        pointer_bits: Most bits that the compression of pointers takes off; ``-a``.
    """

    probability_bits: int = 8
    back_off_bits: int = 8
    pointer_bits: int = 22

    def __post_init__(self) -> None:
        check(self, between(2, 25, "probability_bits", "back_off_bits"))
        check(self, between(0, 64, "pointer_bits"))

    def bytes(self, words: Iterable[str], counts: Sequence[int]) -> int:
        """Return the size of the file of a model.

        Args:
            words: The words of the model, which the file spells out.
            counts: Number of n-grams of each order, at least two orders.
        """
        spelled = sum(len(word.encode()) + 1 for word in words)
        return spelled + self.bytes_of_counts(counts)

    def bytes_of_counts(self, counts: Sequence[int]) -> int:
        """Return the size of the file of a model without the spelling of its words."""
        header = -(-(108 + 8 * len(counts)) // 8) * 8
        vocabulary, unigrams = 8 * (1 + counts[0]), 16 * (counts[0] + 2)
        tables = 8 + 4 * (
            (len(counts) - 1 << self.probability_bits) + (len(counts) - 2 << self.back_off_bits)
        )
        word_bits = counts[0].bit_length()
        longest = _packed(counts[-1], word_bits + self.probability_bits)
        middle = sum(
            self._middle(count, following, word_bits) for count, following in pairwise(counts[1:])
        )
        return header + vocabulary + unigrams + tables + middle + longest

    def _middle(self, count: int, following: int, word_bits: int) -> int:
        """Return the bytes of an order with a longer one: n-grams with pointers into it."""
        needed = following.bit_length()
        removed = min(
            range(min(needed, self.pointer_bits) + 1),
            key=lambda bits: (following >> (needed - bits)) * 64 - (count + 1) * bits,
        )
        table = 8 * (2 + (following >> (needed - removed))) + 7
        values = self.probability_bits + self.back_off_bits
        return table + _packed(count, word_bits + values + needed - removed)


def _packed(count: int, bits: int) -> int:
    """Return the bytes of so many entries of so many bits, with KenLM's spare ones."""
    return ((1 + count) * bits + 7) // 8 + 8


def _counted(model: NGramModel, sentences: Iterable[str]) -> tuple[int, list[np.ndarray]]:
    """Return how many places a text has, and how often each n-gram is the history of one."""
    counts = [np.zeros(count, np.int64) for count in model.counts[:-1]]
    words = 0
    for rows in model.windows(sentences, model.order):
        words += len(rows)
        for n, some in enumerate(counts, 1):
            found = model.find(rows[:, -n - 1 : -1])
            some += np.bincount(found[found >= 0], minlength=len(some))
    return words, counts


def _above(model: NGramModel, worth: Sequence[np.ndarray], threshold: float) -> NGramModel:
    """Return the model of the n-grams that are worth a threshold."""
    keep = [some >= threshold for some in worth]
    return model if all(map(np.all, keep)) else model.kept(keep)
