"""``train.py export``: a bundle of a training's checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model.commands.common import save_model
from model.commands.terminal import Terminal
from model.corpora.manifest import hours_by_corpus, read_manifests
from model.errors import UsageError
from model.statistics import load_statistics
from model.training.checkpoint import Choice
from model.training.export import bundle_from_run


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
    save_model(bundle, output)
    terminal.say(f"{output}: the model after {bundle.provenance.steps} steps")


def _read_notes(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", error)
        raise UsageError(
            f"{path}: cannot be read as UTF-8 text ({reason}); give a file of Markdown"
        ) from error
