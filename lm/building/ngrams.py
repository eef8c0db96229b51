"""A back-off n-gram model in arrays: what ARPA files hold and mixing and pruning work on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice

import numpy as np

SENTENCE_START, SENTENCE_END = "<s>", "</s>"
UNKNOWN = "<unk>"
"""The word that stands for every unknown one."""

NEVER = -99.0
"""Base-10 logarithm that stands for the probability zero, as in other tools."""

LEAST_MASS = 1e-7
"""Probability below which a remainder is the rounding of float32 logarithms."""

SENTENCES_AT_ONCE = 50_000
"""Sentences whose words are looked up together."""


@dataclass(frozen=True, eq=False)
class NGrams:
    """The n-grams of one order, sorted.

    An n-gram is the place of its history, its first n - 1 words, among the n-grams of
    the order below, and its last word.

    Attributes:
        keys: int64 (n-grams,), rising: place of the history times the number of words
            of the model, plus the last word; for single words the word itself.
        log_probs: float32 (n-grams,), base 10, of the last word after the history.
        back_offs: float32 (n-grams,), base 10, of the n-gram as a history; zeros
            in the highest order.
    """

    keys: np.ndarray
    log_probs: np.ndarray
    back_offs: np.ndarray

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, eq=False)
class NGramModel:
    """A back-off n-gram model.

    The history of every n-gram is an n-gram of the model, and so is its ending, the
    n-gram without its first word; every word is a unigram.

    Attributes:
        words: Sorted by code point; a word's number is its place.
        orders: Unigrams, bigrams and so on.
    """

    words: tuple[str, ...]
    orders: tuple[NGrams, ...]

    @property
    def order(self) -> int:
        """Words of the longest n-grams."""
        return len(self.orders)

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of n-grams of each order."""
        return tuple(map(len, self.orders))

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Number of each word."""
        return dict(zip(self.words, range(len(self.words)), strict=True))

    @property
    def unknown(self) -> int:
        """Number of the word that stands for every unknown one; -1 without it."""
        return self.numbers.get(UNKNOWN, -1)

    @cached_property
    def endings(self) -> tuple[np.ndarray, ...]:
        """For each order int64 (n-grams,): places of the n-grams without their first word.

        They are places in the order below; -1 for single words and where none is there.
        """
        endings = [np.full(len(self.words), -1)]
        for n, (lower, grams) in enumerate(zip(self.orders, self.orders[1:], strict=False), 2):
            history, word = np.divmod(grams.keys, len(self.words))
            shorter = endings[-1][history]
            endings.append(word if n == 2 else places(lower.keys, self._keys(shorter, word)))
        return tuple(endings)

    def histories(self, n: int) -> np.ndarray:
        """Return int64 (n-grams,): place of the history of each n-gram of order ``n``."""
        return np.asarray(self.orders[n - 1].keys // len(self.words))

    def last_words(self, n: int) -> np.ndarray:
        """Return int64 (n-grams,): the last word of each n-gram of order ``n``."""
        return np.asarray(self.orders[n - 1].keys % len(self.words))

    def rows(self, n: int) -> np.ndarray:
        """Return int32 (n-grams, n): the words of each n-gram of order ``n``."""
        rows = np.empty((len(self.orders[n - 1]), n), np.int32)
        place = np.arange(len(rows))
        for column in range(n, 1, -1):
            place, rows[:, column - 1] = np.divmod(
                self.orders[column - 1].keys[place], len(self.words)
            )
        rows[:, 0] = place
        return rows

    def find(self, rows: np.ndarray) -> np.ndarray:
        """Return the places of n-grams in their order.

        Args:
            rows: Integers (n-grams, n), numbers of words; -1 for a word that is none.

        Returns:
            int64 (n-grams,), -1 for those that are not there.
        """
        found = rows[:, 0].astype(np.int64)
        for column in range(1, rows.shape[1]):
            found = places(self.orders[column].keys, self._keys(found, rows[:, column]))
        return found

    def log_probs(self, rows: np.ndarray) -> np.ndarray:
        """Return how likely the last word of each row is after those before it.

        Args:
            rows: Integers (rows, n), numbers of words; -1 before the start of a
                sentence, or for a word that is none.

        Returns:
            float64 (rows,), logarithms to base 10, by back-off where an n-gram is not
            in the model.
        """
        word = rows[:, -1].astype(np.int64)
        scores = taken(self.orders[0].log_probs, word, NEVER)
        for n in range(2, min(rows.shape[1], self.order) + 1):
            history = self.find(rows[:, -n:-1])
            found = places(self.orders[n - 1].keys, self._keys(history, word))
            scores += taken(self.orders[n - 2].back_offs, history, 0.0)
            scores = np.where(found < 0, scores, taken(self.orders[n - 1].log_probs, found, 0.0))
        return scores

    def with_back_offs(self) -> NGramModel:
        """Return the model with the back-off weights that its probabilities ask for.

        The weight of a history h is what the words seen after it leave of the
        probability one, over what they leave of it in the order below: with those,
        the words after every history sum to one.
        """
        orders = list(self.orders)
        for n in range(1, self.order):
            left, left_below = self.left_over(n)
            weights = np.log10(left / left_below)
            weights[np.bincount(self.histories(n + 1), minlength=len(weights)) == 0] = 0.0
            orders[n - 1] = replace(orders[n - 1], back_offs=weights.astype(np.float32))
        return replace(self, orders=tuple(orders))

    def left_over(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what the words seen after each n-gram of order ``n`` leave of one.

        Returns:
            float64 (n-grams,) twice: of the probabilities after the n-gram, and of those
            after its ending; at least :data:`LEAST_MASS`.
        """
        history, size = self.histories(n + 1), len(self.orders[n - 1])
        seen = probabilities(self.orders[n].log_probs)
        below = probabilities(self.orders[n - 1].log_probs)[self.endings[n]]
        left, left_below = (
            np.maximum(1.0 - np.bincount(history, values, size), LEAST_MASS)
            for values in (seen, below)
        )
        return left, left_below

    def kept(self, keep: Sequence[np.ndarray]) -> NGramModel:
        """Return the model of some n-grams, with back-off weights made anew.

        Args:
            keep: For each order bool (n-grams,): which; with an n-gram its history and
                its ending are kept.
        """
        orders = [self.orders[0]]
        place = np.arange(len(self.words))
        for n, chosen in enumerate(keep[1:], 2):
            grams = self.orders[n - 1]
            history, word = self.histories(n)[chosen], self.last_words(n)[chosen]
            keys = self._keys(place[history], word)
            orders.append(NGrams(keys, grams.log_probs[chosen], grams.back_offs[chosen]))
            place = np.cumsum(chosen) - 1
        while len(orders) > 2 and not len(orders[-1]):
            orders.pop()
        return replace(self, orders=tuple(orders)).with_back_offs()

    def windows(self, sentences: Iterable[str], n: int) -> Iterator[np.ndarray]:
        """Yield every word of sentences, and the end of each, with the words before it.

        Args:
            sentences: Words separated by white space.
            n: Words of a row; the sentence's start is a word before the first.

        Yields:
            int32 (words, n), some sentences at a time; -1 before the sentence's start,
            and for an unknown word where the model has none that stands for it.
        """
        numbers, unknown = self.numbers, self.unknown
        start, end = numbers.get(SENTENCE_START, -1), numbers.get(SENTENCE_END, -1)
        remaining = iter(sentences)
        while some := [line.split() for line in islice(remaining, SENTENCES_AT_ONCE)]:
            padded = (([-1] * (n - 2) + [start])[: n - 1], None, [end])
            lengths = np.array([len(words) + 1 for words in some])
            flat = np.fromiter(
                chain.from_iterable(
                    part if part is not None else [numbers.get(word, unknown) for word in words]
                    for words in some
                    for part in padded
                ),
                np.int32,
            )
            yield _windows(flat, lengths, n)

    def _keys(self, history: np.ndarray, word: np.ndarray) -> np.ndarray:
        """Return the keys of n-grams; -1 where the history or the word is none."""
        keys = history * np.int64(len(self.words)) + word
        return np.where((history < 0) | (word < 0), -1, keys)


