"""Measure the decoder against pyctcdecode: errors, speed whole and live, memory, start-up.

    python benchmarks/decoding.py --manifest dev.jsonl --json decoding.json

All on one processor core, from log-probabilities computed once and kept in the cache:

- word and character error rates by corpus: of the likeliest symbols, of the search with its
  live settings and of pyctcdecode's with the same; and on a sample, the first recordings of
  each corpus, with a beam of 500 for both;
- real-time factor: processor time for each second of audio, the shorter of two rounds;
- partials of the sample, a reading each 250 ms: a session that is given the new frames only;
  a session that keeps what is older than 2 s and reads the 2 s after that anew, as a
  bidirectional network asks for; and pyctcdecode, which begins anew each time;
- how many readings differ, of utterances in pieces from whole ones, and of ours from
  pyctcdecode's;
- memory that a loaded decoder takes, and how long it takes to load in a fresh process, with
  its files out of the memory that caches disks, and in it.

Prints Markdown tables; ``--json`` writes the figures as well.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from lm.beam import BeamDecoder
from lm.bundle import BINARY_FILE, WORDS_FILE
from lm.decoder import Decoder, GreedyDecoder
from lm.language_model import LanguageModel
from lm.loading import load_tuned
from lm.reference import ReferenceDecoder
from lm.search import SearchSettings
from lm.tuned import read_tuned
from lm.tuning.inputs import Inputs, Source, load_inputs
from lm.tuning.log_probs import Scored
from model.commands.arguments import count
from model.commands.terminal import Terminal
from model.errors import CaptionerError
from model.evaluation.assessment import first_of_each
from model.evaluation.rates import ErrorRates, error_rates

ROOT = Path(__file__).resolve().parent.parent
WIDE = 500
STEP_S = 0.25
"""Audio from one partial to the next."""
TAIL_S = 2.0
"""Audio that a bidirectional network may still read otherwise."""
ROUNDS = 2
STARTS = 3
GREEDY, OURS, REFERENCE = "greedy", "ours", "pyctcdecode"
OVERALL = "all"

CHILD = """
import json, sys, time
sys.path.insert(0, {root!r})
import numpy, yaml, lm.decoder
def memory():
    fields = dict(line.split(":") for line in open("/proc/self/smaps_rollup").readlines()[1:])
    return {{name: int(fields[name].split()[0]) / 1024 for name in ("Rss", "Pss")}}
before, started, worked = memory(), time.perf_counter(), time.process_time()
from lm.beam import BeamDecoder
from lm.language_model import LanguageModel
from model.alphabet import ENGLISH
decoder = BeamDecoder(ENGLISH, LanguageModel.load({path!r}, {unigrams!r}))
seconds, work = time.perf_counter() - started, time.process_time() - worked
decoder.decode(numpy.load({log_probs!r}))
after = memory()
grown = {{name: after[name] - before[name] for name in after}}
print(json.dumps({{"seconds": seconds, "work": work, **grown}}))
"""


@dataclass
class Readings:
    """What a decoder made of recordings.

    Attributes:
        texts: Its readings.
        seconds: Processor time for each, the shortest of some rounds.
    """

    texts: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def main() -> int:
    """Measure, print and write."""
    options = _parser().parse_args()
    try:
        record = measure(options)
    except CaptionerError as error:
        print(f"decoding.py: error: {error}", file=sys.stderr)
        return error.exit_code
    print(tables(record))
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--manifest", type=Path, nargs="+", required=True)
    parser.add_argument("--model", type=Path, default=Path("models/default"))
    parser.add_argument("--language-model", type=Path, default=Path("models/language"))
    parser.add_argument("--unigrams", type=Path, help="known words of a binary file")
    parser.add_argument("--settings", type=Path, help="default: the language model's decoder.yaml")
    parser.add_argument("--cache", type=Path, default=Path("cache/log-probabilities"))
    parser.add_argument("--limit", type=count, default=0, help="recordings of each corpus")
    parser.add_argument(
        "--sample", type=count, default=10, help="of each corpus for what is slow (default: 10)"
    )
    parser.add_argument("--json", type=Path, help="write the figures here too")
    return parser


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return all figures."""
    source = Source(
        options.manifest,
        options.model,
        options.language_model,
        options.unigrams,
        options.cache,
        limit=options.limit,
    )
    inputs = load_inputs(source, Terminal())
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    model, tuned = load_tuned(source.language_model, source.unigrams)
    settings = read_tuned(options.settings).search if options.settings else tuned.search
    decoders = _decoders(inputs, model, settings)
    rows = first_of_each([item.row for item in inputs.scored], options.sample)
    sample = [item for item in inputs.scored if item.row in rows]
    wide = replace(settings, beam_width=WIDE)
    whole = {name: read(one, inputs.scored, ROUNDS) for name, one in decoders.items()}
    narrow = {name: read(one, sample) for name, one in decoders.items()}
    widest = {
        f"{name}, {WIDE}": read(one, sample)
        for name, one in _decoders(inputs, model, wide).items()
        if name != GREEDY
    }
    return {
        "conditions": _conditions(inputs, settings, options.sample),
        "errors": _errors(whole, inputs.scored),
        "sample": _errors(narrow | widest, sample),
        "real_time_factor": _factors(whole, inputs.scored),
        "sample_real_time_factor": _factors(narrow | widest, sample),
        "partials": partials(decoders, sample, inputs.acoustics.frame_s),
        "differing": {
            "in pieces from whole": _share_in_pieces(decoders[OURS], inputs.scored, whole),
            "ours from pyctcdecode": _share(whole[OURS].texts, whole[REFERENCE].texts),
        },
        "loading": loading(source, sample[0]),
    }


