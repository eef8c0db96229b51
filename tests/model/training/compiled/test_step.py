from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from model.alphabet import Alphabet
from model.errors import TrainingError
from model.features import FeatureSettings
from model.recipe import NetworkSettings, Optimizer, Recipe, TrainingSettings
from model.training.checkpoint import Progress, newest_checkpoint
from model.training.compiled.library import CompiledNetwork, StepLibrary
from model.training.export import bundle_from_run
from model.training.feature_cache import CachedFeatures, FeatureShard
from model.training.objective import GuardedMuon, orthogonal
from model.training.passes import TrainingData
from model.training.step import compiled_model
from model.training.trainer import Trainer
from model.variation.augmentation import AugmentationSettings

Make = Callable[..., Trainer]


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Recipe) -> Recipe:
    return replace(
        tiny_recipe,
        network=NetworkSettings(kernels=(5, 3), filters=32, layers=1, units=32),
        training=replace(tiny_recipe.training, passes=2, average=0.9),
    )


def run_to_step(make: Make, step: int, folder: str, recipe: Recipe, **options: object) -> Trainer:
    """Run the training in a folder until it is asked to stop after a step."""

    def report(progress: Progress, share: float) -> None:
        if progress.step >= step:
            trainer.stop()

    trainer = make(folder, recipe, report=report, **options)
    trainer.run()
    return trainer


def arrays(trainer: Trainer) -> dict[str, np.ndarray]:
    checkpoint = newest_checkpoint(trainer.folder, pytest.fail)
    assert checkpoint is not None
    return dict(checkpoint.arrays)


def by_place(trainer: Trainer) -> dict[str, np.ndarray]:
    """Return the newest checkpoint's arrays by group and number: Keras numbers optimizers."""
    found = arrays(trainer).items()
    return {"/".join(name.split("/")[:2]): values for name, values in found}


# Kernels of 12, 96 and 32 rows and 32 columns: one is wider than high.
SMALL = NetworkSettings(features=4, symbols=5, kernels=(3, 3), filters=32, layers=2, units=32)


def test_adam_is_that_of_keras(library: StepLibrary) -> None:
    network, random = CompiledNetwork(library, SMALL), np.random.default_rng(0)
    weights = random.normal(size=network.size).astype(np.float32)
    variable = keras.Variable(weights)
    optimizer = keras.optimizers.Adam(0.1, global_clipnorm=3.0)
    optimizer.build([variable])
    momentum, velocity = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, 7):
        gradients = random.normal(0, 0.008 * step, network.size).astype(np.float32)
        optimizer.learning_rate.assign(0.1 / step)
        optimizer.apply([keras.ops.convert_to_tensor(gradients)], [variable])
        norm = network.move("adam", weights, gradients, momentum, velocity, step, 0.1 / step, 3.0)
        assert norm == pytest.approx(np.linalg.norm(gradients), rel=1e-5)
        np.testing.assert_allclose(weights, np.asarray(variable), atol=1e-5)


def test_muon_is_that_of_keras(library: StepLibrary) -> None:
    recipe = Recipe(
        features=FeatureSettings(mels=4),
        network=SMALL,
        alphabet=Alphabet(("", "a", "b", "c", " ")),
        training=TrainingSettings(optimizer="muon", clip_norm=3.0),
    )
    network = CompiledNetwork(library, SMALL)
    model = compiled_model(recipe)
    variables = model.trainable_variables
    weights = np.concatenate([np.ravel(variable) for variable in variables])
    momentum, velocity = np.zeros_like(weights), np.zeros_like(weights)
    random = np.random.default_rng(0)
    near = 5e-2 if library.factor_bits == 16 else 1e-4
    for step in range(1, 5):
        before = weights.copy()
        gradients = [random.normal(0, 0.02 * step, v.shape).astype(np.float32) for v in variables]
        old = [np.array(variable) for variable in variables]
        model.optimizer.learning_rate.assign(0.1 / step)
        model.optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients])
        flat = np.concatenate([gradient.ravel() for gradient in gradients])
        norm = network.move("muon", weights, flat, momentum, velocity, step, 0.1 / step, 3.0)
        assert norm == pytest.approx(np.linalg.norm(flat), rel=1e-5)
        ends = np.cumsum([gradient.size for gradient in gradients])[:-1]
        moved = np.split(weights - before, ends)
        for variable, values, own in zip(variables, old, moved, strict=True):
            expected = np.array(variable) - values
            distance = np.linalg.norm(own.reshape(values.shape) - expected)
            assert distance < near * np.linalg.norm(expected), variable.path


def test_muon_of_one_gate_is_that_of_keras_itself() -> None:
    random = np.random.default_rng(1)
    for shape in ((20, 8), (8, 20), (8, 8)):
        start = random.normal(size=shape).astype(np.float32)
        ours, theirs = keras.Variable(start), keras.Variable(start)
        own = GuardedMuon({ours.path: 1}, 0.1, 1e9)
        other = keras.optimizers.Muon(0.1, weight_decay=None, adam_weight_decay=None)
        own.build([ours])
        other.build([theirs])
        for _ in range(3):
            gradient = keras.ops.convert_to_tensor(random.normal(size=shape).astype(np.float32))
            own.apply([gradient], [ours])
            other.apply([gradient], [theirs])
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), atol=1e-5)


