"""Measure how likely words of partials are to stay, fit that, and show what a threshold trades.

Recordings go through the live path once.  Every word that is not settled counts at every look:
what streamer.stability knows of it, and whether the final has it (the same word, ending within a
quarter of a second).  The weights of streamer.stability.WordStability are fitted to that by
logistic regression, and judged on speakers that they were not fitted on.

Then what was read is shown anew at each threshold (partials.stability), with the weights as they
are and as fitted: the higher it is, the later words are shown, and the fewer change.  What is
read and what settles does not depend on what is shown, so this is what the live path would do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.live.arguments import MANIFEST, add_options, carry_out, new_parser, use_one_core
from model.commands.arguments import number

if TYPE_CHECKING:
    from model.commands.terminal import Terminal

EXAMPLES = """\
examples:
  stability.py --manifest dev.jsonl --limit 8 --json runs/stability.json
                                        the first eight of each corpus: figures, a table
                                        (.md), a picture (.png)
  stability.py --manifest dev.jsonl --stability 0.6 0.8 --set partials.stickiness=2
                                        two thresholds, with another setting

All figures but cpu_load are the same in every run.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = new_parser("stability.py", __doc__, EXAMPLES)
    parser.add_argument("--manifest", metavar="FILE", type=Path, required=True, help=MANIFEST)
    parser.add_argument(
        "--stability",
        metavar="PROBABILITY",
        type=number(0, 1),
        nargs="+",
        default=[0.5, 0.6, 0.7, 0.8, 0.9],
        dest="thresholds",
        help="thresholds to try, 0 to 1 (default: 0.5 0.6 0.7 0.8 0.9)",
    )
    add_options(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and return the exit code."""
    options = vars(parser().parse_args(arguments))

    def work(terminal: Terminal) -> None:
        from benchmarks.live.staying import StabilityOptions, measure_stability

        measure_stability(StabilityOptions(**options), terminal)

    return carry_out("stability.py", work)


if __name__ == "__main__":
    use_one_core()
    sys.exit(main())
