"""What ``benchmarks/windows.py`` does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.live.figures import errors, percentiles
from benchmarks.live.judging import Texts
from benchmarks.live.options import BenchOptions, conditions, json_bytes
from benchmarks.live.tables import (
    NONE,
    condition_table,
    milliseconds,
    percent,
    relative_difference,
    table,
)
from lm.decoder import Decoder
from model.acoustic import AcousticModel, Reading, Windows
from model.audio import read_audio
from model.commands.terminal import Terminal
from model.corpora.manifest import Utterance
from model.errors import UsageError
from model.files import write_output
from streamer.app import decoders_for, load_model
from streamer.audio import SAMPLE_RATE

SCHEMA = 1
"""Of the JSON; raised when a key changes its meaning or is taken away."""

EXPLAINED = """\
Distance: total variation, between the frozen frames' probabilities and those of the whole \
recording read once, mean. Same: frozen frames with the same best symbol. Difference: relative, \
of the word errors to those of the whole recording read once, with its 95 % bootstrap interval. \
Real-time factor: processor time of the network for each second of audio, of one core. Look: \
processor time of one. The costs of whole readings are what looks would cost without windows.\
"""

SPARE = 5
"""Of so many looks, one is timed without windows, which is slow."""


@dataclass(frozen=True)
class WindowOptions(BenchOptions):
    """The command line; see ``windows.py --help``."""

    every_ms: Sequence[float] = (500, 1000)
    after_ms: Sequence[float] = (600, 1200, 2000)


@dataclass(frozen=True)
class Lengths:
    """What is frozen at a time, and what must follow on it before, milliseconds."""

    every_ms: float
    after_ms: float


@dataclass
class Compared:
    """What windows of some lengths made of recordings, against whole readings.

    Attributes:
        distance: Sum of the frozen frames' total variation distances.
        same: Frozen frames with the same best symbol.
        frozen: Frozen frames.
        frames: All frames.
        texts: Of each recording; the live text is that of windows, the offline one that of
            the whole recording read once.
        looks_s: Processor time of the network at each look, seconds.
    """

    distance: float = 0.0
    same: int = 0
    frozen: int = 0
    frames: int = 0
    texts: list[Texts] = field(default_factory=list)
    looks_s: list[float] = field(default_factory=list)

    def add(self, reading: Reading, whole: np.ndarray) -> None:
        """Count a recording's frames.

        Args:
            reading: By windows.
            whole: float32 (frames, symbols), log-probabilities of the same as a whole.
        """
        ours, theirs = reading.log_probs[: reading.frozen], whole[: reading.frozen]
        self.distance += float(total_variation(ours, theirs).sum())
        self.same += int((ours.argmax(axis=1) == theirs.argmax(axis=1)).sum())
        self.frozen += reading.frozen
        self.frames += len(whole)


