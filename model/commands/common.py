"""What several commands share: where a recipe comes from, signals, the features."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from model.commands.terminal import Terminal
from model.corpora.manifest import Utterance
from model.errors import UsageError
from model.features import FeatureSettings
from model.recipe import Recipe
from model.settings import load_settings
from model.training.feature_cache import CachedFeatures, cached_features

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
