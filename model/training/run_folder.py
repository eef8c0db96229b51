"""The folder of a training: what it was given, beside its checkpoints and logs.

``recipe.json``, ``statistics.npz`` and ``data.json`` (hours by corpus, a digest of
the recordings, versions of the libraries) let a training be resumed by nothing
else than it was started with, and be exported later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from model.corpora.manifest import Utterance
from model.errors import TrainingError
from model.features import FeatureStatistics
from model.recipe import Recipe, recipe_from
from model.statistics import load_statistics, save_statistics
from model.training.checkpoint import BEST_FILE, checkpoints

RECIPE_FILE = "recipe.json"
STATISTICS_FILE = "statistics.npz"
DATA_FILE = "data.json"
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
        manifests: Digest of each manifest's content, by its path; see
            :func:`digest_files`.  Names what was edited, no more.
        init: Name, weights' digest and notes on the data of the bundle that it started
            from; empty for none.
        dev: Digest of the recordings to judge by: with others the best weights so far
            could not be told.
        base: How many of the recordings, the last ones, are base speech.
    """

    recipe: Recipe
    statistics: FeatureStatistics
    hours: Mapping[str, float]
    digest: str
    manifests: Mapping[str, str] = field(default_factory=dict)
    init: Mapping[str, str] = field(default_factory=dict)
    dev: str = ""
    base: int = 0

    def decisive(self) -> bytes:
        """Return what decides the weights, for several hosts to compare."""
        statistics = self.statistics
        figures = (statistics.mean.tolist(), statistics.deviation.tolist(), statistics.prior_frames)
        return repr((self.recipe, self.digest, self.base, dict(self.init), figures)).encode()


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
    """Return a digest that is equal for equal names, transcripts, lengths, weights and order."""
    content = [
        [row.audio.name, row.text, row.duration, row.corpus, *[row.weight] * (row.weight != 1)]
        for row in rows
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def digest_files(paths: Iterable[Path]) -> dict[str, str]:
    """Return a digest of the content of each file by its path; "" where it cannot be read."""
    return {str(path.resolve()): _digest_file(path) for path in paths}


def changed_files(digests: Mapping[str, str]) -> list[str]:
    """Return which files of :func:`digest_files` are no longer what they were."""
    now = digest_files(map(Path, digests))
    return [path for path, digest in digests.items() if now[path] != digest]


def _digest_file(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _record(folder: Path, inputs: TrainingInputs, backend: str) -> None:
    (folder / BEST_FILE).unlink(missing_ok=True)
    data = {
        "hours": dict(inputs.hours),
        "digest": inputs.digest,
        "dev": inputs.dev,
        "base": inputs.base,
        "manifests": dict(inputs.manifests),
        "init": dict(inputs.init),
        "versions": {name: version(name) for name in (*LIBRARIES, backend)},
    }
    save_statistics(folder / STATISTICS_FILE, inputs.statistics)
    (folder / DATA_FILE).write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    (folder / RECIPE_FILE).write_text(_recipe_text(inputs.recipe), encoding="utf-8")


def _compare(folder: Path, inputs: TrainingInputs) -> None:
    """Raise TrainingError for the first input that differs; files that are not there match."""
    data, statistics = read_data(folder), folder / STATISTICS_FILE
    recipe = folder / RECIPE_FILE
    edited = _edited(data.get("manifests", {}))
    same = {
        "another recipe": _holds_recipe(recipe, inputs.recipe),
        f"other recordings{edited}": data.get("hours", inputs.hours) == inputs.hours
        and data.get("digest", inputs.digest) == inputs.digest
        and data.get("base", inputs.base) == inputs.base,
        f"other dev recordings{edited}": data.get("dev", inputs.dev) == inputs.dev,
        "another initial model": data.get("init", inputs.init) == inputs.init,
        "other feature statistics": not statistics.exists()
        or _equal(load_statistics(statistics), inputs.statistics),
    }
    for difference, holds in same.items():
        if not holds:
            raise TrainingError(
                f"{folder}: holds a training with {difference}; give what it was started with "
                "to go on, another folder, or delete that one to start anew"
            )


def _holds_recipe(path: Path, recipe: Recipe) -> bool:
    """Whether a file holds a recipe; keys that it was written without have their defaults."""
    try:
        return recipe_from(json.loads(path.read_text(encoding="utf-8"))) == recipe
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        return False


def _edited(manifests: Mapping[str, str]) -> str:
    """Return which manifests were edited since they were recorded, as part of a message."""
    names = ", ".join(changed_files(manifests))
    return f" ({names} was changed since it started: undo that to go on)" if names else ""


def _recipe_text(recipe: Recipe) -> str:
    return json.dumps(asdict(recipe), indent=2) + "\n"


def _equal(one: FeatureStatistics, other: FeatureStatistics) -> bool:
    return (
        np.array_equal(one.mean, other.mean)
        and np.array_equal(one.deviation, other.deviation)
        and one.prior_frames == other.prior_frames
    )