def total_variation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return how far apart probabilities are, 0 to 1.

    Args:
        first: (frames, symbols), natural logarithms of probabilities.
        second: The same.

    Returns:
        (frames,): half the sum of the differences, which is the largest difference that any
        set of symbols can have.
    """
    return np.abs(np.exp(first) - np.exp(second)).sum(axis=1) / 2


def read_growing(
    acoustic: AcousticModel,
    features: np.ndarray,
    windows: Windows | None,
    look: int,
    clock: Callable[[], float] = time.process_time,
) -> tuple[Reading, list[float]]:
    """Read an utterance at every look while it grows.

    Args:
        acoustic: The network.
        features: float32 (frames, size).
        windows: Where it is frozen; nowhere if None: each look reads it as a whole.
        look: Feature frames from one look to the next; the last look is at the end.
        clock: Seconds that only rise.

    Returns:
        The last look's reading, and how long the network took at each.
    """
    session = acoustic.session(windows)
    reading, spent_s = session.read(), []
    for start in range(0, len(features), look):
        session.push(features[start : start + look])
        began = clock()
        reading = session.read()
        spent_s.append(clock() - began)
    return reading, spent_s


def measure_windows(options: WindowOptions, terminal: Terminal) -> dict[str, Any]:
    """Measure windows on recordings, write the figures, and return them.

    Raises:
        CaptionerError: If an input cannot be used, the network cannot be read in windows, or
            a file cannot be written.
    """
    options.check_output()
    settings, rows = options.settings(), options.rows()
    acoustic = load_model(settings.model, settings.engine)
    _check_streams(acoustic)
    decoders = decoders_for(settings, acoustic)
    for notice in decoders.notices:
        terminal.say(notice.text)
    bench = _Bench(acoustic, decoders.final, options, settings.partials.every_ms)
    with terminal.counting("recordings", len(rows)) as progress:
        for done, row in enumerate(rows, 1):
            bench.add(row)
            progress(done)
    record = {"schema": SCHEMA, **bench.figures()}
    record["conditions"] = conditions(options, settings, acoustic, rows)
    terminal.out.print(report(record), markup=False, highlight=False, soft_wrap=True)
    if options.json is not None:
        page = options.json.with_suffix(".md")
        write_output(options.json, json_bytes(record))
        write_output(page, report(record).encode())
        terminal.say(f"wrote {options.json}, {page}")
    return record


def _check_streams(acoustic: AcousticModel) -> None:
    if not acoustic.engine.streams:
        raise UsageError(
            f"{acoustic.bundle.name}: cannot be read in windows by the engine "
            f"{acoustic.engine.name}: its cells keep a memory that is no output; "
            "name another with --model, or another engine with --engine"
        )


class _Bench:
    """Reads recordings as a whole, and by windows of all pairs of lengths."""

    def __init__(
        self, acoustic: AcousticModel, decoder: Decoder, options: WindowOptions, look_ms: int
    ) -> None:
        self._acoustic = acoustic
        self._decoder = decoder
        self._look_ms = look_ms
        self._audio_s = 0.0
        self._careful: list[Texts] = []
        self._whole_looks_s: list[float] = []
        self._pairs = {
            Lengths(every, after): Compared()
            for every in options.every_ms
            for after in options.after_ms
        }

    def add(self, row: Utterance) -> None:
        """Measure a recording."""
        samples = read_audio(row.audio, SAMPLE_RATE)
        features = self._acoustic.extractor.extract(samples)
        if not self._audio_s:
            self._acoustic.log_probs(features)  # The first reading of all takes longer.
        self._audio_s += len(samples) / SAMPLE_RATE
        whole = self._acoustic.log_probs(features)
        self._whole_looks_s += self._grown(features, None, SPARE)[1]
        text = self._decoder.decode(whole).text
        careful = self._decoder.decode(self._acoustic.log_probs(features, final=True)).text
        self._careful.append(Texts(row.corpus, row.text, careful, text, row.speaker))
        for lengths, compared in self._pairs.items():
            reading, looks_s = self._grown(features, lengths)
            compared.add(reading, whole)
            compared.looks_s += looks_s
            read = self._decoder.decode(reading.log_probs).text
            compared.texts.append(Texts(row.corpus, row.text, read, text, row.speaker))

    def _grown(
        self, features: np.ndarray, lengths: Lengths | None, looks: int = 1
    ) -> tuple[Reading, list[float]]:
        """Read an utterance at each look, or at one of so many."""
        acoustic, windows = self._acoustic, None
        if lengths is not None:
            frame_s = acoustic.frame_samples / SAMPLE_RATE
            windows = Windows.lasting(lengths.every_ms, lengths.after_ms, frame_s)
        look = round(self._look_ms / 1000 * SAMPLE_RATE / acoustic.extractor.settings.hop)
        return read_growing(acoustic, features, windows, looks * max(1, look))

    def figures(self) -> dict[str, Any]:
        """Return what was measured."""
        careful = errors(self._careful)
        return {
            "audio_s": round(self._audio_s, 2),
            "look_ms": self._look_ms,
            "whole": {
                "errors": careful["offline"],
                **_costs(self._whole_looks_s, self._audio_s / SPARE),
            },
            "careful": _against_whole(careful),
            "pairs": [
                _figures_of(lengths, compared, self._audio_s)
                for lengths, compared in self._pairs.items()
            ],
        }


def _figures_of(lengths: Lengths, compared: Compared, audio_s: float) -> dict[str, Any]:
    frozen = compared.frozen
    return {
        "every_ms": lengths.every_ms,
        "after_ms": lengths.after_ms,
        "frozen": round(frozen / max(1, compared.frames), 4),
        "distance": round(compared.distance / frozen, 5) if frozen else None,
        "same": round(compared.same / frozen, 5) if frozen else None,
        **_against_whole(errors(compared.texts)),
        **_costs(compared.looks_s, audio_s),
    }


def _costs(looks_s: Sequence[float], audio_s: float) -> dict[str, Any]:
    """Return what looks cost that were made in so much audio."""
    wanted = {"p50": 50, "p99": 99, "most": 100}
    return {
        "rtf": round(sum(looks_s) / max(audio_s, 1e-9), 5),
        "cpu_look_s": percentiles(looks_s, wanted, digits=6),
    }


def _against_whole(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "errors": found["live"],
        "relative": found["relative"],
        "relative_interval": found["relative_interval"],
    }


HEAD = (
    "Frozen at a time, ms",
    "after, ms",
    "Frozen, %",
    "Distance",
    "Same, %",
    "WER, %",
    "Difference, %",
    "Real-time factor",
    "Look p50 / p99 / most, ms",
)


def report(record: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    blocks = [
        f"# Windows on {record['conditions']['recordings']} recordings",
        EXPLAINED,
        f"A look every {record['look_ms']} ms, in {record['audio_s']:.0f} s of audio.",
        table(HEAD, [*_whole_rows(record), *map(_pair_row, record["pairs"])]),
        "## Conditions",
        condition_table(record["conditions"]),
    ]
    return "\n\n".join(blocks) + "\n"


def _whole_rows(record: Mapping[str, Any]) -> list[list[str]]:
    whole, careful = record["whole"], record["careful"]
    unfrozen = [NONE] * 4
    once, finals = percent(whole["errors"]["wer"]), percent(careful["errors"]["wer"])
    return [
        ["whole, read once", *unfrozen, once, NONE, *_cost_cells(whole)],
        ["whole, as finals are", *unfrozen, finals, relative_difference(careful), NONE, NONE],
    ]


def _cost_cells(figures: Mapping[str, Any]) -> list[str]:
    return [f"{figures['rtf']:.4f}", milliseconds(figures["cpu_look_s"], 1)]


def _pair_row(pair: Mapping[str, Any]) -> list[str]:
    distance = pair["distance"]
    return [
        f"{pair['every_ms']:g}",
        f"{pair['after_ms']:g}",
        percent(pair["frozen"]),
        NONE if distance is None else f"{distance:.4f}",
        percent(pair["same"]),
        percent(pair["errors"]["wer"]),
        relative_difference(pair),
        *_cost_cells(pair),
    ]
