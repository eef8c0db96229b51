"""Make a model bundle of a checkpoint of a training."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from model.bundle import ModelBundle, Provenance
from model.errors import TrainingError, UsageError
from model.features import FeatureStatistics
from model.recipe import NetworkSettings, Recipe, recipe_from
from model.statistics import load_statistics
from model.training.checkpoint import Checkpoint, Choice, chosen_checkpoint
from model.training.run_folder import RECIPE_FILE, STATISTICS_FILE, read_data
from model.weights import weight_shapes

AVERAGE = "exponential moving average"

RECIPE_PARTS = ("training", "augmentation", "surroundings", "perturbation")
"""What of a recipe a bundle tells of; its features and network it holds anyway."""


def bundle_from_run(
    folder: str | Path,
    name: str,
    statistics: FeatureStatistics | None = None,
    hours: Mapping[str, float] | None = None,
    notes: str = "",
    notify: Callable[[str], None] = warnings.warn,
    checkpoint: Choice = "best",
) -> ModelBundle:
    """Return the bundle of a checkpoint in a training's folder.

    Where the training keeps a moving average of the weights, the bundle holds that.

    Args:
        folder: As ``Trainer`` leaves it, finished or not.
        name: Of the bundle.
        statistics: Replace those in the folder.
        hours: Hours of speech by corpus; replace those in the folder.
        notes: Markdown on the data: licences and attribution.
        notify: Told of damaged checkpoints that are passed over.
        checkpoint: The one with the lowest word error rate on dev, or the newest, which
            also stands in for a best one where there is none.

    Raises:
        UsageError: If the folder holds no training, or lacks its statistics.
        TrainingError: If all its checkpoints are damaged.
        BundleError: If the weights are not finite or do not fit the recipe.
    """
    folder = Path(folder)
    chosen = chosen_checkpoint(folder, checkpoint, notify)
    if chosen is None:
        raise UsageError(f"{folder}: holds no checkpoint; give the folder of train.py fit")
    if statistics is None:
        statistics = _stored_statistics(folder)
    recipe = _read_recipe(folder / RECIPE_FILE)
    return ModelBundle(
        name=name,
        alphabet=recipe.alphabet,
        features=recipe.features,
        statistics=statistics,
        network=recipe.network,
        weights=_weights(chosen, recipe.network),
        provenance=_provenance(read_data(folder), recipe, chosen, hours, notes),
    )


def _stored_statistics(folder: Path) -> FeatureStatistics:
    path = folder / STATISTICS_FILE
    if not path.exists():
        raise UsageError(f"{path}: no such file; give the training's statistics with --stats")
    return load_statistics(path)


def _read_recipe(path: Path) -> Recipe:
    try:
        return recipe_from(json.loads(path.read_text(encoding="utf-8")))
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{path}: cannot be read as the recipe of a training: {error!r}"
        ) from error


def _weights(checkpoint: Checkpoint, network: NetworkSettings) -> dict[str, np.ndarray]:
    """Return the network's weights, averaged where they are, by the names in a bundle."""
    named = _group(checkpoint, "model") | _group(checkpoint, "average")
    return {name: named[name] for name in weight_shapes(network) if name in named}


def _group(checkpoint: Checkpoint, group: str) -> dict[str, np.ndarray]:
    """Return the arrays of one group of a checkpoint by the path of their variables."""
    return {
        name.split("/", 2)[2]: array
        for name, array in checkpoint.arrays.items()
        if name.startswith(f"{group}/")
    }


def _provenance(
    data: Mapping[str, Any],
    recipe: Recipe,
    checkpoint: Checkpoint,
    hours: Mapping[str, float] | None,
    notes: str,
) -> Provenance:
    progress, values, init = checkpoint.progress, asdict(recipe), data.get("init", {})
    figures = {"dev_wer": progress.wer, "dev_cer": progress.cer, "train_loss": progress.loss}
    return Provenance(
        hours=data.get("hours", {}) if hours is None else hours,
        recipe={name: values[name] for name in RECIPE_PARTS}
        | ({"init": {name: init[name] for name in ("name", "weights")}} if init else {}),
        steps=progress.step,
        weights=AVERAGE if _group(checkpoint, "average") else "",
        minutes=round(progress.seconds / 60, 1),
        speech_hours=round(progress.speech_s / 3600, 2),
        versions=data.get("versions", {}),
        evaluation={name: value for name, value in figures.items() if math.isfinite(value)},
        notes=notes or init.get("notes", ""),
    )
