"""Networks in the formats of other programs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from rich.console import Console

from model.bundle import save_bundle
from model.commands.terminal import Terminal
from model.engines import exporting
from model.engines.engine import Engine, load_engine
from model.engines.exporting import (
    export_litert,
    export_onnx,
    export_tensorflow,
    export_tensorrt,
)
from model.engines.tensorflow_engine import load_tensorflow
from model.errors import ExportError, UsageError
from tests.model.engines.toys import noise, toy_bundle
from train import main

LENGTHS = np.array([40], np.int32)
BUNDLE = toy_bundle("tanh-forwards")
"""TensorFlow takes the least time for it."""


@pytest.fixture(scope="module")
def reference() -> Engine:
    return load_engine(BUNDLE, "onnx")


@pytest.fixture(scope="module")
def trained() -> Engine:
    return load_tensorflow(BUNDLE)


@pytest.fixture(autouse=True)
def one_reference(trained: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare with the same reference each time: it takes seconds to make."""
    monkeypatch.setattr(exporting, "load_tensorflow", lambda bundle: trained)


def expected(reference: Engine) -> np.ndarray:
    return reference.logits(noise(LENGTHS), LENGTHS)


def inputs() -> dict[str, np.ndarray]:
    """Return what another program would give for an utterance."""
    return {
        "features": noise(LENGTHS),
        "lengths": LENGTHS,
        "skipped": np.zeros(1, np.int32),
        "states": np.zeros((BUNDLE.network.layers, 1, BUNDLE.network.units), np.float32),
    }


def test_an_onnx_file_stands_alone(tmp_path: Path, reference: Engine) -> None:
    path = tmp_path / "new" / "toy.onnx"
    assert export_onnx(BUNDLE, path) < 1e-4
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path)
    np.testing.assert_allclose(session.run(["logits"], inputs())[0], expected(reference), atol=1e-4)
    described = session.get_modelmeta().custom_metadata_map
    assert json.loads(described["alphabet"])[:3] == ["", "a", "b"]
    assert json.loads(described["features"])["sample_rate"] == 16_000
    assert json.loads(described["mean"]) == [-6.0] * 80
    assert json.loads(described["deviation"]) == [2.0] * 80
    assert json.loads(described["context_frames"]) == 3
    assert (described["name"], described["notes"]) == ("tanh-forwards", "Noise: CC0.")


def test_a_file_for_tensorrt_says_for_which_shapes_to_build(
    tmp_path: Path, reference: Engine
) -> None:
    path = tmp_path / "toy.onnx"
    assert export_tensorrt(BUNDLE, path) < 1e-4
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path)
    frames = BUNDLE.network.output_frames(int(LENGTHS[0]))
    given = {name: value for name, value in inputs().items() if name in ("features", "states")}
    given["kept"] = np.arange(frames, dtype=np.int32)
    np.testing.assert_allclose(session.run(["logits"], given)[0], expected(reference), atol=1e-4)
    described = session.get_modelmeta().custom_metadata_map
    profile = json.loads(described["profile"])
    assert profile["shortest"] == "features:1x1x80,kept:1,states:2x1x7"
    assert list(profile) == ["shortest", "usual", "longest"]
    assert json.loads(described["alphabet"])[:3] == ["", "a", "b"]


