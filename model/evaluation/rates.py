"""Measures of transcripts against references, and the greedy reading of network outputs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from itertools import zip_longest
from typing import Any

import jiwer
import numpy as np

from model.alphabet import Alphabet

Pair = tuple[str, str]
"""What the reference has and what the hypothesis has in its place; "" for nothing."""


@dataclass(frozen=True)
class ErrorRates:
    """How transcripts differ from their references.

    Attributes:
        words: Words in the references.
        substitutions: Words replaced by another.
        deletions: Words left out.
        insertions: Words added.
        characters: Characters in the references, spaces included.
        character_errors: Characters replaced, left out or added.
    """

    words: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    characters: int = 0
    character_errors: int = 0

    def __add__(self, other: ErrorRates) -> ErrorRates:
        return ErrorRates(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    @property
    def word_errors(self) -> int:
        """Words replaced, left out or added."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def wer(self) -> float:
        """Word error rate: errors for each reference word."""
        return self.word_errors / max(1, self.words)

    @property
    def cer(self) -> float:
        """Character error rate: errors for each reference character."""
        return self.character_errors / max(1, self.characters)


def error_rates(references: Sequence[str], hypotheses: Sequence[str]) -> ErrorRates:
    """Return the errors of ``hypotheses`` against ``references``, both normalised text.

    Raises:
        ValueError: If there are not as many of one as of the other.
    """
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references, but {len(hypotheses)} hypotheses")
    if not references:
        return ErrorRates()
    words = jiwer.process_words(list(references), list(hypotheses))
    letters = jiwer.process_characters(list(references), list(hypotheses))
    return ErrorRates(
        words=words.hits + words.substitutions + words.deletions,
        substitutions=words.substitutions,
        deletions=words.deletions,
        insertions=words.insertions,
        characters=letters.hits + letters.substitutions + letters.deletions,
        character_errors=letters.substitutions + letters.deletions + letters.insertions,
    )


def cosine_similarity(references: Iterable[str], hypotheses: Iterable[str]) -> float:
    """Return the cosine between the counts of words in both, 0 to 1, whatever their order.

    It is 0 where one of them holds no words, and 1 where neither does.
    """
    wanted = Counter(word for text in references for word in text.split())
    read = Counter(word for text in hypotheses for word in text.split())
    if not wanted or not read:
        return float(wanted == read)
    product = sum(count * read[word] for word, count in wanted.items())
    squares = [sum(count * count for count in counts.values()) for counts in (wanted, read)]
    return product / math.sqrt(squares[0] * squares[1])


def align_words(reference: str, hypothesis: str) -> list[Pair]:
    """Return the words of both in pairs, by the fewest edits; see ``Pair``."""
    return _pairs(jiwer.process_words([reference], [hypothesis]))


def align_characters(reference: str, hypothesis: str) -> list[Pair]:
    """Return the characters of both in pairs, by the fewest edits; see ``Pair``."""
    return _pairs(jiwer.process_characters([reference], [hypothesis]))


def ranked(counts: Counter[Pair]) -> list[tuple[Pair, int]]:
    """Return pairs with their counts, the most frequent first, equals by the alphabet."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def greedy_labels(scores: np.ndarray) -> np.ndarray:
    """Return the labels of the best path: repeats joined, then blanks (0) dropped.

    Args:
        scores: (frames, symbols) logits or log-probabilities.
    """
    best = scores.argmax(axis=-1)
    changed = np.diff(best, prepend=-1) != 0
    return best[changed & (best != 0)]


def greedy_text(scores: np.ndarray, alphabet: Alphabet) -> str:
    """Return the text of the best path, with single spaces between words."""
    return " ".join(alphabet.decode(greedy_labels(scores)).split())


def _pairs(output: Any) -> list[Pair]:
    """Return the alignment of the only sentence of a jiwer output."""
    reference, hypothesis = output.references[0], output.hypotheses[0]
    return [
        pair
        for chunk in output.alignments[0]
        for pair in zip_longest(
            reference[chunk.ref_start_idx : chunk.ref_end_idx],
            hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx],
            fillvalue="",
        )
    ]
