"""A small acoustic bundle, recordings that say little, and what a network makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lm.tuning.log_probs import Acoustics, Compute, Scored, score
from model.alphabet import ENGLISH
from model.bundle import ModelBundle, save_bundle
from model.corpora.manifest import Utterance, write_manifest
from model.features import FeatureSettings, FeatureStatistics
from model.recipe import NetworkSettings
from model.weights import weight_shapes
from tests.lm.toys import also, path_of
from tests.model.corpus_folders import noise

NETWORK = NetworkSettings(kernels=(3,), strides=(2,), filters=4, layers=1, units=3)
TEXTS = ("the cat sat", "the hut", "cat sat", "the cat")


def acoustic_bundle(folder: Path, seed: int = 0, name: str = "small") -> Path:
    """Write a bundle with random weights."""
    random = np.random.default_rng(seed)
    weights = {
        name: random.normal(size=shape).astype(np.float32)
        for name, shape in weight_shapes(NETWORK).items()
    }
    statistics = FeatureStatistics(np.zeros(80, np.float32), np.ones(80, np.float32), 40.0)
    bundle = ModelBundle(name, ENGLISH, FeatureSettings(), statistics, NETWORK, weights)
    return save_bundle(bundle, folder)


def recordings(folder: Path, count: int = 8, speakers: int = 4) -> list[Utterance]:
    """Write recordings of noise with references, and a manifest beside them."""
    rows = [
        Utterance(
            noise(folder / f"{place:02}.wav", 0.2, place),
            TEXTS[place % len(TEXTS)],
            0.2,
            speaker=f"speaker-{place % speakers}",
            corpus=("books", "phones")[place % speakers // 2 % 2],
        )
        for place in range(count)
    ]
    write_manifest(folder / "manifest.jsonl", rows)
    return rows


class FakeNetwork:
    """Gives log-probabilities that spell the references in turn, "cut" in place of "cat".

    Attributes:
        loaded: How often it was loaded.
        read: How many recordings it read.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.loaded = 0
        self.read = 0
        self._texts = texts

    def __call__(self) -> Compute:
        self.loaded += 1
        texts = iter(self._texts)
        return lambda samples: self._next(texts)

    def _next(self, texts: Iterator[str]) -> np.ndarray:
        self.read += 1
        return misheard(next(texts))


def misheard(text: str) -> np.ndarray:
    """Return log-probabilities that spell "cut" where the text has "cat", "a" less likely."""
    symbols = "".join(f"{letter}_" for letter in text.replace("cat", "cut"))
    log_probs = path_of(symbols, 0.6)
    for frame, symbol in enumerate(symbols):
        if symbols[frame - 2 : frame + 3] == "c_u_t" and symbol == "u":
            log_probs = also(log_probs, frame, "a", 0.3)
    return log_probs.astype(np.float32)


def scored(
    rows: Sequence[Utterance], bundle: Path, cache: Path
) -> tuple[list[Scored], FakeNetwork]:
    """Return recordings with fake log-probabilities in a cache, and what computed them."""
    network = FakeNetwork([row.text for row in rows])
    return score(rows, Acoustics.read(bundle), cache, network), network
