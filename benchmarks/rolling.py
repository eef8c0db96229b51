"""Measure rolling captions: how soon words settle, how much they flicker, what settling costs.

    python benchmarks/rolling.py --manifest dev.jsonl --limit 10 \\
        --settle-after 2 3 --settle-lag-ms 400 800 --json rolling.json

Recordings go through the live path as fast as it takes them, a partial at every
``partials.every_ms`` of audio, once for each pair of settings.  A row of the table has:

- settling delay: from the end of a word, as the final has it, to the stream time at which
  the word is settled, by a partial or else by the final; the median and the 90th percentile;
- settled early: the share of words that a partial settled;
- unstable: words of a text on the screen that the next text of the utterance, the final
  included, has no more or has changed, for each word of the finals; and how many times a
  second of speech a text changes so;
- word error rate of finals that nothing was settled for, and of those that begin with the
  settled words;
- decoding: processor time of reading partials, without the network, for a second of audio.

All but the last is the same in every run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lm.decoder import Decoder, DecoderSession, Hypothesis
from model.acoustic import AcousticModel, AcousticSession
from model.corpora.manifest import Utterance, read_manifest
from model.errors import CaptionerError
from model.evaluation.assessment import first_of_each
from model.evaluation.rates import align_words, error_rates
from model.files import check_folder, write_output
from model.settings import load_settings
from streamer.app import build_stream, decoders_for, load_model
from streamer.decoders import Decoders
from streamer.events import Event, FinalTranscript, PartialTranscript
from streamer.replay import WavReplaySource
from streamer.runner import run_inline
from streamer.settings import LiveSettings


class RememberingModel:
    """The acoustic model, which reads the same of a recording only once.

    Other settings of settling ask for the same readings at the same times.
    """

    def __init__(self, model: AcousticModel) -> None:
        self.bundle = model.bundle
        self.extractor = model.extractor
        self.frame_samples = model.frame_samples
        self._model = model
        self._recording: dict[tuple[int, int, int | None, bool], np.ndarray] = {}
        self._all: dict[Path, dict[tuple[int, int, int | None, bool], np.ndarray]] = {}
        self._utterances = 0

    def begin(self, recording: Path) -> None:
        """Start a recording."""
        self._recording = self._all.setdefault(recording, {})
        self._utterances = 0

    def session(self) -> RememberingSession:
        """Start the next utterance of the recording."""
        self._utterances += 1
        return RememberingSession(self._model.session(), self._utterances, self._recording)


class RememberingSession:
    """One utterance of a recording."""

    def __init__(
        self,
        session: AcousticSession,
        utterance: int,
        known: dict[tuple[int, int, int | None, bool], np.ndarray],
    ) -> None:
        self._session = session
        self._utterance = utterance
        self._known = known
        self._frames = 0

    def push(self, features: np.ndarray) -> None:
        """Add float32 (frames, size)."""
        self._session.push(features)
        self._frames += len(features)

    def log_probs(self, frames: int | None = None, final: bool = False) -> np.ndarray:
        """Return float32 (output frames, symbols)."""
        key = self._utterance, self._frames, frames, final
        if key not in self._known:
            self._known[key] = self._session.log_probs(frames, final)
        return self._known[key]


class TimedDecoder:
    """Counts the processor time that the sessions of a decoder take."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.spent_s = 0.0

    def decode(self, log_probs: np.ndarray, settled: Sequence[str] = ()) -> Hypothesis:
        """Return the best reading of float32 (frames, symbols)."""
        return self._decoder.decode(log_probs, settled)

    def session(self) -> TimedSession:
        """Start an utterance."""
        return TimedSession(self._decoder.session(), self)


class TimedSession:
    """One utterance."""

    def __init__(self, session: DecoderSession, account: TimedDecoder) -> None:
        self._session = session
        self._account = account

    def push(self, log_probs: np.ndarray) -> None:
        """Add float32 (frames, symbols)."""
        began = time.thread_time()
        self._session.push(log_probs)
        self._account.spent_s += time.thread_time() - began

    def best(
        self, tail: np.ndarray | None = None, settled: Sequence[str] = (), final: bool = False
    ) -> Hypothesis:
        """Return the best reading."""
        began = time.thread_time()
        hypothesis = self._session.best(tail, settled, final)
        self._account.spent_s += time.thread_time() - began
        return hypothesis


