"""What a long stream showed: its events are read and judged."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.soaking.stream import Recording, Turn
from model.evaluation.rates import ErrorRates, error_rates
from streamer.audio import SAMPLE_RATE
from streamer.errors import OutputError

PART_S = 3600
"""Stretch of stream that figures are given for; a shorter stream is halved."""

SETTLED_MINUTE = 10
"""Minutes of stream before which memory may grow: caches fill."""

GROWTH_MB = 10.0
"""Most that memory may grow after that."""

FRAME_S = 0.04
"""Audio from one frame of log-probabilities to the next, in the network that is shipped."""

EDGE_S = 0.2
"""How far outside of a recording a word of it may reach: the network sees around."""

WINDOW = 10
"""Samples that the least and the most memory is taken of: what one utterance needs for a
while comes and goes."""

SAME_PLACE = 0.95
"""Share of the words heard again that must come within a frame of where they came first."""

COST_RATIO = 1.25
"""Most that the last part may cost, the first one taken as 1."""

WORSE = 0.04
"""Most by which the word error rate of the last part may exceed that of the first: three times
the standard error of an hour."""

WORDS_TO_TELL = 2000
"""Words of references in a part from which on its word error rate tells something."""


@dataclass(frozen=True)
class Sample:
    """The state of the process at a place of the stream.

    Attributes:
        minutes: Of stream.
        memory_mb: Resident memory, MiB.
        computing_s: Processor time of the process so far.
        threads: Threads of the process.
        handles: Its open files.
    """

    minutes: float
    memory_mb: float
    computing_s: float
    threads: int = 0
    handles: int = 0


@dataclass(frozen=True)
class Heard:
    """A word of a final; times in seconds of stream."""

    word: str
    start_s: float
    end_s: float

    @property
    def middle_s(self) -> float:
        """Where its middle lies."""
        return (self.start_s + self.end_s) / 2


@dataclass(frozen=True)
class Growth:
    """How much more memory one stretch of time has than another, MiB.

    Attributes:
        least: Of the least in each.
        most: Of the most in each.
    """

    least: float
    most: float


@dataclass(frozen=True)
class Part:
    """Figures of a stretch of the stream.

    Attributes:
        hours: Where it begins.
        computing: Processor time for a second of stream.
        rates: Errors against the references.
        strays: Words outside of all recordings.
        again: Words heard that the recording's first coming had too.
        shift_s: Median of how much later they came in it.
        same_place: Share of them that came within a frame.
    """

    hours: float
    computing: float
    rates: ErrorRates
    strays: int
    again: int
    shift_s: float
    same_place: float


@dataclass(frozen=True)
class Soak:
    """All that a soak showed.

    Attributes:
        hours: Length of the stream.
        recordings: Different ones in it.
        samples: Memory and processor time by the minute.
        parts: Figures by stretch.
        losses: Times that audio was lost, as planned.
        lost_s: How much.
        finals: Number of finals.
        partials: Number of partials.
        files: Parts that the events were written in.
        growth: How much more the last minutes have than those after ``SETTLED_MINUTE``;
            None where the stream is too short to tell.
        problems: What has changed more than it may.
    """

    hours: float
    recordings: int
    samples: tuple[Sample, ...]
    parts: tuple[Part, ...]
    losses: int
    lost_s: float
    finals: int
    partials: int
    files: int
    growth: Growth | None
    problems: tuple[str, ...]

    def figures(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)


def judge(
    recordings: Sequence[Recording],
    turns: Sequence[Turn],
    events: Sequence[Path],
    samples: Sequence[Sample],
) -> Soak:
    """Return what the events of a stream and the samples taken in it show.

    Args:
        recordings: What the stream was made of.
        turns: All of it.
        events: JSON Lines of the live path, part by part.
        samples: By the minute.

    Raises:
        OutputError: If the events break off.
    """
    gaps, summary, words = _read(events)
    if not summary:
        raise OutputError(f"{events[-1]}: breaks off; make room on that disk and start again")
    length_s = turns[-1].end / SAMPLE_RATE
    parts = _parts(recordings, turns, words, samples, length_s)
    growth = memory_growth(samples)
    losses = [loss for turn in turns for loss in turn.losses]
    problems = [
        *_wrong_losses(losses, gaps, summary),
        *_wrong_ends(length_s, summary),
        *_growing(growth),
        *_accumulating(samples),
        *_changes(parts),
    ]
    return Soak(
        hours=length_s / 3600,
        recordings=len(recordings),
        samples=tuple(samples),
        parts=tuple(parts),
        losses=len(losses),
        lost_s=sum(count for _, count in losses) / SAMPLE_RATE,
        finals=summary["utterances"],
        partials=summary["partials"],
        files=len(events),
        growth=growth,
        problems=tuple(problems),
    )


def memory_growth(samples: Sequence[Sample]) -> Growth | None:
    """Return how much more memory the last samples have than those after the start."""
    settled = [s.memory_mb for s in samples if s.minutes >= SETTLED_MINUTE]
    if len(settled) < 2 * WINDOW:
        return None
    first, last = settled[:WINDOW], settled[-WINDOW:]
    return Growth(min(last) - min(first), max(last) - max(first))


def _growing(growth: Growth | None) -> Iterator[str]:
    if growth is not None and max(growth.least, growth.most) >= GROWTH_MB:
        yield f"memory grew by {growth.least:.1f} to {growth.most:.1f} MiB"


def _accumulating(samples: Sequence[Sample]) -> Iterator[str]:
    settled = [s for s in samples if s.minutes >= SETTLED_MINUTE]
    if len(settled) >= 2 * WINDOW:
        for name in ("threads", "handles"):
            first, last = (
                max(getattr(sample, name) for sample in some)
                for some in (settled[:WINDOW], settled[-WINDOW:])
            )
            if last > first:
                yield f"the number of {name} rose from {first} to {last}"


def _read(
    events: Sequence[Path],
) -> tuple[list[dict[str, Any]], dict[str, Any], list[Heard]]:
    """Return the gaps, the summary and the words of all finals."""
    gaps, summary, words = [], {}, []
    for record in _records(events):
        if record["type"] == "gap":
            gaps.append(record)
        elif record["type"] == "summary":
            summary = record
        elif record["type"] == "final":
            words += [Heard(w["word"], w["start_s"], w["end_s"]) for w in record["words"]]
    return gaps, summary, words


def _records(events: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for path in events:
        with path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def _wrong_losses(
    losses: Sequence[tuple[int, int]], gaps: Sequence[dict[str, Any]], summary: dict[str, Any]
) -> Iterator[str]:
    """Yield what is wrong about lost audio, to the millisecond in which events are written."""
    planned = [(round(a / SAMPLE_RATE, 3), round(n / SAMPLE_RATE, 3)) for a, n in losses]
    told = [(gap["start_s"], gap["lost_s"]) for gap in gaps]
    if told != planned:
        wrong = len(set(told) ^ set(planned))
        yield f"{wrong} losses of audio were not told where they were, or told where none was"
    lost_s = sum(count for _, count in losses) / SAMPLE_RATE
    if abs(summary["lost_s"] - lost_s) > 0.001:
        yield f"the summary says {summary['lost_s']} s lost, but it was {lost_s:.3f} s"


def _wrong_ends(length_s: float, summary: dict[str, Any]) -> Iterator[str]:
    if abs(summary["audio_s"] - length_s) > 0.001:
        yield f"the summary says {summary['audio_s']} s heard, but it was {length_s:.3f} s"


def _changes(parts: Sequence[Part]) -> Iterator[str]:
    """Yield what the last part has worse than the first, or any part too bad."""
    first, last = parts[0], parts[-1]
    if last.computing > COST_RATIO * first.computing:
        yield f"the cost rose from {first.computing:.3f} to {last.computing:.3f}"
    enough = min(first.rates.words, last.rates.words) >= WORDS_TO_TELL
    if enough and last.rates.wer > first.rates.wer + WORSE:
        yield f"the word error rate rose from {first.rates.wer:.3f} to {last.rates.wer:.3f}"
    for part in parts:
        if part.again and abs(part.shift_s) > FRAME_S / 2:
            yield f"from hour {part.hours:.1f} on words come {part.shift_s:+.3f} s late"
        if part.again and part.same_place < SAME_PLACE:
            yield f"from hour {part.hours:.1f} on only {part.same_place:.1%} are in place"


def _parts(
    recordings: Sequence[Recording],
    turns: Sequence[Turn],
    words: Sequence[Heard],
    samples: Sequence[Sample],
    length_s: float,
) -> list[Part]:
    spoken, strays = _assigned(turns, words)
    first = _first_comings(turns, spoken)
    count = max(2, round(length_s / PART_S))
    bounds = np.linspace(0, length_s, count + 1)
    return [
        _part(recordings, turns, spoken, strays, first, samples, float(low), float(high))
        for low, high in pairwise(bounds)
    ]


def _assigned(
    turns: Sequence[Turn], words: Sequence[Heard]
) -> tuple[list[list[Heard]], list[Heard]]:
    """Return the words in each turn's recording, and those in none."""
    starts = [turn.speech_start / SAMPLE_RATE - EDGE_S for turn in turns]
    spoken: list[list[Heard]] = [[] for _ in turns]
    strays = []
    for word in words:
        place = bisect_right(starts, word.middle_s) - 1
        if place >= 0 and word.middle_s <= turns[place].end / SAMPLE_RATE + EDGE_S:
            spoken[place].append(word)
        else:
            strays.append(word)
    return spoken, strays


