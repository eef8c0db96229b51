"""Caption a stream with a network that is slower on purpose, and see what gives way.

    python benchmarks/overload.py --slow 1 5 50 500 --json benchmarks/results/overload.json

Recordings are replayed at the pace of speech through the threads of the live program, which
may drop audio as with a microphone.  After each call of the network it sleeps, so that a
call takes the given number of times as long; with ``--slow-decoder`` each call of the beam
search does so too.  A row of the table has:

- lag: audio captured and not yet recognised, median and most, seconds, ten times a second;
- finals: how many come, and how many have the words that they have without slowness and
  without threads; and the time from the audio that a final needed to the final;
- partials shown for each second of speech;
- lost: seconds dropped, by the summary, by the gaps that were told, and by what truly
  arrived at the front end; and whether each gap lies where audio is lacking;
- memory: resident at the end more than in the middle.

Nothing may be lost and no final may lack where the factors are at most 5, and the lag then
stays under 3 s; the accounts must agree, and memory must not grow, at any factor.
It ends with exit code 1 if that does not hold, and says what.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.live.arguments import add_live_settings, busy, parser_of
from benchmarks.live.options import check_output
from benchmarks.live.playing import LossyReplay
from lm.beam import BeamSession
from model.acoustic import AcousticModel
from model.commands.arguments import count, number
from model.corpora.manifest import read_manifest
from model.errors import CaptionerError
from model.files import write_output
from model.settings import load_settings
from streamer.app import build_stream, decoders_for, load_model
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.caption_stream import CaptionStream
from streamer.events import (
    AudioGap,
    Event,
    FinalTranscript,
    Notice,
    PartialTranscript,
    Status,
    Summary,
)
from streamer.recorder import AudioRecorder
from streamer.replay import WavReplaySource
from streamer.runner import ThreadedRunner, run_inline
from streamer.settings import LiveSettings

MANIFEST = Path(__file__).resolve().parent.parent / "tests/data/speech/manifest.jsonl"
PAGE_MB = resource.getpagesize() / 2**20

BEARABLE = 5.0
"""Largest factor at which nothing may be lost."""

BEARABLE_LAG_S = 3.0
"""Lag that it must stay under then."""

GROWTH_MB = 10.0
"""Most that memory may grow, MiB."""

TITLE = """\
# Overload

What the live program does where the network, or the decoder, takes longer than it should;
see `benchmarks/overload.py --help` for the columns.
"""

HEAD = (
    "| Network slower | Decoder slower | Lag, s: median | most | Finals | The same "
    "| Late, s: median | most | Partials/s | Lost, s | Gaps | Memory, MiB |\n"
    f"|{' ---: |' * 12}"
)


class Ledger:
    """Takes the place of the recorder and writes down which samples arrive."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []

    def push(self, block: AudioBlock) -> list[Notice]:
        """Join the block to those before it, if it follows on them."""
        if self.spans and self.spans[-1][1] == block.start:
            self.spans[-1] = (self.spans[-1][0], block.end)
        else:
            self.spans.append((block.start, block.end))
        return []

    def holes(self) -> list[tuple[int, int]]:
        """Return the spans of the stream that did not arrive, but for what comes at its end."""
        ends = [0, *(end for _, end in self.spans)]
        starts = [start for start, _ in self.spans]
        return [(a, b) for a, b in zip(ends, starts, strict=False) if a < b]


@dataclass
class Screen:
    """Keeps what is shown, with the time it came and the memory at every status."""

    events: list[Event] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    def emit(self, event: Event, emitted_s: float) -> None:
        self.events.append(event)
        self.times.append(emitted_s)
        if isinstance(event, Status):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.memory_mb.append(pages * PAGE_MB)

    def close(self) -> None:
        """Nothing to finish."""

    def finals(self) -> list[tuple[FinalTranscript, float]]:
        """Return the finals with their times."""
        pairs = zip(self.events, self.times, strict=True)
        return [(event, time_s) for event, time_s in pairs if isinstance(event, FinalTranscript)]


