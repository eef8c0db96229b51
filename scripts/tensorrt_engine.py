"""Build a TensorRT engine of an exported network on the board, and check what it computes.

    python train.py export --bundle models/default --format tensorrt --output captioner-trt.onnx
    python scripts/tensorrt_engine.py captioner-trt.onnx --output captioner.engine

It uses the ``trtexec`` that comes with TensorRT (on a Jetson with the package
``libnvinfer-bin``, in /usr/src/tensorrt/bin).  The engine is built for the lengths that the
file's metadata names.  Then it reads noise of the shortest, usual and longest length, and its
logits and states are compared with those of ONNX Runtime on the processor.  An engine that
differs by more than the tolerance is not kept.

exit codes: 0 built and alike, 1 it differs or trtexec failed, 2 wrong usage or input
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

# It would send what it runs to its maker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

TRTEXEC = Path("/usr/src/tensorrt/bin/trtexec")
TOLERANCE, HALF_TOLERANCE = 2e-3, 0.1
"""Largest difference of an output that is let pass, computed in float32 and in float16."""

WORKSPACE_MB = 512
LENGTHS = ("shortest", "usual", "longest")
SAID = 4000
"""Characters of what trtexec says that are shown when it fails."""

Shapes = dict[str, tuple[int, ...]]


class Problem(Exception):
    """Ends the program with a message."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def read_profile(session: onnxruntime.InferenceSession, path: Path) -> dict[str, str]:
    """Return the shapes of each length, as trtexec takes them."""
    profile = session.get_modelmeta().custom_metadata_map.get("profile")
    if profile is None:
        raise Problem(
            f"{path}: was not exported for TensorRT; make it with: python train.py export "
            "--format tensorrt",
            2,
        )
    return dict(json.loads(profile))


def shapes_of(text: str) -> Shapes:
    """Return the shapes of a text such as ``kept:72,states:3x1x256``."""
    pairs = (each.split(":") for each in text.split(","))
    return {name: tuple(int(size) for size in shape.split("x")) for name, shape in pairs}


def some_inputs(shapes: Shapes) -> dict[str, np.ndarray]:
    """Return noise of these shapes; the frames that are kept are all there are."""
    random = np.random.default_rng(1)
    inputs = {
        name: random.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()
    }
    inputs["features"] = random.normal(size=shapes["features"]).astype(np.float32)
    inputs["kept"] = np.arange(shapes["kept"][0], dtype=np.int32)
    return inputs


def build_command(
    trtexec: Path, network: Path, engine: Path, profile: Mapping[str, str], half: bool
) -> list[str]:
    """Return the command that builds an engine."""
    return [
        str(trtexec),
        f"--onnx={network}",
        f"--saveEngine={engine}",
        f"--minShapes={profile['shortest']}",
        f"--optShapes={profile['usual']}",
        f"--maxShapes={profile['longest']}",
        f"--memPoolSize=workspace:{WORKSPACE_MB}",
        "--noTF32",
        "--skipInference",
        *(["--fp16"] if half else []),
    ]


def read_command(trtexec: Path, engine: Path, shapes: str, folder: Path) -> list[str]:
    """Return the command that reads once what lies in ``folder``, and writes out.json there."""
    inputs = ",".join(f"{name}:{folder / name}.bin" for name in shapes_of(shapes))
    return [
        str(trtexec),
        f"--loadEngine={engine}",
        f"--shapes={shapes}",
        f"--loadInputs={inputs}",
        f"--exportOutput={folder / 'out.json'}",
        "--iterations=1",
        "--warmUp=0",
        "--duration=0",
    ]


def run(command: Sequence[str]) -> None:
    """Run a command of trtexec; raises Problem with the end of what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise Problem(
            f"{command[0]}: cannot be run ({error.strerror or error}); install libnvinfer-bin, or "
            "name the program with --trtexec",
            2,
        ) from error
    if done.returncode:
        said = (done.stdout + done.stderr)[-SAID:]
        raise Problem(f"{' '.join(command)}\nended with {done.returncode}:\n{said}")


def read_outputs(path: Path) -> dict[str, np.ndarray]:
    """Return the outputs of a file that trtexec wrote, by name."""
    found = {}
    for each in json.loads(path.read_text()):
        shape = [int(size) for size in each["dimensions"].split("x")]
        values = np.array(each["values"], np.float64)
        if values.size != math.prod(shape):
            raise Problem(f"{each['name']}: trtexec wrote {values.size} values for shape {shape}")
        found[each["name"]] = values.reshape(shape)
    return found


def difference(
    session: onnxruntime.InferenceSession, trtexec: Path, engine: Path, shapes: str
) -> dict[str, float]:
    """Return the largest difference of each output to ONNX Runtime's, on the processor."""
    inputs = some_inputs(shapes_of(shapes))
    names = [output.name for output in session.get_outputs()]
    with TemporaryDirectory() as name:
        folder = Path(name)
        for each, values in inputs.items():
            (folder / f"{each}.bin").write_bytes(values.tobytes())
        run(read_command(trtexec, engine, shapes, folder))
        found = read_outputs(folder / "out.json")
    expected = dict(zip(names, session.run(names, inputs), strict=True))
    return {name: float(np.abs(found[name] - expected[name]).max()) for name in names}


def build(network: Path, output: Path, trtexec: Path, half: bool, tolerance: float) -> None:
    """Build an engine, and keep it if it does what the network does."""
    try:
        session = onnxruntime.InferenceSession(str(network), providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's have no base of their own.
        raise Problem(f"{network}: cannot be read ({str(error).splitlines()[0]})", 2) from error
    profile = read_profile(session, network)
    temporary = output.with_name(f".{output.name}.partial")
    print(f"{output}: building; this takes minutes", flush=True)
    try:
        run(build_command(trtexec, network, temporary, profile, half))
        for length in LENGTHS:
            found = difference(session, trtexec, temporary, profile[length])
            shown = ", ".join(f"{name} {value:.1e}" for name, value in found.items())
            print(f"{length} ({profile[length]}): largest difference {shown}", flush=True)
            worst = float(np.max(list(found.values())))
            if not worst <= tolerance:
                raise Problem(
                    f"{output}: differs by {worst:.1e}, more than {tolerance:g}: not kept"
                    + ("; leave --half out" if half else "")
                )
        os.replace(temporary, output)
    finally:
        temporary.unlink(missing_ok=True)
    print(f"{output}: built, and does what ONNX Runtime does")


def find_trtexec(wanted: Path | None) -> Path:
    """Return the program to use."""
    found = shutil.which("trtexec")
    return wanted or (Path(found) if found else TRTEXEC)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with a command line and return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", type=Path, help="the exported .onnx file")
    parser.add_argument("--output", metavar="FILE", type=Path, required=True, help="the engine")
    parser.add_argument("--half", action="store_true", help="let it compute in float16")
    parser.add_argument("--trtexec", metavar="FILE", type=Path, help="the program to build with")
    parser.add_argument("--tolerance", metavar="NUMBER", type=float, help="largest difference kept")
    options = parser.parse_args(arguments)
    tolerance = options.tolerance or (HALF_TOLERANCE if options.half else TOLERANCE)
    try:
        trtexec = find_trtexec(options.trtexec)
        build(options.network, options.output, trtexec, options.half, tolerance)
    except Problem as problem:
        print(f"tensorrt_engine.py: error: {problem}", file=sys.stderr)
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
