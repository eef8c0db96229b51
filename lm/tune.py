"""Tune the search for words and the confidences.  See ``python -m lm.tune --help``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from model.commands.arguments import count, number
from model.errors import CaptionerError

if TYPE_CHECKING:
    from lm.tuning.command import TuneOptions

EXAMPLES = """\
examples:
  python -m lm.tune --manifest dev.jsonl
  python -m lm.tune --manifest dev.jsonl --corpus librispeech --limit 50 --jobs 4
  python -m lm.tune --manifest dev.jsonl --language-model other.binary --unigrams words.txt

The settings go into decoder.yaml, in the output folder and beside the language model, where
the captioner finds them.  Every result is kept at once in tuning.csv; the same command goes
on where it was stopped.

exit codes: 0 finished, 1 failed or stopped while running, 2 wrong usage or input
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Tune and return the exit code."""
    options = parser().parse_args(arguments)
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for library in ("tensorflow", "matplotlib"):
        logging.getLogger(library).setLevel(logging.ERROR)
    from lm.tuning.command import tune
    from model.commands.terminal import Terminal

    terminal = Terminal()
    try:
        tune(_options(options), terminal)
    except CaptionerError as error:
        terminal.say(f"lm.tune: error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        terminal.say("lm.tune: stopped; the same command goes on from here")
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m lm.tune",
        description="Find the settings of the search that make the fewest errors, then the "
        "least work that makes about as few, and how sure the words may be called.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_inputs(parser)
    _add_ways(parser)
    return parser


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--manifest",
        metavar="FILE",
        type=Path,
        nargs="+",
        required=True,
        help="manifests of recordings that neither model was made of",
    )
    parser.add_argument(
        "--model",
        metavar="FOLDER",
        type=Path,
        default=Path("models/default"),
        help="bundle of the acoustic model (default: %(default)s)",
    )
    parser.add_argument(
        "--language-model",
        metavar="PATH",
        type=Path,
        default=Path("models/language"),
        help="folder of lm.build, KenLM binary or ARPA file (default: %(default)s)",
    )
    parser.add_argument(
        "--unigrams", metavar="FILE", type=Path, help="known words of a binary file, one a line"
    )
    parser.add_argument(
        "--corpus",
        metavar="NAME",
        nargs="+",
        default=[],
        help="choose settings by these corpora only (default: all); all are reported",
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=count,
        default=0,
        help="use the first N recordings of each corpus (default: all)",
    )


def _add_ways(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        type=Path,
        default=Path("runs/tuning"),
        help="for settings, trials and pictures (default: %(default)s)",
    )
    parser.add_argument(
        "--keep-bundle",
        action="store_true",
        help="leave the folder of the language model as it is",
    )
    parser.add_argument(
        "--beam-width",
        metavar="N",
        type=count,
        help="keep this beam width (default: the smallest one within the tolerance)",
    )
    parser.add_argument(
        "--tolerance",
        metavar="PERCENT",
        type=number(0, 100),
        default=3.0,
        help="how many more errors than the widest beam a narrower one may make, in per cent "
        "of them (default: %(default)g)",
    )
    parser.add_argument(
        "--cache",
        metavar="FOLDER",
        type=Path,
        default=Path("cache/log-probabilities"),
        help="for what the acoustic model computed (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=count,
        default=os.cpu_count() or 1,
        help="processes (default: one for each processor)",
    )
    parser.add_argument(
        "--anew", action="store_true", help="forget the trials of earlier runs in the output"
    )


def _options(options: argparse.Namespace) -> TuneOptions:
    from lm.tuning.command import TuneOptions
    from lm.tuning.inputs import Source

    source = Source(
        options.manifest,
        options.model,
        options.language_model,
        options.unigrams,
        options.cache,
        tuple(options.corpus),
        options.limit,
    )
    return TuneOptions(
        source,
        options.output,
        options.jobs,
        options.beam_width,
        options.tolerance / 100,
        options.keep_bundle,
        options.anew,
    )


if __name__ == "__main__":
    sys.exit(main())