def _first_comings(turns: Sequence[Turn], spoken: Sequence[Sequence[Heard]]) -> dict[int, int]:
    """Return by recording the first turn that has it without a hole."""
    first: dict[int, int] = {}
    for place, turn in enumerate(turns):
        if not turn.hole and spoken[place]:
            first.setdefault(turn.recording, place)
    return first


def _part(
    recordings: Sequence[Recording],
    turns: Sequence[Turn],
    spoken: Sequence[Sequence[Heard]],
    strays: Sequence[Heard],
    first: dict[int, int],
    samples: Sequence[Sample],
    low_s: float,
    high_s: float,
) -> Part:
    places = [
        place
        for place, turn in enumerate(turns)
        if low_s <= turn.start / SAMPLE_RATE < high_s and not turn.hole
    ]
    shifts = [
        shift
        for place in places
        if first.get(turns[place].recording, place) != place
        for shift in shifts_s(turns, spoken, first[turns[place].recording], place)
    ]
    return Part(
        hours=low_s / 3600,
        computing=_computing(samples, low_s, high_s),
        rates=error_rates(
            [recordings[turns[place].recording].text for place in places],
            [" ".join(word.word for word in spoken[place]) for place in places],
        ),
        strays=sum(low_s <= word.middle_s < high_s for word in strays),
        again=len(shifts),
        shift_s=median(shifts) if shifts else 0.0,
        same_place=float(np.mean(np.abs(shifts) <= FRAME_S + 0.001)) if shifts else 1.0,
    )


def shifts_s(
    turns: Sequence[Turn], spoken: Sequence[Sequence[Heard]], first: int, later: int
) -> list[float]:
    """Return how much later in a recording its words began than when it came first.

    Only words that both times are the same in the same order have a place to compare.
    """
    one, other = spoken[first], spoken[later]
    matcher = SequenceMatcher(None, [w.word for w in one], [w.word for w in other], autojunk=False)
    offset_s = (turns[later].speech_start - turns[first].speech_start) / SAMPLE_RATE
    return [
        other[block.b + i].start_s - one[block.a + i].start_s - offset_s
        for block in matcher.get_matching_blocks()
        for i in range(block.size)
    ]


def _computing(samples: Sequence[Sample], low_s: float, high_s: float) -> float:
    """Return the processor time for a second of stream between two times."""
    minutes = [sample.minutes for sample in samples]
    spent = np.interp([low_s / 60, high_s / 60], minutes, [s.computing_s for s in samples])
    seconds = 60 * (min(high_s / 60, minutes[-1]) - min(low_s / 60, minutes[-1]))
    return float(spent[1] - spent[0]) / seconds if seconds else 0.0
