"""Trainings that meet something bad: what is kept, and what is said."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from model.corpora.manifest import write_manifest
from model.errors import TrainingError
from model.evaluation.rates import ErrorRates
from model.recipe import NetworkSettings, Recipe
from model.settings import RangeError
from model.training.checkpoint import (
    BEST_FILE,
    Checkpoint,
    Progress,
    checkpoints,
    chosen_checkpoint,
    newest_checkpoint,
    read_best,
    write_checkpoint,
)
from model.training.log import read_log
from model.training.objective import CtcModel, GuardedAdam
from model.training.passes import TrainingData
from model.training.trainer import Trainer

Make = Callable[..., Trainer]


def change(recipe: Recipe, **training: object) -> Recipe:
    return dataclasses.replace(
        recipe,
        training=dataclasses.replace(recipe.training, **training),  # type: ignore[arg-type]
    )


def without_computing(trainer: Trainer, losses: dict[int, float | Exception]) -> Trainer:
    """Let nothing cost time: each step has a loss of 1, but for those of ``losses``."""

    def compute(batch: object, rate: object) -> tuple[float, float]:
        loss = losses.get(trainer.progress.step, 1.0)
        if isinstance(loss, Exception):
            raise loss
        return loss, 0.0

    trainer._compute = compute  # type: ignore[method-assign, assignment]
    return judged_as(trainer, *[0.5] * 99)


def judged_as(trainer: Trainer, *rates: float) -> Trainer:
    """Give the evaluations of a training these word error rates, one after the other."""
    rest = iter(rates)

    def evaluate() -> ErrorRates:
        return ErrorRates(1000, round(1000 * next(rest)), 0, 0, 1000, 500)

    trainer.evaluate = evaluate  # type: ignore[method-assign]
    return trainer


class ResourceExhaustedError(Exception):
    """Is named as TensorFlow's."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 3 GiB"),
        ResourceExhaustedError("OOM when allocating tensor"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes."),
    ],
)
def test_a_lack_of_memory_names_what_to_lower(make_trainer: Make, error: Exception) -> None:
    seconds = itertools.count(step=600.0)
    trainer = without_computing(make_trainer(clock=lambda: next(seconds)), {4: error})
    with pytest.raises(TrainingError, match="memory ran out at step 4; ") as caught:
        trainer.run()
    [*_, newest] = checkpoints(trainer.folder)
    for part in (str(newest), "training.batch_s", "training.bucket_s", "network.units"):
        assert part in str(caught.value)


def test_other_errors_of_a_library_are_not_hidden(make_trainer: Make) -> None:
    trainer = without_computing(make_trainer(), {1: RuntimeError("a bug")})
    with pytest.raises(RuntimeError, match="a bug"):
        trainer.run()


def test_a_loss_that_is_not_finite_leaves_the_weights_before_it(make_trainer: Make) -> None:
    trainer = without_computing(make_trainer(), {3: float("inf")})
    with pytest.raises(TrainingError, match=r"became inf at step 3, .*03\.npz is from before"):
        trainer.run()
    left = newest_checkpoint(trainer.folder, pytest.fail)
    assert left is not None
    assert left.progress.step == 3
    before = checkpoints(trainer.folder)[-1].read_bytes()
    again = without_computing(make_trainer(), {3: float("inf")})
    for variable in again.network.trainable_variables:
        variable.assign(variable + 1)
    again._resume = lambda: None  # type: ignore[method-assign]
    again.progress.step = again.progress.batch = 3
    with pytest.raises(TrainingError, match=r"became inf at step 3"):
        again.run()
    assert checkpoints(trainer.folder)[-1].read_bytes() == before


def test_adam_leaves_weights_alone_where_a_gradient_is_not_finite() -> None:
    def step(optimizer: keras.optimizers.Optimizer, gradient: float) -> np.ndarray:
        variables = [keras.Variable(np.ones(2, np.float32)) for _ in range(2)]
        optimizer.build(variables)
        given = [np.array([3.0, 4.0], np.float32), np.array([gradient, 0.0], np.float32)]
        optimizer.apply([keras.ops.convert_to_tensor(each) for each in given], variables)
        return np.stack([np.asarray(variable) for variable in variables])

    plain = step(keras.optimizers.Adam(0.1, global_clipnorm=1.0), 12.0)
    guarded = GuardedAdam(0.1, global_clipnorm=1.0)
    np.testing.assert_allclose(step(guarded, 12.0), plain, rtol=1e-6)
    assert float(guarded.gradient_norm.numpy()) == pytest.approx(13)
    stopped = GuardedAdam(0.1, global_clipnorm=1.0)
    np.testing.assert_array_equal(step(stopped, float("nan")), np.ones((2, 2)))
    assert np.isnan(float(stopped.gradient_norm.numpy()))


