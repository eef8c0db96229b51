"""Starting from a trained model: what it decides, and gentler settings than for a new one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from model.bundle import ModelBundle
from model.errors import UsageError
from model.recipe import Recipe
from model.settings import RangeError

GENTLE = (
    "training.passes=10",
    "training.batch_s=30",
    "training.bucket_s=[3, 5, 8, 12, 17]",
    "training.learning_rate=2e-4",
    "training.warmup_steps=20",
    "training.hold=0",
    "training.sort_first_pass=false",
    "training.average=0.98",
    "augmentation.tempo=0.05",
    "augmentation.vocal_tract=0.04",
)
"""Values of the recipe that suit some minutes of speech, as ``--set`` takes them."""


def fine_tuning_recipe(
    recipe: Recipe, bundle: ModelBundle, notify: Callable[[str], None] = lambda text: None
) -> Recipe:
    """Return a recipe with the features, network and alphabet of the model to start from.

    Args:
        recipe: Gives the rest.
        bundle: The model.
        notify: Told of sections that the recipe had other values in.

    Raises:
        UsageError: If the rest does not go with them.
    """
    for name in ("features", "network"):
        if getattr(recipe, name) not in (getattr(bundle, name), getattr(Recipe(), name)):
            notify(f"{name}: the recipe's are left aside for those of the model {bundle.name}")
    try:
        return replace(
            recipe, features=bundle.features, network=bundle.network, alphabet=bundle.alphabet
        )
    except RangeError as error:
        raise UsageError(f"the recipe does not go with the model {bundle.name}: {error}") from error


def identify(bundle: ModelBundle | None) -> dict[str, str]:
    """Return a model's name, a digest of its weights and its notes on the data; empty for none."""
    if bundle is None:
        return {}
    digest = hashlib.sha256()
    for name in sorted(bundle.weights):
        digest.update(name.encode() + bundle.weights[name].tobytes())
    return {
        "name": bundle.name,
        "weights": digest.hexdigest(),
        "notes": bundle.provenance.notes,
    }
