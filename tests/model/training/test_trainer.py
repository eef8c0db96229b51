from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model.errors import BundleError, ManifestError, TrainingError, UsageError
from model.features import FeatureStatistics
from model.recipe import Recipe, recipe_from
from model.statistics import load_statistics, save_statistics
from model.training.checkpoint import Progress, checkpoints, newest_checkpoint
from model.training.export import bundle_from_run
from model.training.feature_cache import CachedFeatures, FeatureShard
from model.training.log import LOG_COLUMNS
from model.training.passes import TrainingData
from model.training.run_folder import TrainingInputs
from model.training.trainer import Trainer
from model.variation.augmentation import AugmentationSettings

Make = Callable[..., Trainer]


@pytest.fixture(scope="module")
def data(tone_data: TrainingData) -> TrainingData:
    return tone_data


@pytest.fixture
def make(make_trainer: Make) -> Make:
    return make_trainer


def in_memory(frames: np.ndarray, ends: np.ndarray) -> CachedFeatures:
    return CachedFeatures((FeatureShard(frames, ends),), frames.shape[1])


def change(recipe: Recipe, **training: object) -> Recipe:
    return dataclasses.replace(
        recipe,
        training=dataclasses.replace(recipe.training, **training),  # type: ignore[arg-type]
    )


def assert_same_weights(one: Trainer, other: Trainer) -> None:
    """Hold weights, their average and the optimizer's state against each other, bit by bit."""
    ours, theirs = (newest_checkpoint(trainer.folder, pytest.fail) for trainer in (one, other))
    assert ours is not None
    assert theirs is not None
    for (name, mine), (_, yours) in zip(ours.arrays.items(), theirs.arrays.items(), strict=True):
        np.testing.assert_array_equal(mine, yours, err_msg=name)


@pytest.fixture(scope="module")
def finished(
    data: TrainingData, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Trainer, list[float]]:
    """Return a finished training, and its loss after each step."""
    losses: list[float] = []
    trainer = Trainer(
        change(tiny_recipe, passes=8),
        data,
        data,
        data.features.statistics(),
        tmp_path_factory.mktemp("run") / "whole",
        report=lambda progress, share: losses.append(progress.loss),
    )
    trainer.run()
    return trainer, losses


def test_training_lowers_the_loss(finished: tuple[Trainer, list[float]]) -> None:
    trainer, losses = finished
    assert losses[-1] < 0.5 * losses[0]
    assert trainer.share == 1
    assert trainer.finished


def test_the_folder_tells_what_was_trained(finished: tuple[Trainer, list[float]]) -> None:
    trainer, _ = finished
    recipe = recipe_from(json.loads((trainer.folder / "recipe.json").read_text()))
    assert recipe == trainer.recipe
    data = json.loads((trainer.folder / "data.json").read_text())
    assert data["hours"] == {"tones": pytest.approx(0.0018, abs=5e-4)}
    assert "tensorflow" in data["versions"]
    with (trainer.folder / "log.csv").open() as file:
        log = list(csv.DictReader(file))
    assert tuple(log[0]) == LOG_COLUMNS
    assert [row["pass"] for row in log] == [str(number) for number in range(1, 9)]
    assert float(log[-1]["wer"]) == pytest.approx(trainer.progress.wer, abs=1e-4)
    assert len(checkpoints(trainer.folder)) == 2


def test_a_finished_training_started_again_does_nothing(
    finished: tuple[Trainer, list[float]], make: Make
) -> None:
    trainer, _ = finished
    log = (trainer.folder / "log.csv").read_text()
    again = make(str(trainer.folder), trainer.recipe)
    assert again.run() == trainer.progress
    assert (trainer.folder / "log.csv").read_text() == log


def run_to_step(make: Make, step: int, recipe: Recipe, **options: object) -> Trainer:
    """Run the training in "parts" until it is asked to stop after a step."""

    def report(progress: Progress, share: float) -> None:
        if progress.step >= step:
            trainer.stop()

    trainer = make("parts", recipe, report=report, **options)
    trainer.run()
    return trainer