@dataclass(frozen=True)
class Outcome:
    """What came of a factor; seconds, but for ``growth_mb``.

    Attributes:
        slow: How many times as long the network takes.
        slow_decoder: How many times as long the beam search takes.
        lag_s: Median lag.
        lag_most_s: Most lag.
        finals: Finals that have words.
        same: How many of them are finals without slowness too.
        wanted: How many finals there are without slowness.
        late_s: Median time from the audio that a final needed to the final.
        late_most_s: The most of that.
        partials_per_s: Partials shown for each second of speech.
        lost_s: By the summary.
        told_s: By the gaps.
        lacking_s: By what arrived.
        gaps: How many gaps were told.
        growth_mb: Resident memory at the end over that in the middle.
        problems: What does not hold.
    """

    slow: float
    slow_decoder: float
    lag_s: float
    lag_most_s: float
    finals: int
    same: int
    wanted: int
    late_s: float
    late_most_s: float
    partials_per_s: float
    lost_s: float
    told_s: float
    lacking_s: float
    gaps: int
    growth_mb: float
    problems: tuple[str, ...]

    def row(self) -> str:
        """Return a row of the table."""
        cells = (
            f"{self.slow:g}",
            f"{self.slow_decoder:g}",
            f"{self.lag_s:.2f}",
            f"{self.lag_most_s:.2f}",
            f"{self.finals} of {self.wanted}",
            f"{self.same}",
            f"{self.late_s:.2f}",
            f"{self.late_most_s:.2f}",
            f"{self.partials_per_s:.2f}",
            f"{self.lost_s:.1f}",
            f"{self.gaps}",
            f"{self.growth_mb:+.1f}",
        )
        return f"| {' | '.join(cells)} |"


@contextmanager
def slowed(kind: type, methods: Sequence[str], factor: float) -> Iterator[None]:
    """Let methods of a class take ``factor`` times the processor time that they use."""
    before = {name: getattr(kind, name) for name in methods}
    for name, method in before.items():
        setattr(kind, name, _slow(method, factor))
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(kind, name, method)


def _slow(method: Callable[..., Any], factor: float) -> Callable[..., Any]:
    never = threading.Event()

    def slow(*args: Any, **kwargs: Any) -> Any:
        began = time.thread_time()
        result = method(*args, **kwargs)
        never.wait((factor - 1) * (time.thread_time() - began))
        return result

    return slow


def caption(
    paths: Sequence[Path], settings: LiveSettings, acoustic: AcousticModel, live: bool
) -> tuple[Screen, Ledger]:
    """Caption recordings, live by threads or in one loop, and return what was seen."""
    screen, ledger = Screen(), Ledger()
    decoders = decoders_for(settings, acoustic, thrifty=live)
    stream: CaptionStream = build_stream(settings, acoustic, cast(AudioRecorder, ledger), decoders)
    if live:
        with LossyReplay(paths, "real", settings.audio.block_ms) as source:
            ThreadedRunner(source, stream, screen, settings.audio.ring_s).run()
    else:
        with WavReplaySource(paths, "max", settings.audio.block_ms) as source:
            run_inline(source, stream, screen)
    return screen, ledger


