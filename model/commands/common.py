"""What several commands share: where a recipe comes from, signals, the features."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from types import FrameType

import numpy as np

from model.bundle import SETTINGS_FILE, ModelBundle, load_bundle, save_bundle
from model.commands.terminal import Terminal
from model.corpora.manifest import Utterance
from model.errors import BundleError, UsageError
from model.features import FeatureSettings
from model.recipe import Recipe
from model.settings import load_settings
from model.training.feature_cache import CachedFeatures, cached_features


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


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Let a first SIGINT or SIGTERM end the program afterwards; the second does at once.

    For the time in which a large library starts: it may lose an exception that is raised then.

    Raises:
        KeyboardInterrupt: At the end, if a signal came.
    """
    asked = Event()
    with on_first_signal(asked.set):
        yield
    if asked.is_set():
        raise KeyboardInterrupt


def check_file(output: Path, suffixes: Sequence[str], inputs: Iterable[Path] = ()) -> None:
    """Check that a file to write is called as it should be, and is none of those to read.

    Raises:
        UsageError: If it is not, or a folder is there.
    """
    if output.suffix.lower() not in suffixes:
        raise UsageError(f"--output: must end in {' or '.join(suffixes)}, got {output}")
    if os.path.isdir(output):
        raise UsageError(f"{output}: is a folder; give the file to write")
    if any(_same_file(output, path) for path in inputs):
        raise UsageError(f"{output}: is also to be read; give another place for the result")


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def save_model(bundle: ModelBundle, folder: Path) -> None:
    """Write a bundle; where the same weights are there already, the report on them stays.

    Raises:
        BundleError: As :func:`model.bundle.save_bundle`.
    """
    if (folder / SETTINGS_FILE).is_file():
        report = _report_on(bundle, folder)
        bundle = replace(bundle, provenance=replace(bundle.provenance, report=report))
    save_bundle(bundle, folder)


def _report_on(bundle: ModelBundle, folder: Path) -> str:
    """Return what an evaluation of the same weights left in a bundle's folder."""
    try:
        saved = load_bundle(folder)
    except BundleError:
        return ""
    # Saved weights are float16.
    same = saved.weights.keys() == bundle.weights.keys() and all(
        np.array_equal(saved.weights[name], weights.astype(np.float16))
        for name, weights in bundle.weights.items()
    )
    return saved.provenance.report if same else ""


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
