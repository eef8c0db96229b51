"""Caption hours of stream and watch what must not change: memory, times, cost, accuracy.

    python benchmarks/soak.py --hours 8 --manifest dev.jsonl --limit 15 \\
        --json benchmarks/results/soak.json

The stream has recordings in a random order, the same for the same ``--seed``, with pauses
of room noise of several levels between, and audio that is lost now and then; ``--quiet 0.83``
makes it the day of a room in which little is said.  It goes through the live path as fast as
that takes it, with every partial, to a display, to a file of each format and to a recording,
which are cut by the hour of the stream.  The report says:

- memory: resident, once in a minute of stream, between utterances, and how much more the
  least and the most of the last ten minutes are than those of the second ten;
- threads and open files, at the same times: there may be no more of them at the end;
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
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
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
from streamer.log import ProgramLog
from streamer.process import Usage, steady_memory
from streamer.recorder import BlockRecorder
from streamer.rotating import RotatingRecorder, RotatingSink
from streamer.rotation import Every, Keeping, Rotation
from streamer.runner import run_inline
from streamer.settings import LiveSettings
from streamer.sinks import SinkGroup
from streamer.writers import FORMATS

MANIFEST = Path(__file__).resolve().parent.parent / "tests/data/speech/manifest.jsonl"

DAY = datetime(2026, 3, 2).timestamp()
"""When the stream begins by its own clock: at a local midnight."""


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
        usage = Usage.now()
        spent_s = time.process_time()
        self.samples.append(Sample(minutes, usage.memory_mb, spent_s, usage.threads, usage.handles))
        self.progress(minutes)


def soak(
    stream_to: Callable[[BlockRecorder], CaptionStream],
    recordings: Sequence[Recording],
    seconds: float,
    seed: int,
    folder: Path,
    progress: Callable[[float], None] = lambda minutes: None,
    quiet: float = 0.0,
) -> Soak:
    """Caption a long stream and return what was seen.

    Args:
        stream_to: Returns a fresh stream that keeps its audio with what it is given.
        recordings: What it says.
        seconds: Least length of the stream.
        seed: Of the order of the recordings, the pauses and the losses.
        folder: Where the captions are written, empty.
        progress: Called every minute of stream with the minutes.
        quiet: As for :func:`~benchmarks.soaking.stream.plan`.
    """
    watch = Watch([], progress)
    planned = plan(recordings, seconds, seed, quiet)
    with LongSource(recordings, planned, on_minute=watch) as source, ExitStack() as stack:
        rotation = Rotation(Every("hour"), lambda: DAY + source.heard_s, lambda: source.heard_s)
        recorder = RotatingRecorder(folder / "audio.wav", rotation, Keeping(files=2))
        stack.callback(recorder.close)
        sinks = stack.enter_context(closing(_sinks(folder, rotation, stack)))
        stream = stream_to(recorder)
        rotation.watch(lambda: stream.speaking)
        watch(0)
        with ended_early(source):
            run_inline(source, stream, sinks)
    turns = list(islice(plan(recordings, seconds, seed, quiet), source.given))
    watch(turns[-1].end / MINUTE)
    return judge(recordings, turns, sorted(folder.glob("*.jsonl")), watch.samples)


def _sinks(folder: Path, rotation: Rotation, stack: ExitStack) -> SinkGroup:
    nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    screen = Console(file=nowhere, force_terminal=True, width=100, height=30)
    files = {
        form: RotatingSink((folder / "captions").with_suffix(f".{form}"), rotation)
        for form in FORMATS
    }
    log = ProgramLog(folder / "log")
    stack.callback(log.close)
    return SinkGroup({"screen": CaptionDisplay(screen), **files}, log)


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
    decoders = decoders_for(settings, acoustic)
    minutes = round(options.hours * 60)
    with (
        TemporaryDirectory(prefix="soak") as folder,
        terminal.counting("minutes of stream", minutes) as progress,
    ):
        return soak(
            lambda recorder: build_stream(settings, acoustic, recorder, decoders),
            recordings,
            minutes * 60,
            options.seed,
            Path(folder),
            lambda minutes: progress(round(minutes)),
            options.quiet,
        )


def main() -> int:
    """Measure, print, and return the exit code."""
    options = parser().parse_args()
    terminal = Terminal()
    steady_memory()  # as run_live.py does
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
    parser.add_argument(
        "--quiet",
        type=number(0, 0.99),
        default=0.0,
        help="share of the time without speech (default: pauses of 1.5 to 6 s)",
    )
    add_live_settings(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    parser.add_argument("--no-plot", action="store_false", dest="plot", help="write no picture")
    return parser


if __name__ == "__main__":
    sys.exit(main())