class Transcripts:
    """Keeps the partials and the final of each utterance."""

    def __init__(self) -> None:
        self.partials: dict[int, list[PartialTranscript]] = defaultdict(list)
        self.finals: list[FinalTranscript] = []

    def emit(self, event: Event, emitted_s: float) -> None:
        """Keep a transcript."""
        if isinstance(event, PartialTranscript):
            self.partials[event.utterance].append(event)
        elif isinstance(event, FinalTranscript):
            self.finals.append(event)

    def close(self) -> None:
        """Nothing to finish."""

    @property
    def text(self) -> str:
        """All finals as one text."""
        return " ".join(final.text for final in self.finals if final.text)


@dataclass
class Outcome:
    """What was measured on some recordings with one pair of settings."""

    references: list[str] = field(default_factory=list)
    free: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)
    words: int = 0
    settled_early: int = 0
    unstable_words: int = 0
    revisions: int = 0
    speech_s: float = 0.0

    def add(self, reference: str, free: Transcripts, kept: Transcripts) -> None:
        """Count a recording."""
        self.references.append(reference)
        self.free.append(free.text)
        self.kept.append(kept.text)
        for final in kept.finals:
            self._add_utterance(kept.partials[final.utterance], final)

    def _add_utterance(self, partials: Sequence[PartialTranscript], final: FinalTranscript) -> None:
        early = settling_times(partials)
        times = early + [final.audio_s] * (len(final.words) - len(early))
        self.delays_s += [at - word.end_s for at, word in zip(times, final.words, strict=True)]
        self.words += len(final.words)
        self.settled_early += len(early)
        self.speech_s += final.end_s - final.start_s
        texts = [f"{partial.stable} {partial.tail}" for partial in partials]
        for earlier, later in pairwise([*texts, final.text]):
            lost = words_lost(earlier.split(), later.split())
            self.unstable_words += lost
            self.revisions += lost > 0

    def measures(self) -> dict[str, float]:
        """Return the figures; error rates and shares from 0 to 1."""
        free = error_rates(self.references, self.free).wer
        kept = error_rates(self.references, self.kept).wer
        median, ninth = np.percentile(self.delays_s or [0.0], [50, 90])
        return {
            "recordings": len(self.references),
            "words": self.words,
            "settling_delay_p50_s": round(float(median), 3),
            "settling_delay_p90_s": round(float(ninth), 3),
            "settled_early": round(self.settled_early / max(1, self.words), 4),
            "unstable_partial_word_ratio": round(self.unstable_words / max(1, self.words), 4),
            "revisions_per_s": round(self.revisions / max(1e-9, self.speech_s), 4),
            "wer_free": round(free, 4),
            "wer_kept": round(kept, 4),
            "relative_cost": round(kept / max(1e-9, free) - 1, 4),
        }


def settling_times(partials: Iterable[PartialTranscript]) -> list[float]:
    """Return the stream time at which each settled word was settled first, seconds."""
    times: list[float] = []
    for partial in partials:
        times += [partial.audio_s] * (len(partial.stable.split()) - len(times))
    return times


def words_lost(earlier: Sequence[str], later: Sequence[str]) -> int:
    """Return how many words of a text the next text has no more, or has changed."""
    same = next(
        (place for place, (a, b) in enumerate(zip(earlier, later, strict=False)) if a != b),
        min(len(earlier), len(later)),
    )
    rest, other = earlier[same:], later[same:]
    if not rest or not other:
        return len(rest)
    pairs = align_words(" ".join(rest), " ".join(other))
    return sum(bool(before) and before != after for before, after in pairs)


def captions(
    row: Utterance,
    settings: LiveSettings,
    acoustic: RememberingModel,
    decoders: Decoders,
    partials: bool,
) -> tuple[Transcripts, float]:
    """Caption a recording; return the transcripts and the length of its audio, seconds."""
    transcripts = Transcripts()
    acoustic.begin(row.audio)
    with WavReplaySource([row.audio], "max", settings.audio.block_ms) as source:
        stream: Any = build_stream(settings, acoustic, None, decoders)  # type: ignore[arg-type]
        run_inline(source, stream, transcripts, partials)
    return transcripts, stream.summary().audio_s


