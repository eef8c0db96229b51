"""A language model of a few words, and log-probabilities that spell what a test wants."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from model.alphabet import ENGLISH, Alphabet

ARPA = """\\data\\
ngram 1=7
ngram 2=6

\\1-grams:
-99\t<s>\t-0.3
-1.5\t</s>
-2.5\t<unk>
-1.0\tthe\t-0.3
-1.2\tcat\t-0.3
-1.2\tsat\t-0.3
-1.2\thut\t-0.3

\\2-grams:
-0.2\t<s> the
-0.2\tthe cat
-0.2\tcat sat
-2.5\tthe sat
-0.3\tthe hut
-0.2\tsat </s>

\\end\\
"""


def write_arpa(path: Path, text: str = ARPA) -> Path:
    """Write a language model and return its path."""
    path.write_text(text)
    return path


def path_of(symbols: str, sure: float = 0.9, alphabet: Alphabet = ENGLISH) -> np.ndarray:
    """Return log-probabilities whose best path is ``symbols``; ``_`` is the blank."""
    probs = np.full((len(symbols), alphabet.size), (1 - sure) / (alphabet.size - 1))
    for frame, symbol in enumerate(symbols):
        probs[frame, 0 if symbol == "_" else alphabet.encode(symbol)[0]] = sure
    return np.log(probs).astype(np.float32)


def also(log_probs: np.ndarray, frame: int, symbol: str, probability: float) -> np.ndarray:
    """Return log-probabilities in which one more symbol is likely in one frame."""
    probs = np.exp(log_probs)
    probs[frame, ENGLISH.encode(symbol)[0]] = probability
    return np.log(probs / probs.sum(axis=1, keepdims=True))


def random_log_probs(seed: int, frames: int, sharpness: float = 4.0) -> np.ndarray:
    """Return float32 (frames, symbols) of English symbols, few of them likely in a frame."""
    logits = np.random.default_rng(seed).normal(0, sharpness, (frames, ENGLISH.size))
    return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)
