from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.alphabet import ENGLISH, Alphabet
from model.bundle import ModelBundle, Provenance, load_bundle, save_bundle, save_report
from model.card import describe
from model.errors import BundleError
from model.features import FeatureSettings, FeatureStatistics
from model.recipe import NetworkSettings
from model.weights import weight_shapes

NETWORK = NetworkSettings(kernels=(3,), strides=(2,), filters=4, layers=1, units=3)


@pytest.fixture
def bundle() -> ModelBundle:
    random = np.random.default_rng(0)
    return ModelBundle(
        name="small",
        alphabet=ENGLISH,
        features=FeatureSettings(),
        statistics=FeatureStatistics(
            random.normal(size=80).astype(np.float32), np.full(80, 1.5, np.float32), 40.0
        ),
        network=NETWORK,
        weights={
            name: random.normal(size=shape).astype(np.float16).astype(np.float32)
            for name, shape in weight_shapes(NETWORK).items()
        },
        provenance=Provenance(
            {"books": 5.3}, {"seed": 1}, 10, 2.5, 7.0, {"keras": "3"}, {"wer": 0.4}
        ),
    )


@pytest.fixture
def folder(bundle: ModelBundle, tmp_path: Path) -> Path:
    return save_bundle(bundle, tmp_path / "models" / "small")


def test_a_bundle_comes_back_as_it_was_saved(bundle: ModelBundle, folder: Path) -> None:
    loaded = load_bundle(folder)
    for field in ("name", "alphabet", "features", "network", "provenance"):
        assert getattr(loaded, field) == getattr(bundle, field)
    np.testing.assert_array_equal(loaded.statistics.mean, bundle.statistics.mean)
    np.testing.assert_array_equal(loaded.statistics.deviation, bundle.statistics.deviation)
    assert loaded.statistics.prior_frames == 40
    assert loaded.weights.keys() == bundle.weights.keys()
    for name, array in loaded.weights.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, bundle.weights[name])


def test_weights_take_two_bytes_each(bundle: ModelBundle, folder: Path) -> None:
    with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
        assert {arrays[name].dtype for name in arrays.files} == {np.dtype(np.float16)}


def test_the_default_network_makes_a_bundle_of_under_8_megabytes() -> None:
    weights = sum(int(np.prod(shape)) for shape in weight_shapes(NetworkSettings()).values())
    assert 2 * weights < 8e6


def test_saving_again_replaces_the_bundle_and_leaves_nothing_else(
    bundle: ModelBundle, folder: Path
) -> None:
    save_bundle(dataclasses.replace(bundle, name="second"), folder)
    assert load_bundle(folder).name == "second"
    assert [path.name for path in folder.parent.iterdir()] == ["small"]


def test_a_bundle_that_cannot_be_put_in_place_leaves_the_one_before(
    bundle: ModelBundle, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def fail_for_the_new_one(path: Path, target: Path) -> Path:
        if path.suffix == ".partial":
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new_one)
    other = dataclasses.replace(bundle, name="other")
    with pytest.raises(BundleError, match=r"cannot be written \(Input/output error\)"):
        save_bundle(other, folder)
    assert load_bundle(folder).name == bundle.name