def measure(
    rows: Sequence[Utterance],
    settings: LiveSettings,
    acoustic: RememberingModel,
    decoders: Decoders,
    free: Sequence[Transcripts],
) -> dict[str, Any]:
    """Return the settings and the measures of one pair of settings, in all and by corpus."""
    timed = TimedDecoder(decoders.partial)
    whole, corpora, audio_s = Outcome(), defaultdict[str, Outcome](Outcome), 0.0
    for row, unsettled in zip(rows, free, strict=True):
        kept, length_s = captions(row, settings, acoustic, replace(decoders, partial=timed), True)
        audio_s += length_s
        for outcome in (whole, corpora[row.corpus]):
            outcome.add(row.text, unsettled, kept)
    return {
        "settle_after": settings.partials.settle_after,
        "settle_lag_ms": settings.partials.settle_lag_ms,
        "freeze_s": settings.partials.freeze_s,
        **whole.measures(),
        "decoding_rtf": round(timed.spent_s / audio_s, 4),
        "corpora": {name: outcome.measures() for name, outcome in corpora.items()},
    }


HEAD = """\
| Agreeing | Lag, ms | Delay p50, s | p90, s | Settled early, % | Unstable words | Revisions a s \
| WER free, % | WER kept, % | Cost, % | Decoding |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


def table_row(result: dict[str, Any]) -> str:
    """Return a row of the table."""
    cells = (
        str(result["settle_after"]),
        str(result["settle_lag_ms"]),
        f"{result['settling_delay_p50_s']:.2f}",
        f"{result['settling_delay_p90_s']:.2f}",
        f"{100 * result['settled_early']:.0f}",
        f"{result['unstable_partial_word_ratio']:.2f}",
        f"{result['revisions_per_s']:.2f}",
        f"{100 * result['wer_free']:.1f}",
        f"{100 * result['wer_kept']:.1f}",
        f"{100 * result['relative_cost']:+.1f}",
        f"{result['decoding_rtf']:.4f}",
    )
    return f"| {' | '.join(cells)} |"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    default = LiveSettings()
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=__doc__.partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="recordings of each corpus, from the first")
    parser.add_argument("--model", type=Path, default=default.model)
    parser.add_argument("--language-model", type=Path, help="as for run_live.py")
    parser.add_argument(
        "--settle-after", type=int, nargs="+", default=[default.partials.settle_after]
    )
    parser.add_argument(
        "--settle-lag-ms", type=int, nargs="+", default=[default.partials.settle_lag_ms]
    )
    parser.add_argument("--config", type=Path, help="settings, such as configs/live.yaml")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--json", type=Path, help="where the figures go, by corpus as well")
    return parser


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure every pair of settings and print the table.

    Raises:
        CaptionerError: If a setting, a model or the manifest cannot be used.
    """
    settings = load_settings(LiveSettings, options.config, options.overrides)
    if options.language_model is not None:
        decoder = replace(settings.decoder, language_model=options.language_model)
        settings = replace(settings, decoder=decoder)
    acoustic = RememberingModel(load_model(options.model))
    decoders = decoders_for(settings, acoustic)  # type: ignore[arg-type]
    rows = read_manifest(options.manifest)
    rows = rows if options.limit is None else first_of_each(rows, options.limit)
    free = [captions(row, settings, acoustic, decoders, False)[0] for row in rows]
    print(HEAD)
    results = []
    for agreeing, lag_ms in product(options.settle_after, options.settle_lag_ms):
        partials = replace(settings.partials, settle_after=agreeing, settle_lag_ms=lag_ms)
        chosen = replace(settings, partials=partials)
        results.append(measure(rows, chosen, acoustic, decoders, free))
        print(table_row(results[-1]), flush=True)
    return results


def main() -> int:
    """Measure, print, and return the exit code."""
    options = parser().parse_args()
    try:
        if options.json is not None:
            check_folder(options.json.parent)
        results = run(options)
        if options.json is not None:
            write_output(options.json, (json.dumps(results, indent=2) + "\n").encode())
    except (CaptionerError, ValueError) as error:
        print(f"rolling.py: error: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