def _decoders(inputs: Inputs, model: LanguageModel, settings: SearchSettings) -> dict[str, Decoder]:
    alphabet = inputs.acoustics.alphabet
    return {
        GREEDY: GreedyDecoder(alphabet),
        OURS: BeamDecoder(alphabet, model, settings),
        REFERENCE: ReferenceDecoder(alphabet, model, settings),
    }


def read(decoder: Decoder, scored: Sequence[Scored], rounds: int = 1) -> Readings:
    """Read recordings whole."""
    readings = Readings()
    for item in scored:
        log_probs, seconds = item.log_probs(), []
        for _ in range(rounds):
            started = time.process_time()
            text = decoder.decode(log_probs).text
            seconds.append(time.process_time() - started)
        readings.texts.append(text)
        readings.seconds.append(min(seconds))
    return readings


def partials(
    decoders: dict[str, Decoder], sample: Sequence[Scored], frame_s: float
) -> dict[str, float]:
    """Return the processor time of all partials, in seconds, by how they are read."""
    step, tail = round(STEP_S / frame_s), round(TAIL_S / frame_s)
    ways: dict[str, Callable[[np.ndarray], None]] = {
        "ours, new frames only": lambda found: _grow(decoders[OURS], found, step),
        "ours, the last 2 s anew": lambda found: _reread(decoders[OURS], found, step, tail),
        "pyctcdecode, all anew": lambda found: _anew(decoders[REFERENCE], found, step),
    }
    seconds = dict.fromkeys(ways, 0.0)
    for item in sample:
        log_probs = item.log_probs()
        for name, way in ways.items():
            started = time.process_time()
            way(log_probs)
            seconds[name] += time.process_time() - started
    return seconds


def _grow(decoder: Decoder, log_probs: np.ndarray, step: int) -> None:
    session = decoder.session()
    for start in range(0, len(log_probs), step):
        session.push(log_probs[start : start + step])
        session.best()


def _reread(decoder: Decoder, log_probs: np.ndarray, step: int, tail: int) -> None:
    session, pushed = decoder.session(), 0
    for end in range(step, len(log_probs) + step, step):
        kept = max(pushed, min(end, len(log_probs)) - tail)
        session.push(log_probs[pushed:kept])
        session.best(log_probs[kept:end])
        pushed = kept


def _anew(decoder: Decoder, log_probs: np.ndarray, step: int) -> None:
    for end in range(step, len(log_probs) + step, step):
        decoder.decode(log_probs[:end])


def _share_in_pieces(
    decoder: Decoder, scored: Sequence[Scored], whole: dict[str, Readings]
) -> float:
    texts = []
    for place, item in enumerate(scored):
        log_probs, session = item.log_probs(), decoder.session()
        cuts = np.random.default_rng(place).integers(0, len(log_probs) + 1, 5)
        for piece in np.split(log_probs, np.sort(cuts)):
            session.push(piece)
        texts.append(session.best(final=True).text)
    return _share(texts, whole[OURS].texts)


def _share(texts: Sequence[str], others: Sequence[str]) -> float:
    return float(np.mean([one != other for one, other in zip(texts, others, strict=True)]))


def loading(source: Source, item: Scored) -> dict[str, float]:
    """Return memory in MB that the decoder takes, and the seconds that it takes to load."""
    path = source.language_model
    files = [path / BINARY_FILE, path / WORDS_FILE] if path.is_dir() else [path]
    cold, warm = [], []
    for _ in range(STARTS):
        for file in files:
            _forget(file)
        cold.append(_child(source, item))
        warm.append(_child(source, item))
    return {
        "first_s": min(one["seconds"] for one in cold),
        "again_s": min(one["seconds"] for one in warm),
        "processor_s": min(one["work"] for one in warm),
        "resident_mb": min(one["Rss"] for one in warm),
        "proportional_mb": min(one["Pss"] for one in warm),
    }


