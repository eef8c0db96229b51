"""What is fuzzed: readers of files and messages that others wrote.

A target takes bytes, hands them to a reader as its user would, and lets through nothing
but the errors that the reader promises.  Whatever else is raised, and any end of the process,
is a finding.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from functools import cache
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from lm.bundle import RECORD_FILE, write_bundle
from lm.errors import LanguageModelError
from lm.loading import load_tuned
from lm.tuned import TunedDecoder
from model.alphabet import ENGLISH
from model.audio import stream_audio
from model.bundle import SETTINGS_FILE, WEIGHTS_FILE, ModelBundle, load_bundle, save_bundle
from model.corpora.manifest import read_manifest
from model.errors import AudioFileError, BundleError, ManifestError, SettingsError, UsageError
from model.features import FeatureExtractor, FeatureSettings, FeatureStatistics
from model.files import file_checksum
from model.recipe import NetworkSettings, Recipe
from model.records import record_checksum
from model.settings import load_settings
from model.statistics import load_statistics
from model.weights import weight_shapes
from streamer.hotword_file import HotwordFile
from streamer.settings import LiveSettings
from streamer.web.body import read_object
from streamer.web.errors import BadRequest
from streamer.web.incoming import Body, StrictHead

Target = Callable[[bytes], None]

MOST_BLOCKS = 40
"""Blocks of half a second that are taken of a file; a short one may declare hours."""

LANGUAGE = Path(__file__).parent / "language"
"""KenLM files of a few words, in the forms that are read."""

NETWORK = NetworkSettings(features=8, kernels=(3,), strides=(2,), filters=4, layers=1, units=3)


@cache
def scratch() -> Path:
    """Return a folder that nothing else uses, in memory where there is such a place."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))


def written(name: str, data: bytes) -> Path:
    """Return the path of a file with ``data`` in it."""
    path = scratch() / name
    path.write_bytes(data)
    return path


def audio(data: bytes) -> None:
    """Read an audio file."""
    with suppress(AudioFileError):
        for samples in islice(stream_audio(written("audio", data), 16_000, 0.5), MOST_BLOCKS):
            assert samples.dtype == np.float32 and np.isfinite(samples).all()


def settings(data: bytes) -> None:
    """Read each kind of YAML that the programs take."""
    path = written("settings.yaml", data)
    for kind, files in ((LiveSettings, path), (Recipe, [path, path]), (TunedDecoder, path)):
        with suppress(SettingsError):
            load_settings(kind, files)


def overrides(data: bytes) -> None:
    """Read ``--set`` options, one a line."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    for kind in (LiveSettings, Recipe):
        with suppress(SettingsError):
            load_settings(kind, None, lines)


def manifest(data: bytes) -> None:
    """Read a manifest."""
    with suppress(ManifestError):
        read_manifest(written("manifest.jsonl", data))


def statistics(data: bytes) -> None:
    """Read feature statistics."""
    with suppress(ManifestError):
        load_statistics(written("statistics.npz", data))


@cache
def toy_bundle() -> Path:
    """Return a model bundle of some hundred weights."""
    random = np.random.default_rng(0)
    shapes = weight_shapes(NETWORK)
    bundle = ModelBundle(
        name="toy",
        alphabet=ENGLISH,
        features=FeatureSettings(mels=NETWORK.features),
        statistics=FeatureStatistics(np.zeros(8, np.float32), np.ones(8, np.float32), 40.0),
        network=NETWORK,
        weights={n: random.normal(size=s).astype(np.float32) for n, s in shapes.items()},
    )
    return save_bundle(bundle, scratch() / "toy")


def signed(record: Mapping[str, Any]) -> bytes:
    """Return a record with the checksum that a hostile writer would give it.

    Raises:
        ValueError: If it can have none.
    """
    return json.dumps({**record, "sha256": record_checksum(record)}).encode()


def _load_model(folder: Path) -> None:
    with suppress(BundleError):
        bundle = load_bundle(folder)
        FeatureExtractor(bundle.features).extract(np.zeros(2 * bundle.features.window, np.float32))


def bundle(data: bytes) -> None:
    """Read ``bundle.json``, as it is and with the right checksums."""
    folder = scratch() / "toy"
    toy_bundle()
    whole = (folder / SETTINGS_FILE).read_bytes()
    try:
        (folder / SETTINGS_FILE).write_bytes(data)
        _load_model(folder)
        with suppress(ValueError, RecursionError):
            record = json.loads(data)
            if isinstance(record, dict):
                record["weights_sha256"] = file_checksum(folder / WEIGHTS_FILE)
                (folder / SETTINGS_FILE).write_bytes(signed(record))
                _load_model(folder)
    finally:
        (folder / SETTINGS_FILE).write_bytes(whole)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every object or list inside of a value with each of its keys."""
    keys: Iterable[Any] = range(len(value)) if isinstance(value, list) else ()
    for key in value if isinstance(value, dict) else keys:
        yield value, key
        yield from _places(value[key])


