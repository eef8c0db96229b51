"""Which of a checkpoint's arrays become the weights of a bundle."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from model.bundle import load_bundle, save_bundle
from model.card import describe
from model.errors import BundleError
from model.features import FeatureStatistics
from model.recipe import NetworkSettings, Recipe
from model.training.checkpoint import Checkpoint, Progress, write_best, write_checkpoint
from model.training.export import AVERAGE, bundle_from_run
from model.weights import weight_shapes

RECIPE = Recipe(
    network=NetworkSettings(
        kernels=(3,),
        strides=(2,),
        filters=4,
        layers=2,
        units=3,
        normalisation="batch",
        intermediate=(1,),
    )
)
SHAPES = weight_shapes(RECIPE.network)
STATISTICS = FeatureStatistics(np.zeros(80, np.float32), np.ones(80, np.float32))


def group(name: str, value: float, left_out: str = "none") -> dict[str, np.ndarray]:
    """Return arrays of a checkpoint, all of one value."""
    kept = {path: shape for path, shape in SHAPES.items() if left_out not in path}
    return {
        f"{name}/{place:04d}/{path}": np.full(shape, value, np.float32)
        for place, (path, shape) in enumerate(kept.items())
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A training's folder without its checkpoints."""
    (tmp_path / "recipe.json").write_text(json.dumps(asdict(RECIPE)))
    return tmp_path


def values(weights: dict[str, np.ndarray], moving: bool) -> set[float]:
    chosen = [array for path, array in weights.items() if ("moving" in path) == moving]
    return set(np.concatenate([array.ravel() for array in chosen]).tolist())


def test_averaged_weights_win_and_moving_statistics_come_along(run: Path) -> None:
    arrays = group("model", 1) | group("optimizer", 2) | group("average", 3, left_out="moving")
    write_checkpoint(run, Checkpoint(Progress(step=4), arrays))
    bundle = bundle_from_run(run, "averaged", STATISTICS)
    loaded = load_bundle(save_bundle(bundle, run / "bundle"))
    assert loaded.weights.keys() == SHAPES.keys()
    assert (values(loaded.weights, moving=False), values(loaded.weights, moving=True)) == ({3}, {1})
    assert loaded.provenance.weights == AVERAGE
    assert f"the weights are an {AVERAGE}" in describe(loaded)


def test_without_an_average_the_weights_are_those_of_the_step(run: Path) -> None:
    write_checkpoint(run, Checkpoint(Progress(step=4), group("model", 1)))
    bundle = bundle_from_run(run, "plain", STATISTICS)
    assert values(dict(bundle.weights), moving=False) == {1}
    assert bundle.provenance.weights == ""
    assert "the weights are" not in describe(bundle)


def test_the_best_checkpoint_is_taken_unless_told_otherwise(run: Path) -> None:
    write_checkpoint(run, Checkpoint(Progress(step=9, wer=0.9), group("model", 1)))
    write_best(run, Checkpoint(Progress(step=5, wer=0.5), group("model", 2)))
    best = bundle_from_run(run, "best", STATISTICS)
    newest = bundle_from_run(run, "newest", STATISTICS, checkpoint="newest")
    assert [bundle.provenance.steps for bundle in (best, newest)] == [5, 9]
    assert [values(dict(b.weights), moving=False) for b in (best, newest)] == [{2}, {1}]


def test_a_checkpoint_without_moving_statistics_is_refused(run: Path) -> None:
    arrays = group("model", 1, left_out="moving_mean")
    write_checkpoint(run, Checkpoint(Progress(step=4), arrays))
    with pytest.raises(BundleError, match="weight convolution_0_norm/moving_mean is missing"):
        bundle_from_run(run, "incomplete", STATISTICS)
