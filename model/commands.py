"""What ``train.py`` does, command by command."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from model.bundle import save_bundle
from model.checkpoint import Choice
from model.errors import UsageError
from model.export import bundle_from_run
from model.feature_cache import CachedFeatures, cached_features
from model.features import FeatureSettings
from model.manifest import Utterance, hours_by_corpus, read_manifests
from model.recipe import Recipe
from model.settings import load_settings
from model.statistics import load_statistics, save_statistics
from model.survey import PERCENTILES, size_table, survey
from model.terminal import Terminal

BACKENDS = ("tensorflow", "jax")


@dataclass(frozen=True)
class RecipeOptions:
    """Where a recipe and the cached features come from.

    Attributes:
        config: YAML files, later ones winning; none for the defaults.
        overrides: ``section.key=value`` each.
        cache: Folder of cached features.
    """

    config: Sequence[Path]
    overrides: Sequence[str]
    cache: Path

    def load(self) -> Recipe:
        """Return the recipe; raises SettingsError."""
        return load_settings(Recipe, self.config, self.overrides)


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
    terminal.show_table("Speech", *size_table(found.corpora))
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
        cached = load_features("features", rows, features, options.cache, terminal)
        save_statistics(output, cached.statistics())
        terminal.say(f"{output}: mean and deviation of {cached.frame_count} frames")


def export(
    run: Path,
    output: Path,
    name: str | None,
    statistics: Path | None,
    manifests: Sequence[Path],
    notes: Path | None,
    terminal: Terminal,
    checkpoint: Choice = "best",
) -> None:
    """Make a bundle of a checkpoint of a training.

    Args:
        run: The training's folder.
        output: Where the bundle goes.
        name: Of the model; the last part of ``output`` when None.
        statistics: A file of feature statistics, for a folder without them.
        manifests: What it was trained on, for a folder that does not say.
        notes: Markdown on the data for the model card: licences and attribution.
        terminal: Says what was written.
        checkpoint: The best or the newest.

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
        checkpoint=checkpoint,
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


def check_backend() -> None:
    """Check the library that Keras is to use; raises UsageError."""
    backend = os.environ.get("KERAS_BACKEND", BACKENDS[0])
    if backend not in BACKENDS:
        raise UsageError(f"KERAS_BACKEND: must be {' or '.join(BACKENDS)}, got {backend}")
    if importlib.util.find_spec(backend) is None:
        raise UsageError(f"KERAS_BACKEND: {backend} is not installed; install it with pip")


def load_features(
    what: str,
    rows: Sequence[Utterance],
    settings: FeatureSettings,
    cache: Path,
    terminal: Terminal,
) -> CachedFeatures:
    """Return the features of recordings, computed where the cache lacks them, with a bar."""
    with terminal.counting(what, len(rows)) as progress:
        return cached_features(rows, settings, cache, progress)


def _read_notes(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as UTF-8 text: {error}") from error
