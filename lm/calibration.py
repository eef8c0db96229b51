"""Confidences of words that mean what they say: about nine in ten words of 0.9 are right."""

from __future__ import annotations

import math
from dataclasses import dataclass

from model.settings import at_least, between, check

SUREST = 0.999
"""Probabilities count as no closer to 0 or 1 than this is to 1."""


@dataclass(frozen=True)
class WordEvidence:
    """What a decoder knows of a word that it read.

    Attributes:
        posterior: Share of the hypotheses left at the end, each weighed by the exponential
            of its score, that have the word in this place; 0 to 1.
        acoustic: Mean probability of its symbols, each at its surest frame; 0 to 1.
        letters: Number of its symbols.
        known: Whether the language model knows it; true where there is no such model.
    """

    posterior: float
    acoustic: float
    letters: int
    known: bool = True

    def __post_init__(self) -> None:
        check(self, between(0, 1, "posterior", "acoustic"), at_least(1, "letters"))


@dataclass(frozen=True)
class Calibration:
    """Turns evidence into the probability that a word is right, by logistic regression.

    The log-odds of a word that is right are a weighted sum, as in Siu and Gish, Evaluation
    of word confidence for speech recognition systems, Computer Speech and Language 13
    (1999).  More of a probability never makes a word less sure.

    Attributes:
        bias: Log-odds before any evidence.
        posterior: Weight of the log-odds of ``WordEvidence.posterior``.
        acoustic: Weight of the log-odds of ``WordEvidence.acoustic``.
        letters: Weight of the natural logarithm of the number of letters.
        known: What a known word adds.
    """

    bias: float = -2.5
    posterior: float = 0.2
    acoustic: float = 0.7
    letters: float = 0.15
    known: float = 0.4

    def __post_init__(self) -> None:
        check(self, at_least(0, "posterior", "acoustic"))

    def confidence(self, evidence: WordEvidence) -> float:
        """Return the probability, 0 to 1, that a word with this evidence is right."""
        posterior, acoustic, letters, known = measures(evidence)
        log_odds = (
            self.bias
            + self.posterior * posterior
            + self.acoustic * acoustic
            + self.letters * letters
            + self.known * known
        )
        return _probability(log_odds)


def measures(evidence: WordEvidence) -> tuple[float, float, float, float]:
    """Return what the weights of a calibration multiply, in the order of its fields."""
    return (
        _log_odds(evidence.posterior),
        _log_odds(evidence.acoustic),
        math.log(evidence.letters),
        float(evidence.known),
    )


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, 1 - SUREST), SUREST)
    return math.log(bounded / (1 - bounded))


def _probability(log_odds: float) -> float:
    """Return the logistic function, which must not overflow at either end."""
    if log_odds >= 0:
        return 1 / (1 + math.exp(-log_odds))
    return math.exp(log_odds) / (1 + math.exp(log_odds))
