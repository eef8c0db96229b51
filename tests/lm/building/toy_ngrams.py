"""Small n-gram models: a fixed ARPA text, random ones, and what must hold for any."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from lm.building.arpa import write_arpa
from lm.building.ngrams import SENTENCE_END, SENTENCE_START, UNKNOWN, NGramModel, NGrams

ARPA = """\\data\\
ngram 1=6
ngram 2=5
ngram 3=2

\\1-grams:
-1.2\t<unk>
0\t<s>\t-0.4
-0.9\t</s>
-0.5\tred\t-0.25
-0.6\tred's\t-0.125
-0.7\tblue\t-0.5

\\2-grams:
-0.3\t<s> red\t-0.2
-0.4\tred blue\t-0.1
-0.8\tred's blue
-0.6\tblue </s>
-0.5\tblue red\t0

\\3-grams:
-0.2\t<s> red blue
-0.1\tred blue </s>

\\end\\
"""


def random_model(seed: int, words: str = "a b c d e", order: int = 3) -> NGramModel:
    """Return a model of random n-grams whose histories all sum to one."""
    random = np.random.default_rng(seed)
    names = tuple(sorted([SENTENCE_START, SENTENCE_END, UNKNOWN, *words.split()]))
    start, end = names.index(SENTENCE_START), names.index(SENTENCE_END)
    spoken = [number for number in range(len(names)) if number != start]
    probs = np.full(len(names), 1e-9)
    probs[spoken] = random.dirichlet(np.ones(len(spoken)))
    orders, grams = [_grams(range(len(names)), probs)], [(number,) for number in range(len(names))]
    for n in range(2, order + 1):
        endings = set(grams)
        keys: list[int] = []
        probs = np.empty(0)
        longer = []
        for place, history in enumerate(grams):
            seen = [
                word
                for word in spoken
                if history[-1] != end
                and random.random() < 0.4
                and (n == 2 or (*history[1:], word) in endings)
            ]
            # What is left must be some word's: of all of them, one stays unseen.
            seen = seen[: len(spoken) - 1]
            keys += [place * len(names) + word for word in seen]
            longer += [(*history, word) for word in seen]
            probs = np.append(probs, random.dirichlet(np.ones(len(seen) + 1))[:-1])
        orders.append(_grams(keys, probs))
        grams = longer
    return NGramModel(names, tuple(orders)).with_back_offs()


def _grams(keys: Any, probs: np.ndarray) -> NGrams:
    log_probs = np.log10(np.maximum(probs, 1e-6)).astype(np.float32)
    return NGrams(np.array(list(keys), np.int64), log_probs, np.zeros_like(log_probs))


def every_history(model: NGramModel) -> list[tuple[int, ...]]:
    """Return all histories that words can have, from none to the longest."""
    start, end = model.numbers[SENTENCE_START], model.numbers[SENTENCE_END]
    inner = [number for number in range(len(model.words)) if number not in (start, end)]
    return [
        history
        for n in range(model.order)
        for history in itertools.product([start, *inner], repeat=n)
        if start not in history[1:]
    ]


def every_row(model: NGramModel) -> list[np.ndarray]:
    """Return for each length of history the rows of each and each word that can follow.

    Returns:
        For each length n integers (histories, words, n + 1).
    """
    start = model.numbers[SENTENCE_START]
    following = [number for number in range(len(model.words)) if number != start]
    rows: list[list[list[tuple[int, ...]]]] = [[] for _ in range(model.order)]
    for history in every_history(model):
        rows[len(history)].append([(*history, word) for word in following])
    return [np.array(some) for some in rows]


def sums(model: NGramModel) -> np.ndarray:
    """Return what the probabilities of the words after each history sum to."""
    return np.concatenate(
        [
            (10.0 ** model.log_probs(rows.reshape(-1, rows.shape[2])))
            .reshape(rows.shape[:2])
            .sum(axis=1)
            for rows in every_row(model)
        ]
    )


def same(one: NGramModel, other: NGramModel, tolerance: float = 0.0) -> bool:
    """Whether two models have the same n-grams with the same numbers."""
    return one.words == other.words and all(
        np.array_equal(a.keys, b.keys)
        and np.allclose(a.log_probs, b.log_probs, rtol=0, atol=tolerance)
        and np.allclose(a.back_offs, b.back_offs, rtol=0, atol=tolerance)
        for a, b in zip(one.orders, other.orders, strict=True)
    )


def in_kenlm(model: NGramModel, path: Path) -> Any:
    """Return a model as KenLM reads it."""
    import kenlm

    write_arpa(model, path)
    config = kenlm.Config()
    config.show_progress = False
    return kenlm.LanguageModel(str(path), config)


def kenlm_log_prob(model: Any, history: list[str], word: str) -> float:
    """Return base-10 log-probability of a word after others, the first may be ``<s>``."""
    import kenlm

    state, after = kenlm.State(), kenlm.State()
    begins = history[:1] == [SENTENCE_START]
    (model.BeginSentenceWrite if begins else model.NullContextWrite)(state)
    for earlier in history[1:] if begins else history:
        model.BaseScore(state, earlier, after)
        state, after = after, state
    return float(model.BaseScore(state, word, after))
