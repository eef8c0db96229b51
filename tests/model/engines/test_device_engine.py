"""The network on a GPU, as far as that can be known without one."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, shape_inference

from model.bundle import load_bundle
from model.engines import device_engine
from model.engines.device_engine import (
    CACHED_NETWORKS,
    UtteranceEngine,
    device_session,
    engine_folder,
    load_device,
    provider_options,
)
from model.engines.engine import context_frames, load_engine
from model.engines.execution import PROVIDERS, Execution
from model.engines.onnx_graph import OPSET, utterance_graph
from model.engines.profile import LONGEST_FRAMES, profile_of
from model.errors import EngineError, UsageError
from streamer.settings import EndpointSettings
from tests.model.engines.tensorrt_operators import FLOATS_AND_INT32, LATEST_OPSET, SUPPORTED
from tests.model.engines.toys import SETTINGS, noise, toy_bundle

ROOT = Path(__file__).parents[3]
STREAMING = [name for name, changes in SETTINGS.items() if changes.get("cell") != "lstm"]
LENGTHS = np.array([61, 24, 2, 1], np.int32)
TOLERANCE = 1e-4


@cache
def engine_of(name: str) -> UtteranceEngine:
    """Return the graph for GPUs, run by the processor."""
    content = utterance_graph(toy_bundle(name)).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return UtteranceEngine(toy_bundle(name), "cuda", session)


@pytest.mark.parametrize("name", SETTINGS)
def test_utterances_are_read_as_by_the_other_graph(name: str) -> None:
    network = toy_bundle(name).network
    expected = load_engine(toy_bundle(name), "onnx").logits(noise(LENGTHS), LENGTHS)
    found = engine_of(name).logits(noise(LENGTHS), LENGTHS)
    assert found.shape == expected.shape
    for row, frames in enumerate(network.output_frames(LENGTHS)):
        np.testing.assert_allclose(found[row, :frames], expected[row, :frames], atol=TOLERANCE)


@pytest.mark.parametrize("name", STREAMING)
def test_windows_are_read_as_by_the_other_graph(name: str) -> None:
    network = toy_bundle(name).network
    random = np.random.default_rng(3)
    other = load_engine(toy_bundle(name), "onnx")
    for frames, skipped in ((61, 0), (61, context_frames(network)), (30, 1), (1, 0)):
        features = noise(np.array([frames]))[0]
        states = random.uniform(-1, 1, (network.layers, network.units)).astype(np.float32)
        expected = other.window(features, skipped, states)
        for one, two in zip(
            engine_of(name).window(features, skipped, states), expected, strict=True
        ):
            assert one.shape == two.shape
            np.testing.assert_allclose(one, two, atol=TOLERANCE)


@pytest.mark.parametrize("name", SETTINGS)
def test_tensorrt_says_that_it_takes_every_operator(name: str) -> None:
    model = utterance_graph(toy_bundle(name))
    onnx.checker.check_model(model, full_check=True)
    assert {node.op_type for node in model.graph.node} <= SUPPORTED
    assert OPSET <= LATEST_OPSET
    kinds = {each.data_type for each in model.graph.initializer}
    assert {TensorProto.DataType.Name(kind) for kind in kinds} <= FLOATS_AND_INT32
    constants = {each.name for each in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("Slice", "Pad", "Reshape"):
            assert set(node.input[1:]) <= constants, "shapes come from constants alone"
        if node.op_type in ("GRU", "RNN", "LSTM"):
            assert set(node.input[1:4]) <= constants
            assert node.input[4] == "", "no lengths"
            assert not {"activations", "clip", "layout"} & {each.name for each in node.attribute}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("length", ["shortest", "usual", "longest"])
def test_shapes_are_known_at_each_length_of_the_profile(name: str, length: str) -> None:
    network = toy_bundle(name).network
    shapes = getattr(profile_of(network), length)
    model = utterance_graph(toy_bundle(name))
    assert [each.name for each in model.graph.input] == list(shapes)
    for given in model.graph.input:
        for size, value in zip(given.type.tensor_type.shape.dim, shapes[given.name], strict=True):
            size.dim_value = value
    inferred = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    known = {each.name: each for each in inferred.graph.value_info}
    for node in inferred.graph.node:
        for output in node.output:
            if output in known:
                sizes = known[output].type.tensor_type.shape.dim
                assert all(size.dim_value > 0 for size in sizes), output


def test_the_shipped_model_reads_alike_at_each_length_of_the_profile() -> None:
    bundle = load_bundle(ROOT / "models" / "default")
    session = onnxruntime.InferenceSession(
        utterance_graph(bundle).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    engine, reference = UtteranceEngine(bundle, "tensorrt", session), load_engine(bundle, "onnx")
    profile = profile_of(bundle.network)
    assert profile.text("usual") == "features:1x288x80,kept:72,states:3x1x256"
    for shapes in (profile.shortest, profile.usual, profile.longest):
        lengths = np.array([shapes["features"][1]], np.int32)
        found, expected = (each.logits(noise(lengths), lengths) for each in (engine, reference))
        np.testing.assert_allclose(found, expected, atol=TOLERANCE)


def test_the_longest_utterance_that_can_be_asked_for_is_read() -> None:
    longest = EndpointSettings(longest_s=60, pre_roll_ms=2000)
    assert (longest.longest_s + longest.pre_roll_ms / 1000) * 100 <= LONGEST_FRAMES
    too_long = np.zeros((1, LONGEST_FRAMES + 1, 80), np.float32)
    with pytest.raises(UsageError, match="reads 6400 frames at once at most, got 6401"):
        engine_of("captioner").logits(too_long, np.array([LONGEST_FRAMES + 1], np.int32))


class FakeSession:
    """Stands for a session on a GPU; it keeps what it was made with."""

    made: list[FakeSession]
    providers = (*PROVIDERS.values(), "CPUExecutionProvider")
    problem: Exception | None = None
    asked = 0

    def __init__(self, model: bytes, settings: Any, providers: Any, **others: Any) -> None:
        if self.problem is not None and not others.get("fails_later"):
            raise self.problem
        self.settings, self.wanted, self.others = settings, providers, others
        self.fallback = True
        self._real = REAL(model, providers=["CPUExecutionProvider"])
        self.made.append(self)

    def get_providers(self) -> list[str]:
        return [
            name for name in (self.wanted[0][0], "CPUExecutionProvider") if name in self.providers
        ]

    def disable_fallback(self) -> None:
        self.fallback = False

    def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> Any:
        self.asked += 1
        return self._real.run(outputs, inputs)


REAL = onnxruntime.InferenceSession


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[FakeSession]:
    monkeypatch.setattr(FakeSession, "made", [], raising=False)
    monkeypatch.setattr(device_engine.onnxruntime, "InferenceSession", FakeSession)
    return FakeSession.made


@pytest.mark.parametrize("name", PROVIDERS)
def test_nothing_may_run_on_the_processor(
    name: str, tmp_path: Path, sessions: list[FakeSession]
) -> None:
    engine = load_device(toy_bundle(), name, Execution(device=1, cache=tmp_path / "cache"))
    (session,) = sessions
    assert session.settings.get_session_config_entry("session.disable_cpu_ep_fallback") == "1"
    assert session.others == {"enable_fallback": False}
    assert [provider for provider, _ in session.wanted] == [PROVIDERS[name]]
    assert session.wanted[0][1]["device_id"] == "1"
    assert not session.fallback
    assert session.asked == 1, "it has read once"
    assert engine.name == name
    assert engine.streams


def test_a_provider_that_does_not_start_is_no_reason_for_another(
    sessions: list[FakeSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeSession, "providers", ("CPUExecutionProvider",))
    with pytest.raises(EngineError, match="could not start CUDAExecutionProvider and would"):
        load_device(toy_bundle(), "cuda")


def test_a_network_that_the_gpu_cannot_run_whole_is_refused(
    sessions: list[FakeSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeSession, "problem", RuntimeError("nodes on the CPU\nmore"))
    with pytest.raises(EngineError, match=r"cannot run the whole network .*: nodes on the CPU;"):
        load_device(toy_bundle(), "cuda")


def test_onnx_runtime_itself_refuses_the_processor() -> None:
    model = utterance_graph(toy_bundle()).SerializeToString()
    with (
        pytest.warns(UserWarning, match="is not in available provider names"),
        pytest.raises(EngineError, match="assigned to the default CPU EP, but fallback"),
    ):
        device_session(model, "cuda", {})


def test_a_gpu_that_fails_later_is_told() -> None:
    class Failing:
        def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> Any:
            raise RuntimeError("CUDA failure 700")

    engine = UtteranceEngine(toy_bundle(), "cuda", Failing())
    with pytest.raises(EngineError, match="the GPU failed: CUDA failure 700; use --engine onnx"):
        engine.logits(noise(LENGTHS), LENGTHS)


def test_tensorrt_is_told_the_shapes_and_where_to_keep_engines(tmp_path: Path) -> None:
    bundle = toy_bundle()
    profile = profile_of(bundle.network)
    options = provider_options(
        "tensorrt", b"model", profile, Execution(half=True, cache=tmp_path / "engines")
    )
    assert all(isinstance(value, str) for value in options.values())
    assert options["trt_fp16_enable"] == "1"
    assert options["trt_profile_min_shapes"] == "features:1x1x80,kept:1,states:2x1x7"
    assert options["trt_profile_opt_shapes"] == profile.text("usual")
    assert options["trt_profile_max_shapes"] == profile.text("longest")
    folder = Path(options["trt_engine_cache_path"])
    assert folder.parent == tmp_path / "engines"
    assert [oct(each.stat().st_mode & 0o777) for each in (folder, folder.parent)] == ["0o700"] * 2


def test_other_weights_have_another_folder(tmp_path: Path) -> None:
    folders = [engine_folder(Execution(cache=tmp_path), bytes([n])) for n in (1, 2, 1)]
    assert folders[0] == folders[2] != folders[1]


def test_engines_used_longest_ago_are_forgotten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for number in range(CACHED_NETWORKS + 3):
        folder = engine_folder(Execution(cache=tmp_path), bytes([number]))
        if number == 0:
            first = folder
        os.utime(folder, (number, number))
        first.touch()
        os.utime(first)
    kept = {each.name for each in tmp_path.iterdir()}
    assert len(kept) == CACHED_NETWORKS + 1
    assert {"mine", first.name, folder.name} <= kept


def test_a_folder_in_the_home_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert engine_folder(Execution(), b"").parent == tmp_path / "live-captioner" / "engines"


def test_a_folder_that_cannot_be_had_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match=r"cannot hold TensorRT's engines .*execution\.cache="):
        engine_folder(Execution(cache=tmp_path / "file"), b"")
    monkeypatch.setattr(device_engine.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(EngineError, match="belongs to another user"):
        engine_folder(Execution(cache=tmp_path / "others"), b"")


def test_profiles_are_json(tmp_path: Path) -> None:
    texts = profile_of(toy_bundle("lstm").network).texts()
    assert json.loads(json.dumps(texts))["shortest"] == "features:1x1x80,kept:1"
