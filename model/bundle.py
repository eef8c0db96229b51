"""Model bundles: folders with everything that recognising needs, checked when loaded.

A bundle holds ``bundle.json`` (alphabet, feature settings and statistics, shape
of the network, where it comes from, checksums), ``weights.npz`` and a
``MODEL_CARD.md`` for people.  Loading needs no Keras.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from model.alphabet import Alphabet
from model.arrays import as_float32, read_arrays
from model.card import describe
from model.errors import BundleError
from model.features import FeatureSettings, FeatureStatistics
from model.files import make_folder, read_file, replace_folder, write_whole
from model.recipe import NetworkSettings
from model.records import (
    LARGEST_RECORD,
    is_intact,
    parse_json,
    record_checksum,
    settings_from,
    typed,
)
from model.statistics import statistics_problems
from model.weights import most_bytes, weight_problems, weight_shapes

FORMAT = 1
"""Raised whenever the content of a bundle changes its meaning."""

SETTINGS_FILE = "bundle.json"
WEIGHTS_FILE = "weights.npz"
CARD_FILE = "MODEL_CARD.md"

FETCH_AGAIN = "copy or download the bundle again"


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from.

    Attributes:
        hours: Hours of speech it learned from, by corpus.
        recipe: Its recipe as plain values; empty where not known.
        steps: Batches trained on.
        minutes: Time spent training.
        speech_hours: Hours of speech trained on, every pass counted.
        versions: Version of each library that decides the result.
        evaluation: Error figures of the training itself, by name.
        weights: What the weights are where they are not those of the last step, as
            ``exponential moving average``.
        report: Markdown of an evaluation on whole recordings, or "".
        notes: Markdown on the data: licences and attribution, or "".
    """

    hours: Mapping[str, float] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 0
    minutes: float = 0.0
    speech_hours: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    evaluation: Mapping[str, float] = field(default_factory=dict)
    weights: str = ""
    report: str = ""
    notes: str = ""


@dataclass(frozen=True)
class ModelBundle:
    """A trained model as values.

    Attributes:
        name: What the user knows it by.
        alphabet: Meaning of the network's outputs.
        features: How audio becomes features.
        statistics: How features are normalised.
        network: Shape of the network.
        weights: float32 arrays, named by layer and weight (``gru_0/forward_kernel``).
        provenance: Where it comes from.

    Raises:
        BundleError: If the parts do not fit each other, or a weight is not finite.
    """

    name: str
    alphabet: Alphabet
    features: FeatureSettings
    statistics: FeatureStatistics
    network: NetworkSettings
    weights: Mapping[str, np.ndarray]
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        problems = [*_misfits(self), *weight_problems(self.weights, weight_shapes(self.network))]
        if problems:
            raise BundleError(f"model {self.name!r}: " + "; ".join(problems))

    def assign_weights(self, network: Any) -> None:
        """Give the weights to a Keras model that ``build_network(self.network)`` returned."""
        for variable in network.weights:
            variable.assign(self.weights[variable.path])


def load_bundle(path: str | Path) -> ModelBundle:
    """Read and check a bundle.

    Raises:
        BundleError: If the folder or a file of it is missing, damaged, of another
            format version, or its parts do not fit each other.
    """
    folder = Path(path)
    # os.path answers where pathlib raises: for a name that is too long.
    if not os.path.isdir(folder):
        raise BundleError(
            f"{folder}: no such folder; give a model bundle: a folder with {SETTINGS_FILE} "
            f"and {WEIGHTS_FILE}"
        )
    if not (folder / SETTINGS_FILE).exists():
        raise BundleError(
            f"{folder}: is no model bundle; give a folder with {SETTINGS_FILE} and "
            f"{WEIGHTS_FILE}, as train.py fit and export write it"
        )
    record = _read_record(folder / SETTINGS_FILE)
    try:
        network = settings_from(NetworkSettings, record["network"])
        most = most_bytes(weight_shapes(network))
        weights = _read_weights(folder / WEIGHTS_FILE, str(record["weights_sha256"]), most)
        return _from_record(record, network, weights)
    except _DamagedFile:
        raise
    except BundleError as error:
        raise BundleError(f"{folder}: {error}; {FETCH_AGAIN}") from error
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise BundleError(
            f"{folder / SETTINGS_FILE}: does not describe a model: {error!r}; {FETCH_AGAIN}"
        ) from error


