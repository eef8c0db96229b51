"""Compare what two machines make of the bundled recordings: a small computer and a large one.

    python benchmarks/machines.py record board.npz          # on the one, and the other
    python benchmarks/machines.py compare desk.npz board.npz --output compared.json

Recorded are the log-probabilities that the network gives for each recording, and the captions
of all of them as ``run_live.py`` makes them.  Machines differ in the last bits of numbers, so
the log-probabilities, the times of words and their confidences are compared with tolerances;
the words must be the same.  The exit code of ``compare`` is 1 where the two differ by more.
``scripts/arm64`` does all of it with an imitated machine.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.live.arguments import parser_of
from benchmarks.live.tables import table
from model.acoustic import AcousticModel
from model.audio import read_audio
from model.corpora.manifest import read_manifest
from model.engines.engine import AUTO, ENGINES
from model.errors import CaptionerError, UsageError
from model.files import check_folder, write_output

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "default"
MANIFEST = ROOT / "tests" / "data" / "speech" / "manifest.jsonl"
LONGER = ROOT / "demo" / "librispeech.flac"
LIBRARIES = ("numpy", "scipy", "onnxruntime", "kenlm", "soxr", "soundfile", "webrtcvad-wheels")
ABOUT = "about"

LOG_PROB_TOLERANCE = 1e-3
"""Largest difference of a log-probability; a thousandth of its natural unit."""

TIME_TOLERANCE = 0.021
"""Largest difference of a word's times, seconds: half of a frame of the network."""