def test_orthogonal_matrices_keep_their_directions() -> None:
    given = np.random.default_rng(2).normal(size=(3, 40, 12)).astype(np.float32)
    for matrices in (given, given.transpose(0, 2, 1)):
        for before, after in zip(matrices, np.asarray(orthogonal(matrices)), strict=True):
            left, _, right = np.linalg.svd(before, full_matrices=False)
            lengths = left.T @ after @ right.T
            assert np.all((np.diag(lengths) > 0.6) & (np.diag(lengths) < 1.3))
            np.testing.assert_allclose(lengths, np.diag(np.diag(lengths)), atol=1e-3)


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_nothing_is_moved_where_a_gradient_is_not_finite(
    plain: StepLibrary, optimizer: Optimizer
) -> None:
    network = CompiledNetwork(plain, SMALL)
    weights, momentum, velocity, gradients = (np.ones(network.size, np.float32) for _ in range(4))
    for value in (np.nan, np.inf):
        gradients[40] = value
        norm = network.move(optimizer, weights, gradients, momentum, velocity, 1, 0.1, 1.0)
        assert not np.isfinite(norm)
        for array in (weights, momentum, velocity):
            np.testing.assert_array_equal(array, 1)


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_arrays_that_do_not_fit_an_optimizer_are_refused(
    plain: StepLibrary, optimizer: Optimizer
) -> None:
    network = CompiledNetwork(plain, SMALL)
    good = np.ones(network.size, np.float32)
    short = good[1:]
    for given in ((good, short, good, good), (good, good, good, short), [good.astype(float)] * 4):
        with pytest.raises(ValueError, match="must be a writable float32 array"):
            network.move(optimizer, *given, step=1, learning_rate=0.1, clip_norm=1.0)
    with pytest.raises(ValueError, match="a step from 1 on"):
        network.move(optimizer, good, good, good, good, 0, 0.1, 1.0)


def test_a_training_learns_and_leaves_a_model(
    library: StepLibrary, make_trainer: Make, recipe: Recipe
) -> None:
    losses: list[float] = []
    longer = replace(recipe, training=replace(recipe.training, passes=12))
    trainer = make_trainer(
        recipe=longer,
        library=library,
        report=lambda progress, share: losses.append(progress.loss),
    )
    progress = trainer.run()
    assert trainer.finished
    assert losses[-1] < 0.6 * losses[0]
    assert 0 <= progress.cer <= 1
    bundle = bundle_from_run(trainer.folder, "tones", notify=pytest.fail, checkpoint="newest")
    names = arrays(trainer)
    averaged = {name.split("/", 2)[2]: a for name, a in names.items() if name[:7] == "average"}
    for name, values in bundle.weights.items():
        np.testing.assert_array_equal(values, averaged[name])


def test_a_stopped_training_goes_on_as_if_it_never_stopped(
    native: StepLibrary, make_trainer: Make, recipe: Recipe
) -> None:
    dropping = replace(recipe, network=replace(recipe.network, dropout=0.2))
    whole = run_to_step(make_trainer, 99, "whole", dropping, library=native)
    for step in (1, 3, 99):
        parts = run_to_step(make_trainer, step, "parts", dropping, library=native)
    ours, theirs = by_place(parts), by_place(whole)
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name], err_msg=name)
    assert parts.progress.loss == whole.progress.loss


@pytest.mark.parametrize(("optimizer", "consistency"), [("adam", 0.0), ("muon", 0.5)])
def test_a_training_may_go_on_with_the_other_step(
    plain: StepLibrary, make_trainer: Make, recipe: Recipe, optimizer: Optimizer, consistency: float
) -> None:
    masks = AugmentationSettings(
        vocal_tract=0, band_masks=1, band_mask_size=4, masks_from=0, masks_full=0
    )
    training = replace(recipe.training, consistency=consistency, optimizer=optimizer)
    recipe = replace(recipe, training=training, augmentation=masks)
    by_keras = run_to_step(make_trainer, 99, "keras", recipe)
    run_to_step(make_trainer, 1, "mixed", recipe)
    run_to_step(make_trainer, 3, "mixed", recipe, library=plain)
    mixed = run_to_step(make_trainer, 99, "mixed", recipe)
    compiled = run_to_step(make_trainer, 99, "compiled", recipe, library=plain)
    expected = by_place(by_keras)
    for trainer in (mixed, compiled):
        found = by_place(trainer)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, atol=2e-3, err_msg=name)
        assert trainer.progress.loss == pytest.approx(by_keras.progress.loss, rel=1e-3)


def test_a_loss_that_is_not_finite_names_the_recordings(
    native: StepLibrary, make_trainer: Make, tone_data: TrainingData, recipe: Recipe
) -> None:
    [shard] = tone_data.features.shards
    frames = np.array(shard.frames)
    frames[: shard.ends[0]] = np.nan
    features = CachedFeatures((FeatureShard(frames, shard.ends),), frames.shape[1])
    small = replace(recipe, training=replace(recipe.training, batch_s=0.1))
    trainer = make_trainer(
        recipe=small, train=TrainingData(tone_data.rows, features), library=native
    )
    with pytest.raises(TrainingError, match=r"the loss became nan at step .*on \S*00\.wav; "):
        trainer.run()
    assert all(np.isfinite(values).all() for values in arrays(trainer).values())


def test_a_model_of_another_shape_is_refused(
    plain: StepLibrary, make_trainer: Make, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"not for this network\.strides"):
        make_trainer(recipe=tiny_recipe, library=plain)