@pytest.fixture(scope="module")
def three_passes(tiny_recipe: Recipe) -> Recipe:
    return dataclasses.replace(
        change(tiny_recipe, passes=3, average=0.9),
        augmentation=AugmentationSettings(masks_from=0.5),
    )


@pytest.fixture(scope="module")
def whole(
    data: TrainingData, three_passes: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> Trainer:
    """Return a training that ran without a stop."""
    folder = tmp_path_factory.mktemp("run") / "whole"
    trainer = Trainer(three_passes, data, data, data.features.statistics(), folder)
    trainer.run()
    return trainer


def test_a_stopped_training_goes_on_as_if_it_never_stopped(
    make: Make, three_passes: Recipe, whole: Trainer
) -> None:
    for step in (3, whole.progress.step // 3, whole.progress.step - 2):
        assert run_to_step(make, step, three_passes).progress.step == step
    trainer = run_to_step(make, 10_000, three_passes)
    assert_same_weights(trainer, whole)
    for name in ("step", "passed", "batch", "speech_s", "loss", "wer", "cer"):
        assert getattr(trainer.progress, name) == pytest.approx(getattr(whole.progress, name))


def test_a_stop_at_the_end_of_a_pass_does_not_wait_for_its_evaluation(
    make: Make, three_passes: Recipe, whole: Trainer
) -> None:
    batches = len(whole._planned)
    for passes in (1, 3):
        stopped = run_to_step(make, passes * batches, three_passes)
        assert stopped.progress.step == passes * batches
        assert (stopped.progress.passed, stopped.finished) == (passes - 1, False)
    trainer = run_to_step(make, 10_000, three_passes)
    assert trainer.finished
    assert_same_weights(trainer, whole)
    logs = [(run.folder / "log.csv").read_text() for run in (trainer, whole)]
    assert [log.count("\n") for log in logs] == [4, 4]


def test_a_killed_training_goes_on_from_its_last_checkpoint(
    make: Make, three_passes: Recipe, whole: Trainer
) -> None:
    seconds = itertools.count(step=60.0)

    def kill(progress: Progress, share: float) -> None:
        if progress.step == 8:
            raise KeyboardInterrupt

    killed = make("killed", three_passes, report=kill, clock=lambda: next(seconds))
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    left = newest_checkpoint(killed.folder, pytest.fail)
    assert left is not None
    assert 0 < left.progress.step < 8
    resumed = make("killed", three_passes)
    resumed.run()
    assert_same_weights(resumed, whole)


def test_minutes_end_a_training_and_its_rate(make: Make, tiny_recipe: Recipe) -> None:
    seconds = itertools.count(step=10.0)
    trainer = make("run", change(tiny_recipe, minutes=1.0), clock=lambda: next(seconds))
    progress = trainer.run()
    assert (progress.step, progress.seconds, trainer.share) == (6, 60, 1)
    assert progress.wer == progress.wer


def test_a_loss_that_is_not_finite_names_the_recordings(
    make: Make, data: TrainingData, tiny_recipe: Recipe
) -> None:
    [shard] = data.features.shards
    frames = np.array(shard.frames)
    frames[: shard.ends[0]] = np.nan
    bad = TrainingData(data.rows, in_memory(frames, shard.ends))
    trainer = make(recipe=change(tiny_recipe, batch_s=0.1), train=bad)
    with pytest.raises(
        TrainingError, match=r"the loss became nan at step .*on \S*00\.wav; "
    ) as caught:
        trainer.run()
    assert "01.wav" not in str(caught.value)
    saved = newest_checkpoint(trainer.folder, pytest.fail)
    if saved is not None:
        assert all(np.isfinite(array).all() for array in saved.arrays.values())


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    make: Make, three_passes: Recipe, whole: Trainer
) -> None:
    folder = run_to_step(make, 4, three_passes).folder
    run_to_step(make, 5, three_passes)
    older, newest = checkpoints(folder)
    newest.write_bytes(newest.read_bytes()[:-2_000])
    notices: list[str] = []
    trainer = run_to_step(make, 10_000, three_passes, notify=notices.append)
    assert len(notices) == 1
    assert newest.name in notices[0]
    assert "going back" in notices[0]
    assert older.name.endswith("4.npz")
    assert_same_weights(trainer, whole)


def test_damaged_checkpoints_alone_stop_the_training(make: Make, tiny_recipe: Recipe) -> None:
    folder = run_to_step(make, 2, tiny_recipe).folder
    for path in checkpoints(folder):
        path.write_bytes(b"damaged")
    with pytest.raises(TrainingError, match=r"every checkpoint is damaged; delete checkpoint"):
        run_to_step(make, 4, tiny_recipe, notify=lambda text: None)


def test_a_full_disk_keeps_the_checkpoint_before(make: Make, tiny_recipe: Recipe) -> None:
    trainer = run_to_step(make, 3, tiny_recipe)
    before = {path: path.read_bytes() for path in trainer.folder.glob("checkpoint-*")}
    notices: list[str] = []
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, hard))
    try:
        with pytest.raises(TrainingError, match=r"cannot be written .*free some space"):
            run_to_step(make, 6, tiny_recipe, notify=notices.append)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    after = {path: path.read_bytes() for path in trainer.folder.glob("checkpoint-*")}
    assert after == before
    assert run_to_step(make, 10_000, tiny_recipe).finished


