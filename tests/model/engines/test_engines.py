"""Every way to run the network gives what the others give."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.audio import read_audio
from model.bundle import ModelBundle, load_bundle
from model.corpora.manifest import read_manifest
from model.engines.engine import ENGINES, Engine, context_frames, load_engine
from model.engines.execution import unusable
from model.engines.onnx_engine import OnnxEngine
from model.engines.tensorflow_engine import KerasEngine
from model.errors import UsageError
from model.features import FeatureExtractor
from model.recipe import NetworkSettings
from tests.model.engines.toys import SETTINGS, noise, toy_bundle

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "models" / "default"
LENGTHS = np.array([61, 24, 2, 1], np.int32)
TOLERANCE = 1e-4

STREAMING = [name for name, changes in SETTINGS.items() if changes.get("cell") != "lstm"]
OTHERS = [("tensorflow", name) for name in SETTINGS] + [("litert", "captioner"), ("litert", "lstm")]
"""Each conversion to LiteRT takes seconds."""


@cache
def bundle_of(name: str) -> ModelBundle:
    return load_bundle(SHIPPED) if name == "shipped" else toy_bundle(name)


@cache
def engine_of(engine: str, name: str) -> Engine:
    return load_engine(bundle_of(name), engine)


def silence(network: NetworkSettings) -> np.ndarray:
    return np.zeros((network.layers, network.units), np.float32)


@pytest.mark.parametrize(("engine", "name"), OTHERS)
def test_every_engine_reads_utterances_alike(engine: str, name: str) -> None:
    features = noise(LENGTHS)
    expected = engine_of("onnx", name).logits(features, LENGTHS)
    found = engine_of(engine, name).logits(features, LENGTHS)
    assert found.dtype == expected.dtype == np.float32
    assert found.shape == expected.shape
    for row, frames in enumerate(bundle_of(name).network.output_frames(LENGTHS)):
        np.testing.assert_allclose(found[row, :frames], expected[row, :frames], atol=TOLERANCE)


@pytest.mark.parametrize(("engine", "name"), [other for other in OTHERS if other[1] in STREAMING])
def test_every_engine_reads_windows_alike(engine: str, name: str) -> None:
    network = bundle_of(name).network
    features = noise(LENGTHS)[0]
    random = np.random.default_rng(3)
    for skipped in (0, 1, context_frames(network)):
        states = random.uniform(-1, 1, (network.layers, network.units)).astype(np.float32)
        expected = engine_of("onnx", name).window(features, skipped, states)
        found = engine_of(engine, name).window(features, skipped, states)
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, atol=TOLERANCE)


@pytest.mark.parametrize("engine", ["onnx", "tensorflow"])
def test_the_shipped_model_reads_a_recording_alike_with_every_engine(engine: str) -> None:
    bundle = bundle_of("shipped")
    row = read_manifest(ROOT / "tests" / "data" / "speech" / "manifest.jsonl")[0]
    heard = FeatureExtractor(bundle.features).extract(read_audio(row.audio, 16_000))
    features = bundle.statistics.normalise(heard)
    lengths = np.array([len(features)], np.int32)
    whole = engine_of("onnx", "shipped").logits(features[None], lengths)[0]
    np.testing.assert_allclose(
        engine_of(engine, "shipped").logits(features[None], lengths)[0], whole, atol=TOLERANCE
    )
    logits, forward = engine_of(engine, "shipped").window(features, 0, silence(bundle.network))
    np.testing.assert_allclose(logits, whole, atol=TOLERANCE)
    anchor, skipped = 50, context_frames(bundle.network)
    rest = features[(anchor - skipped) * bundle.network.stride :]
    logits, _ = engine_of(engine, "shipped").window(rest, skipped, forward[:, anchor - 1])
    np.testing.assert_allclose(logits, whole[anchor:], atol=TOLERANCE)


@pytest.mark.parametrize("name", STREAMING)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_windows_chained_with_the_whole_future_are_the_whole(
    name: str, data: st.DataObject
) -> None:
    engine, network = engine_of("onnx", name), bundle_of(name).network
    frames = data.draw(st.integers(1, 90), "frames")
    features = noise(np.array([frames]))[0]
    whole = engine.logits(features[None], np.array([frames], np.int32))[0]
    logits, forward = engine.window(features, 0, silence(network))
    assert forward.shape == (network.layers, network.output_frames(frames), network.units)
    np.testing.assert_allclose(logits, whole, atol=TOLERANCE)
    anchor = data.draw(st.integers(0, network.output_frames(frames) - 1), "anchor")
    skipped = min(anchor, context_frames(network))
    states = forward[:, anchor - 1] if anchor else silence(network)
    rest = features[(anchor - skipped) * network.stride :]
    logits, later = engine.window(rest, skipped, states)
    np.testing.assert_allclose(logits, whole[anchor:], atol=TOLERANCE)
    np.testing.assert_allclose(later, forward[:, anchor:], atol=TOLERANCE)


@pytest.mark.parametrize(("name", "frames"), [("captioner", 3), ("cnn-dilated", 21), ("lstm", 1)])
def test_a_window_hears_no_more_context_than_it_is_said_to_need(name: str, frames: int) -> None:
    assert context_frames(bundle_of(name).network) == frames


def test_with_less_context_a_window_differs() -> None:
    engine, network = engine_of("onnx", "captioner"), bundle_of("captioner").network
    features = noise(np.array([80]))[0]
    whole, forward = engine.window(features, 0, silence(network))
    skipped = context_frames(network) - 1
    rest = features[(10 - skipped) * network.stride :]
    assert np.abs(engine.window(rest, skipped, forward[:, 9])[0] - whole[10:]).max() > 0.01


@pytest.mark.parametrize("name", SETTINGS)
def test_company_changes_nothing(name: str) -> None:
    engine, network = engine_of("onnx", name), bundle_of(name).network
    together = engine.logits(noise(LENGTHS), LENGTHS)
    for row, length in enumerate(LENGTHS):
        alone = engine.logits(noise(LENGTHS)[row : row + 1, :length], LENGTHS[row : row + 1])
        kept = network.output_frames(int(length))
        np.testing.assert_allclose(together[row, :kept], alone[0], atol=TOLERANCE)


@pytest.mark.parametrize("engine", ["onnx", "tensorflow", "litert"])
def test_an_engine_may_be_asked_by_several_threads(engine: str) -> None:
    shared = engine_of(engine, "captioner")
    asked = [noise(LENGTHS[:1], seed=seed) for seed in range(6)]
    expected = [shared.logits(features, LENGTHS[:1]) for features in asked]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda features: shared.logits(features, LENGTHS[:1]), asked))
    np.testing.assert_array_equal(found, expected)


def test_only_cells_whose_output_is_their_memory_stream() -> None:
    for engine, name in OTHERS:
        assert engine_of(engine, name).streams == (name in STREAMING)


def test_other_backends_of_keras_read_whole_utterances() -> None:
    engine = KerasEngine(bundle_of("captioner"), "jax")
    expected = engine_of("onnx", "captioner").logits(noise(LENGTHS), LENGTHS)
    found = engine.logits(noise(LENGTHS), LENGTHS)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found[0], expected[0], atol=TOLERANCE)
    assert not engine.streams
    with pytest.raises(UsageError, match="KERAS_BACKEND=jax reads whole utterances only"):
        engine.window(noise(LENGTHS)[0], 0, silence(bundle_of("captioner").network))


def test_the_fastest_engine_is_taken_unless_one_is_named() -> None:
    assert isinstance(load_engine(bundle_of("captioner")), OnnxEngine)
    here = [name for name in ENGINES if not unusable(name)]
    assert [engine_of(name, "captioner").name for name in here] == here
    with pytest.raises(UsageError, match=r"--engine: must be auto or one of onnx, .*, got torch"):
        load_engine(bundle_of("captioner"), "torch")


@pytest.mark.parametrize("engine", ["tensorflow", "litert"])
def test_a_library_that_keras_does_not_have_is_refused(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "abacus")
    with pytest.raises(UsageError, match="KERAS_BACKEND: must be tensorflow or jax, got abacus"):
        load_engine(bundle_of("tanh-forwards"), engine)


def test_onnx_runs_without_the_libraries_of_training() -> None:
    program = """
import sys
from tests.model.engines.toys import toy_bundle
from model.engines.engine import load_engine
load_engine(toy_bundle())
print(*{"tensorflow", "keras", "jax", "model.network"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
