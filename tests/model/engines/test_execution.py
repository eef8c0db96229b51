"""Whether an engine can run on a machine is found out without building anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from model.engines import execution
from model.engines.engine import AUTO, ENGINES, load_engine
from model.engines.execution import (
    PROVIDERS,
    Execution,
    Machine,
    missing_libraries,
    unusable,
)
from model.errors import EngineError
from model.settings import RangeError
from tests.model.engines.toys import toy_bundle

GPU_ENGINES = tuple(PROVIDERS)


def driver(code: int = 0) -> Any:
    return SimpleNamespace(cuInit=lambda flags: code)


def loader(there: bool = True, code: int = 0) -> Callable[[str], Any]:
    """Return what loads the driver."""

    def load(name: str) -> Any:
        assert name == "libcuda.so.1"
        if not there:
            raise OSError(f"{name}: cannot open shared object file")
        return driver(code)

    return load


def machine(
    root: Path,
    load: Callable[[str], Any],
    device: str = "nvhost-gpu",
    missing: Sequence[str] = (),
) -> Machine:
    (root / "dev").mkdir()
    (root / "dev" / device).touch()
    return Machine(root, load, lambda path: list(missing))


@pytest.fixture
def with_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    providers = [*PROVIDERS.values(), "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)


def test_every_engine_can_be_asked_about() -> None:
    assert set(execution.LIBRARIES) == {AUTO, *ENGINES}
    trained_here = ["tensorflow", "litert"] if find_spec("tensorflow") else []
    usable = [name for name in (AUTO, *ENGINES) if not unusable(name)]
    assert usable == [AUTO, "onnx", *trained_here]
    assert unusable("torch") == (
        "there is no engine torch; give one of auto, onnx, cuda, tensorrt, tensorflow, litert"
    )


@pytest.mark.parametrize("engine", GPU_ENGINES)
def test_a_runtime_without_the_provider_is_told(engine: str) -> None:
    reason = unusable(engine)
    assert f"was built without {PROVIDERS[engine]}" in reason
    assert "scripts/jetson --gpu-index" in reason


@pytest.mark.parametrize("engine", GPU_ENGINES)
@pytest.mark.usefixtures("with_providers")
def test_a_machine_without_a_gpu_is_told(engine: str, tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    reason = unusable(engine, Machine(tmp_path, loader()))
    assert "no NVIDIA GPU shows in /dev" in reason
    assert "--runtime nvidia" in reason


@pytest.mark.parametrize(
    ("load", "missing", "told"),
    [
        (loader(there=False), [], "driver cannot be loaded (libcuda.so.1: cannot open"),
        (loader(code=100), [], "cuInit gave 100"),
        (
            loader(),
            ["libcublas.so.13", "libcudart.so.13"],
            "libonnxruntime_providers_cuda.so needs libcublas.so.13, libcudart.so.13, not found",
        ),
    ],
)
@pytest.mark.usefixtures("with_providers")
def test_what_is_missing_of_cuda_is_named(
    load: Callable[[str], Any], missing: list[str], told: str, tmp_path: Path
) -> None:
    assert told in unusable("cuda", machine(tmp_path, load, missing=missing))


def test_libraries_that_the_loader_does_not_find_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ldd"
    path.write_text(
        "#!/bin/sh\n"
        "echo '\tlinux-vdso.so.1 (0x00007ffd)'\n"
        "echo '\tlibnvinfer.so.10 => not found'\n"
        "echo '\tlibm.so.6 => /lib/libm.so.6 (0x00007f)'\n"
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert missing_libraries(Path("any.so")) == ["libnvinfer.so.10"]
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert missing_libraries(Path("any.so")) == []


def test_the_programs_own_library_lacks_nothing() -> None:
    (library,) = Path(onnxruntime.__file__).parent.glob("capi/onnxruntime_pybind11_state*.so")
    assert missing_libraries(library) == []


@pytest.mark.parametrize("device", ["nvhost-gpu", "nvhost-ctrl-gpu", "nvgpu", "nvidia0"])
@pytest.mark.usefixtures("with_providers")
def test_with_everything_there_nothing_is_told(device: str, tmp_path: Path) -> None:
    there = machine(tmp_path, loader(), device)
    assert [unusable(engine, there) for engine in GPU_ENGINES] == ["", ""]


@pytest.mark.parametrize(
    ("gone", "engine", "remedy"),
    [
        ("tensorflow", "litert", "install it with scripts/setup"),
        ("onnxruntime", "onnx", "install it with scripts/setup --live"),
        ("onnxruntime", "cuda", "a build of ONNX Runtime for this GPU"),
    ],
)
def test_packages_that_are_not_installed_are_named(
    gone: str, engine: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "find_spec", lambda name: None if name == gone else object())
    reason = unusable(engine)
    assert reason.startswith(f"it needs {gone}, not installed here")
    assert remedy in reason


@pytest.mark.parametrize("engine", GPU_ENGINES)
def test_no_other_engine_takes_the_place_of_one_that_cannot_run(engine: str) -> None:
    with pytest.raises(EngineError, match=f"--engine {engine}: this ONNX Runtime .* without"):
        load_engine(toy_bundle(), engine)


def test_settings_are_checked() -> None:
    with pytest.raises(RangeError, match="device"):
        Execution(device=-1)


@pytest.mark.parametrize("error", [ImportError("libz.so.9: not found"), AttributeError("no api")])
def test_a_runtime_that_cannot_be_loaded_is_told(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def load(name: str) -> Any:
        raise error

    monkeypatch.setattr(execution, "import_module", load)
    for engine in ("auto", "onnx", *GPU_ENGINES):
        assert f"cannot be loaded ({error}); remove the folder .venv" in unusable(engine)
    with pytest.raises(EngineError, match=r"--engine auto: ONNX Runtime .* cannot be loaded"):
        load_engine(toy_bundle())
