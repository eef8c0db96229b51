"""Build a language model from text.  See ``python -m lm.build --help``."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lm.building.build import BuildOptions, build
from lm.building.judging import Judgement
from lm.building.recipe import LanguageRecipe
from lm.building.registers import Notice
from lm.building.sources import TextOption
from lm.bundle import LanguageBundle
from model.commands.arguments import add_settings
from model.errors import CaptionerError, UsageError
from model.parts import training_parts
from model.settings import load_settings

EXAMPLES = """\
examples:
  python -m lm.build --text novels/ --output models/mine
  python -m lm.build --text books:3=novels/ --text chat=chat.txt.bz2 --output models/mine
  python -m lm.build --config my-recipe.yaml --text books=novels/ --text mine=notes.txt \\
      --weigh-by my-dev.jsonl --keep-apart my-test.jsonl --output models/mine

exit codes: 0 finished, 1 stopped or failed while running, 2 wrong usage or input
"""

SHORT_FORMS = {
    "order": "ngrams.order",
    "prune": "ngrams.prune",
    "memory": "ngrams.memory",
    "vocabulary": "vocabulary.size",
    "min_count": "vocabulary.min_count",
    "held_out": "text.held_out",
    "max_mb": "size.max_mb",
}
"""Options that set one value of the recipe."""


def main(arguments: Sequence[str] | None = None, console: Console | None = None) -> int:
    """Build a language model and return the exit code."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(arguments)
    log = Console(stderr=True) if console is None else console

    def say(text: str) -> None:
        log.print(text, markup=False, highlight=False, soft_wrap=True)

    try:
        with training_parts():
            _run(options, arguments, say)
    except CaptionerError as error:
        say(f"lm.build: error: {error}")
        return error.exit_code
    except MemoryError:
        say("lm.build: error: there is too little memory; give a smaller --vocabulary or --order")
        return 1
    except KeyboardInterrupt:
        say("lm.build: stopped")
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m lm.build",
        description="Build a language model: from text to a folder for the captioner.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--text",
        metavar="[NAME[:WEIGHT]=]PATH",
        action="append",
        required=True,
        help="file or folder of UTF-8 text (.txt, .gz, .bz2, .xz); may be repeated, the same NAME "
        "making one register of several; WEIGHT is its share, relative to the others",
    )
    parser.add_argument(
        "--output", metavar="FOLDER", type=Path, required=True, help="language model to write"
    )
    parser.add_argument("--name", default="", help="name of the model (default: the folder's)")
    _add_manifest_options(parser)
    _add_recipe_options(parser)
    parser.add_argument(
        "--notes",
        metavar="FILE",
        type=Path,
        help="Markdown for the model card: licences and attribution of the text",
    )
    parser.add_argument(
        "--work",
        metavar="FOLDER",
        type=Path,
        help="keep the normalised text here for the next build (default: a temporary folder "
        "beside the output)",
    )
    return parser


def _add_manifest_options(parser: argparse.ArgumentParser) -> None:
    for option, meaning in (
        ("--keep-apart", "leave out sentences that share a long run of words with these manifests"),
        ("--judge", "tell the perplexity of these manifests' transcripts too"),
        ("--weigh-by", "choose the registers' weights by these manifests' transcripts"),
    ):
        parser.add_argument(option, metavar="FILE", nargs="+", type=Path, default=[], help=meaning)


def _add_recipe_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--order", metavar="N", help="words of the longest n-grams")
    parser.add_argument(
        "--prune",
        metavar="N",
        nargs="+",
        help="counts up to which n-grams are left out, for each order, such as 0 0 1",
    )
    parser.add_argument("--vocabulary", metavar="N", help="known words at most; 0 for all")
    parser.add_argument("--min-count", metavar="N", help="how often a known word must come")
    parser.add_argument("--held-out", metavar="SHARE", help="share of documents that judge it")
    parser.add_argument("--max-mb", metavar="MB", help="largest size of the folder; 0 for any")
    parser.add_argument("--memory", metavar="SIZE", help="for lmplz, such as 30%% or 2G")
    add_settings(parser, "configs/language.yaml", "text.once_words=0")


def _run(options: argparse.Namespace, arguments: Sequence[str], say: Notice) -> None:
    text = [TextOption.parse(value) for value in options.text]
    recipe = load_settings(LanguageRecipe, options.config, _overrides(options, text))
    bundle = build(
        BuildOptions(
            text,
            options.output,
            options.keep_apart,
            options.judge,
            options.weigh_by,
            options.work,
            options.name,
            options.notes,
            command_text(arguments),
        ),
        recipe,
        say,
    )
    for line in _summary(bundle):
        say(line)


def _overrides(options: argparse.Namespace, text: Sequence[TextOption]) -> list[str]:
    """Return the values of the recipe that options give, weights of registers among them."""
    found = list(options.overrides)
    for option, key in SHORT_FORMS.items():
        value = getattr(options, option)
        if value is not None:
            given = f"[{', '.join(value)}]" if isinstance(value, list) else value
            found.append(f"{key}={given}")
    return found + [f"mixture.weights.{name}={share}" for name, share in _weights(text).items()]


def _weights(text: Sequence[TextOption]) -> dict[str, str]:
    """Return the weight of each register that was given one.

    Raises:
        UsageError: If one was given two.
    """
    found: dict[str, str] = {}
    for some in text:
        if some.weight and found.setdefault(some.name, some.weight) != some.weight:
            raise UsageError(
                f"--text {some.name}:{some.weight}={some.path}: {some.name} has the weight "
                f"{found[some.name]} already; give a register one weight"
            )
    return found


def command_text(arguments: Sequence[str]) -> str:
    """Return the command without the folders of its machine, each path by its last part."""
    return shlex.join(["python", "-m", "lm.build", *map(_without_folders, arguments)])


def _without_folders(argument: str) -> str:
    head, equals, path = argument.rpartition("=")
    return f"{head}{equals}{Path(path).name or path}" if "/" in path else argument


def _summary(bundle: LanguageBundle) -> list[str]:
    lines = []
    for name, found in bundle.record["evaluation"].items():
        judged = Judgement(**found)
        lines.append(
            f"{name}: perplexity {judged.perplexity:.1f}, "
            f"{100 * judged.unknown_share:.2f} % of {judged.words:,} words unknown"
        )
    size = sum(file.stat().st_size for file in bundle.folder.iterdir() if file.is_file())
    return [*lines, f"{bundle.folder}: {size / 1e6:.2f} MB"]


if __name__ == "__main__":
    sys.exit(main())
