"""``train.py stats``: what manifests hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model.commands.common import RecipeOptions, check_file, load_features
from model.commands.terminal import Terminal
from model.corpora.manifest import read_manifests
from model.corpora.survey import PERCENTILES, size_table, survey
from model.statistics import save_statistics


def show_statistics(
    manifests: Sequence[Path], output: Path | None, options: RecipeOptions, terminal: Terminal
) -> None:
    """Show what manifests hold; write the statistics of their features to ``output`` if given.

    Raises:
        CaptionerError: If a manifest, its audio or the settings cannot be used, or
            ``output`` is no ``.npz`` file or cannot be written.
    """
    if output is not None:
        check_file(output, (".npz",))
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
