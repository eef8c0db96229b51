"""Starting from a trained model, with speech of the base mixed in."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from model.bundle import ModelBundle, load_bundle, save_bundle
from model.corpora.manifest import Utterance
from model.errors import TrainingError, UsageError
from model.evaluation.rates import ErrorRates
from model.features import FeatureSettings
from model.recipe import NetworkSettings, Recipe
from model.settings import load_settings
from model.training.checkpoint import checkpoints, newest_checkpoint
from model.training.export import bundle_from_run
from model.training.fine_tuning import GENTLE, fine_tuning_recipe, identify
from model.training.log import read_log
from model.training.passes import TrainingData, copies_in_pass
from model.training.trainer import Trainer

Make = Callable[..., Trainer]
FINETUNE_YAML = Path(__file__).parents[3] / "configs" / "finetune.yaml"


def change(recipe: Recipe, **training: object) -> Recipe:
    return dataclasses.replace(
        recipe,
        training=dataclasses.replace(recipe.training, **training),  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def bundle(
    tone_data: TrainingData, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> ModelBundle:
    folder = tmp_path_factory.mktemp("run")
    statistics = tone_data.features.statistics()
    Trainer(change(tiny_recipe, passes=4), tone_data, tone_data, statistics, folder).run()
    saved = save_bundle(bundle_from_run(folder, "tones", checkpoint="newest"), folder / "bundle")
    return load_bundle(saved)


def test_the_gentle_recipe_is_that_of_the_configuration() -> None:
    assert load_settings(Recipe, FINETUNE_YAML) == load_settings(Recipe, None, GENTLE)


def test_features_network_and_alphabet_are_those_of_the_model(bundle: ModelBundle) -> None:
    notices: list[str] = []
    recipe = fine_tuning_recipe(Recipe(), bundle, notices.append)
    assert (recipe.network, recipe.features) == (bundle.network, bundle.features)
    assert notices == []
    other = Recipe(network=NetworkSettings(units=7), features=FeatureSettings(low_hz=50.0))
    assert fine_tuning_recipe(other, bundle, notices.append) == recipe
    assert notices == [
        "features: the recipe's are left aside for those of the model tones",
        "network: the recipe's are left aside for those of the model tones",
    ]


def test_a_recipe_that_does_not_go_with_the_model_is_named(bundle: ModelBundle) -> None:
    network = dataclasses.replace(Recipe().network, intermediate=(1,))
    recipe = change(Recipe(network=network), passes=1)
    recipe = change(recipe, intermediate_weight=0.3)
    with pytest.raises(UsageError, match=r"with the model tones: training: its intermediate"):
        fine_tuning_recipe(recipe, bundle)


def test_fine_tuning_starts_at_the_model_and_resumes_where_it_was(
    bundle: ModelBundle, make_trainer: Make, tiny_recipe: Recipe
) -> None:
    recipe = change(tiny_recipe, passes=2, learning_rate=1e-4, warmup_steps=0)

    def run(folder: str, last_step: int) -> Trainer:
        def report(progress: object, share: float) -> None:
            if trainer.progress.step >= last_step:
                trainer.stop()

        trainer = make_trainer(folder, recipe, init=bundle, report=report)
        for variable in trainer.network.trainable_variables:
            np.testing.assert_array_equal(variable, bundle.weights[variable.path])
        trainer.run()
        return trainer

    whole = run("whole", 10_000)
    log = read_log(whole.folder / "log.csv")
    assert log["step"][0] == 0
    assert log["pass"] == [0, 1, 2]
    parted = run("parted", 3)
    assert parted.progress.step == 3
    parted = run("parted", 10_000)
    one, other = (newest_checkpoint(trainer.folder, pytest.fail) for trainer in (whole, parted))
    assert one is not None
    assert other is not None
    for mine, yours in zip(one.arrays.values(), other.arrays.values(), strict=True):
        np.testing.assert_array_equal(mine, yours)
    with pytest.raises(TrainingError, match="a training with another initial model"):
        make_trainer("parted", recipe).run()


def test_fine_tuning_that_never_helps_gives_the_model_itself(
    bundle: ModelBundle, make_trainer: Make, tiny_recipe: Recipe
) -> None:
    trainer = make_trainer("harm", change(tiny_recipe, passes=1), init=bundle)
    rates = iter([ErrorRates(9, 1, 0, 0, 9, 1), ErrorRates(9, 2, 0, 0, 9, 2)])
    trainer.evaluate = lambda: next(rates)  # type: ignore[method-assign]
    assert trainer.run().step > 0
    kept = bundle_from_run(trainer.folder, "harm", notify=pytest.fail)
    assert kept.provenance.steps == 0
    for name, array in bundle.weights.items():
        np.testing.assert_array_equal(kept.weights[name], array)


def test_each_pass_holds_its_share_of_the_base(
    make_trainer: Make, tone_data: TrainingData, tiny_recipe: Recipe
) -> None:
    rows: Sequence[Utterance] = tone_data.rows
    mixed = dataclasses.replace(tone_data, base=9)
    trainer = make_trainer(recipe=change(tiny_recipe, base_share=0.5), train=mixed)
    seconds = np.array([row.duration for row in rows])
    drawn = []
    for passed in range(4):
        random = np.random.default_rng([1, passed])
        counts = copies_in_pass(mixed, np.arange(12), trainer.recipe.training, random)
        assert counts[:3].tolist() == [1, 1, 1]
        assert counts[3:] @ seconds[3:] == pytest.approx(seconds[:3].sum(), abs=0.45)
        drawn.append(tuple(counts))
    assert len(set(drawn)) > 1
    again = make_trainer(recipe=change(tiny_recipe, base_share=0.5), train=mixed)
    for one, other in zip(trainer._planned, again._planned, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)


def test_a_model_is_known_by_its_weights(bundle: ModelBundle) -> None:
    weights = {name: array + 1 for name, array in bundle.weights.items()}
    assert identify(bundle) == identify(dataclasses.replace(bundle))
    assert identify(bundle) != identify(dataclasses.replace(bundle, weights=weights))
    assert identify(None) == {}


def test_a_training_stopped_before_its_first_step_has_been_judged_only(
    bundle: ModelBundle, make_trainer: Make, tiny_recipe: Recipe
) -> None:
    trainer = make_trainer("stopped", tiny_recipe, init=bundle)
    trainer.stop()
    trainer.run()
    assert checkpoints(trainer.folder) == []
    assert read_log(trainer.folder / "log.csv")["step"] == [0]
