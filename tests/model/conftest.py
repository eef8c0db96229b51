"""Recordings in which each letter is a tone, and a recipe small enough to learn them quickly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from model.corpora.manifest import Utterance, write_manifest
from model.recipe import NetworkSettings, Recipe, TrainingSettings

if TYPE_CHECKING:
    from model.training.passes import TrainingData
    from model.training.trainer import Trainer

RATE = 16_000
TEXTS = ("ab", "ba cab", "cab", "abba", "a cab", "bac ab", "cc", "b a c", "ca", "bab", "ac", "abc")


def speak(text: str, seed: int = 0) -> np.ndarray:
    """Return samples in which letters are tones of 0.1 s and spaces are silence."""
    time = np.arange(RATE // 10) / RATE
    tones = [
        np.sin(2 * np.pi * 300 * (1 + ord(letter) - ord("a")) * time) * (letter != " ")
        for letter in f" {text} "
    ]
    noise = np.random.default_rng(seed).normal(0, 0.003, len(tones) * len(time))
    return (0.3 * np.concatenate(tones) + noise).astype(np.float32)


def write_recording(path: Path, text: str, seed: int = 0) -> Utterance:
    samples = speak(text, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE)
    return Utterance(path, text, len(samples) / RATE, speaker="tone", corpus=path.parent.name)


@pytest.fixture(scope="session")
def tone_rows(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    folder = tmp_path_factory.mktemp("corpus") / "tones"
    return [write_recording(folder / f"{i:02}.wav", text, i) for i, text in enumerate(TEXTS)]


@pytest.fixture(scope="session")
def tone_manifest(tone_rows: list[Utterance]) -> Path:
    path = tone_rows[0].audio.parent / "manifest.jsonl"
    write_manifest(path, tone_rows)
    return path


@pytest.fixture(scope="session")
def dev_manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a manifest of other takes of the same texts, to judge by."""
    folder = tmp_path_factory.mktemp("dev") / "tones"
    takes = enumerate(TEXTS, len(TEXTS))
    rows = [write_recording(folder / f"{i:02}.wav", text, i) for i, text in takes]
    write_manifest(folder / "manifest.jsonl", rows)
    return folder / "manifest.jsonl"


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    return Recipe(
        network=NetworkSettings(kernels=(5,), strides=(2,), filters=12, layers=1, units=12),
        training=TrainingSettings(
            passes=2, batch_s=2.0, bucket_s=(2.0,), learning_rate=5e-3, warmup_steps=2
        ),
    )


@pytest.fixture(scope="session")
def tone_data(
    tone_rows: Sequence[Utterance], tmp_path_factory: pytest.TempPathFactory, tiny_recipe: Recipe
) -> TrainingData:
    from model.training.feature_cache import cached_features
    from model.training.passes import TrainingData

    cache = tmp_path_factory.mktemp("cache")
    return TrainingData(tone_rows, cached_features(tone_rows, tiny_recipe.features, cache))


@pytest.fixture
def make_trainer(
    tone_data: TrainingData, tiny_recipe: Recipe, tmp_path: Path
) -> Callable[..., Trainer]:
    """Return what makes a training in a folder, of the tones where not told otherwise."""

    def make(
        folder: str = "run",
        recipe: Recipe = tiny_recipe,
        train: TrainingData = tone_data,
        dev: TrainingData = tone_data,
        **options: object,
    ) -> Trainer:
        from model.training.trainer import Trainer

        statistics = tone_data.features.statistics()
        return Trainer(recipe, train, dev, statistics, tmp_path / folder, **options)  # type: ignore[arg-type]

    return make
