"""Say where the errors of a captioner are, and whose fault they are.

Recordings are read as wholes, as a final is, and their errors counted by corpus, speaker, noise
and length, and those of words by how common they are, by their place and their letters.  Each
run of wrong words is put right and scored as the decoder scores: it tells whether the search
lost the right text or a model prefers the wrong one, and which.  On a sample, a wider beam and
the best of its list show what a second pass could win, and the live path what cutting loses.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.live.arguments import MANIFEST, carry_out, new_parser, use_one_core
from model.commands.arguments import count

if TYPE_CHECKING:
    from model.commands.terminal import Terminal

EXAMPLES = """\
examples:
  errors.py --manifest dev.jsonl --output runs/errors.json
                                        the shipped models: figures, and tables (.md)
  errors.py --bundle runs/mine/bundle --manifest dev.jsonl --limit 10 --sample 5
                                        another model, the first ten of each corpus
  errors.py --compare before.json after.json --output runs/both.json
                                        runs side by side

All figures are the same in every run.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = new_parser("errors.py", __doc__, EXAMPLES)
    work = parser.add_mutually_exclusive_group(required=True)
    work.add_argument("--manifest", metavar="FILE", type=Path, nargs="+", help=MANIFEST)
    work.add_argument(
        "--compare",
        metavar="JSON",
        type=Path,
        nargs="+",
        help="show the figures of runs side by side, and do nothing else",
    )
    for name, folder in (("bundle", "models/default"), ("language-model", "models/language")):
        help_text = f"default: {folder}"
        parser.add_argument(
            f"--{name}", metavar="FOLDER", type=Path, default=Path(folder), help=help_text
        )
    parser.add_argument(
        "--output", metavar="OUT", type=Path, help="write the figures here, tables beside it (.md)"
    )
    parser.add_argument(
        "--sample",
        metavar="N",
        type=count,
        default=40,
        help="recordings of each corpus, drawn once, for what is slow (default: 40)",
    )
    parser.add_argument(
        "--limit", metavar="N", type=count, default=0, help="the first N of each corpus"
    )
    parser.add_argument(
        "--cache",
        metavar="FOLDER",
        type=Path,
        default=Path("cache/log-probabilities"),
        help="where log-probabilities are kept (default: cache/log-probabilities)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure or compare, and return the exit code."""
    options = vars(parser().parse_args(arguments))
    compared = options.pop("compare")

    def work(terminal: Terminal) -> None:
        from benchmarks.causes.command import ErrorOptions, compare, measure

        if compared:
            compare(compared, options["output"], terminal)
        else:
            measure(ErrorOptions(**options), terminal)

    return carry_out("errors.py", work)


if __name__ == "__main__":
    use_one_core()
    sys.exit(main())
