"""What ``train.py`` does, command by command."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from model.bundle import CARD_FILE, save_bundle, save_report
from model.corpora import find_utterances
from model.errors import ManifestError, UsageError
from model.export import bundle_from_run
from model.feature_cache import CachedFeatures, cached_features
from model.features import FeatureSettings, FeatureStatistics
from model.manifest import Utterance, hours_by_corpus, read_manifests, write_manifest
from model.quiet import quiet_stderr
from model.recipe import Recipe
from model.run_folder import STATISTICS_FILE
from model.settings import load_settings
from model.statistics import load_statistics, save_statistics, statistics_problems
from model.survey import PERCENTILES, survey
from model.terminal import FitDisplay, Terminal

BACKENDS = ("tensorflow", "jax")


@dataclass(frozen=True)
class RecipeOptions:
    """Where a recipe and the cached features come from.

    Attributes:
        config: A YAML file; None for the defaults.
        overrides: ``section.key=value`` each.
        cache: Folder of cached features.
    """

    config: Path | None
    overrides: Sequence[str]
    cache: Path

    def load(self) -> Recipe:
        """Return the recipe; raises SettingsError."""
        return load_settings(Recipe, self.config, self.overrides)


def make_manifest(
    sources: Sequence[Path], output: Path, corpus: str, skip_bad: bool, terminal: Terminal
) -> None:
    """Write a manifest of the recordings in folders.

    Raises:
        ManifestError: If something cannot be used and ``skip_bad`` is not set, if
            nothing can be used, or if the manifest cannot be written.
    """
    rows: list[Utterance] = []
    problems: list[str] = []
    for source in sources:
        with terminal.counting(str(source)) as progress:
            findings = find_utterances(source, corpus, progress=progress)
        rows += findings.rows
        problems += findings.problems
    if problems and not skip_bad:
        raise ManifestError(
            "\n".join([*problems, f"{len(problems)} problems; mend them, or give --skip-bad"])
        )
    for problem in problems:
        terminal.say(problem)
    if not rows:
        raise ManifestError(f"{output}: not written: there is no usable recording")
    write_manifest(output, rows)
    hours = sum(row.duration for row in rows) / 3600
    left_out = f", {len(problems)} left out" if problems else ""
    terminal.say(f"{output}: {len(rows)} recordings, {hours:.2f} hours{left_out}")


def show_statistics(
    manifests: Sequence[Path], output: Path | None, options: RecipeOptions, terminal: Terminal
) -> None:
    """Show what manifests hold; write the statistics of their features to ``output`` if given.

    Raises:
        CaptionerError: If a manifest, its audio or the settings cannot be used, or
            ``output`` cannot be written.
    """
    features = options.load().features
    rows = read_manifests(manifests)
    found = survey(rows)
    terminal.show_table(
        "Speech",
        ("corpus", "recordings", "hours", "speakers", "machine transcripts"),
        [
            (
                c.corpus or "unnamed",
                f"{c.utterances}",
                f"{c.hours:.2f}",
                f"{c.speakers}",
                f"{c.machine}",
            )
            for c in found.corpora
        ],
    )
    terminal.show_table(
        "Durations",
        ("percentile", *(str(percentile) for percentile in PERCENTILES)),
        [("seconds", *(f"{seconds:.2f}" for seconds in found.durations))],
    )
    terminal.show_table(
        "Symbols",
        ("symbol", "count"),
        [(repr(symbol), str(count)) for symbol, count in found.symbols.items()],
    )
    if output is not None:
        cached = _features("features", rows, features, options.cache, terminal)
        save_statistics(output, cached.statistics())
        terminal.say(f"{output}: mean and deviation of {len(cached.frames)} frames")


def fit(
    train: Sequence[Path],
    dev: Sequence[Path],
    folder: Path,
    statistics: Path | None,
    options: RecipeOptions,
    terminal: Terminal,
) -> bool:
    """Train in a folder, or go on there; return whether the training is finished.

    A finished training leaves its model in ``folder / "bundle"``.

    Raises:
        CaptionerError: If the inputs cannot be used, or training cannot go on.
    """
    _check_backend()
    recipe = options.load()
    train_rows, dev_rows = read_manifests(train), read_manifests(dev)
    dev_features = _features("dev features", dev_rows, recipe.features, options.cache, terminal)
    features = _features("features", train_rows, recipe.features, options.cache, terminal)
    used = _statistics(folder, statistics, features)
    display = FitDisplay(terminal)
    with quiet_stderr():
        from model.training import Trainer, TrainingData

        trainer = Trainer(
            recipe,
            TrainingData(train_rows, features),
            TrainingData(dev_rows, dev_features),
            used,
            folder,
            report=display.update,
            notify=terminal.say,
        )

    def stop() -> None:
        trainer.stop()
        terminal.say("stopping after this step; once more to stop at once")

    with display, on_first_signal(stop):
        progress = trainer.run()
    if not trainer.finished:
        terminal.say(f"stopped at step {progress.step}; the same command goes on from there")
        return False
    bundle = bundle_from_run(folder, folder.resolve().name, notify=terminal.say)
    terminal.say(f"{save_bundle(bundle, folder / 'bundle')}: the finished model")
    return True


def evaluate(
    bundle: Path,
    manifests: Sequence[Path],
    output: Path | None,
    limit: int,
    card: bool,
    terminal: Terminal,
) -> None:
    """Show a model's error rates on whole recordings; write them to ``output`` if given.

    Args:
        bundle: The model.
        manifests: What to recognise.
        output: A ``.json`` or ``.md`` file.
        limit: Use the first recordings of each corpus; all when 0.
        card: Whether to write the table into the bundle and its model card.
        terminal: Shows the table.

    Raises:
        CaptionerError: If an input cannot be used, or ``output`` cannot be written.
    """
    if output is not None and output.suffix not in (".json", ".md"):
        raise UsageError(f"--output: must end in .json or .md, got {output}")
    _check_backend()
    from model.acoustic import AcousticModel
    from model.assessment import COLUMNS, assess, first_of_each

    rows = read_manifests(manifests)
    rows = first_of_each(rows, limit) if limit else rows
    model = AcousticModel.load(bundle)
    with terminal.counting("recognising", len(rows)) as progress:
        result = assess(model, rows, progress)
    terminal.show_table(f"{result.model}, greedy decoding", COLUMNS, result.table())
    words = ["train.py", "evaluate", "--bundle", bundle, "--manifest", *manifests]
    command = shlex.join(map(str, [*words, "--limit", limit] if limit else words))
    if output is not None:
        text = json.dumps(result.record(command), indent=2) + "\n"
        _write_report(output, text if output.suffix == ".json" else result.markdown(command))
    if card:
        save_report(model.bundle, bundle, result.markdown(command))
        terminal.say(f"{bundle / CARD_FILE}: holds these figures now")


def export(
    run: Path,
    output: Path,
    name: str | None,
    statistics: Path | None,
    manifests: Sequence[Path],
    notes: Path | None,
    terminal: Terminal,
) -> None:
    """Make a bundle of a training's newest checkpoint.

    Args:
        run: The training's folder.
        output: Where the bundle goes.
        name: Of the model; the last part of ``output`` when None.
        statistics: A file of feature statistics, for a folder without them.
        manifests: What it was trained on, for a folder that does not say.
        notes: Markdown on the data for the model card: licences and attribution.
        terminal: Says what was written.

    Raises:
        CaptionerError: If the training or the files cannot be used, or ``output``
            cannot be written.
    """
    bundle = bundle_from_run(
        run,
        name or output.resolve().name,
        load_statistics(statistics) if statistics else None,
        hours_by_corpus(read_manifests(manifests)) if manifests else None,
        _read_notes(notes) if notes else "",
        notify=terminal.say,
    )
    save_bundle(bundle, output)
    terminal.say(f"{output}: the model after {bundle.provenance.steps} steps")


@contextmanager
def on_first_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` on the first SIGINT or SIGTERM; the second has its usual effect."""

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, frame: FrameType | None) -> None:
        restore()
        stop()

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()