def save_bundle(bundle: ModelBundle, path: str | Path) -> Path:
    """Write a bundle, its weights as float16, and return its folder.

    The folder appears whole: it is written under another name and then renamed.
    A bundle that was there before is replaced.

    Raises:
        BundleError: If something else is at ``path``, a weight does not fit float16,
            or the folder cannot be written.
    """
    folder = Path(path)
    if folder.exists() and not (folder / SETTINGS_FILE).is_file():
        raise BundleError(f"{folder}: is there and is no model bundle; give another place for it")
    weights = _pack_weights(bundle)
    temporary = folder.with_name(f".{folder.name}.partial")
    try:
        make_folder(folder.parent)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        write_whole(temporary / WEIGHTS_FILE, weights)
        for name, content in _texts(bundle, weights).items():
            write_whole(temporary / name, content)
        replace_folder(temporary, folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise BundleError(
            f"{folder}: the bundle cannot be written ({error.strerror or error}); "
            "free some space or give another place for it"
        ) from error
    return folder


def save_report(bundle: ModelBundle, path: str | Path, report: str) -> None:
    """Write the report of an evaluation into the provenance and the card of a saved bundle.

    Args:
        bundle: As it was loaded from ``path``.
        path: Its folder.
        report: Markdown; replaces the report of an earlier evaluation.

    Raises:
        BundleError: If the folder cannot be written.
    """
    folder = Path(path)
    reported = replace(bundle, provenance=replace(bundle.provenance, report=report))
    try:
        for name, content in _texts(reported, (folder / WEIGHTS_FILE).read_bytes()).items():
            write_whole(folder / name, content)
    except OSError as error:
        raise BundleError(
            f"{folder}: the report cannot be written ({error.strerror or error}); "
            "free some space, or copy the bundle to where you may write"
        ) from error


def _misfits(bundle: ModelBundle) -> list[str]:
    """Return what does not fit between the alphabet, the features and the network."""
    size = bundle.features.size
    rules = {
        f"the alphabet has {bundle.alphabet.size} symbols, but the network "
        f"{bundle.network.symbols} outputs": bundle.alphabet.size == bundle.network.symbols,
        f"features have {size} values, but the network takes {bundle.network.features}": size
        == bundle.network.features,
    }
    problems = [problem for problem, holds in rules.items() if not holds]
    return problems + statistics_problems(bundle.statistics, size)


def _pack_weights(bundle: ModelBundle) -> bytes:
    """Return the weights as an NPZ archive of float16 arrays."""
    largest = np.finfo(np.float16).max
    for name, array in bundle.weights.items():
        if np.abs(array).max(initial=0) > largest:
            raise BundleError(
                f"model {bundle.name!r}: weight {name} exceeds {largest:.0f}, the largest number "
                "of float16; the training diverged, train again with a lower learning rate"
            )
    file = io.BytesIO()
    np.savez(file, **{name: array.astype(np.float16) for name, array in bundle.weights.items()})
    return file.getvalue()


def _texts(bundle: ModelBundle, weights: bytes) -> dict[str, bytes]:
    """Return the files of a bundle but its weights, by name."""
    record = _to_record(bundle, hashlib.sha256(weights).hexdigest())
    return {
        CARD_FILE: describe(bundle).encode(),
        SETTINGS_FILE: (json.dumps(record, indent=1) + "\n").encode(),
    }


def _to_record(bundle: ModelBundle, weights_sha256: str) -> dict[str, Any]:
    statistics = bundle.statistics
    record = {
        "format": FORMAT,
        "name": bundle.name,
        "alphabet": list(bundle.alphabet.symbols),
        "features": asdict(bundle.features),
        "statistics": {
            "mean": [float(value) for value in statistics.mean],
            "deviation": [float(value) for value in statistics.deviation],
            "prior_frames": statistics.prior_frames,
        },
        "network": asdict(bundle.network),
        "provenance": asdict(bundle.provenance),
        "weights_sha256": weights_sha256,
    }
    return record | {"sha256": record_checksum(record)}


def _from_record(
    record: Mapping[str, Any], network: NetworkSettings, weights: Mapping[str, np.ndarray]
) -> ModelBundle:
    statistics = record["statistics"]
    return ModelBundle(
        name=typed(str, record["name"], "name"),
        alphabet=Alphabet.from_symbols(typed(tuple[str, ...], record["alphabet"], "alphabet")),
        features=settings_from(FeatureSettings, record["features"]),
        statistics=FeatureStatistics(
            _numbers(statistics["mean"], "mean"),
            _numbers(statistics["deviation"], "deviation"),
            typed(float, statistics["prior_frames"], "prior_frames"),
        ),
        network=network,
        weights=weights,
        provenance=settings_from(Provenance, record["provenance"]),
    )


def _numbers(values: Any, name: str) -> np.ndarray:
    """Return float32 (n,)."""
    return as_float32(typed(tuple[float, ...], values, name))


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = parse_json(_read(path, LARGEST_RECORD))
    except ValueError as error:
        raise BundleError(f"{path}: is not JSON: {error}; {FETCH_AGAIN}") from error
    if not isinstance(record, dict) or "format" not in record:
        raise BundleError(f"{path}: does not describe a model; give the folder of a model bundle")
    if record["format"] != FORMAT:
        raise BundleError(
            f"{path}: has format {str(record['format'])[:20]}, but this program reads format "
            f"{FORMAT}; use the program's version that made it, or export the model again"
        )
    if "weights_sha256" not in record or not is_intact(record):
        raise BundleError(f"{path}: was changed or cut short (checksum differs); {FETCH_AGAIN}")
    return record


def _read_weights(path: Path, sha256: str, most: int) -> dict[str, np.ndarray]:
    content = _read(path, most)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _DamagedFile(f"{path}: was changed or cut short (checksum differs); {FETCH_AGAIN}")
    try:
        return {name: as_float32(array) for name, array in read_arrays(content, most).items()}
    except ValueError as error:
        raise _DamagedFile(f"{path}: is no archive of arrays: {error}; {FETCH_AGAIN}") from error


class _DamagedFile(BundleError):
    """A file of a bundle cannot be read; the message names it."""


def _read(path: Path, most: int) -> bytes:
    try:
        return read_file(path, most)
    except OSError as error:
        raise _DamagedFile(
            f"{path}: cannot be read ({error.strerror or error}); {FETCH_AGAIN}"
        ) from error