def test_a_saved_model_stands_alone(tmp_path: Path, reference: Engine) -> None:
    folder = tmp_path / "toy"
    folder.mkdir()
    for name in ("saved_model.pb", "of-another-model"):
        (folder / name).write_text("")
    assert export_tensorflow(BUNDLE, folder) < 1e-4
    assert not (folder / "of-another-model").exists()
    assert json.loads((folder / "model.json").read_text())["prior_frames"] == 50
    loaded = tf.saved_model.load(str(folder))
    given = {name: tf.constant(value) for name, value in inputs().items()}
    found = loaded.signatures["serving_default"](**given)
    np.testing.assert_allclose(found["logits"], expected(reference), atol=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_a_litert_model_stands_alone(tmp_path: Path, reference: Engine) -> None:
    path = tmp_path / "toy.tflite"
    (tmp_path / "toy.json").write_text('{"context_frames": 1}')
    assert export_litert(BUNDLE, path) < 1e-4
    assert json.loads((tmp_path / "toy.json").read_text())["network"]["units"] == 7
    with pytest.warns(UserWarning, match="deprecated"):
        interpreter = tf.lite.Interpreter(str(path))
    found = interpreter.get_signature_runner()(**inputs())
    np.testing.assert_allclose(found["logits"], expected(reference), atol=1e-4)
    operators = {each["op_name"] for each in interpreter._get_ops_details()}
    assert "WHILE" in operators
    assert not {name for name in operators if "Flex" in name}


@pytest.mark.parametrize(("more", "told"), [(0.01, "1.0e-02"), (np.nan, "nan")])
def test_what_differs_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: float, told: str
) -> None:
    other = Louder(load_engine(BUNDLE), more)
    monkeypatch.setattr(exporting, "load_tensorflow", lambda bundle: other)
    with pytest.raises(ExportError, match=f"in onnx differs from the reference by {told}"):
        export_onnx(BUNDLE, tmp_path / "toy.onnx")
    assert list(tmp_path.iterdir()) == []


class Louder:
    """An engine whose logits are higher; its windows are as they should be."""

    name = "louder"
    streams = True

    def __init__(self, engine: Engine, more: float) -> None:
        self._engine = engine
        self._more = more

    def logits(self, features: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        return self._engine.logits(features, lengths) + self._more

    def window(
        self, features: np.ndarray, skipped: int, states: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return self._engine.window(features, skipped, states)


def test_nothing_else_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(UsageError, match="is there and is no SavedModel"):
        export_tensorflow(BUNDLE, tmp_path)
    with pytest.raises(UsageError, match="cannot be written"):
        export_onnx(BUNDLE, tmp_path / "mine" / "toy.onnx")
    figures = tmp_path / "toy.json"
    figures.write_text('["figures"]')
    with pytest.raises(UsageError, match=r"toy\.json: is there and does not describe a network"):
        export_litert(BUNDLE, tmp_path / "toy.tflite")
    assert figures.read_text() == '["figures"]'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "toy.json"]


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(UsageError, match=r"toy: cannot be written \(No space left on device\)"):
        export_tensorflow(BUNDLE, tmp_path / "toy")
    assert list(tmp_path.iterdir()) == []


def run(*arguments: object) -> tuple[int, str]:
    """Run a command of train.py; return its exit code and what it showed."""
    out, log = io.StringIO(), io.StringIO()
    terminal = Terminal(Console(file=out), Console(file=log, width=400))
    return main([str(argument) for argument in arguments], terminal), log.getvalue()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what the command sets undone."""
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")


def test_the_command_says_how_much_the_network_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_bundle(BUNDLE, tmp_path / "bundle")
    # Saved weights are float16.
    monkeypatch.setattr(exporting, "load_tensorflow", load_tensorflow)
    path = tmp_path / "toy.onnx"
    arguments = ("export", "--bundle", tmp_path / "bundle", "--format", "onnx", "--output", path)
    code, shown = run(*arguments)
    assert code == 0, shown
    assert f"{path}: the network of tanh-forwards; its outputs differ by up to " in shown
    assert path.is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "x"], "--bundle: is a bundle already; give --format"),
        (["--format", "onnx", "--output", "x"], "--output: must end in .onnx, got x"),
        (["--format", "litert", "--output", "x.onnx"], "--output: must end in .tflite"),
        (
            ["--format", "onnx", "--output", "x.onnx", "--name", "mine"],
            "--name: is for --run; a bundle brings its own",
        ),
        (["--format", "onnx", "--output", "x.onnx"], "gone: no such folder; give a model bundle"),
    ],
)
def test_wrong_requests_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, shown = run("export", "--bundle", tmp_path / "gone", *arguments)
    assert code == 2
    assert message in shown
    assert list(tmp_path.iterdir()) == []