def _features(
    what: str,
    rows: Sequence[Utterance],
    settings: FeatureSettings,
    cache: Path,
    terminal: Terminal,
) -> CachedFeatures:
    with terminal.counting(what, len(rows)) as progress:
        return cached_features(rows, settings, cache, progress)


def _statistics(folder: Path, given: Path | None, features: CachedFeatures) -> FeatureStatistics:
    """Return the statistics that were given, or those the training started with, or new ones."""
    path = given or folder / STATISTICS_FILE
    if given is None and not path.exists():
        return features.statistics()
    statistics = load_statistics(path)
    if problems := statistics_problems(statistics, features.frames.shape[1]):
        raise UsageError(
            f"{path}: {'; '.join(problems)}; write it with train.py stats MANIFEST --output"
        )
    return statistics


def _check_backend() -> None:
    backend = os.environ.get("KERAS_BACKEND", BACKENDS[0])
    if backend not in BACKENDS:
        raise UsageError(f"KERAS_BACKEND: must be {' or '.join(BACKENDS)}, got {backend}")
    if importlib.util.find_spec(backend) is None:
        raise UsageError(f"KERAS_BACKEND: {backend} is not installed; install it with pip")


def _read_notes(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as UTF-8 text: {error}") from error


def _write_report(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written ({error.strerror or error}); "
            "free some space or give another place"
        ) from error
