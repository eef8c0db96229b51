"""How well a model foresees a text: perplexity and the share of words it does not know."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Judgement:
    """What a model makes of a text.

    Attributes:
        sentences: In it.
        words: In it.
        unknown: Words that the model does not know.
        perplexity: Of the known words and the sentences' ends; NaN without any.
    """

    sentences: int
    words: int
    unknown: int
    perplexity: float

    @property
    def unknown_share(self) -> float:
        """Share of the words that the model does not know, 0 to 1."""
        return self.unknown / self.words if self.words else 0.0

    def describe(self) -> dict[str, Any]:
        """Return it in terms of JSON."""
        return {**asdict(self), "perplexity": round(self.perplexity, 2)}


def judge(model: Any, sentences: Iterable[str]) -> Judgement:
    """Return what a ``kenlm.Model`` makes of normalised sentences."""
    lines = words = unknown = 0
    score = 0.0
    for sentence in sentences:
        lines += 1
        for log_prob, _, is_unknown in model.full_scores(sentence):
            words += 1
            unknown += is_unknown
            score += 0.0 if is_unknown else log_prob
    heard = words - unknown
    perplexity = 10 ** (-score / heard) if heard else math.nan
    return Judgement(lines, words - lines, unknown, perplexity)


def open_model(path: Path) -> Any:
    """Return the ``kenlm.Model`` of a binary file."""
    import kenlm

    config = kenlm.Config()
    config.show_progress = False
    return kenlm.Model(str(path), config)