def _with_value(record: Any, data: bytes) -> bytes | None:
    """Return a record with one of its values replaced: two bytes say which, the rest is JSON."""
    places = list(_places(record))
    place, key = places[int.from_bytes(data[:2], "little") % len(places)]
    try:
        place[key] = json.loads(data[2:])
        return json.dumps(record).encode()
    except (ValueError, RecursionError):
        return None


def bundle_value(data: bytes) -> None:
    """Read ``bundle.json`` with another value in one place."""
    changed = _with_value(json.loads((toy_bundle() / SETTINGS_FILE).read_bytes()), data)
    if changed is not None:
        bundle(changed)


def language_value(data: bytes) -> None:
    """Read ``lm.json`` with another value in one place."""
    changed = _with_value(json.loads((toy_language() / RECORD_FILE).read_bytes()), data)
    if changed is not None:
        language(changed)


def weights(data: bytes) -> None:
    """Read ``weights.npz`` with the right checksum."""
    folder = scratch() / "toy"
    toy_bundle()
    whole = {name: (folder / name).read_bytes() for name in (SETTINGS_FILE, WEIGHTS_FILE)}
    try:
        (folder / WEIGHTS_FILE).write_bytes(data)
        record = json.loads(whole[SETTINGS_FILE])
        record["weights_sha256"] = file_checksum(folder / WEIGHTS_FILE)
        (folder / SETTINGS_FILE).write_bytes(signed(record))
        _load_model(folder)
    finally:
        for name, content in whole.items():
            (folder / name).write_bytes(content)


@cache
def toy_language() -> Path:
    """Return the folder of a language model of four words."""
    folder = scratch() / "language"
    write_bundle(folder, LANGUAGE / "toy.binary", ["cat", "hut", "sat", "the"], {}, "")
    return folder


def _try_language(path: Path, unigrams: Path | None = None) -> None:
    with suppress(LanguageModelError, SettingsError):
        model, _ = load_tuned(path, unigrams)
        state = model.start()
        for word in ("the", "cat", "sat", "of", "the", "hut"):
            _, state = model.score(state, word)
        model.sentence_end(["the", "cat"])


def language(data: bytes) -> None:
    """Read ``lm.json``, as it is and with the right checksums."""
    folder = toy_language()
    whole = (folder / RECORD_FILE).read_bytes()
    try:
        (folder / RECORD_FILE).write_bytes(data)
        _try_language(folder)
        with suppress(ValueError, RecursionError):
            record = json.loads(data)
            if isinstance(record, dict):
                (folder / RECORD_FILE).write_bytes(signed(record))
                _try_language(folder)
    finally:
        (folder / RECORD_FILE).write_bytes(whole)


def binary(data: bytes) -> None:
    """Read a KenLM binary file that has no checksum."""
    _try_language(written("language.binary", data), written("words.txt", b"cat\nhut\nsat\nthe\n"))


def arpa(data: bytes) -> None:
    """Read an ARPA file."""
    _try_language(written("language.arpa", data))


def words(data: bytes) -> None:
    """Read a list of words beside a model."""
    _try_language(LANGUAGE / "toy.binary", written("words.txt", data))


def hotwords(data: bytes) -> None:
    """Read a file of hotwords, and read it again when it has changed."""
    file = HotwordFile(written("hotwords.txt", data), ENGLISH, 8.0, [], lambda words: None)
    with suppress(UsageError):
        file.load()
    written("hotwords.txt", data + b"\nadded")
    for notice in file.utterance_starts(0.0):
        assert notice.text


def message(data: bytes) -> None:
    """Read a message of a WebSocket, and the body of a request."""
    with suppress(BadRequest):
        read_object(data)


def request(data: bytes) -> None:
    """Read the head of a request and a body in chunks behind it."""
    reader = io.BytesIO(data)
    with suppress(ValueError):
        StrictHead()(reader)
        server = SimpleNamespace(watchdog=SimpleNamespace(watching=lambda *_: nullcontext()))
        connection = SimpleNamespace(rfile=reader, socket=None)
        body = Body(SimpleNamespace(conn=connection, server=server), None)  # type: ignore[arg-type]
        assert len(body.read()) <= len(data)


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        *(audio, settings, overrides, manifest, statistics, bundle, bundle_value, weights),
        *(language, language_value, binary, arpa, words, hotwords, message, request),
    )
}


def forget() -> None:
    """Remove what the targets have written."""
    shutil.rmtree(scratch(), ignore_errors=True)
    for cached in (scratch, toy_bundle, toy_language):
        cached.cache_clear()
