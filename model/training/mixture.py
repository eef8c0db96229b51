"""Weights between those of a model and those that it has after it learned more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from model.bundle import ModelBundle, Provenance
from model.errors import UsageError
from model.training.fine_tuning import identify

HALF = 0.5
"""Share of the tuned weights that Wortsman et al. advise where nothing can choose another."""


def mixture(start: ModelBundle, tuned: ModelBundle, share: float = HALF) -> ModelBundle:
    """Return a model whose every weight lies between those of two models.

    Fine-tuning on little speech teaches that speech and forgets other; weights on the
    straight line between before and after keep much of both (Wortsman et al., "Robust
    fine-tuning of zero-shot models", 2022).  The means and variances of a normalisation
    are mixed like any weight.  Error rates and reports of ``tuned`` are left behind: they
    were measured on other weights.

    Args:
        start: The model that the training of ``tuned`` started from.
        tuned: Gives the name and all that is not weights too.
        share: Of the weights of ``tuned``: 0 gives those of ``start``, 1 those of ``tuned``.

    Raises:
        UsageError: If the share is not 0 to 1, or ``tuned`` did not start from ``start``.
    """
    if not 0 <= share <= 1:
        raise UsageError(f"the share of the new weights must be 0 to 1, got {share:g}")
    _check_start(start, tuned)
    return replace(
        tuned,
        weights={
            name: _between(array, tuned.weights[name], share)
            for name, array in start.weights.items()
        },
        provenance=_provenance(start, tuned.provenance, share),
    )


def _check_start(start: ModelBundle, tuned: ModelBundle) -> None:
    """Refuse models on whose way from one to the other there is no sense in stopping."""
    begun = tuned.provenance.recipe.get("init", {}).get("weights")
    if begun != identify(start)["weights"]:
        raise UsageError(
            f"the training of {tuned.name} did not start from the weights of {start.name}; give "
            "the model that fit --init was given"
        )


def _between(start: np.ndarray, tuned: np.ndarray, share: float) -> np.ndarray:
    mixed = (1 - share) * start.astype(np.float64) + share * tuned.astype(np.float64)
    return mixed.astype(np.float32)


def _provenance(start: ModelBundle, tuned: Provenance, share: float) -> Provenance:
    recipe: dict[str, Any] = dict(tuned.recipe)
    recipe["init"] = {**recipe["init"], "share": share}
    kind = tuned.weights or "result of the last step"
    weights = f"{kind}, mixed as {share:g} to {1 - share:g} with the weights of {start.name}"
    return replace(tuned, recipe=recipe, weights=weights, evaluation={}, report="")
