"""Measure rolling captions: errors, latency, flicker, speed, loss, memory and start-up.

Recordings are streamed through the same objects that run_live.py uses, each alone and, with
--session, all of them as one long session too.  The live finals are judged against the
references and against the same models on whole recordings; each word's latency is counted
from where forced alignment says that it ends.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.live.arguments import MANIFEST, add_options, carry_out, new_parser, use_one_core
from model.commands.arguments import count, number

if TYPE_CHECKING:
    from model.commands.terminal import Terminal

EXAMPLES = """\
examples:
  replay.py --manifest dev.jsonl --limit 10 --session --json runs/replay.json
                                        the first ten of each corpus: figures, a table
                                        (.md), a picture (.png), all events (.log.jsonl)
  replay.py --manifest dev.jsonl --limit 2 --pace real --starts 0
                                        at the pace of speech, with threads
  replay.py --manifest dev.jsonl --limit 10 --noise 10 --set partials.every_ms=400
                                        in noise, with another setting
  replay.py --compare before.json after.json --json both.json
                                        runs side by side, with a picture

At --pace max all figures but those of clocks are the same in every run, and so is the log:
keys that end in _wall_s or begin with rtf, cpu_, memory_ or startup_ hold what clocks say.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = new_parser("replay.py", __doc__, EXAMPLES)
    work = parser.add_mutually_exclusive_group(required=True)
    work.add_argument("--manifest", metavar="FILE", type=Path, help=MANIFEST)
    work.add_argument(
        "--compare",
        metavar="JSON",
        type=Path,
        nargs="+",
        help="show the figures of runs side by side, and do nothing else",
    )
    add_options(parser)
    parser.add_argument(
        "--pace",
        choices=("real", "max"),
        default="max",
        help="as the recordings were spoken, with threads; or as fast as it goes, in one loop, "
        "with the times that it would have taken live (default: max)",
    )
    parser.add_argument(
        "--noise",
        metavar="DB",
        type=number(-40, 100),
        help="add pink noise at this signal-to-noise ratio",
    )
    parser.add_argument("--session", action="store_true", help="stream all as one session as well")
    parser.add_argument(
        "--starts",
        metavar="N",
        type=_starts,
        default=5,
        help="times to start run_live.py for its memory and start-up, or 0 (default: 5)",
    )
    return parser


def _starts(text: str) -> int:
    return 0 if text == "0" else count(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure or compare, and return the exit code."""
    options = vars(parser().parse_args(arguments))
    compared = options.pop("compare")

    def work(terminal: Terminal) -> None:
        from benchmarks.live.command import ReplayOptions, compare, replay

        if compared:
            compare(compared, options["json"], terminal)
        else:
            replay(ReplayOptions(**options), terminal)

    return carry_out("replay.py", work)


if __name__ == "__main__":
    use_one_core()
    sys.exit(main())
