"""What ``train.py fit`` does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from model.backend import check_backend
from model.bundle import ModelBundle, load_bundle
from model.commands.common import (
    RecipeOptions,
    load_features,
    on_first_signal,
    save_model,
    signals_held_back,
)
from model.commands.perturb import perturbed_features
from model.commands.terminal import FitDisplay, Terminal
from model.corpora.manifest import Utterance, read_manifests
from model.corpora.recordings import check_apart
from model.errors import UsageError
from model.features import FeatureStatistics
from model.files import check_folder
from model.quiet import quiet_stderr
from model.recipe import Recipe
from model.statistics import load_statistics, statistics_problems
from model.training.checkpoint import checkpoints
from model.training.compiled.choice import StepChoice, chosen_step
from model.training.compiled.library import StepLibrary
from model.training.distribution import Distribution, open_distribution
from model.training.export import bundle_from_run
from model.training.fine_tuning import GENTLE, fine_tuning_recipe
from model.training.hosts import Hosts
from model.training.passes import TrainingData
from model.training.run_folder import STATISTICS_FILE

if TYPE_CHECKING:
    from model.training.trainer import Trainer

BUNDLE_FOLDER = "bundle"
"""Where a finished training leaves its model."""


@dataclass(frozen=True)
class FitOptions:
    """What to learn from, what to start from, and where it goes.

    Attributes:
        train: Manifests to learn from.
        dev: Manifests to judge by.
        folder: Of the training.
        statistics: Feature statistics; None for those of the training manifests.
        init: Bundle whose weights to start from; None starts from nothing.
        base: Manifests of which each pass draws some recordings, so that what the model
            knew is not forgotten.
        hosts: That share the training.
        devices: How many of this host's to use; 0 for all GPUs, or else one CPU.
        step: What computes the steps.
    """

    train: Sequence[Path]
    dev: Sequence[Path]
    folder: Path
    statistics: Path | None = None
    init: Path | None = None
    base: Sequence[Path] = ()
    hosts: Hosts = field(default_factory=Hosts)
    devices: int = 0
    step: StepChoice = "auto"

    @property
    def manifests(self) -> list[Path]:
        """Every manifest, in the order of their rows."""
        return [*self.train, *self.base, *self.dev]


def fit(options: FitOptions, recipe_options: RecipeOptions, terminal: Terminal) -> bool:
    """Train in a folder, or go on there; return whether the training is finished.

    A finished training leaves its best model in ``folder / "bundle"``.

    Raises:
        CaptionerError: If the inputs cannot be used, or training cannot go on.
    """
    check_backend()
    if options.init is not None and options.statistics is not None:
        raise UsageError("--stats: the model of --init brings its own; leave --stats out")
    init = load_bundle(options.init) if options.init is not None else None
    recipe = _recipe(recipe_options, init, terminal)
    display = FitDisplay(terminal)
    with _opened(options, terminal) as distribution:
        library = _library(options, recipe, distribution, terminal)
        trainer = _trainer(
            options, recipe, init, recipe_options.cache, display, distribution, library
        )

        def stop() -> None:
            trainer.stop()
            terminal.say("stopping after this step; once more to stop at once")

        with display if distribution.first else nullcontext(), on_first_signal(stop):
            progress = trainer.run()
        if not trainer.finished:
            terminal.say(f"stopped at step {progress.step}; the same command goes on from there")
            return False
        if distribution.first:
            _save_model(options.folder, terminal)
    return True


def _opened(options: FitOptions, terminal: Terminal) -> Distribution:
    """Return the devices to train on, the other hosts having come."""
    hosts = options.hosts
    if hosts.count > 1:
        terminal.say(f"host {hosts.index} of {hosts.count}: waiting for the others")
    # Where there are others, what ends the process must be seen.
    with quiet_stderr() if hosts.count == 1 else nullcontext():
        distribution = open_distribution(hosts, options.devices)
    if distribution.devices > 1:
        note = "" if distribution.first else "; host 0 shows how the training goes"
        terminal.say(f"training on {distribution.devices} devices{note}")
    return distribution


def _library(
    options: FitOptions, recipe: Recipe, distribution: Distribution, terminal: Terminal
) -> StepLibrary | None:
    """Return what computes the steps, said only where this host talks; None for Keras."""
    say = terminal.say if distribution.first else lambda text: None
    return chosen_step(options.step, recipe, distribution, say)


def _recipe(options: RecipeOptions, init: ModelBundle | None, terminal: Terminal) -> Recipe:
    """Return the recipe, which a model to start from has its part in."""
    if init is None:
        return options.load()
    if not options.config:
        options = replace(options, overrides=[*GENTLE, *options.overrides])
    return fine_tuning_recipe(options.load(), init, terminal.say)


def _trainer(
    options: FitOptions,
    recipe: Recipe,
    init: ModelBundle | None,
    cache: Path,
    display: FitDisplay,
    distribution: Distribution,
    library: StepLibrary | None,
) -> Trainer:
    """Return the training, all its features computed."""
    terminal = display.terminal
    own, base, dev = (
        read_manifests(paths, recipe.alphabet)
        for paths in (options.train, options.base, options.dev)
    )
    rows: list[Utterance] = [*own, *base]
    if warning := check_apart(rows, dev):
        terminal.say(warning)
    given = init.statistics if init else _given_statistics(options, recipe.features.size)
    if distribution.first:
        check_folder(options.folder)
    dev_features = load_features("dev features", dev, recipe.features, cache, terminal)
    features = load_features("features", rows, recipe.features, cache, terminal)
    perturbed = perturbed_features(rows, recipe, cache, terminal)
    with quiet_stderr(), signals_held_back():
        from model.training.trainer import Trainer

        return Trainer(
            recipe,
            TrainingData(rows, features, perturbed, base=len(base)),
            TrainingData(dev, dev_features),
            given or features.statistics(),
            options.folder,
            report=display.update,
            notify=terminal.say,
            init=init,
            manifests=options.manifests,
            distribution=distribution,
            library=library,
        )


def _given_statistics(options: FitOptions, size: int) -> FeatureStatistics | None:
    """Return the statistics that were given, or those the training started with, or None."""
    path = options.statistics or options.folder / STATISTICS_FILE
    # Before its first checkpoint a training is started anew, maybe with other recordings.
    started = path.exists() and checkpoints(options.folder)
    if options.statistics is None and not started:
        return None
    statistics = load_statistics(path)
    if problems := statistics_problems(statistics, size):
        raise UsageError(
            f"{path}: {'; '.join(problems)}; write it with train.py stats MANIFEST --output"
        )
    return statistics


def _save_model(folder: Path, terminal: Terminal) -> None:
    """Make a bundle of a finished training."""
    bundle = bundle_from_run(folder, folder.resolve().name, notify=terminal.say)
    path = folder / BUNDLE_FOLDER
    save_model(bundle, path)
    terminal.say(f"{path}: the finished model, as it was after {bundle.provenance.steps} steps")
