"""One model from several by linear interpolation, and the weights that fit a text best.

The probabilities of a mixture are weighed means of its parts' (Jelinek and Mercer 1980,
"Interpolated estimation of Markov source parameters from sparse data").  A static
mixture is one back-off model again: it holds every n-gram of any part with the mean
probability, and its back-off weights are made so that the words after each history sum
to one (Stolcke 2002, "SRILM - an extensible language modeling toolkit", ``-mix-lm`` with
``-bayes 0``).  It gives the mean exactly for the n-grams that a part holds, and close
to it for others.  The weights may depend on the history, so that a part counts for
more where it is at home.

A word that a part lacks is one of those that its unknown word stands for: it and the
unknown word of the mixture have equal shares of the probability that the part gives
to its unknown word, so that every part speaks of one vocabulary and sums to one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from lm.building.ngrams import (
    NEVER,
    SENTENCE_START,
    NGramModel,
    NGrams,
    places,
    taken,
)
from lm.errors import LanguageModelError

EXPECTATION_STEPS = 200
"""Steps of expectation maximisation at most."""

SETTLED = 1e-5
"""Change of every weight below which they are found."""


def mix(
    models: Sequence[NGramModel], weights: Sequence[float], adaptation: float = 0.0
) -> NGramModel:
    """Return the linear interpolation of models as one model.

    With ``adaptation`` a part that is more at home in a history weighs more after it:
    its weight there is multiplied by the probability that it gives to the history, to
    the power of ``adaptation``.  With 1 that is Bayes's rule, for texts of which each
    is of the kind of one part (``-bayes`` of SRILM, with histories as long as they
    are); smaller values trust a short history less.

    Args:
        models: The parts, of any orders and vocabularies.
        weights: Of each, not negative; they are scaled to sum to one.
        adaptation: 0, for the same weights after every history, to 1.

    Raises:
        LanguageModelError: If the weights are not one for each part, negative or all
            zero, or ``adaptation`` is out of its range.
    """
    parts = widened(models)
    shares = _shares(models, weights)
    if not 0.0 <= adaptation <= 1.0:
        raise LanguageModelError(f"adaptation of a mixture: must be 0 to 1, got {adaptation}")
    keys, members = _union(parts)
    empty = [NGrams(some, np.zeros(len(some)), np.zeros(len(some))) for some in keys]
    union = NGramModel(parts[0].words, tuple(empty))
    scores = [_scores(part, union, inside) for part, inside in zip(parts, members, strict=True)]
    orders = [
        NGrams(some, _logarithms(mean), np.zeros(len(some), np.float32))
        for some, mean in zip(keys, _means(union, scores, shares, adaptation), strict=True)
    ]
    return NGramModel(union.words, tuple(orders)).with_back_offs()


def best_weights(models: Sequence[NGramModel], sentences: Iterable[str]) -> tuple[float, ...]:
    """Return the weights with which a mixture is least surprised by a text.

    They are found by expectation maximisation on the probabilities of the words
    (Dempster, Laird and Rubin 1977), which comes to the best ones from anywhere.

    Args:
        models: The parts.
        sentences: The text, words separated by white space; words that no part knows
            do not count.

    Raises:
        LanguageModelError: If there are no models or no known words.
    """
    known = np.stack(word_probabilities(models, sentences))
    weights = np.full(len(models), 1.0 / len(models))
    for _ in range(EXPECTATION_STEPS):
        joint = weights[:, None] * known
        better = (joint / joint.sum(axis=0)).mean(axis=1)
        change, weights = np.abs(better - weights).max(), better
        if change < SETTLED:
            break
    return tuple(weights.tolist())


def word_probabilities(
    models: Sequence[NGramModel], sentences: Iterable[str]
) -> tuple[np.ndarray, ...]:
    """Return what each model gives to the words of a text and to the sentences' ends.

    Args:
        models: Models that shall speak of one vocabulary.
        sentences: The text; words that no model knows are left out.

    Returns:
        float64 (words,) for each model.

    Raises:
        LanguageModelError: If there are no models or no known words.
    """
    parts = widened(models)
    longest = max(part.order for part in parts)
    found: list[list[np.ndarray]] = [[] for _ in parts]
    for rows in parts[0].windows(sentences, longest):
        heard = rows[(rows[:, -1] >= 0) & (rows[:, -1] != parts[0].unknown)]
        for part, some in zip(parts, found, strict=True):
            some.append(part.log_probs(heard))
    if not any(map(len, found[0])):
        raise LanguageModelError(
            "the text to weigh models by must hold words that they know; give another text"
        )
    return tuple(10.0 ** np.concatenate(some) for some in found)


def widened(models: Sequence[NGramModel]) -> tuple[NGramModel, ...]:
    """Return models with the words of all, each with the same numbers for them.

    Raises:
        LanguageModelError: If there are none.
    """
    if not models:
        raise LanguageModelError("a mixture must have at least one model; give some")
    words = tuple(sorted(set().union(*(model.words for model in models))))
    numbers = {word: number for number, word in enumerate(words)}
    return tuple(
        model if model.words == words else _widened(model, words, numbers) for model in models
    )


def _widened(model: NGramModel, words: tuple[str, ...], numbers: dict[str, int]) -> NGramModel:
    """Return a model that shares its unknown word's probabilities among further words."""
    own = np.array([numbers[word] for word in model.words], np.int64)
    sharing = len(words) - len(own) + (model.unknown >= 0)
    orders = [_widened_unigrams(model, own, len(words), sharing)]
    speaks_of_unknown = False
    for n in range(2, model.order + 1):
        grams, word = model.orders[n - 1], model.last_words(n)
        history = own[model.histories(n)] if n == 2 else model.histories(n)
        unknown = word == model.unknown
        log_probs = np.where(unknown, grams.log_probs - np.log10(sharing), grams.log_probs)
        keys = history * len(words) + own[word]
        orders.append(NGrams(keys, log_probs.astype(np.float32), grams.back_offs))
        speaks_of_unknown |= bool(unknown.any())
    wide = NGramModel(words, tuple(orders))
    return wide.with_back_offs() if speaks_of_unknown else wide


