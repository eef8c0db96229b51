"""``train.py export``: a training's checkpoint, or a bundle, as something to use elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.bundle import ModelBundle, load_bundle
from model.commands.common import check_file, save_model, signals_held_back
from model.commands.terminal import Terminal
from model.corpora.manifest import hours_by_corpus, read_manifests
from model.errors import UsageError
from model.statistics import load_statistics
from model.training.checkpoint import Choice
from model.training.export import bundle_from_run
from model.training.mixture import HALF, mixture

FORMATS = ("bundle", "onnx", "tensorflow", "litert", "tensorrt")
"""What can be written; the bundle is what this program uses itself."""

SUFFIXES = {"onnx": ".onnx", "litert": ".tflite", "tensorrt": ".onnx"}
"""Ends of the names of formats that are files."""


@dataclass(frozen=True)
class ExportOptions:
    """What to write, of what, and where.

    Attributes:
        output: Where it goes.
        run: A training's folder; None where ``bundle`` is given.
        bundle: A bundle's folder; None where ``run`` is given.
        format: One of :data:`FORMATS`.
        name: Of the model; the bundle's own, or the last part of ``output`` when None.
        statistics: A file of feature statistics, for a training's folder without them.
        manifests: What it was trained on, for a training's folder that does not say.
        notes: Markdown on the data for the model card: licences and attribution.
        checkpoint: The best or the newest.
        init: Bundle that the training started from, whose weights are mixed in; None
            leaves the training's as they are.
        share: Of the training's weights in that mixture; None for a half.
    """

    output: Path
    run: Path | None = None
    bundle: Path | None = None
    format: str = "bundle"
    name: str | None = None
    statistics: Path | None = None
    manifests: Sequence[Path] = ()
    notes: Path | None = None
    checkpoint: Choice = "best"
    init: Path | None = None
    share: float | None = None


def export(options: ExportOptions, terminal: Terminal) -> None:
    """Write a model in one of the formats.

    Args:
        options: What to write, of what, and where.
        terminal: Says what was written.

    Raises:
        CaptionerError: If the training, the bundle or the files cannot be used, the output
            cannot be written, or a network in another format does not do the same.
    """
    _check(options)
    if options.format == "bundle":
        bundle = _bundle_of_run(options, terminal)
        save_model(bundle, options.output)
        terminal.say(f"{options.output}: the model after {bundle.provenance.steps} steps")
        return
    bundle = load_bundle(options.bundle) if options.bundle else _bundle_of_run(options, terminal)
    with signals_held_back():
        from model.engines.exporting import EXPORTS

        error = EXPORTS[options.format](bundle, options.output)
    terminal.say(
        f"{options.output}: the network of {bundle.name}; its outputs differ by up to {error:.1e} "
        "from those of the network as it was trained"
    )


def _check(options: ExportOptions) -> None:
    if options.format in SUFFIXES:
        check_file(options.output, [SUFFIXES[options.format]])
    if options.share is not None and options.init is None:
        raise UsageError("--share: is of a mixture; give the model to mix with as --init too")
    if options.bundle is None:
        return
    if options.format == "bundle":
        raise UsageError(
            "--bundle: is a bundle already; give --format onnx, tensorflow, litert or tensorrt too"
        )
    for option, given in (
        ("--name", options.name),
        ("--stats", options.statistics),
        ("--manifest", options.manifests),
        ("--notes", options.notes),
        ("--init", options.init),
    ):
        if given:
            raise UsageError(f"{option}: is for --run; a bundle brings its own")


def _bundle_of_run(options: ExportOptions, terminal: Terminal) -> ModelBundle:
    """Return the bundle of a checkpoint of a training, mixed with what it started from."""
    assert options.run is not None, "either a training or a bundle is given"
    statistics, manifests, notes = options.statistics, options.manifests, options.notes
    bundle = bundle_from_run(
        options.run,
        options.name or _default_name(options),
        load_statistics(statistics) if statistics else None,
        hours_by_corpus(read_manifests(manifests)) if manifests else None,
        _read_notes(notes) if notes else "",
        notify=terminal.say,
        checkpoint=options.checkpoint,
    )
    if options.init is None:
        return bundle
    share = HALF if options.share is None else options.share
    return mixture(load_bundle(options.init), bundle, share)


def _default_name(options: ExportOptions) -> str:
    output = options.output.resolve()
    return output.stem if options.format in SUFFIXES else output.name


def _read_notes(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", error)
        raise UsageError(
            f"{path}: cannot be read as UTF-8 text ({reason}); give a file of Markdown"
        ) from error
