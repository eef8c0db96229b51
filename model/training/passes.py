"""What a training learns from, and how often each utterance occurs in a pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.corpora.manifest import Utterance
from model.errors import TrainingError
from model.features import FeatureStatistics
from model.recipe import Recipe, TrainingSettings
from model.training.batches import Corpus
from model.training.feature_cache import CachedFeatures
from model.training.schedule import draw_base
from model.variation.surroundings import Surroundings


@dataclass(frozen=True)
class TrainingData:
    """Utterances with their features.

    Attributes:
        rows: The manifests' rows.
        features: Their features, in the same order.
        perturbed: Those of perturbed copies of all of them, view by view.
        base: How many of the rows, the last ones, are base speech: what a model that is
            fine-tuned learned from before, of which each pass draws some.
    """

    rows: Sequence[Utterance]
    features: CachedFeatures
    perturbed: Sequence[CachedFeatures] = ()
    base: int = 0


def make_corpus(data: TrainingData, recipe: Recipe, statistics: FeatureStatistics) -> Corpus:
    """Return what cuts ``data`` into batches as a recipe wants them."""
    settings, frame_s = recipe.training, recipe.features.frame_s
    return Corpus(
        data.features,
        [recipe.alphabet.encode(row.text) for row in data.rows],
        statistics,
        recipe.network.stride,
        round(settings.batch_s / frame_s),
        [round(length / frame_s) for length in settings.bucket_s],
        frame_s,
        [row.weight for row in data.rows],
        data.perturbed,
        recipe.perturbation.share,
        Surroundings(recipe.surroundings, recipe.features) if recipe.surroundings.any else None,
        paired=settings.consistency > 0,
    )


def require_usable(data: TrainingData, usable: np.ndarray, settings: TrainingSettings) -> None:
    """Raise TrainingError unless a pass has an utterance that is not base speech.

    Args:
        data: What to learn from.
        usable: Index of every utterance that can be trained on.
        settings: Copies of each corpus.
    """
    own = usable[usable < len(data.rows) - data.base]
    if not _copies(data, settings)[own].any():
        raise TrainingError(
            "no utterance can be trained on: each is shorter than its transcript needs, "
            "or its corpus has 0 copies"
        )


def copies_in_pass(
    data: TrainingData,
    usable: np.ndarray,
    settings: TrainingSettings,
    random: np.random.Generator,
) -> np.ndarray:
    """Return how often each utterance occurs in a pass, int (utterances,).

    Args:
        data: What to learn from.
        usable: Index of every utterance that can be trained on.
        settings: Copies of each corpus, and the share of the base speech.
        random: Draws the base speech.
    """
    copies = _copies(data, settings)
    if not data.base:
        return copies
    durations = np.zeros(len(copies))
    durations[usable] = [data.rows[row].duration for row in usable]
    durations *= copies
    own = len(copies) - data.base
    drawn = draw_base(durations[own:], float(durations[:own].sum()), settings.base_share, random)
    return np.concatenate([copies[:own], drawn * copies[own:]])


def _copies(data: TrainingData, settings: TrainingSettings) -> np.ndarray:
    """Return the copies of each utterance's corpus, int (utterances,)."""
    return np.array([settings.copies.get(row.corpus, 1) for row in data.rows], int)