def outcome(
    slow: tuple[float, float], screen: Screen, ledger: Ledger, wanted: Sequence[str]
) -> Outcome:
    """Return what came of slowness.

    Args:
        slow: The factors of the network and of the decoder.
        screen: What was shown.
        ledger: What arrived.
        wanted: Texts of the finals without slowness.
    """
    summary = cast(Summary, screen.events[-1])
    lags = [event.lag_s for event in screen.events if isinstance(event, Status)]
    gaps = [event for event in screen.events if isinstance(event, AudioGap)]
    partials = sum(isinstance(event, PartialTranscript) for event in screen.events)
    finals = [(final, came_s) for final, came_s in screen.finals() if final.text]
    late = [came_s - final.audio_s for final, came_s in finals] or [0.0]
    found = Outcome(
        slow=slow[0],
        slow_decoder=slow[1],
        lag_s=median(lags),
        lag_most_s=max(lags),
        finals=len(finals),
        same=common([final.text for final, _ in finals], wanted),
        wanted=len(wanted),
        late_s=median(late),
        late_most_s=max(late),
        partials_per_s=partials / summary.speech_s if summary.speech_s else 0.0,
        lost_s=summary.lost_s,
        told_s=sum(gap.lost_s for gap in gaps),
        lacking_s=sum(end - start for start, end in ledger.holes()) / SAMPLE_RATE,
        gaps=len(gaps),
        growth_mb=screen.memory_mb[-1] - screen.memory_mb[len(screen.memory_mb) // 2],
        problems=(),
    )
    return replace(found, problems=(*_dishonest(found, gaps, ledger), *_bad(found)))


def common(texts: Sequence[str], wanted: Sequence[str]) -> int:
    """Return how many texts are among those wanted, each of which counts once."""
    left = list(wanted)
    for text in texts:
        if text in left:
            left.remove(text)
    return len(wanted) - len(left)


def _dishonest(found: Outcome, gaps: Sequence[AudioGap], ledger: Ledger) -> Iterator[str]:
    """Yield where the accounts of lost audio differ from what is lacking."""
    told = [
        (round(gap.start_s * SAMPLE_RATE), round((gap.start_s + gap.lost_s) * SAMPLE_RATE))
        for gap in gaps
    ]
    if told != ledger.holes():
        yield "gaps are not where audio is lacking"
    if abs(found.lost_s - found.told_s) > 1e-6 or abs(found.lost_s - found.lacking_s) > 1e-6:
        yield (
            f"{found.lost_s:.3f} s lost by the summary, {found.told_s:.3f} s by the gaps, "
            f"{found.lacking_s:.3f} s by what arrived"
        )


def _bad(found: Outcome) -> Iterator[str]:
    if found.growth_mb > GROWTH_MB:
        yield f"memory grew by {found.growth_mb:.1f} MiB"
    if max(found.slow, found.slow_decoder) > BEARABLE:
        return
    if found.lost_s:
        yield f"{found.lost_s:.1f} s were lost"
    if found.lag_most_s >= BEARABLE_LAG_S:
        yield f"the lag came to {found.lag_most_s:.1f} s"
    if found.finals != found.wanted:
        yield f"{found.finals} finals came of {found.wanted}"


def run(options: argparse.Namespace) -> list[Outcome]:
    """Measure each factor and print its row.

    Raises:
        CaptionerError: If a setting, a model, the manifest or a recording cannot be used.
    """
    settings = load_settings(LiveSettings, options.config, options.overrides)
    acoustic = load_model(options.model or settings.model, settings.engine)
    paths = [row.audio for row in read_manifest(options.manifest)][: options.limit]
    plain, _ = caption(paths, settings, acoustic, live=False)
    wanted = [final.text for final, _ in plain.finals() if final.text]
    print(HEAD)
    found = []
    for slow in options.slow:
        with ExitStack() as stack:
            stack.enter_context(slowed(type(acoustic.engine), ("logits", "window"), slow))
            stack.enter_context(slowed(BeamSession, ("push", "best"), options.slow_decoder))
            screen, ledger = caption(paths, settings, acoustic, live=True)
        found.append(outcome((slow, options.slow_decoder), screen, ledger, wanted))
        print(found[-1].row(), flush=True)
    return found


def main() -> int:
    """Measure, print, and return the exit code."""
    options = parser().parse_args()
    try:
        check_output(options.json)
        found = run(options)
        if options.json is not None:
            figures = json.dumps(list(map(asdict, found)), indent=1) + "\n"
            rows = (each.row() for each in found)
            table = "\n".join([TITLE, HEAD, *rows, "", busy()]) + "\n"
            write_output(options.json, figures.encode())
            write_output(options.json.with_suffix(".md"), table.encode())
    except CaptionerError as error:
        print(f"overload.py: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("overload.py: stopped; nothing was written", file=sys.stderr)
        return 1
    for each in found:
        for problem in each.problems:
            print(f"overload.py: {each.slow:g} times slower: {problem}", file=sys.stderr)
    return 1 if any(each.problems for each in found) else 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = parser_of(__doc__)
    parser.add_argument(
        "--slow", type=number(1, 1000), nargs="+", default=[1.0, 5.0, 50.0, 500.0], metavar="FACTOR"
    )
    parser.add_argument("--slow-decoder", type=number(1, 1000), default=1.0, metavar="FACTOR")
    parser.add_argument(
        "--manifest", type=Path, default=MANIFEST, help="recordings (default: those of the tests)"
    )
    parser.add_argument("--limit", type=count, help="recordings, from the first (default: all)")
    add_live_settings(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    return parser


if __name__ == "__main__":
    sys.exit(main())