def model_of(words: tuple[str, ...], orders: Sequence[NGrams]) -> NGramModel:
    """Return a model of n-grams of which some endings may lack.

    An ending that lacks is added with the probability that backing off gave it, which
    changes no probability; KenLM does the same when it builds a trie.
    """
    model = NGramModel(words, tuple(orders))
    if not any((endings < 0).any() for endings in model.endings[1:]):
        return model
    added: list[np.ndarray] = [np.empty((0, model.order), np.int32)]
    for n in range(model.order, 2, -1):
        rows = np.concatenate([model.rows(n)[model.endings[n - 1] < 0], added[0]])[:, 1:]
        added.insert(0, np.unique(rows[model.find(rows) < 0], axis=0))
    return _with_rows(model, [np.empty((0, 1), np.int32), *added])


def _with_rows(model: NGramModel, added: Sequence[np.ndarray]) -> NGramModel:
    """Return the model with n-grams added, for each order integers (n-grams, n)."""
    orders = [model.orders[0]]
    for n in range(2, model.order + 1):
        rows = np.concatenate([model.rows(n), added[n - 1]])
        log_probs = model.log_probs(added[n - 1]).astype(np.float32)
        grams = model.orders[n - 1]
        history = NGramModel(model.words, tuple(orders)).find(rows[:, :-1])
        keys = history * len(model.words) + rows[:, -1]
        order = np.argsort(keys)
        orders.append(
            NGrams(
                keys[order],
                np.concatenate([grams.log_probs, log_probs])[order],
                np.concatenate([grams.back_offs, np.zeros_like(log_probs)])[order],
            )
        )
    return NGramModel(model.words, tuple(orders))


def _windows(flat: np.ndarray, lengths: np.ndarray, n: int) -> np.ndarray:
    """Return every stretch of ``n`` words that ends inside a sentence, not at its start.

    Args:
        flat: Words of the sentences, each with ``n - 1`` before its first.
        lengths: Words of each, without those before the first.
    """
    stretches = np.lib.stride_tricks.sliding_window_view(flat, n)
    firsts = np.cumsum(lengths + n - 1) - lengths - (n - 1)
    inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.asarray(stretches[np.repeat(firsts, lengths) + inside])


def places(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return where values are among rising ``keys``; -1 for those that are not there."""
    if not len(keys):
        return np.full(len(wanted), -1)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, at, -1)


def taken(values: np.ndarray, at: np.ndarray, missing: float) -> np.ndarray:
    """Return float64 ``values[at]``, and ``missing`` where ``at`` is negative."""
    if not len(values):
        return np.full(len(at), missing)
    return np.where(at < 0, missing, values[at].astype(np.float64))


def probabilities(log_probs: np.ndarray) -> np.ndarray:
    """Return float64 probabilities of logarithms to base 10."""
    return np.asarray(10.0 ** log_probs.astype(np.float64))
