"""Where an engine runs: what it needs of the machine, and whether that is there."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from model.settings import at_least, check

PROVIDERS = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
"""ONNX Runtime's execution provider of each engine that runs on a GPU."""

LIBRARIES = {
    "auto": ("onnxruntime", "onnx"),
    "onnx": ("onnxruntime", "onnx"),
    "cuda": ("onnxruntime", "onnx"),
    "tensorrt": ("onnxruntime", "onnx"),
    "tensorflow": ("keras", "tensorflow"),
    "litert": ("keras", "tensorflow"),
}
"""Python packages that each engine needs."""

DEVICES = ("dev/nvhost-gpu", "dev/nvhost-ctrl-gpu", "dev/nvgpu", "dev/nvidiactl", "dev/nvidia0")
"""Where a GPU shows, below the root: a Jetson's own, by L4T's releases, and any other."""

GUIDE = "see docs/jetson.md"
DRIVER = "libcuda.so.1"


@dataclass(frozen=True)
class Execution:
    """How an engine on a GPU runs; the others pay no attention to it.

    Attributes:
        device: Number of the GPU.
        half: Whether TensorRT may compute in float16.
        cache: Folder of the engines that TensorRT builds; None for ``live-captioner/engines``
            in ``$XDG_CACHE_HOME``, or else in ``~/.cache``.

    Raises:
        RangeError: If a value is out of its range.
    """

    device: int = 0
    half: bool = False
    cache: Path | None = None

    def __post_init__(self) -> None:
        check(self, at_least(0, "device"))


def missing_libraries(path: Path) -> list[str]:
    """Return the libraries that a library needs and the system's loader does not find."""
    try:
        done = subprocess.run(["ldd", path], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        # It will be told when the engine is made.
        return []
    lines = map(str.split, done.stdout.splitlines())
    return [line[0] for line in lines if line[1:] == ["=>", "not", "found"]]


@dataclass(frozen=True)
class Machine:
    """What is asked about the machine.

    Attributes:
        root: The root of its files.
        load: Loads the GPU's driver by its name, and raises OSError if it cannot.
        missing: Returns what a library needs and is not there.
    """

    root: Path = Path("/")
    load: Callable[[str], Any] = ctypes.CDLL
    missing: Callable[[Path], list[str]] = missing_libraries


def unusable(engine: str, machine: Machine | None = None) -> str:
    """Return why an engine cannot run here, and the remedy; empty if it can.

    Nothing is built, and no work is given to a GPU.  For an engine on a GPU ONNX Runtime must
    have that execution provider, the GPU and its driver must be there, and the libraries of
    CUDA or TensorRT that the provider was built for must be found.

    Args:
        engine: A name that :func:`model.engines.engine.load_engine` takes.
        machine: Which machine; this one if None.
    """
    if engine not in LIBRARIES:
        return f"there is no engine {engine}; give one of {', '.join(LIBRARIES)}"
    missing = [name for name in LIBRARIES[engine] if find_spec(name) is None]
    if missing:
        return _packages_missing(engine, missing)
    broken = _broken_runtime() if "onnxruntime" in LIBRARIES[engine] else ""
    if broken or engine not in PROVIDERS:
        return broken
    machine = machine or Machine()
    return _no_provider(engine) or _no_gpu(machine) or _no_library(engine, machine)


def _packages_missing(engine: str, missing: list[str]) -> str:
    remedy = "scripts/setup --live" if "onnxruntime" in missing else "scripts/setup"
    if engine in PROVIDERS:
        remedy = f"a build of ONNX Runtime for this GPU ({GUIDE})"
    return f"it needs {' and '.join(missing)}, not installed here; install it with {remedy}"


def _broken_runtime() -> str:
    """Ask for ONNX Runtime: it may lack a library, or one build of it may have taken another's."""
    try:
        import_module("onnxruntime").get_available_providers()
    except (ImportError, AttributeError) as error:
        return (
            f"ONNX Runtime is installed and cannot be loaded ({error}); remove the folder .venv, "
            f"and run scripts/setup --live, or scripts/jetson, again ({GUIDE})"
        )
    return ""


def _no_provider(engine: str) -> str:
    runtime = import_module("onnxruntime")
    there = runtime.get_available_providers()
    if PROVIDERS[engine] in there:
        return ""
    return (
        f"this ONNX Runtime ({runtime.__version__}) was built without {PROVIDERS[engine]}; "
        "install the build for this machine: on a Jetson onnxruntime-gpu from the wheel index "
        f"of its JetPack, with scripts/jetson --gpu-index ADDRESS ({GUIDE})"
    )


def _no_gpu(machine: Machine) -> str:
    if not any((machine.root / device).exists() for device in DEVICES):
        return (
            "no NVIDIA GPU shows in /dev (no nvhost-gpu, nvgpu or nvidia0); in a container start "
            "it with --runtime nvidia, and else use --engine onnx, which needs none"
        )
    try:
        driver = machine.load(DRIVER)
    except OSError as error:
        return (
            f"the GPU's driver cannot be loaded ({error}); install nvidia-l4t-cuda on a Jetson, "
            "and start a container with --runtime nvidia"
        )
    code = driver.cuInit(0)
    if code:
        return (
            f"the GPU's driver does not start (cuInit gave {code}); the user must be in the groups "
            "video and render, with: sudo usermod -aG video,render $USER, then log in again"
        )
    return ""


def _no_library(engine: str, machine: Machine) -> str:
    """Ask what the provider's library needs; loading it here would keep ONNX Runtime from it."""
    folder = Path(import_module("onnxruntime").__file__ or "").parent / "capi"
    part = folder / f"libonnxruntime_providers_{engine}.so"
    missing = machine.missing(part)
    if not missing:
        return ""
    return (
        f"{part.name} needs {', '.join(missing)}, not found here; install the libraries that this "
        "ONNX Runtime was built for, on a Jetson with: sudo apt-get install nvidia-jetpack, or the "
        f"build of ONNX Runtime for those that are there ({GUIDE})"
    )
