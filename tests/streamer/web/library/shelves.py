"""Recordings to put into a library, and a model that hears what it is told to."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from model.alphabet import ENGLISH
from model.features import FeatureExtractor, FeatureSettings
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.events import FinalTranscript, Word
from streamer.web.library.kept import KeptRecording
from streamer.web.library.library import Library

BLOCK = 512


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise on the grid of 16 bits, as the microphone gives it."""
    samples = np.random.default_rng(seed).integers(-9000, 9000, round(seconds * SAMPLE_RATE))
    return (samples / 32768).astype(np.float32)


def final(text: str, start_s: float, end_s: float, confidence: float = 0.5) -> FinalTranscript:
    """An utterance whose words lie one after the other, each as long as the others."""
    words = text.split()
    edges = np.linspace(start_s, end_s, len(words) + 1).tolist()
    spoken = tuple(
        Word(word, edges[place], edges[place + 1], confidence) for place, word in enumerate(words)
    )
    return FinalTranscript(1, text, spoken, start_s, end_s, end_s, "silence")


def push(kept: KeptRecording, samples: np.ndarray, start: int = 0) -> None:
    """Push audio in blocks."""
    for place in range(0, len(samples), BLOCK):
        assert kept.push(AudioBlock(samples[place : place + BLOCK], start + place)) == []


def keep(
    library: Library, texts: Sequence[str], title: str = "", samples: np.ndarray | None = None
) -> str:
    """Keep a recording with an utterance a second; return its id."""
    kept = library.begin(title, "upload", "toy")
    push(kept, noise(len(texts)) if samples is None else samples)
    for place, text in enumerate(texts):
        kept.add(final(text, float(place), place + 1.0))
    kept.finish()
    return kept.id


class Hears:
    """A model, and who has it, that hears the same symbols in whatever it is given.

    Attributes:
        acoustic: Itself.
        heard: Samples that it was given last.
    """

    frame_samples = 1600

    def __init__(self, log_probs: np.ndarray | None = None) -> None:
        self.acoustic: Any = self
        self.extractor: Any = self
        self.bundle = SimpleNamespace(alphabet=ENGLISH)
        self.heard = np.zeros(0, np.float32)
        self._log_probs = np.zeros((0, 29), np.float32) if log_probs is None else log_probs

    def extract(self, samples: np.ndarray) -> np.ndarray:
        self.heard = samples
        return FeatureExtractor(FeatureSettings()).extract(samples)

    def log_probs(self, features: np.ndarray, final: bool = False) -> np.ndarray:
        assert final
        return self._log_probs
