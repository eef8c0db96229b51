"""Word and character error rates, and the greedy reading of network outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import jiwer
import numpy as np

from model.alphabet import Alphabet


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
    def wer(self) -> float:
        """Word error rate: errors for each reference word."""
        return (self.substitutions + self.deletions + self.insertions) / max(1, self.words)

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
