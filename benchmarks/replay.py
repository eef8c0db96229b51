"""Measure rolling captions: errors, latency, flicker, speed, loss, memory and start-up.

Recordings are streamed through the same objects that run_live.py uses, each alone and, with
--session, all of them as one long session too.  The live finals are judged against the
references and against the same models on whole recordings; each word's latency is counted
from where forced alignment says that it ends.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model.commands.arguments import count, number

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

exit codes: 0 finished, 1 failed while running, 2 wrong usage or input
"""

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
"""Variables of the environment that say how many threads a library uses."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="replay.py",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    work = parser.add_mutually_exclusive_group(required=True)
    work.add_argument(
        "--manifest", metavar="FILE", type=Path, help="recordings with their transcripts"
    )
    work.add_argument(
        "--compare",
        metavar="JSON",
        type=Path,
        nargs="+",
        help="show the figures of runs side by side, and do nothing else",
    )
    parser.add_argument(
        "--limit", metavar="N", type=count, default=0, help="the first N of each corpus"
    )
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
    parser.add_argument("--model", metavar="FOLDER", type=Path, help="as for run_live.py")
    parser.add_argument("--engine", metavar="NAME", help="as for run_live.py")
    parser.add_argument("--config", metavar="FILE", type=Path, help="as for run_live.py")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help="as for run_live.py; may be repeated",
    )
    parser.add_argument(
        "--starts",
        metavar="N",
        type=_starts,
        default=5,
        help="times to start run_live.py for its memory and start-up, or 0 (default: 5)",
    )
    parser.add_argument(
        "--json", metavar="OUT", type=Path, help="write the figures here, and the rest beside it"
    )
    return parser


def _starts(text: str) -> int:
    return 0 if text == "0" else count(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure or compare, and return the exit code."""
    options = vars(parser().parse_args(arguments))
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from benchmarks.live.command import ReplayOptions, compare, replay
    from model.commands.terminal import Terminal
    from model.errors import CaptionerError

    terminal, compared = Terminal(), options.pop("compare")
    try:
        if compared:
            compare(compared, options["json"], terminal)
        else:
            replay(ReplayOptions(**options), terminal)
    except CaptionerError as error:
        terminal.say(f"replay.py: error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        terminal.say("replay.py: stopped; nothing was written")
        return 1
    return 0


def use_one_core() -> None:
    """Let libraries that are not loaded yet use one thread: figures are of one core."""
    for variable in THREADS:
        os.environ.setdefault(variable, "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


if __name__ == "__main__":
    use_one_core()
    sys.exit(main())
