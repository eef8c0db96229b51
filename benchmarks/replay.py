"""Replay recordings through the live path and compare with whole recordings.

    python benchmarks/replay.py --manifest dev.jsonl --limit 10

Prints a Markdown table by corpus: word error rate of the live finals, word error rate of
the same model on whole recordings, and the real-time factor of the live path with partials
(computing time for each second of audio).
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model.acoustic import AcousticModel
from model.audio import read_audio
from model.corpora.manifest import Utterance, read_manifest
from model.errors import CaptionerError
from model.evaluation.assessment import first_of_each
from model.evaluation.rates import error_rates
from streamer.app import build_stream, decoders_for, load_model
from streamer.decoders import Decoders
from streamer.events import Event, FinalTranscript, Summary
from streamer.replay import WavReplaySource
from streamer.runner import run_inline
from streamer.settings import LiveSettings


@dataclass
class Outcome:
    """What was measured on one corpus."""

    references: list[str] = field(default_factory=list)
    live: list[str] = field(default_factory=list)
    offline: list[str] = field(default_factory=list)
    audio_s: float = 0.0
    computing_s: float = 0.0

    def row(self, name: str) -> str:
        """Return a row of the table."""
        live, offline = (
            error_rates(self.references, self.live),
            error_rates(self.references, self.offline),
        )
        return (
            f"| {name} | {len(self.references)} | {100 * live.wer:.1f} | {100 * offline.wer:.1f} "
            f"| {self.computing_s / self.audio_s:.3f} |"
        )


class Finals:
    """Keeps finals and the summary."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.summary: Summary | None = None

    def emit(self, event: Event, emitted_s: float) -> None:
        if isinstance(event, FinalTranscript) and event.text:
            self.texts.append(event.text)
        elif isinstance(event, Summary):
            self.summary = event

    def close(self) -> None:
        """Nothing to finish."""


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="recordings of each corpus, from the first")
    parser.add_argument("--model", type=Path, default=LiveSettings().model)
    try:
        run(parser.parse_args())
    except CaptionerError as error:
        print(f"replay.py: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Measure the recordings and print the table.

    Raises:
        CaptionerError: If a model or the manifest cannot be used.
    """
    acoustic = load_model(arguments.model)
    decoders = decoders_for(LiveSettings(), acoustic)
    outcomes: dict[str, Outcome] = defaultdict(Outcome)
    rows, limit = read_manifest(arguments.manifest), arguments.limit
    for row in rows if limit is None else first_of_each(rows, limit):
        measure(row, acoustic, decoders, outcomes[row.corpus])
    print("| Corpus | Recordings | WER live, % | WER whole, % | Real-time factor |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, outcome in outcomes.items():
        print(outcome.row(name))


def measure(row: Utterance, acoustic: AcousticModel, decoders: Decoders, outcome: Outcome) -> None:
    """Caption a recording live and read it whole."""
    settings = LiveSettings()
    finals = Finals()
    with WavReplaySource([row.audio], "max", settings.audio.block_ms) as source:
        run_inline(source, build_stream(settings, acoustic, None, decoders), finals)
    features = acoustic.extractor.extract(
        read_audio(row.audio, acoustic.bundle.features.sample_rate)
    )
    whole = decoders.final.decode(acoustic.log_probs(features, final=True))
    assert finals.summary is not None
    outcome.references.append(row.text)
    outcome.live.append(" ".join(finals.texts))
    outcome.offline.append(whole.text)
    outcome.audio_s += finals.summary.audio_s
    outcome.computing_s += finals.summary.audio_s * finals.summary.rtf


if __name__ == "__main__":
    sys.exit(main())
