"""Train the captioner's acoustic model.  See ``--help``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from model import commands
from model.errors import CaptionerError
from model.terminal import Terminal

EXAMPLES = """\
examples:
  train.py manifest LibriSpeech/train-clean-5 --output train.jsonl
  train.py stats train.jsonl
  train.py fit --manifest train.jsonl --dev dev.jsonl --output runs/first
  train.py evaluate --bundle runs/first/bundle --manifest dev.jsonl
  train.py export --run runs/first --output models/english

KERAS_BACKEND=jax trains with JAX instead of TensorFlow; bundles serve both.

exit codes: 0 finished, 1 failed or stopped while running, 2 wrong usage or input
"""


def main(arguments: Sequence[str] | None = None, terminal: Terminal | None = None) -> int:
    """Run one command and return the exit code."""
    options = parser().parse_args(arguments)
    os.environ.setdefault("KERAS_BACKEND", commands.BACKENDS[0])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # A few batch shapes are compiled on purpose, which TensorFlow warns of.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    terminal = terminal or Terminal()
    try:
        finished = _run(options, terminal)
    except CaptionerError as error:
        terminal.say(f"train.py: error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        terminal.say("train.py: stopped")
        return 1
    return 0 if finished else 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="train.py",
        description="Train the captioner's acoustic model: from recordings to a model bundle.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, add_options, description in (
        ("manifest", _add_manifest_options, "write a manifest of the recordings in folders"),
        ("stats", _add_stats_options, "show what manifests hold"),
        ("fit", _add_fit_options, "train, or go on with a training"),
        ("evaluate", _add_evaluate_options, "measure a model's errors on whole recordings"),
        ("export", _add_export_options, "make a bundle of a training's newest checkpoint"),
    ):
        add_options(
            subparsers.add_parser(
                name,
                help=description,
                description=f"{description.capitalize()}.",
                allow_abbrev=False,
            )
        )
    return parser


def _add_manifest_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="+",
        type=Path,
        help="folder in LibriSpeech's layout (*.trans.txt), or with a .txt beside each recording",
    )
    parser.add_argument(
        "--output", metavar="FILE", type=Path, required=True, help="manifest to write (.jsonl)"
    )
    parser.add_argument(
        "--corpus", metavar="NAME", default="", help="name of the corpus (default: the folder's)"
    )
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out what cannot be used, and say how much"
    )


def _add_stats_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "manifests", metavar="MANIFEST", nargs="+", type=Path, help="manifest to look at"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="write the mean and deviation of the features too (.npz)",
    )
    _add_recipe_options(parser)


def _add_fit_options(parser: argparse.ArgumentParser) -> None:
    _add_manifests(parser, "--manifest", "manifests to learn from")
    _add_manifests(parser, "--dev", "manifests to judge by after every pass; never learnt from")
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        type=Path,
        required=True,
        help="folder for checkpoints, the log and the finished bundle; "
        "a training found there goes on where it was",
    )
    parser.add_argument(
        "--stats",
        metavar="FILE",
        type=Path,
        help="feature statistics of train.py stats (default: those of the training manifests)",
    )
    _add_recipe_options(parser)


def _add_evaluate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bundle", metavar="FOLDER", type=Path, required=True, help="model bundle to judge"
    )
    _add_manifests(parser, "--manifest", "manifests to judge it by")
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help="write the figures too (.json or .md)"
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=_count,
        default=0,
        help="use the first N recordings of each corpus (default: all)",
    )
    parser.add_argument(
        "--card", action="store_true", help="write the figures into the bundle's model card too"
    )


def _add_export_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run", metavar="FOLDER", type=Path, required=True, help="folder of train.py fit"
    )
    parser.add_argument(
        "--output", metavar="FOLDER", type=Path, required=True, help="bundle to write"
    )
    parser.add_argument(
        "--name", help="name of the model (default: the last part of the bundle's folder)"
    )
    parser.add_argument(
        "--stats", metavar="FILE", type=Path, help="feature statistics, for a run without them"
    )
    _add_manifests(
        parser, "--manifest", "what it learnt from, for a run that does not say", required=False
    )
    parser.add_argument(
        "--notes",
        metavar="FILE",
        type=Path,
        help="Markdown for the model card: licences and attribution of the data",
    )


def _add_manifests(
    parser: argparse.ArgumentParser, option: str, meaning: str, required: bool = True
) -> None:
    parser.add_argument(
        option,
        metavar="FILE",
        nargs="+",
        type=Path,
        required=required,
        default=[],
        help=meaning,
    )


def _add_recipe_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="recipe, such as configs/train.yaml"
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help="one value of the recipe, such as training.minutes=30; may be repeated",
    )
    parser.add_argument(
        "--cache",
        metavar="FOLDER",
        type=Path,
        default=Path("cache"),
        help="where computed features are kept (default: cache)",
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, got {text}")
    return int(text)


def _run(options: argparse.Namespace, terminal: Terminal) -> bool:
    """Carry out a command; return whether it came to its end."""
    match options.command:
        case "manifest":
            commands.make_manifest(
                options.sources, options.output, options.corpus, options.skip_bad, terminal
            )
        case "stats":
            commands.show_statistics(
                options.manifests, options.output, _recipe_options(options), terminal
            )
        case "fit":
            return commands.fit(
                options.manifest,
                options.dev,
                options.output,
                options.stats,
                _recipe_options(options),
                terminal,
            )
        case "evaluate":
            commands.evaluate(
                options.bundle,
                options.manifest,
                options.output,
                options.limit,
                options.card,
                terminal,
            )
        case "export":
            commands.export(
                options.run,
                options.output,
                options.name,
                options.stats,
                options.manifest,
                options.notes,
                terminal,
            )
    return True


def _recipe_options(options: argparse.Namespace) -> commands.RecipeOptions:
    return commands.RecipeOptions(options.config, options.overrides, options.cache)


if __name__ == "__main__":
    sys.exit(main())
