"""Measure errors in noise, in rooms, over a telephone, too quiet and clipped.

    python benchmarks/robustness.py --bundle models/default --language-model models/language \\
        --manifest dev.jsonl --sample 40 --output before.json
    python benchmarks/robustness.py --bundle runs/new/bundle --language-model models/language \\
        --manifest dev.jsonl --sample 40 --output after.json --compare before.json
    python benchmarks/robustness.py --compare before.json after.json

The same recordings are read as they are and in each condition of ``benchmarks/impairments.py``,
whole, as finals are: greedily and, from the same log-probabilities, with the language model.
What is drawn, noise and voices and places in rooms, depends on the seed and the recording alone,
so that two models hear the same sound.  Prints Markdown tables of word error rates by corpus with
95 % bootstrap intervals over recordings; ``--output`` writes all figures as JSON.  ``--compare``
shows another run's side by side with this one's, or two runs', without measuring; its differences
are paired: drawn by recording, before and after together.

exit codes: 0 finished, 1 failed while running, 2 wrong usage or input
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.live.arguments import MANIFEST, carry_out, parser_of, use_one_core

if __name__ == "__main__":
    use_one_core()

import numpy as np

from benchmarks.impairments import CLEAN, IMPAIRMENTS, Impairment, Speech, others_of
from benchmarks.live.options import check_output, json_bytes, machine
from benchmarks.live.tables import run_names
from benchmarks.robustness_tables import SCHEMA, comparison, ends, places_of, read_run, report
from lm.beam import BeamDecoder
from lm.bundle import BINARY_FILE
from lm.loading import load_tuned
from lm.tuning.log_probs import Acoustics
from model.acoustic import AcousticModel
from model.alphabet import Alphabet
from model.audio import read_audio
from model.commands.arguments import count
from model.commands.terminal import Terminal
from model.corpora.manifest import Utterance, read_manifest
from model.errors import UsageError
from model.evaluation.assessment import GREEDY, check_recordings, seed_of
from model.evaluation.confidence import LEVEL, RESAMPLES, wer_interval
from model.evaluation.rates import ErrorRates, error_rates, greedy_text
from model.evaluation.report import DIGITS
from model.files import file_checksum, write_output

SEARCH = "with the language model"

Readers = Mapping[str, Callable[[np.ndarray], str]]
"""By name, what makes text of log-probabilities float32 (frames, symbols)."""

Heard = Mapping[str, Mapping[str, Sequence[ErrorRates]]]
"""Errors by condition and reader, of each recording in order."""


@dataclass(frozen=True)
class RobustnessOptions:
    """What is measured; see ``robustness.py --help``."""

    bundle: Path
    manifest: Path
    language_model: Path | None = None
    sample: int = 0
    seed: int = 1
    only: Sequence[str] = ()

    def command(self) -> str:
        """Return the command line, without where the figures go."""
        words: list[object] = ["python", "benchmarks/robustness.py", "--bundle", self.bundle]
        words += ["--language-model", self.language_model] if self.language_model else []
        words += ["--manifest", self.manifest]
        words += ["--sample", self.sample] if self.sample else []
        words += ["--seed", self.seed]
        words += ["--only", *self.only] if self.only else []
        return shlex.join(map(str, words))

    def impairments(self) -> list[Impairment]:
        """Return the conditions, recordings as they are among them always.

        Raises:
            UsageError: If none is called as ``only`` says.
        """
        for part in self.only:
            if not any(part in one.name for one in IMPAIRMENTS):
                names = "; ".join(one.name for one in IMPAIRMENTS)
                raise UsageError(f"--only: must each be in one of {names}; got {part}")
        return [
            one
            for one in IMPAIRMENTS
            if one is CLEAN or not self.only or any(part in one.name for part in self.only)
        ]


def drawn(rows: Sequence[Utterance], number: int, seed: int) -> list[Utterance]:
    """Return so many rows of each corpus, or all for 0, in their order.

    A seed decides which, wherever in a manifest they stand; a smaller number draws some of those
    that a larger one does.
    """
    if not number:
        return list(rows)
    kept: set[int] = set()
    for corpus in dict.fromkeys(row.corpus for row in rows):
        places = [place for place, row in enumerate(rows) if row.corpus == corpus]
        places.sort(key=lambda place: np.random.default_rng([seed, seed_of(rows[place])]).random())
        kept.update(places[:number])
    return [rows[place] for place in sorted(kept)]


def measure(options: RobustnessOptions, terminal: Terminal) -> dict[str, Any]:
    """Return all figures, as they are written.

    Raises:
        CaptionerError: If a model, the manifest or a recording cannot be used.
    """
    impairments = options.impairments()
    every = read_manifest(options.manifest)
    rows = drawn(every, options.sample, options.seed)
    check_recordings(row.audio for row in rows)
    acoustics = Acoustics.read(options.bundle)
    model = AcousticModel.load(options.bundle)
    readers, language_model = load_readers(options.language_model, acoustics.alphabet)
    with terminal.counting("readings", len(rows) * len(impairments)) as progress:
        heard = hear(rows, every, impairments, model, readers, options.seed, progress)
    interval = f"{100 * LEVEL:.0f} %, percentile bootstrap, {RESAMPLES} draws of the recordings"
    return {
        "schema": SCHEMA,
        "command": options.command(),
        "bundle": {
            "name": acoustics.name,
            "weights_sha256": acoustics.weights_sha256,
            "sha256": acoustics.key,
        },
        "language_model": language_model,
        "sounds": _sounds(options, rows, len(every)),
        "conditions": {one.name: one.about for one in impairments},
        "interval": interval,
        "machine": machine(),
        "figures": _figures(heard, rows),
        "word_errors": {
            condition: {reader: [one.word_errors for one in rates] for reader, rates in by.items()}
            for condition, by in heard.items()
        },
    }


def _sounds(options: RobustnessOptions, rows: Sequence[Utterance], every: int) -> dict[str, Any]:
    """Return what decides which sound is heard, besides the conditions."""
    return {
        "manifest_sha256": file_checksum(options.manifest),
        "recordings_of_manifest": every,
        "recordings_of_each_corpus": options.sample or None,
        "seed": options.seed,
        "recordings": [
            {"audio": row.audio.name, "corpus": row.corpus, "words": len(row.text.split())}
            for row in rows
        ],
    }


def load_readers(
    language_model: Path | None, alphabet: Alphabet
) -> tuple[Readers, dict[str, Any] | None]:
    """Return what reads log-probabilities, and what tells the language model from others."""
    readers = {GREEDY: lambda scores: greedy_text(scores, alphabet)}
    if language_model is None:
        return readers, None
    model, tuned = load_tuned(language_model)
    decoder = BeamDecoder(alphabet, model, tuned.search, calibration=tuned.calibration)
    file = language_model / BINARY_FILE if language_model.is_dir() else language_model
    record = {
        "name": str(language_model),
        "sha256": file_checksum(file),
        "search": asdict(tuned.search),
    }
    return {**readers, SEARCH: lambda scores: decoder.decode(scores).text}, record


def hear(
    rows: Sequence[Utterance],
    every: Sequence[Utterance],
    impairments: Sequence[Impairment],
    model: AcousticModel,
    readers: Readers,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Heard:
    """Return the errors of each reading of each recording.

    Args:
        rows: What is read.
        every: The recordings that babble is made of, those that are read among them.
        impairments: The conditions in which they are read.
        model: Gives the log-probabilities.
        readers: Make text of them.
        seed: Of all that is drawn.
        progress: Called with the number of recordings done, each in every condition.
    """
    heard: dict[str, dict[str, list[ErrorRates]]] = {
        one.name: {reader: [] for reader in readers} for one in impairments
    }
    rate = model.bundle.features.sample_rate
    done = 0
    for row in rows:
        speech = Speech(row, read_audio(row.audio, rate), rate, others_of(row, every))
        for one in impairments:
            features = model.extractor.extract(one.apply(speech, seed))
            scores = model.log_probs(features, final=True)
            for reader, read in readers.items():
                heard[one.name][reader].append(error_rates([row.text], [read(scores)]))
            progress(done := done + 1)
    return heard


def _figures(heard: Heard, rows: Sequence[Utterance]) -> dict[str, Any]:
    """Return figures by condition, reader and corpus, all corpora together last."""
    places = places_of([row.corpus for row in rows])
    return {
        condition: {
            reader: {
                corpus: _record([rates[place] for place in chosen])
                for corpus, chosen in places.items()
            }
            for reader, rates in by_reader.items()
        }
        for condition, by_reader in heard.items()
    }


def _record(rates: Sequence[ErrorRates]) -> dict[str, Any]:
    total = sum(rates, ErrorRates())
    # No speakers: they are too few in some corpora to be drawn.
    low, high = ends(wer_interval(rates, [None] * len(rates)))
    return {
        "recordings": len(rates),
        **asdict(total),
        "wer": round(total.wer, DIGITS),
        "wer_low": low,
        "wer_high": high,
        "cer": round(total.cer, DIGITS),
    }


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    assert __doc__ is not None
    parser = parser_of(__doc__)
    parser.add_argument("--bundle", metavar="FOLDER", type=Path, help="model bundle to measure")
    parser.add_argument(
        "--language-model",
        metavar="PATH",
        type=Path,
        help="read with the beam search and this language model too, such as models/language",
    )
    parser.add_argument("--manifest", metavar="FILE", type=Path, help=MANIFEST)
    parser.add_argument(
        "--sample", metavar="N", type=count, default=0, help="recordings of each corpus to draw"
    )
    parser.add_argument(
        "--seed", metavar="S", type=count, default=1, help="of all that is drawn (default: 1)"
    )
    parser.add_argument(
        "--only",
        metavar="TEXT",
        nargs="+",
        default=[],
        help="conditions with one of these in their names, such as pink room",
    )
    parser.add_argument("--output", metavar="FILE", type=Path, help="JSON file to write")
    parser.add_argument(
        "--compare",
        metavar="FILE",
        type=Path,
        nargs="+",
        default=[],
        help="figures of the run before; with those of the run after, nothing is measured",
    )
    return parser


def work(options: argparse.Namespace, terminal: Terminal) -> None:
    """Measure or compare, or both, and print the tables.

    Raises:
        CaptionerError: If an input cannot be used or the figures cannot be written.
    """
    _check(options)
    runs = [read_run(path) for path in options.compare]
    names = run_names(options.compare) if len(runs) == 2 else ["before", "after"]
    shown = []
    if options.bundle is not None:
        runs.append(measure(_measured(options), terminal))
        shown.append(report(runs[-1]))
        if options.output is not None:
            write_output(options.output, json_bytes(runs[-1]))
    if options.compare:
        shown.append(comparison(runs[0], runs[1], names))
    terminal.out.print("\n\n".join(shown), markup=False, highlight=False, soft_wrap=True)


def _check(options: argparse.Namespace) -> None:
    """Find out before the work whether the arguments belong together."""
    lacking = [options.bundle, options.manifest].count(None)
    if len(options.compare) not in {0: (0, 1), 1: (), 2: (2,)}[lacking]:
        raise UsageError(
            "give --bundle and --manifest to measure, with --compare BEFORE.json to compare; or "
            "--compare BEFORE.json AFTER.json alone"
        )
    check_output(options.output)


def _measured(options: argparse.Namespace) -> RobustnessOptions:
    chosen = dict(vars(options))
    for name in ("output", "compare"):
        del chosen[name]
    return RobustnessOptions(**chosen)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure or compare, and return the exit code."""
    options = parser().parse_args(arguments)
    return carry_out("robustness.py", lambda terminal: work(options, terminal))


if __name__ == "__main__":
    sys.exit(main())
