"""Caption hours of stream and watch what must not change: memory, times, cost, accuracy.

    python benchmarks/soak.py --hours 8 --manifest dev.jsonl --limit 15 \\
        --json benchmarks/results/soak.json

The stream has recordings in a random order, the same for the same ``--seed``, with pauses
of room noise of several levels between, and audio that is lost now and then.  It goes
through the live path as fast as that takes it, with every partial, to a display and to a
file of each format.  The report says:

- memory: resident, once in a minute of stream, between utterances, and how much more the
  least and the most of the last ten minutes are than those of the second ten;
- times: whether every loss is told at its place to the sample, whether the words of finals
  lie inside of recordings, and how much later, or earlier, the words of a recording come
  than the same words when it came first, hour by hour;
- cost: processor time for a second of stream, hour by hour;
- word error rate, hour by hour.

Ctrl-C ends the stream early; the report is then on what was heard of it.  The program
ends with exit code 1 if one of these has changed more than it may; the report then says
what.  ``--json FILE`` writes the figures, and beside it a Markdown report and, unless
``--no-plot`` is given, a picture of memory and cost.  Progress goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console

from benchmarks.live.arguments import add_live_settings, parser_of
from benchmarks.live.options import check_output
from benchmarks.soaking.judging import Sample, Soak, judge
from benchmarks.soaking.report import markdown, picture
from benchmarks.soaking.stream import MINUTE, LongSource, Recording, load_recordings, plan
from model.commands.arguments import count, number
from model.commands.terminal import Terminal
from model.corpora.manifest import read_manifest
from model.errors import CaptionerError
from model.evaluation.assessment import check_recordings, first_of_each
from model.files import write_output
from model.settings import load_settings
from streamer.app import build_stream, decoders_for, load_model
from streamer.caption_stream import CaptionStream
from streamer.display import CaptionDisplay
from streamer.runner import run_inline
from streamer.settings import LiveSettings
from streamer.writers import FORMATS, SinkGroup, open_sink

MANIFEST = Path(__file__).resolve().parent.parent / "tests/data/speech/manifest.jsonl"
PAGE_MB = resource.getpagesize() / 2**20


@dataclass
class Watch:
    """Takes a sample of memory and processor time every minute of stream.

    Attributes:
        samples: From the start on.
        progress: Called with the minutes.
    """

    samples: list[Sample]
    progress: Callable[[float], None] = lambda minutes: None

    def __call__(self, minutes: float) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.samples.append(Sample(minutes, pages * PAGE_MB, time.process_time()))
        self.progress(minutes)


def soak(
    stream: CaptionStream,
    recordings: Sequence[Recording],
    seconds: float,
    seed: int,
    folder: Path,
    progress: Callable[[float], None] = lambda minutes: None,
) -> Soak:
    """Caption a long stream and return what was seen.

    Args:
        stream: Fresh.
        recordings: What it says.
        seconds: Least length of the stream.
        seed: Of the order of the recordings, the pauses and the losses.
        folder: Where the captions are written, empty.
        progress: Called every minute of stream with the minutes.
    """
    watch = Watch([], progress)
    events = folder / "captions.jsonl"
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        screen = Console(file=nowhere, force_terminal=True, width=100, height=30)
        files = {format: open_sink(events.with_suffix(f".{format}")) for format in FORMATS}
        sinks = SinkGroup({"screen": CaptionDisplay(screen), **files})
        planned = plan(recordings, seconds, seed)
        with closing(sinks), LongSource(recordings, planned, on_minute=watch) as source:
            watch(0)
            with ended_early(source):
                run_inline(source, stream, sinks)
    turns = list(islice(plan(recordings, seconds, seed), source.given))
    watch(turns[-1].end / MINUTE)
    return judge(recordings, turns, events, watch.samples)


@contextmanager
def ended_early(source: LongSource) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the stream with what is being said."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: source.stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(options: argparse.Namespace, terminal: Terminal) -> Soak:
    """Soak the live path as the options say.

    Raises:
        CaptionerError: If a setting, a model, the manifest or a recording cannot be used.
    """
    settings = load_settings(LiveSettings, options.config, options.overrides)
    rows = first_of_each(read_manifest(options.manifest), options.limit)
    check_recordings(row.audio for row in rows)
    recordings = load_recordings(rows)
    acoustic = load_model(options.model or settings.model, settings.engine)
    stream = build_stream(settings, acoustic, None, decoders_for(settings, acoustic))
    minutes = round(options.hours * 60)
    with (
        TemporaryDirectory(prefix="soak") as folder,
        terminal.counting("minutes of stream", minutes) as progress,
    ):
        return soak(
            stream,
            recordings,
            minutes * 60,
            options.seed,
            Path(folder),
            lambda minutes: progress(round(minutes)),
        )


def main() -> int:
    """Measure, print, and return the exit code."""
    options = parser().parse_args()
    terminal = Terminal()
    try:
        check_output(options.json)
        result = run(options, terminal)
        report = markdown(result)
        terminal.out.print(report, markup=False, highlight=False, soft_wrap=True)
        if options.json is not None:
            write_output(options.json, (json.dumps(result.figures(), indent=1) + "\n").encode())
            write_output(options.json.with_suffix(".md"), report.encode())
            if options.plot:
                picture(result, options.json.with_suffix(".png"))
    except CaptionerError as error:
        print(f"soak.py: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("soak.py: stopped before it began", file=sys.stderr)
        return 1
    return 1 if result.problems else 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = parser_of(__doc__)
    parser.add_argument(
        "--hours", type=number(0.02, 1000), default=8.0, help="of stream (default: 8)"
    )
    parser.add_argument(
        "--manifest", type=Path, default=MANIFEST, help="recordings (default: those of the tests)"
    )
    parser.add_argument(
        "--limit", type=count, default=20, help="recordings of each corpus (default: 20)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the order (default: 1)")
    add_live_settings(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    parser.add_argument("--no-plot", action="store_false", dest="plot", help="write no picture")
    return parser


if __name__ == "__main__":
    sys.exit(main())
