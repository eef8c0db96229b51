"""Measure anchored windows: how close they come to reading a recording as a whole, at what cost.

Each recording is one utterance that grows, read by the network at every look as the live path
does (see model.acoustic.AcousticSession).  For each pair of lengths, what is frozen at a time
and what must follow on it before, a row tells

- how far the frozen probabilities are from those of the whole reading: half the sum of the
  differences, 0 to 1, the mean over the frozen frames; and in how many frames the best symbol
  is the same;
- the word error rate by the decoder of finals, of the frozen frames and the last window,
  against that of the whole reading;
- the network's processor time for each second of audio, and for a look.
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
  windows.py --manifest dev.jsonl --limit 8 --json runs/windows.json
                                        the first eight of each corpus: figures and a
                                        table (.md)
  windows.py --manifest dev.jsonl --every-ms 1000 --after-ms 1200 --set partials.every_ms=100
                                        one pair, with a look every 100 ms

All figures but those of clocks, in keys that begin with rtf or cpu_, are the same in every run.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = new_parser("windows.py", __doc__, EXAMPLES)
    parser.add_argument("--manifest", metavar="FILE", type=Path, required=True, help=MANIFEST)
    parser.add_argument(
        "--every-ms",
        metavar="MS",
        type=number(100, 10_000),
        nargs="+",
        default=[500, 1000],
        help="audio frozen at a time (default: 500 1000)",
    )
    parser.add_argument(
        "--after-ms",
        metavar="MS",
        type=number(0, 10_000),
        nargs="+",
        default=[600, 1200, 2000],
        help="audio that must follow on it before (default: 600 1200 2000)",
    )
    add_options(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and return the exit code."""
    options = vars(parser().parse_args(arguments))

    def work(terminal: Terminal) -> None:
        from benchmarks.live.anchoring import WindowOptions, measure_windows

        measure_windows(WindowOptions(**options), terminal)

    return carry_out("windows.py", work)


if __name__ == "__main__":
    use_one_core()
    sys.exit(main())
