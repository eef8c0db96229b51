"""Files that are read cannot run anything: no pickles, no code in YAML, no shells."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from model.arrays import read_arrays
from model.bundle import SETTINGS_FILE, WEIGHTS_FILE, load_bundle
from model.errors import BundleError, ManifestError, SettingsError
from model.records import record_checksum
from model.settings import load_settings
from model.statistics import load_statistics
from streamer.settings import LiveSettings
from tests.fuzz.targets import forget, toy_bundle

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for folder in ("model", "lm", "streamer")
    for path in [*(ROOT / folder).rglob("*.py"), ROOT / "train.py", ROOT / "run_live.py"]
)
FORBIDDEN_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load"),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "pickle.loads"),
    *("keras.models.load_model", "keras.saving.load_model", "np.fromfile", "np.fromstring"),
    *("tempfile.mktemp", "jinja2.Template", "markupsafe.Markup", "flask.render_template_string"),
}
ALLOWED: set[tuple[str, str]] = set()
"""What is used all the same: (file, call), each with its reason beside it."""


def dotted(node: ast.expr) -> str:
    """Return the dotted name that an expression is, or ""."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def offences(source: str) -> Iterator[str]:
    """Yield what a source does that could run what a file says."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] in FORBIDDEN_MODULES)
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
                yield str(node.module)
        elif isinstance(node, ast.Call):
            yield from _call_offences(node)


def _call_offences(node: ast.Call) -> Iterator[str]:
    name = dotted(node.func)
    given = {word.arg: word.value for word in node.keywords}
    if name in FORBIDDEN_CALLS:
        yield name
    if name in ("np.load", "numpy.load", "np.lib.format.read_array"):
        pickles = given.get("allow_pickle")
        if not (isinstance(pickles, ast.Constant) and pickles.value is False):
            yield f"{name} without allow_pickle=False"
    shell = given.get("shell")
    if shell is not None and not (isinstance(shell, ast.Constant) and shell.value is False):
        yield f"{name} with a shell"
    if "yaml" in name and "Loader" in given:
        yield f"{name} with a loader"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import pickle", ["pickle"]),
        ("from pickle import loads", ["pickle"]),
        ("eval(text)", ["eval"]),
        ("import numpy as np\nnp.load(p)", ["np.load without allow_pickle=False"]),
        ("np.load(p, allow_pickle=True)", ["np.load without allow_pickle=False"]),
        ("np.load(p, allow_pickle=False)", []),
        ("subprocess.run(c, shell=True)", ["subprocess.run with a shell"]),
        ("yaml.load(text, Loader=yaml.Loader)", ["yaml.load", "yaml.load with a loader"]),
        ("re.compile(text)", []),
    ],
)
def test_every_way_to_run_what_a_file_says_is_seen(source: str, expected: list[str]) -> None:
    assert list(offences(source)) == expected


def test_nothing_in_the_sources_runs_what_a_file_says() -> None:
    assert len(SOURCES) > 150
    found = {
        (str(path.relative_to(ROOT)), offence)
        for path in SOURCES
        for offence in offences(path.read_text(encoding="utf-8"))
    }
    assert found - ALLOWED == set()


class Marks:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.open, (str(self._path), os.O_CREAT | os.O_WRONLY)


def archive(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A bundle that may be damaged; the toy of the fuzz targets, made anew."""
    forget()
    yield toy_bundle()
    forget()


def replace_weights(folder: Path, content: bytes) -> None:
    """Put weights into a bundle, with the checksums that a hostile writer would give them."""
    (folder / WEIGHTS_FILE).write_bytes(content)
    record = json.loads((folder / SETTINGS_FILE).read_bytes())
    record["weights_sha256"] = hashlib.sha256(content).hexdigest()
    record["sha256"] = record_checksum(record)
    (folder / SETTINGS_FILE).write_text(json.dumps(record))


def test_a_pickle_among_the_weights_is_refused_and_not_run(folder: Path, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    with np.load(folder / WEIGHTS_FILE, allow_pickle=False) as arrays:
        content = {name: arrays[name] for name in arrays.files}
    first = next(iter(content))
    content[first] = np.array([Marks(touched)], object)
    replace_weights(folder, archive(**content))
    with pytest.raises(BundleError, match=r"weights\.npz: is no archive of arrays"):
        load_bundle(folder)
    (tmp_path / "statistics.npz").write_bytes(archive(mean=np.array([Marks(touched)], object)))
    with pytest.raises(ManifestError, match="holds no feature statistics"):
        load_statistics(tmp_path / "statistics.npz")
    assert not touched.exists()


def test_a_bare_pickle_in_place_of_the_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    file = io.BytesIO()
    np.save(file, np.array([Marks(tmp_path / "touched")], object))
    for content in (file.getvalue(), file.getvalue()[-200:]):
        replace_weights(folder, content)
        with pytest.raises(BundleError, match="is no archive of arrays"):
            load_bundle(folder)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "text",
    [
        "model: !!python/object/apply:os.open [{touched}, 65]\n",
        "model: !!python/name:os.system\n",
        "!!python/object/new:os.open [{touched}, 65]\n",
    ],
)
def test_code_in_yaml_is_refused_and_not_run(text: str, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    config = tmp_path / "live.yaml"
    config.write_text(text.format(touched=touched))
    with pytest.raises(SettingsError, match=r"live\.yaml:1"):
        load_settings(LiveSettings, config)
    assert not touched.exists()


def bomb(size: int) -> bytes:
    """Return a small archive that would unpack to ``size`` bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("time_distributed_dense/bias.npy", bytes(size))
    return file.getvalue()


def test_an_archive_that_unpacks_to_much_is_refused_unread(folder: Path) -> None:
    content = bomb(20_000_000)
    assert len(content) < 100_000
    replace_weights(folder, content)
    with pytest.raises(BundleError, match="unpacked it has 20,000,000 bytes, more than the"):
        load_bundle(folder)


def test_an_array_that_declares_more_than_it_holds_is_refused() -> None:
    file = io.BytesIO()
    np.save(file, np.zeros(4, np.float32))
    declared = file.getvalue().replace(b"'shape': (4,), }          ", b"'shape': (99999999999,), }")
    assert declared != file.getvalue()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as members:
        members.writestr("a.npy", declared)
    with pytest.raises(ValueError):
        read_arrays(packed.getvalue(), 1 << 20)


def test_pipes_links_and_devices_in_a_bundle_keep_nobody_waiting(folder: Path) -> None:
    weights = folder / WEIGHTS_FILE
    weights.unlink()
    os.mkfifo(weights)
    with pytest.raises(BundleError, match=r"weights\.npz: cannot be read \(it is no regular file"):
        load_bundle(folder)
    weights.unlink()
    weights.symlink_to("/dev/zero")
    with pytest.raises(BundleError, match="no regular file"):
        load_bundle(folder)


def test_a_network_too_large_for_any_machine_is_refused(folder: Path) -> None:
    record = json.loads((folder / SETTINGS_FILE).read_bytes())
    for changes in ({"layers": 10**9}, {"units": 4096, "layers": 64}, {"kernels": [3] * 10**4}):
        changed = record | {"network": record["network"] | changes}
        changed["sha256"] = record_checksum(changed)
        (folder / SETTINGS_FILE).write_text(json.dumps(changed))
        with pytest.raises(BundleError, match="does not describe a model"):
            load_bundle(folder)
