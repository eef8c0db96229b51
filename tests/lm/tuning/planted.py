"""A decoder that makes more errors the farther its settings are from planted ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lm.decoder import DecodedWord, Hypothesis, WholeSession
from lm.search import SearchSettings
from lm.tuning.log_probs import Scored
from model.corpora.manifest import Utterance


@dataclass
class Planted:
    """Makes such decoders and counts what they read.

    Attributes:
        alpha: The best one.
        beta: The best one.
        penalty: The best one for unknown words.
        width: The smallest one that loses nothing.
        threshold: The tightest one of the beam that loses nothing.
        read: Recordings read.
    """

    alpha: float = 0.75
    beta: float = 0.5
    penalty: float = 8.0
    width: int = 16
    threshold: float = 8.0
    read: int = 0

    def __call__(self, settings: SearchSettings) -> PlantedDecoder:
        return PlantedDecoder(self, settings)

    def errors(self, settings: SearchSettings) -> int:
        """Return how many words too many a decoder reads."""
        return round(
            20 * abs(settings.alpha - self.alpha)
            + 8 * abs(settings.beta - self.beta)
            + abs(settings.unknown_penalty - self.penalty)
            + 9 * (settings.beam_width < self.width)
            + 9 * (settings.beam_threshold < self.threshold)
        )


@dataclass
class PlantedDecoder:
    """Reads "the" and some words too many, whatever was said."""

    planted: Planted
    settings: SearchSettings

    def decode(self, log_probs: np.ndarray, settled: Sequence[str] = ()) -> Hypothesis:
        self.planted.read += 1
        words = ["the", *["more"] * self.planted.errors(self.settings)]
        return Hypothesis(tuple(DecodedWord(word, 0, 1, 0.5) for word in words), 0.0)

    def session(self, settled: Sequence[str] = ()) -> WholeSession:
        return WholeSession(self)


def one_word_recordings(folder: Path, count: int = 32, speakers: int = 8) -> list[Scored]:
    """Return recordings of the word "the" by several speakers of two corpora."""
    path = folder / "same.npy"
    np.save(path, np.zeros((1, 2), np.float32))
    return [
        Scored(
            Utterance(
                folder / f"{place}.wav",
                "the",
                1.0,
                speaker=f"speaker-{place % speakers}",
                corpus="books" if place % speakers < speakers // 2 else "phones",
            ),
            f"{place:064x}",
            path,
        )
        for place in range(count)
    ]