def test_a_folder_with_other_inputs_is_refused(
    make: Make, data: TrainingData, tiny_recipe: Recipe
) -> None:
    folder = run_to_step(make, 1, tiny_recipe).folder
    with pytest.raises(TrainingError, match="a training with another recipe"):
        make("parts", change(tiny_recipe, seed=7)).run()
    [shard] = data.features.shards
    fewer = TrainingData(data.rows[:4], in_memory(shard.frames, shard.ends[:4]))
    with pytest.raises(TrainingError, match="a training with other recordings"):
        make("parts", train=fewer).run()
    first = dataclasses.replace(data.rows[0], text="ca")
    renamed = TrainingData([first, *data.rows[1:]], data.features)
    with pytest.raises(TrainingError, match="a training with other recordings"):
        make("parts", train=renamed).run()
    with pytest.raises(TrainingError, match="a training with other recordings"):
        make("parts", train=dataclasses.replace(data, base=1)).run()
    with pytest.raises(TrainingError, match="a training with other dev recordings; give what it"):
        make("parts", dev=fewer).run()
    statistics = data.features.statistics(prior_frames=7.0)
    with pytest.raises(TrainingError, match="a training with other feature statistics"):
        Trainer(tiny_recipe, data, data, statistics, folder).run()


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff"])
def test_damaged_data_of_a_training_are_named(
    make: Make, tiny_recipe: Recipe, content: bytes
) -> None:
    folder = run_to_step(make, 1, tiny_recipe).folder
    (folder / "data.json").write_bytes(content)
    with pytest.raises(TrainingError, match=r"data\.json: cannot be read .*delete it"):
        make("parts").run()
    with pytest.raises(TrainingError, match=r"data\.json: cannot be read"):
        bundle_from_run(folder, "damaged")


def test_what_decides_the_weights_tells_hosts_apart(tiny_recipe: Recipe) -> None:
    statistics = FeatureStatistics(np.zeros(80, np.float32), np.ones(80, np.float32))
    inputs = TrainingInputs(tiny_recipe, statistics, {}, "rows", dev="dev")
    same = dataclasses.replace(inputs, manifests={"elsewhere.jsonl": "1"}, dev="other")
    assert same.decisive() == inputs.decisive()
    mean = dataclasses.replace(statistics, mean=np.full(80, 0.1, np.float32))
    for change in ({"statistics": mean}, {"digest": "others"}, {"init": {"name": "base"}}):
        other = dataclasses.replace(inputs, **change)  # type: ignore[arg-type]
        assert other.decisive() != inputs.decisive()


