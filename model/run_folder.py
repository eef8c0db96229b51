"""The folder of a training: what it was given, and its log, beside its checkpoints.

``recipe.json``, ``statistics.npz`` and ``data.json`` (hours by corpus, a digest of
the recordings, versions of the libraries) let a training be resumed by nothing
else than it was started with, and be exported later.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from model.checkpoint import Progress, checkpoints
from model.errors import TrainingError
from model.features import FeatureStatistics
from model.manifest import Utterance
from model.recipe import Recipe
from model.statistics import load_statistics, save_statistics

RECIPE_FILE = "recipe.json"
STATISTICS_FILE = "statistics.npz"
DATA_FILE = "data.json"
LOG_FILE = "log.csv"
LOG_COLUMNS = ("step", "pass", "minutes", "speech_hours", "loss", "wer", "cer")
LIBRARIES = ("keras", "numpy", "scipy", "soxr")
"""Those whose version is recorded, besides the backend's."""


@dataclass(frozen=True)
class TrainingInputs:
    """What a training is given besides its recordings.

    Attributes:
        recipe: What to train, and how.
        statistics: Normalise the features.
        hours: Hours of speech to learn from, by corpus.
        digest: Of the recordings' names, transcripts and order; see :func:`digest_rows`.
    """

    recipe: Recipe
    statistics: FeatureStatistics
    hours: Mapping[str, float]
    digest: str


def prepare_folder(folder: Path, inputs: TrainingInputs, backend: str) -> None:
    """Record the inputs in a new folder, or hold them against those of the training in it.

    Args:
        folder: Made when missing.
        inputs: Of the training that is about to start or to go on.
        backend: Library that Keras computes with.

    Raises:
        TrainingError: If the folder holds a training with other inputs, or cannot be
            written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if checkpoints(folder):
            _compare(folder, inputs)
        else:
            _record(folder, inputs, backend)
    except OSError as error:
        raise TrainingError(
            f"{folder}: cannot be used for a training ({error.strerror or error}); "
            "free some space or give another folder"
        ) from error


def read_data(folder: Path) -> dict[str, Any]:
    """Return what a training's folder tells of its recordings and libraries, as plain values.

    Raises:
        TrainingError: If its file is damaged; a missing one is empty.
    """
    path = folder / DATA_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if not isinstance(data, dict):
            raise ValueError("is no JSON object")
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{path}: cannot be read ({error}); delete it to go on without what it tells"
        ) from error
    return data


def digest_rows(rows: Sequence[Utterance]) -> str:
    """Return a digest that is equal for equal names, transcripts, lengths and order."""
    content = [[row.audio.name, row.text, row.duration, row.corpus] for row in rows]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def append_log(folder: Path, progress: Progress) -> None:
    """Add a line to the log, its header first where it is new.

    Raises:
        TrainingError: If it cannot be written.
    """
    path = folder / LOG_FILE
    figures = [
        progress.step,
        progress.passed,
        round(progress.seconds / 60, 2),
        round(progress.speech_s / 3600, 2),
        *(round(value, 4) for value in (progress.loss, progress.wer, progress.cer)),
    ]
    try:
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([LOG_COLUMNS, figures] if new else [figures])
    except OSError as error:
        raise TrainingError(
            f"{path}: cannot be written ({error.strerror or error}); free some space and start "
            "again: training resumes from the last checkpoint"
        ) from error


def _record(folder: Path, inputs: TrainingInputs, backend: str) -> None:
    versions = {name: version(name) for name in (*LIBRARIES, backend)}
    data = {"hours": dict(inputs.hours), "digest": inputs.digest, "versions": versions}
    save_statistics(folder / STATISTICS_FILE, inputs.statistics)
    (folder / DATA_FILE).write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    (folder / RECIPE_FILE).write_text(_recipe_text(inputs.recipe), encoding="utf-8")


def _compare(folder: Path, inputs: TrainingInputs) -> None:
    """Raise TrainingError for the first input that differs; files that are not there match."""
    data, statistics = read_data(folder), folder / STATISTICS_FILE
    recipe = folder / RECIPE_FILE
    same = {
        "another recipe": recipe.exists()
        and recipe.read_bytes() == _recipe_text(inputs.recipe).encode(),
        "other recordings": data.get("hours", inputs.hours) == inputs.hours
        and data.get("digest", inputs.digest) == inputs.digest,
        "other feature statistics": not statistics.exists()
        or _equal(load_statistics(statistics), inputs.statistics),
    }
    for difference, holds in same.items():
        if not holds:
            raise TrainingError(
                f"{folder}: holds a training with {difference}; give another folder, "
                "or delete that one to start anew"
            )


def _recipe_text(recipe: Recipe) -> str:
    return json.dumps(asdict(recipe), indent=2) + "\n"


def _equal(one: FeatureStatistics, other: FeatureStatistics) -> bool:
    return (
        np.array_equal(one.mean, other.mean)
        and np.array_equal(one.deviation, other.deviation)
        and one.prior_frames == other.prior_frames
    )
