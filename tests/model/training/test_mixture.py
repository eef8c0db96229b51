"""Models between one and what a training made of it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from model.alphabet import ENGLISH
from model.bundle import ModelBundle, Provenance, load_bundle, save_bundle
from model.card import describe
from model.errors import UsageError
from model.features import FeatureSettings, FeatureStatistics
from model.recipe import NetworkSettings, Recipe
from model.statistics import save_statistics
from model.training.checkpoint import Checkpoint, Progress, write_best
from model.training.export import AVERAGE
from model.training.fine_tuning import identify
from model.training.mixture import mixture
from model.weights import weight_shapes
from train import main

NETWORK = NetworkSettings(
    kernels=(3,), strides=(2,), filters=4, layers=1, units=3, normalisation="batch"
)
STATISTICS = FeatureStatistics(np.zeros(80, np.float32), np.ones(80, np.float32))


def random_weights(seed: int) -> dict[str, np.ndarray]:
    """Return weights of the network that float16 can hold."""
    random = np.random.default_rng(seed)
    return {
        name: random.uniform(0.1, 2, shape).astype(np.float16).astype(np.float32)
        for name, shape in weight_shapes(NETWORK).items()
    }


def make_bundle(name: str, seed: int, provenance: Provenance) -> ModelBundle:
    return ModelBundle(
        name, ENGLISH, FeatureSettings(), STATISTICS, NETWORK, random_weights(seed), provenance
    )


@pytest.fixture
def start() -> ModelBundle:
    return make_bundle("start", 1, Provenance(hours={"books": 100.0}, notes="Books: CC0."))


@pytest.fixture
def tuned(start: ModelBundle) -> ModelBundle:
    """The model after a training whose figures are known."""
    init = {name: identify(start)[name] for name in ("name", "weights")}
    provenance = Provenance(
        hours={"corrections": 0.1},
        recipe={"training": {}, "init": init},
        steps=40,
        weights=AVERAGE,
        evaluation={"dev_wer": 0.1},
        report="| overall | 3 |",
    )
    return make_bundle("tuned", 2, provenance)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_every_weight_lies_on_the_line_between_both(
    start: ModelBundle, tuned: ModelBundle, share: float
) -> None:
    mixed = mixture(start, tuned, share)
    assert any("moving_variance" in name for name in mixed.weights)
    assert mixed.weights.keys() == start.weights.keys()
    for name, array in mixed.weights.items():
        old, new = start.weights[name], tuned.weights[name]
        assert array.dtype == np.float32
        np.testing.assert_allclose(array - old, share * (new - old), atol=1e-6)
        assert np.all((np.minimum(old, new) <= array) & (array <= np.maximum(old, new)))


def test_the_ends_are_the_models_themselves(start: ModelBundle, tuned: ModelBundle) -> None:
    for share, model in ((0.0, start), (1.0, tuned)):
        mixed = mixture(start, tuned, share)
        for name, array in mixed.weights.items():
            np.testing.assert_array_equal(array, model.weights[name])


def test_a_half_is_taken_where_nothing_is_said(start: ModelBundle, tuned: ModelBundle) -> None:
    for name, array in mixture(start, tuned).weights.items():
        np.testing.assert_array_equal(array, mixture(start, tuned, 0.5).weights[name])


def test_a_mixture_says_what_it_is_and_claims_no_figures_of_others(
    start: ModelBundle, tuned: ModelBundle, tmp_path: Path
) -> None:
    saved = save_bundle(mixture(start, tuned, 0.25), tmp_path / "mixed")
    mixed = load_bundle(saved)
    assert mixed.name == "tuned"
    assert mixed.provenance.recipe["init"] == {**tuned.provenance.recipe["init"], "share": 0.25}
    assert (mixed.provenance.steps, mixed.provenance.hours) == (40, {"corrections": 0.1})
    assert (mixed.provenance.evaluation, mixed.provenance.report) == ({}, "")
    card = describe(mixed)
    assert f"the weights are an {AVERAGE}, mixed as 0.25 to 0.75 with the weights of start" in card
    assert "Fine-tuned from the model start" in card
    assert "dev_wer" not in card and "overall" not in card
    assert "share" not in tuned.provenance.recipe["init"]


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_shares_outside_are_refused(start: ModelBundle, tuned: ModelBundle, share: float) -> None:
    with pytest.raises(UsageError, match="share of the new weights must be 0 to 1"):
        mixture(start, tuned, share)


def test_only_the_model_that_it_started_from_is_mixed_in(
    start: ModelBundle, tuned: ModelBundle
) -> None:
    other = replace(start, weights=random_weights(3))
    untold = replace(tuned, provenance=Provenance())
    for first, second in ((other, tuned), (start, untold), (tuned, tuned)):
        with pytest.raises(UsageError, match="did not start from the weights of"):
            mixture(first, second)


@pytest.fixture
def run(start: ModelBundle, tuned: ModelBundle, tmp_path: Path) -> Path:
    """The folder of the training."""
    folder = tmp_path / "run"
    folder.mkdir()
    recipe = asdict(Recipe(network=NETWORK))
    (folder / "recipe.json").write_text(json.dumps(recipe))
    (folder / "data.json").write_text(json.dumps({"init": identify(start)}))
    save_statistics(folder / "statistics.npz", STATISTICS)
    arrays = {
        f"model/{place:04d}/{name}": array
        for place, (name, array) in enumerate(tuned.weights.items())
    }
    write_best(folder, Checkpoint(Progress(step=40, wer=0.1), arrays))
    return folder


def test_the_command_mixes_a_training_with_its_start(
    start: ModelBundle, tuned: ModelBundle, run: Path, tmp_path: Path
) -> None:
    base, output = save_bundle(start, tmp_path / "start"), tmp_path / "mine"
    arguments = ["export", "--run", str(run), "--output", str(output), "--init", str(base)]
    for options, share in (([], 0.5), (["--share", "0.25"], 0.25), (["--share", "0"], 0.0)):
        assert main([*arguments, *options]) == 0
        made = load_bundle(output)
        assert (made.name, made.provenance.recipe["init"]["share"]) == ("mine", share)
        expected = mixture(start, tuned, share).weights
        for name, array in made.weights.items():
            np.testing.assert_array_equal(array, expected[name].astype(np.float16))


def test_wrong_options_of_the_command_are_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["--output", str(tmp_path / "mine")]
    shared = ["export", "--run", str(run), *output, "--share", "0.5"]
    assert main(shared) == 2
    assert "--share: is of a mixture; give the model to mix with as --init too" in " ".join(
        capsys.readouterr().err.split()
    )
    assert main([*shared, "--init", str(tmp_path / "gone")]) == 2
    assert "gone: no such folder" in " ".join(capsys.readouterr().err.split())