def test_other_folders_are_never_replaced(bundle: ModelBundle, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("keep me")
    with pytest.raises(BundleError, match="is no model bundle"):
        save_bundle(bundle, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "keep me"


def test_a_place_that_cannot_be_written_is_named(bundle: ModelBundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot be written"):
        save_bundle(bundle, tmp_path / "file" / "model")


def test_the_card_tells_what_the_model_is(bundle: ModelBundle, folder: Path) -> None:
    card = (folder / "MODEL_CARD.md").read_text()
    assert card == describe(bundle)
    for part in ("# small", "| books | 5.3 |", "10 steps", "keras 3", "wer 0.4000.", "20 ms"):
        assert part in card


def test_a_report_goes_into_the_card_and_replaces_an_earlier_one(
    bundle: ModelBundle, folder: Path
) -> None:
    for report in ("few errors", "more errors"):
        save_report(load_bundle(folder), folder, report)
    loaded = load_bundle(folder)
    assert loaded.provenance == dataclasses.replace(bundle.provenance, report="more errors")
    card = (folder / "MODEL_CARD.md").read_text()
    assert "\nmore errors\n" in card
    assert "few errors" not in card


def test_a_full_disk_leaves_the_card_as_it_was(bundle: ModelBundle, folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(BundleError, match=r"small: the report cannot be written .*free some"):
            save_report(bundle, folder, "lost" * 1_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_loading_needs_no_keras(folder: Path) -> None:
    program = (
        "import sys; from model.bundle import load_bundle; "
        f"load_bundle({str(folder)!r}); "
        "sys.exit(any(name in sys.modules for name in ('keras', 'tensorflow', 'jax')))"
    )
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, timeout=60).returncode == 0


def truncate(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return change


def edit(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        record = json.loads((folder / "bundle.json").read_text())
        (folder / "bundle.json").write_text(json.dumps(record | changes))

    return change


def delete(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def overwrite(name: str, content: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (delete("bundle.json"), r"is no model bundle; give a folder with bundle\.json"),
        (delete("weights.npz"), r"weights\.npz: cannot be read .*again"),
        (truncate("bundle.json"), r"bundle\.json: is not JSON.*again"),
        (truncate("weights.npz"), r"weights\.npz: was changed or cut short.*again"),
        (overwrite("bundle.json", b"\xff\xfe\xff"), r"bundle\.json: is not JSON"),
        (overwrite("bundle.json", b"[1]"), r"bundle\.json: does not describe a model"),
        (edit(format=99), r"has format 99, but this program reads format 1"),
        (edit(name="other"), r"bundle\.json: was changed"),
        (edit(sha256="0" * 64), r"bundle\.json: was changed"),
        (edit(network=float("nan")), r"bundle\.json: was changed"),
    ],
)
def test_damage_is_named_with_the_remedy(
    folder: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(folder)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nowhere: no such folder"):
        load_bundle(tmp_path / "nowhere")


def forge(folder: Path, **changes: Any) -> None:
    """Change the description and make its checksums right, as a faulty exporter would."""
    record = json.loads((folder / "bundle.json").read_text()) | changes
    record["weights_sha256"] = hashlib.sha256((folder / "weights.npz").read_bytes()).hexdigest()
    del record["sha256"]
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    record["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(record))


def forge_weights(folder: Path, weights: dict[str, np.ndarray]) -> None:
    file = io.BytesIO()
    np.savez(file, **weights)
    (folder / "weights.npz").write_bytes(file.getvalue())
    forge(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alphabet": ["", "a"]}, "the alphabet has 2 symbols, but the network 29 outputs"),
        ({"alphabet": ["a", "b"]}, "does not describe a model.*blank"),
        ({"features": {"mels": 40}}, "features have 40 values"),
        ({"features": {"mel": 40}}, "does not describe a model.*mel"),
        ({"network": {"units": 0}}, "does not describe a model.*units"),
        ({"statistics": {}}, "does not describe a model.*mean"),
        ({"name": None, "provenance": None}, "does not describe a model"),
    ],
)
def test_parts_that_do_not_fit_are_named(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    forge(folder, **changes)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


def test_weights_missing_unknown_misshapen_or_not_finite_are_named(
    bundle: ModelBundle, folder: Path
) -> None:
    weights = dict(bundle.weights)
    del weights["time_distributed_dense/bias"]
    weights["extra/kernel"] = np.zeros(3, np.float32)
    weights["gru_0/forward_bias"] = np.zeros((1, 9), np.float32)
    weights["gru_0_norm/beta"] = np.array([1, np.nan, 2, 3, 4, 5], np.float32)
    forge_weights(folder, weights)
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    for part in (
        "weight time_distributed_dense/bias is missing",
        "weight extra/kernel is unknown",
        "weight gru_0/forward_bias must have shape (2, 9), got (1, 9)",
        "weight gru_0_norm/beta holds NaN or infinity",
    ):
        assert part in str(caught.value)


def test_weights_that_are_no_archive_or_hold_objects_are_refused(folder: Path) -> None:
    (folder / "weights.npz").write_bytes(b"no archive")
    forge(folder)
    with pytest.raises(BundleError, match="is no archive of arrays"):
        load_bundle(folder)
    np.savez(folder / "weights.npz", array=np.array([{}], object))
    forge(folder)
    with pytest.raises(BundleError, match="is no archive of arrays"):
        load_bundle(folder)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_weights_are_unpacked_only_as_numpy_packs_them(folder: Path, method: int) -> None:
    """Other methods would be unpacked whole, whatever size is claimed: 1 kB to 1 GB and more."""
    with zipfile.ZipFile(folder / "weights.npz") as archive:
        arrays = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(folder / "weights.npz", "w", method) as archive:
        for name, content in arrays.items():
            archive.writestr(name, content)
    forge(folder)
    with pytest.raises(BundleError, match="packed in a way that NumPy never does"):
        load_bundle(folder)


def test_a_diverged_model_is_not_saved(bundle: ModelBundle, tmp_path: Path) -> None:
    weights = {**bundle.weights, "gru_0_norm/beta": np.full(6, 1e6, np.float32)}
    with pytest.raises(BundleError, match=r"gru_0_norm/beta exceeds 65504"):
        save_bundle(dataclasses.replace(bundle, weights=weights), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_impossible_statistics_are_refused(bundle: ModelBundle) -> None:
    flat = FeatureStatistics(np.zeros(80, np.float32), np.zeros(80, np.float32))
    with pytest.raises(BundleError, match="deviation must be above 0"):
        dataclasses.replace(bundle, statistics=flat)
    with pytest.raises(BundleError, match="the alphabet has 3 symbols"):
        dataclasses.replace(bundle, alphabet=Alphabet(("", "a", "b")))