def _forget(path: Path) -> None:
    """Drop a file from the memory that caches disks, as far as the system does so."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _child(source: Source, item: Scored) -> dict[str, float]:
    program = CHILD.format(
        root=str(ROOT),
        path=str(source.language_model),
        unigrams=str(source.unigrams) if source.unigrams else None,
        log_probs=str(item.path),
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _errors(
    readings: dict[str, Readings], scored: Sequence[Scored]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return words, WER, CER and gain over greedy by corpus and decoder, rates as shares."""
    corpora = dict.fromkeys(item.row.corpus for item in scored)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for corpus in [*corpora, OVERALL]:
        rates = {
            name: _rates(scored, one.texts, "" if corpus == OVERALL else corpus)
            for name, one in readings.items()
        }
        found[corpus] = {
            name: {
                "words": one.words,
                "wer": one.wer,
                "cer": one.cer,
                "gain": 1 - one.wer / max(rates[GREEDY].wer, 1e-9),
            }
            for name, one in rates.items()
        }
    return found


def _rates(scored: Sequence[Scored], texts: Sequence[str], corpus: str) -> ErrorRates:
    pairs = [
        (item.row.text, text)
        for item, text in zip(scored, texts, strict=True)
        if not corpus or item.row.corpus == corpus
    ]
    return error_rates([wanted for wanted, _ in pairs], [text for _, text in pairs])


def _factors(readings: dict[str, Readings], scored: Sequence[Scored]) -> dict[str, float]:
    audio_s = sum(item.row.duration for item in scored)
    return {name: sum(one.seconds) / audio_s for name, one in readings.items()}


def _conditions(inputs: Inputs, settings: SearchSettings, sample: int) -> dict[str, Any]:
    return {
        "processor": platform.machine(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("kenlm", "numpy", "pyctcdecode")},
        "acoustic_model": inputs.acoustics.name,
        "weights_sha256": inputs.acoustics.weights_sha256,
        "language_model_sha256": inputs.language_model_sha256,
        "recordings": len(inputs.scored),
        "audio_s": sum(item.row.duration for item in inputs.scored),
        "sample": sample,
        "settings": asdict(settings),
    }


def tables(record: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    blocks = [
        _error_table("Corpus", record["errors"], record["real_time_factor"]),
        _error_table("Sample", record["sample"], record["sample_real_time_factor"]),
        _partial_table(record["partials"]),
        _rest_table(record["differing"], record["loading"]),
    ]
    return "\n\n".join(blocks)


def _error_table(
    head: str, errors: dict[str, dict[str, dict[str, float]]], factors: dict[str, float]
) -> str:
    lines = [
        f"| {head} | Words | Decoder | WER, % | CER, % | Gain over greedy, % | Real-time factor |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for corpus, found in errors.items():
        for name, one in found.items():
            factor = f"{factors[name]:.4f}" if corpus == OVERALL else ""
            lines.append(
                f"| {corpus} | {one['words']} | {name} | {100 * one['wer']:.2f} "
                f"| {100 * one['cer']:.2f} | {100 * one['gain']:.1f} | {factor} |"
            )
    return "\n".join(lines)


def _partial_table(seconds: dict[str, float]) -> str:
    slowest = max(seconds.values())
    lines = [
        "| Partials each 250 ms | Processor time, s | Times as fast as the slowest |",
        "| --- | ---: | ---: |",
    ]
    lines += [
        f"| {name} | {taken:.2f} | {slowest / max(taken, 1e-9):.1f} |"
        for name, taken in seconds.items()
    ]
    return "\n".join(lines)


def _rest_table(differing: dict[str, float], loading: dict[str, float]) -> str:
    lines = ["| Measure | Figure |", "| --- | ---: |"]
    lines += [
        f"| Readings that differ, {name} | {100 * share:.2f} % |"
        for name, share in differing.items()
    ]
    lines += [
        f"| Loading, files not cached | {loading['first_s']:.3f} s |",
        f"| Loading, files cached | {loading['again_s']:.3f} s |",
        f"| Loading, processor time | {loading['processor_s']:.3f} s |",
        f"| Memory, resident | {loading['resident_mb']:.1f} MB |",
        f"| Memory, proportional share | {loading['proportional_mb']:.1f} MB |",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