CONFIDENCE_TOLERANCE = 0.01
"""Largest difference of a word's confidence."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Record or compare; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "record":
            save(record(options.model, options.engine), options.output)
            return 0
        compared = compare(load(options.first), load(options.second))
        print(report(compared))
        if options.output is not None:
            check_folder(options.output.parent)
            write_output(options.output, (json.dumps(compared, indent=2) + "\n").encode())
    except CaptionerError as error:
        print(f"machines.py: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0 if compared["alike"] else 1


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    recording = commands.add_parser("record", help="keep what this machine makes of them")
    recording.add_argument("output", metavar="FILE", type=Path, help="file to write (.npz)")
    recording.add_argument("--model", metavar="FOLDER", type=Path, default=MODEL)
    recording.add_argument("--engine", choices=(AUTO, *ENGINES), default=AUTO)
    comparing = commands.add_parser("compare", help="tell how two machines differ")
    for name in ("first", "second"):
        comparing.add_argument(name, metavar=name.upper(), type=Path, help="written by record")
    comparing.add_argument("--output", metavar="FILE", type=Path, help="JSON file to write")
    return parser


@dataclass(frozen=True)
class Record:
    """What a machine makes of the recordings.

    Attributes:
        log_probs: For each recording, float32 (output frames, symbols).
        captions: The finals of ``run_live.py``, in order.
        machine: Processor, Python, and the versions of the libraries that matter.
    """

    log_probs: Mapping[str, np.ndarray]
    captions: Sequence[Mapping[str, Any]]
    machine: Mapping[str, str]


def record(model: Path, engine: str) -> Record:
    """Read and caption the recordings here.

    Raises:
        CaptionerError: If the model or a recording cannot be used.
    """
    paths = [*(Path(row.audio) for row in read_manifest(MANIFEST)), LONGER]
    acoustic = AcousticModel.load(model, engine)
    rate = acoustic.bundle.features.sample_rate
    log_probs = {
        path.name: acoustic.log_probs(acoustic.extractor.extract(read_audio(path, rate)))
        for path in paths
    }
    return Record(log_probs, _captions(paths, model, engine), _machine(acoustic.engine.name))


def _captions(paths: Iterable[Path], model: Path, engine: str) -> list[dict[str, Any]]:
    command = [sys.executable, "run_live.py", "--speed", "max", "--format", "jsonl"]
    command += ["--model", str(model.resolve()), "--engine", engine]
    command += [word for path in paths for word in ("--wav", str(path))]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise CaptionerError("the recordings could not be captioned; see above")
    events = map(json.loads, done.stdout.splitlines())
    return [event for event in events if event["type"] == "final"]


def _machine(engine: str) -> dict[str, str]:
    return {
        "processor": platform.machine(),
        "python": platform.python_version(),
        "engine": engine,
        **{name: version(name) for name in LIBRARIES},
    }


def save(record: Record, path: Path) -> None:
    """Write a record.

    Raises:
        UsageError: If the file cannot be written.
    """
    check_folder(path.resolve().parent)
    about = json.dumps({"machine": record.machine, "captions": record.captions})
    content = io.BytesIO()
    np.savez_compressed(content, **{ABOUT: np.array(about)}, **record.log_probs)
    write_output(path, content.getvalue())


def load(path: Path) -> Record:
    """Return what :func:`save` wrote.

    Raises:
        UsageError: If it cannot be read.
    """
    try:
        with np.load(path) as file:
            about = json.loads(str(file[ABOUT]))
            log_probs = {name: file[name] for name in file.files if name != ABOUT}
        return Record(log_probs, about["captions"], about["machine"])
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{path}: is no record of machines.py ({error}); record it anew") from None


def compare(first: Record, second: Record) -> dict[str, Any]:
    """Return how two records differ, and whether that is within the tolerances.

    Raises:
        UsageError: If they are not of the same recordings.
    """
    if first.log_probs.keys() != second.log_probs.keys():
        raise UsageError("the records are of other recordings; record both with the same version")
    recordings = {
        name: _log_prob_difference(values, second.log_probs[name])
        for name, values in first.log_probs.items()
    }
    captions = _caption_differences(first.captions, second.captions)
    alike = (
        all(found["alike"] for found in recordings.values())
        and captions["texts_differ"] == 0
        and captions["time_s"] <= TIME_TOLERANCE
        and captions["confidence"] <= CONFIDENCE_TOLERANCE
    )
    return {
        "machines": [dict(first.machine), dict(second.machine)],
        "tolerances": {
            "log_prob": LOG_PROB_TOLERANCE,
            "time_s": TIME_TOLERANCE,
            "confidence": CONFIDENCE_TOLERANCE,
        },
        "recordings": recordings,
        "captions": captions,
        "alike": alike,
    }


def _log_prob_difference(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """Return the differences of log-probabilities float32 (frames, symbols)."""
    if first.shape != second.shape:
        return {"frames": [len(first), len(second)], "alike": False}
    difference = np.abs(first - second)
    largest = float(difference.max(initial=0.0))
    best = first.argmax(axis=-1) != second.argmax(axis=-1)
    return {
        "frames": len(first),
        "largest": largest,
        "mean": float(difference.mean()) if difference.size else 0.0,
        "best_symbol_differs": int(best.sum()),
        "alike": largest <= LOG_PROB_TOLERANCE,
    }


def _caption_differences(
    first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    texts = [[final["text"] for final in finals] for finals in (first, second)]
    differ = sum(a != b for a, b in zip(*texts, strict=False)) + abs(len(first) - len(second))
    pairs = [
        pair
        for finals in zip(first, second, strict=False)
        if finals[0]["text"] == finals[1]["text"]
        for pair in zip(finals[0]["words"], finals[1]["words"], strict=True)
    ]
    return {
        "utterances": len(first),
        "words": sum(len(final["words"]) for final in first),
        "texts_differ": differ,
        "differing": [pair for pair in zip(*texts, strict=False) if pair[0] != pair[1]],
        "time_s": max(_largest(pairs, "start_s"), _largest(pairs, "end_s")),
        "confidence": _largest(pairs, "confidence"),
    }


def _largest(pairs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]], field: str) -> float:
    return max((abs(one[field] - other[field]) for one, other in pairs), default=0.0)


def report(compared: Mapping[str, Any]) -> str:
    """Return what :func:`compare` found as tables in Markdown."""
    machines = compared["machines"]
    about = [(name, *(str(one.get(name, "")) for one in machines)) for name in machines[0]]
    rows = [
        (name, str(found["frames"]), *_cells(found))
        for name, found in compared["recordings"].items()
    ]
    captions = compared["captions"]
    head = ("Recording", "Frames", "Largest", "Mean", "Best symbol differs")
    return "\n".join(
        (
            table(("", "First", "Second"), about) + "\n",
            "Differences of the log-probabilities:\n",
            table(head, rows),
            f"Captions: {captions['utterances']} utterances, {captions['words']} words; "
            f"{captions['texts_differ']} texts differ; times of words by at most "
            f"{captions['time_s']:.3f} s, confidences by {captions['confidence']:.4f}.\n",
            "Alike within the tolerances." if compared["alike"] else "They differ by too much.",
        )
    )


def _cells(found: Mapping[str, Any]) -> tuple[str, str, str]:
    formats: tuple[tuple[str, Callable[[Any], str]], ...] = (
        ("largest", "{:.1e}".format),
        ("mean", "{:.1e}".format),
        ("best_symbol_differs", str),
    )
    largest, mean, best = (show(found[key]) if key in found else "-" for key, show in formats)
    return largest, mean, best


if __name__ == "__main__":
    sys.exit(main())