def test_a_checkpoint_that_cannot_be_written_is_tried_again(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds, notices = itertools.count(step=600.0), []
    trainer = make_trainer(clock=lambda: next(seconds), notify=notices.append)
    full = iter([True, True, False, True])
    replace = os.replace

    def sometimes(source: Path, target: Path) -> None:
        if Path(target).name.startswith("checkpoint") and next(full, False):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", sometimes)
    without_computing(trainer, {}).run()
    assert len(notices) == 3
    assert all("(No space left on device); free some space" in notice for notice in notices)
    assert newest_checkpoint(trainer.folder, pytest.fail) is not None
    assert not list(trainer.folder.glob("*.partial"))


def test_a_damaged_checkpoint_takes_no_place_of_a_good_one(tmp_path: Path) -> None:
    def write(step: int) -> None:
        write_checkpoint(tmp_path, Checkpoint(Progress(step=step), {"model/0000/a": np.ones(1)}))

    for step in (10, 20):
        write(step)
    damaged = checkpoints(tmp_path)[-1]
    damaged.write_bytes(b"damaged")
    for step in (12, 14, 16):
        write(step)
    assert [path.stem[-2:] for path in checkpoints(tmp_path)] == ["14", "16", "20"]
    for step in (20, 22):
        write(step)
    assert [path.stem[-2:] for path in checkpoints(tmp_path)] == ["20", "22"]
    assert newest_checkpoint(tmp_path, pytest.fail) is not None


def test_an_edited_manifest_is_named_while_training_and_when_resuming(
    make_trainer: Make, tone_data: TrainingData, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    manifest = tmp_path / "mine.jsonl"
    write_manifest(manifest, tone_data.rows)
    notices: list[str] = []

    def edit(progress: object, share: float) -> None:
        write_manifest(manifest, tone_data.rows[:5])

    recipe = change(tiny_recipe, passes=3)
    options = {"recipe": recipe, "manifests": [manifest], "notify": notices.append}
    trainer = without_computing(make_trainer(**options, report=edit), {})
    trainer.run()
    assert trainer.finished
    [notice] = notices
    assert notice.startswith(f"{manifest}: was changed after it was read; ")
    fewer = dataclasses.replace(tone_data, rows=[*tone_data.rows[1:], tone_data.rows[0]])
    with pytest.raises(TrainingError, match=r"other recordings \(.*mine.jsonl was changed since"):
        make_trainer(**options, train=fewer).run()


def test_the_best_weights_are_kept_beside_the_newest(
    make_trainer: Make, tiny_recipe: Recipe
) -> None:
    recipe = change(tiny_recipe, passes=4)
    trainer = without_computing(make_trainer(recipe=recipe), {})
    judged_as(trainer, 0.9, 0.4, 0.7, 0.4).run()
    best = chosen_checkpoint(trainer.folder, "best", pytest.fail)
    newest = chosen_checkpoint(trainer.folder, "newest", pytest.fail)
    assert best is not None
    assert newest is not None
    assert (best.progress.wer, best.progress.passed) == (0.4, 2)
    assert newest.progress.passed == 4
    assert not any(name.startswith("optimizer/") for name in best.arrays)


def test_a_damaged_best_checkpoint_gives_way_to_the_newest(make_trainer: Make) -> None:
    trainer = judged_as(without_computing(make_trainer(), {}), 0.9, 0.4)
    trainer.run()
    (trainer.folder / BEST_FILE).write_bytes(b"damaged")
    notices: list[str] = []
    chosen = chosen_checkpoint(trainer.folder, "best", notices.append)
    assert chosen is not None
    assert chosen.progress.passed == 2
    assert "best.npz: is damaged" in notices[0]


def test_a_new_training_forgets_the_best_of_the_one_before(make_trainer: Make) -> None:
    first = judged_as(without_computing(make_trainer(), {}), 0.1, 0.1)
    first.run()
    for path in checkpoints(first.folder):
        path.unlink()
    judged_as(without_computing(make_trainer(), {}), 0.5, 0.6).run()
    best = read_best(first.folder, pytest.fail)
    assert best is not None
    assert best.progress.wer == 0.5
    assert read_log(first.folder / "log.csv")["wer"] == [0.5, 0.6]


def test_long_passes_are_judged_on_the_way(make_trainer: Make, tiny_recipe: Recipe) -> None:
    seconds = itertools.count(step=10.0)
    recipe = change(tiny_recipe, passes=1, batch_s=0.1, judge_minutes=0.5)
    trainer = make_trainer(recipe=recipe, clock=lambda: next(seconds))
    judged_as(without_computing(trainer, {}), *(1 / n for n in range(1, 99))).run()
    assert read_log(trainer.folder / "log.csv")["step"] == [3, 6, 9, 12]


def test_intermediate_outputs_share_the_loss() -> None:
    random = np.random.default_rng(0)
    outputs = [random.normal(size=(2, 6, 4)).astype(np.float32) for _ in range(3)]
    targets = (
        np.array([[1, 2], [3, 0]], np.int32),
        np.array([2, 1], np.int32),
        np.array([6, 5], np.int32),
        np.array([0.25, 0.5], np.float32),
    )
    model = CtcModel(keras.Sequential(), 0.3)
    alone = [float(model.compute_loss(y=targets, y_pred=each)) for each in outputs]
    together = float(model.compute_loss(y=targets, y_pred=outputs))
    assert together == pytest.approx(0.7 * alone[0] + 0.15 * (alone[1] + alone[2]), rel=1e-5)


def test_a_training_with_intermediate_outputs_and_an_average(
    make_trainer: Make, tiny_recipe: Recipe
) -> None:
    network = NetworkSettings(
        kernels=(5,), strides=(2,), filters=8, layers=2, units=8, intermediate=(1,)
    )
    recipe = change(tiny_recipe, passes=1, average=0.5)
    with pytest.raises(RangeError, match="its intermediate_weight must be 0 where"):
        change(recipe, intermediate_weight=0.3)
    recipe = change(dataclasses.replace(recipe, network=network), intermediate_weight=0.3)
    trainer = make_trainer(recipe=recipe)
    before = [np.array(variable) for variable in trainer.network.trainable_variables]
    trainer.run()
    best = read_best(trainer.folder, pytest.fail)
    assert best is not None
    names = [name for name in best.arrays if name.startswith("average/")]
    for old, variable, name in zip(before, trainer.network.trainable_variables, names, strict=True):
        now, average = np.array(variable), best.arrays[name]
        assert name.endswith(variable.path)
        assert (np.abs(average - now) <= np.abs(old - now) + 1e-6).all()
        assert (average != now).any()
