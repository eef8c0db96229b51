"""The script that builds a TensorRT engine, with a program in the place of trtexec."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from model.engines import exporting
from model.engines.engine import load_engine
from model.engines.exporting import export_onnx, export_tensorrt
from tests.model.engines.toys import toy_bundle

SCRIPT = Path(__file__).parents[1] / "scripts" / "tensorrt_engine.py"

TRTEXEC = """\
#!{python}
import json, os, shutil, sys
import numpy as np
import onnxruntime

given = dict(each.lstrip("-").partition("=")[::2] for each in sys.argv[1:])
with open("{log}", "a") as log:
    print(*sys.argv[1:], file=log)
if "onnx" in given:
    if "{fails}":
        print("[E] Error[4]: unsupported SM")
        sys.exit(1)
    shutil.copy(given["onnx"], given["saveEngine"])
    sys.exit()
session = onnxruntime.InferenceSession(given["loadEngine"], providers=["CPUExecutionProvider"])
shapes = dict(each.split(":") for each in given["shapes"].split(","))
inputs = {{}}
for each in given["loadInputs"].split(","):
    name, path = each.split(":")
    kind = np.int32 if name == "kept" else np.float32
    inputs[name] = np.fromfile(path, kind).reshape([int(n) for n in shapes[name].split("x")])
outputs = []
for output in session.get_outputs():
    (values,) = session.run([output.name], inputs)
    sizes = "x".join(map(str, values.shape))
    values = (values + {more}).ravel().tolist()
    outputs.append(dict(name=output.name, dimensions=sizes, values=values))
with open(given["exportOutput"], "w") as file:
    json.dump(outputs, file)
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "toy.onnx"
    with pytest.MonkeyPatch.context() as patch:
        # Whether it does what it was trained for is of no concern here.
        patch.setattr(exporting, "load_tensorflow", lambda bundle: load_engine(bundle, "onnx"))
        export_tensorrt(toy_bundle(), path)
    return path


def build(
    network: Path, folder: Path, *more: str, differs: float = 0, fails: str = ""
) -> subprocess.CompletedProcess[str]:
    program = folder / "trtexec"
    log = folder / "log"
    program.write_text(TRTEXEC.format(python=sys.executable, log=log, more=differs, fails=fails))
    program.chmod(0o755)
    command = [sys.executable, SCRIPT, network, "--output", folder / "toy.engine", *more]
    if "--trtexec" not in more:
        command += ["--trtexec", program]
    return subprocess.run(
        [str(each) for each in command], capture_output=True, text=True, timeout=100
    )


def test_an_engine_is_built_and_compared_at_every_length(network: Path, tmp_path: Path) -> None:
    done = build(network, tmp_path, "--half")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "toy.engine").is_file()
    for length in ("shortest (features:1x1x80", "usual (", "longest (features:1x6400x80"):
        assert length in done.stdout
    built, *read = (tmp_path / "log").read_text().splitlines()
    assert "--fp16" in built
    assert "--minShapes=features:1x1x80,kept:1,states:2x1x7" in built
    assert "--maxShapes=features:1x6400x80,kept:1600,states:2x1x7" in built
    assert len(read) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "toy.engine", "trtexec"]


@pytest.mark.parametrize(
    ("differs", "fails", "told"),
    [
        (0.01, "", "differs by 1.0e-02, more than 0.002: not kept"),
        (float("nan"), "", "differs by nan"),
        (0, "yes", "unsupported SM"),
    ],
)
def test_what_does_not_do_the_same_is_not_kept(
    network: Path, tmp_path: Path, differs: float, fails: str, told: str
) -> None:
    more = differs if differs == differs else 'float("nan")'
    done = build(network, tmp_path, differs=more, fails=fails)  # type: ignore[arg-type]
    assert done.returncode == 1
    assert told in done.stderr
    assert not (tmp_path / "toy.engine").exists()


def test_wrong_requests_are_explained(network: Path, tmp_path: Path) -> None:
    done = build(network, tmp_path, "--trtexec", str(tmp_path / "none"))
    assert done.returncode == 2
    assert "install libnvinfer-bin, or name the program with --trtexec" in done.stderr
    other = tmp_path / "other.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "load_tensorflow", lambda bundle: load_engine(bundle, "onnx"))
        export_onnx(toy_bundle(), other)
    assert "was not exported for TensorRT" in build(other, tmp_path).stderr
    assert "cannot be read" in build(tmp_path / "gone.onnx", tmp_path).stderr