def _widened_unigrams(model: NGramModel, own: np.ndarray, size: int, sharing: int) -> NGrams:
    """Return the unigrams of a model with further words.

    Args:
        model: The model.
        own: Numbers of its words among all.
        size: Number of all words.
        sharing: How many share the probability of the unknown word.
    """
    grams = model.orders[0]
    unknown = grams.log_probs[model.unknown] if model.unknown >= 0 else NEVER
    log_probs = np.full(size, unknown - np.log10(sharing), np.float32)
    back_offs = np.zeros(size, np.float32)
    named = np.arange(len(own)) != model.unknown
    log_probs[own[named]] = grams.log_probs[named]
    back_offs[own] = grams.back_offs
    return NGrams(np.arange(size), log_probs, back_offs)


def _union(
    parts: Sequence[NGramModel],
) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    """Return the n-grams of any part, and where they are in each.

    Returns:
        For each order the int64 keys; for each part and order int64 (n-grams of the
        union,), the places in the part, -1 for those that it lacks.
    """
    size = len(parts[0].words)
    keys = [np.arange(size)]
    members = [[np.arange(size)] for _ in parts]
    above = [np.arange(size) for _ in parts]
    for n in range(2, max(part.order for part in parts) + 1):
        own = [
            place[part.histories(n)] * size + part.last_words(n)
            if n <= part.order
            else np.empty(0, np.int64)
            for part, place in zip(parts, above, strict=True)
        ]
        keys.append(np.unique(np.concatenate(own)))
        above = [np.searchsorted(keys[-1], some) for some in own]
        for inside, some in zip(members, own, strict=True):
            inside.append(places(some, keys[-1]))
    return keys, members


def _scores(
    part: NGramModel, union: NGramModel, inside: Sequence[np.ndarray]
) -> Iterator[np.ndarray]:
    """Yield for each order what a part gives to the n-grams of the union.

    Yields:
        float64 (n-grams,), logarithms to base 10, by back-off where the part lacks one.
    """
    scores = part.orders[0].log_probs.astype(np.float64)
    yield scores
    for n in range(2, union.order + 1):
        history = inside[n - 2][union.histories(n)]
        backed = scores[union.endings[n - 1]]
        if n <= part.order + 1:
            backed += taken(part.orders[n - 2].back_offs, history, 0.0)
        own = part.orders[n - 1].log_probs if n <= part.order else np.empty(0)
        scores = np.where(inside[n - 1] < 0, backed, taken(own, inside[n - 1], 0.0))
        yield scores


def _means(
    union: NGramModel,
    scores: Sequence[Iterable[np.ndarray]],
    shares: Sequence[float],
    adaptation: float,
) -> Iterator[np.ndarray]:
    """Yield for each order the mean probabilities of the n-grams of the union.

    Args:
        union: The n-grams.
        scores: Of each part, see :func:`_scores`.
        shares: Of each part.
        adaptation: See :func:`mix`.

    Yields:
        float64 (n-grams,).
    """
    joint = [np.zeros(1) for _ in shares]
    for n, given in enumerate(zip(*scores, strict=True), 1):
        history = union.histories(n)
        weights = _after(joint, shares, adaptation)
        mean = np.zeros(len(history))
        for weight, some in zip(weights, given, strict=True):
            mean += weight[history] * 10.0**some
        yield mean
        joint = [before[history] + some for before, some in zip(joint, given, strict=True)]
        if n == 1 and SENTENCE_START in union.numbers:
            for some in joint:
                some[union.numbers[SENTENCE_START]] = 0.0


def _after(
    joint: Sequence[np.ndarray], shares: Sequence[float], adaptation: float
) -> list[np.ndarray]:
    """Return the weights of parts after histories, which sum to one.

    Args:
        joint: For each part float64 (histories,): logarithms to base 10 of the
            probabilities that it gives to them.
        shares: Of each part after no history.
        adaptation: See :func:`mix`.
    """
    highest = np.maximum.reduce(list(joint))
    weights = [
        share * 10.0 ** (adaptation * (some - highest))
        for some, share in zip(joint, shares, strict=True)
    ]
    total = np.maximum(sum(weights), np.finfo(float).tiny)
    return [some / total for some in weights]


def _logarithms(values: np.ndarray) -> np.ndarray:
    """Return float32 logarithms to base 10 of probabilities."""
    return np.clip(np.log10(np.maximum(values, 10.0**NEVER)), NEVER, 0.0).astype(np.float32)


def _shares(models: Sequence[NGramModel], weights: Sequence[float]) -> list[float]:
    """Return the weights scaled to sum to one.

    Raises:
        LanguageModelError: If they are not usable.
    """
    total = sum(weights)
    if len(weights) != len(models) or min(weights, default=0) < 0 or not 0 < total < np.inf:
        raise LanguageModelError(
            f"the weights of a mixture must be one for each of {len(models)} models, at least 0 "
            f"and not all 0, got {', '.join(map(str, weights)) or 'none'}"
        )
    return [weight / total for weight in weights]
