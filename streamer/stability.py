"""How likely a word of a rolling transcript is to stay as it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

MOST_SURE = 0.999
"""Confidences count as no closer to 0 or 1 than this is to 1."""

SHORTEST_LAG_S = 0.04
"""Lags count as no shorter than this, seconds."""

OLDEST_S = 1.0
"""Age beyond which a word is not surer to stay, seconds."""


@dataclass(frozen=True)
class WordStability:
    """The probability that a word of a partial transcript will be in the final one.

    Logistic regression on what is known of the word while the utterance goes on, after
    McGraw and Gruenstein, Estimating word-stability during incremental speech recognition
    (Interspeech 2012).  The weights come from ``benchmarks/stability.py``.

    Attributes:
        bias: Log-odds before anything is known.
        confidence: Weight of the log-odds of the decoder's confidence.
        lag: Weight of the natural logarithm of the seconds since the word's end.
        age: Weight of the seconds since which the partials have the word in its place.
        followed: What a word behind it adds.
        letters: Weight of the natural logarithm of its number of letters.
    """

    bias: float = 0.34
    confidence: float = 0.88
    lag: float = 0.39
    age: float = 1.62
    followed: float = 0.99
    letters: float = 0.21

    def probability(
        self, confidence: float, lag_s: float, age_s: float, followed: bool, letters: int
    ) -> float:
        """Return the probability that the word stays, 0 to 1.

        Args:
            confidence: Of the decoder, 0 to 1.
            lag_s: Audio since the word's end, seconds.
            age_s: How long the partials have had the word in its place, seconds of audio.
            followed: Whether a word was read behind it.
            letters: Its number of letters, at least 1.
        """
        measured = measures(confidence, lag_s, age_s, followed, letters)
        weights = (self.confidence, self.lag, self.age, self.followed, self.letters)
        log_odds = self.bias + sum(w * x for w, x in zip(weights, measured, strict=True))
        return 1 / (1 + math.exp(-log_odds))


def measures(
    confidence: float, lag_s: float, age_s: float, followed: bool, letters: int
) -> tuple[float, float, float, float, float]:
    """Return what the weights of a stability multiply, in the order of its fields."""
    sure = min(max(confidence, 1 - MOST_SURE), MOST_SURE)
    return (
        math.log(sure / (1 - sure)),
        math.log(max(lag_s, SHORTEST_LAG_S)),
        min(age_s, OLDEST_S),
        float(followed),
        math.log(letters),
    )
