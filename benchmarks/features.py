"""Measure feature extraction against librosa's, on one thread.

    python benchmarks/features.py --manifest dev.jsonl --output features.md

The same features from both: window, hop, no centring, Slaney's filters, floor and
logarithm.  Prints a Markdown table, and writes it or JSON: real-time factors (processor
time for each second of audio, the shortest of several rounds in which everything takes
turns), how many times as long as ours librosa takes, and the largest difference.  librosa
makes its filters anew for every recording; the rows "filters kept" spare it that.  First
come the recordings as they are, then all of them joined to one.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import librosa
import numpy as np

from model.audio import read_audio
from model.corpora.manifest import read_manifest
from model.features import LOG_FLOOR, FeatureExtractor, FeatureSettings

CLIPS = Path(__file__).resolve().parent.parent / "tests" / "data" / "speech" / "manifest.jsonl"
SETTINGS = FeatureSettings()
CEPSTRA = replace(SETTINGS, kind="mfcc")
BEFORE = (SETTINGS.fft_size - SETTINGS.window) // 2
"""librosa puts a short window into the middle of the FFT's points."""

STFT = {
    "n_fft": SETTINGS.fft_size,
    "hop_length": SETTINGS.hop,
    "win_length": SETTINGS.window,
    "center": False,
}
MELS = {"n_mels": SETTINGS.mels, "fmin": SETTINGS.low_hz, "fmax": SETTINGS.high_hz}

Extract = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Measured:
    """What was measured of one way to compute features.

    Attributes:
        features: Which.
        by: Whose code.
        recordings: How many.
        audio_s: Their length, seconds.
        computing_s: Shortest processor time for all of them, seconds.
        times_ours: This time over that of our own code.
        difference: Largest difference to our own features.
    """

    features: str
    by: str
    recordings: int
    audio_s: float
    computing_s: float
    times_ours: float
    difference: float

    @property
    def real_time_factor(self) -> float:
        """Computing time for each second of audio."""
        return self.computing_s / self.audio_s

    def row(self) -> str:
        """Return a row of the table."""
        return (
            f"| {self.features} | {self.by} | {self.recordings} | {self.audio_s:.0f} "
            f"| {self.real_time_factor:.6f} | {self.times_ours:.2f} | {self.difference:.1e} |"
        )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, default=CLIPS, help="default: bundled clips")
    parser.add_argument("--limit", type=int, help="recordings, from the first")
    parser.add_argument("--rounds", type=int, default=30, help="default: 30")
    parser.add_argument("--output", type=Path, help="file to write: .json or .md")
    arguments = parser.parse_args()
    if arguments.output is not None and arguments.output.suffix not in (".json", ".md"):
        parser.error(f"--output: must end in .json or .md, got {arguments.output}")
    rows = read_manifest(arguments.manifest)[: arguments.limit]
    recordings = [read_audio(row.audio, SETTINGS.sample_rate) for row in rows]
    results = [
        *measure(recordings, arguments.rounds),
        *measure([np.concatenate(recordings)], arguments.rounds),
    ]
    print(table(results))
    if arguments.output is not None:
        write(results, arguments.output, arguments.rounds)


def measure(recordings: Sequence[np.ndarray], rounds: int) -> list[Measured]:
    """Measure every way to compute features on all recordings."""
    audio_s = sum(map(len, recordings)) / SETTINGS.sample_rate
    results = []
    for name, ways in contenders().items():
        ours, *_ = ways.values()
        expected = [ours(samples) for samples in recordings]
        seconds = shortest(list(ways.values()), recordings, rounds)
        for (by, way), computing_s in zip(ways.items(), seconds, strict=True):
            difference = max(
                float(np.abs(way(samples)[: len(wanted)] - wanted).max(initial=0))
                for samples, wanted in zip(recordings, expected, strict=True)
            )
            times_ours = computing_s / seconds[0]
            results.append(
                Measured(name, by, len(recordings), audio_s, computing_s, times_ours, difference)
            )
    return results


def contenders() -> dict[str, dict[str, Extract]]:
    """Return ways to compute each kind of features, (n,) to (frames, size); ours first."""
    filters = librosa.filters.mel(sr=SETTINGS.sample_rate, n_fft=SETTINGS.fft_size, **MELS)

    def log_mels(samples: np.ndarray) -> np.ndarray:
        power = librosa.feature.melspectrogram(
            y=np.pad(samples, BEFORE), sr=SETTINGS.sample_rate, **STFT, **MELS
        )
        return np.log(power + np.float32(LOG_FLOOR)).T

    def log_mels_of_kept_filters(samples: np.ndarray) -> np.ndarray:
        power = np.abs(librosa.stft(np.pad(samples, BEFORE), **STFT)) ** 2
        return np.log(filters @ power + np.float32(LOG_FLOOR)).T

    def cepstra(samples: np.ndarray) -> np.ndarray:
        return librosa.feature.mfcc(S=log_mels(samples).T, n_mfcc=CEPSTRA.coefficients).T

    return {
        "log-mels": {
            "ours": FeatureExtractor(SETTINGS).extract,
            "librosa": log_mels,
            "librosa, filters kept": log_mels_of_kept_filters,
        },
        "MFCC": {"ours": FeatureExtractor(CEPSTRA).extract, "librosa": cepstra},
    }


def shortest(ways: Sequence[Extract], recordings: Sequence[np.ndarray], rounds: int) -> list[float]:
    """Return the shortest processor time of each way over all recordings, seconds."""
    best = [float("inf")] * len(ways)
    for _ in range(rounds):
        for index, way in enumerate(ways):
            start = time.process_time()
            for samples in recordings:
                way(samples)
            best[index] = min(best[index], time.process_time() - start)
    return best


def table(results: Sequence[Measured]) -> str:
    """Return the results as a Markdown table."""
    head = (
        "| Features | By | Recordings | Seconds | Real-time factor | Time over ours "
        "| Largest difference |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    )
    return "\n".join([head, *(result.row() for result in results)])


def write(results: Sequence[Measured], output: Path, rounds: int) -> None:
    """Write the results with what they depend on."""
    conditions: dict[str, Any] = {
        "processor": processor(),
        "threads": 1,
        "rounds": rounds,
        "versions": {name: version(name) for name in ("librosa", "numpy", "scipy")},
    }
    if output.suffix == ".json":
        rows = [asdict(r) | {"real_time_factor": r.real_time_factor} for r in results]
        record = conditions | {"settings": asdict(SETTINGS), "results": rows}
        output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        return
    versions = ", ".join(f"{name} {number}" for name, number in conditions["versions"].items())
    output.write_text(
        f"{table(results)}\n\nOne thread of {conditions['processor']}; {versions}; "
        f"processor time, the shortest of {rounds} rounds.\n",
        encoding="utf-8",
    )


def processor() -> str:
    """Return the processor's name."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())


if __name__ == "__main__":
    main()