def test_what_is_left_out_is_told(make: Make, data: TrainingData, tiny_recipe: Recipe) -> None:
    rows = [dataclasses.replace(data.rows[0], text="ab" * 99), *data.rows[1:]]
    notices: list[str] = []
    make(
        recipe=change(tiny_recipe, passes=1, copies={"tunes": 2, "tones": 1}),
        train=TrainingData(rows, data.features),
        notify=notices.append,
    ).run()
    assert notices == [
        "1 of 12 recordings are too short for their transcripts and are left out",
        "training.copies: there are no recordings of the corpus tunes",
    ]


def test_a_folder_that_cannot_be_made_is_named(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"file/run: cannot be used for a training"):
        make("file/run").run()


def test_nothing_to_train_on_is_an_error(
    make: Make, data: TrainingData, tiny_recipe: Recipe
) -> None:
    with pytest.raises(TrainingError, match="no utterance can be trained on"):
        make(recipe=change(tiny_recipe, copies={"tones": 0}))


def test_training_without_dev_recordings_has_no_error_rate(
    make: Make, data: TrainingData, tiny_recipe: Recipe
) -> None:
    none = TrainingData([], CachedFeatures((), data.features.size))
    progress = make(recipe=change(tiny_recipe, passes=1), dev=none).run()
    assert progress.wer != progress.wer


def test_a_bundle_can_be_the_newest_checkpoint(finished: tuple[Trainer, list[float]]) -> None:
    trainer, _ = finished
    bundle = bundle_from_run(trainer.folder, "tones", notify=pytest.fail, checkpoint="newest")
    for variable in trainer.network.trainable_variables:
        np.testing.assert_array_equal(bundle.weights[variable.path], variable)
    assert bundle.name == "tones"
    assert bundle.alphabet == trainer.recipe.alphabet
    assert bundle.statistics.prior_frames == trainer.statistics.prior_frames
    np.testing.assert_array_equal(bundle.statistics.mean, trainer.statistics.mean)
    provenance = bundle.provenance
    assert provenance.steps == trainer.progress.step
    assert provenance.hours.keys() == {"tones"}
    assert provenance.recipe["training"]["passes"] == 8
    assert provenance.evaluation["dev_wer"] == trainer.progress.wer


def test_a_bundle_needs_a_whole_training(
    make: Make, tiny_recipe: Recipe, data: TrainingData, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="holds no checkpoint"):
        bundle_from_run(tmp_path, "none")
    folder = run_to_step(make, 1, tiny_recipe).folder
    (folder / "statistics.npz").unlink()
    (folder / "data.json").unlink()
    with pytest.raises(UsageError, match="--stats"):
        bundle_from_run(folder, "incomplete")
    bundle = bundle_from_run(folder, "given", data.features.statistics(), {"tones": 1.0})
    assert bundle.provenance.hours == {"tones": 1.0}
    with pytest.raises(BundleError, match="the mean and the deviation must have 80 values"):
        bundle_from_run(folder, "short", FeatureStatistics(np.zeros(3), np.ones(3)))
    (folder / "recipe.json").write_text("{}")
    with pytest.raises(TrainingError, match="cannot be read as the recipe"):
        bundle_from_run(folder, "unknown", data.features.statistics())


def test_statistics_come_back_and_their_prior_has_a_default(tmp_path: Path) -> None:
    statistics = FeatureStatistics(np.ones(3, np.float32), np.full(3, 2, np.float32), 20.0)
    save_statistics(tmp_path / "new" / "stats.npz", statistics)
    loaded = load_statistics(tmp_path / "new" / "stats.npz")
    np.testing.assert_array_equal(loaded.deviation, statistics.deviation)
    assert loaded.prior_frames == 20
    np.savez(tmp_path / "old.npz", mean=statistics.mean, deviation=statistics.deviation)
    assert load_statistics(tmp_path / "old.npz").prior_frames == FeatureStatistics.prior_frames


@pytest.mark.parametrize("content", [None, b"", b"no archive"])
def test_files_without_statistics_are_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "stats.npz").write_bytes(content)
    with pytest.raises(ManifestError, match=r"stats\.npz: holds no feature statistics"):
        load_statistics(tmp_path / "stats.npz")
