"""The network of a bundle, run on utterances."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp

from model.acoustic import AcousticModel, AcousticSession, Reading, Windows
from model.alphabet import ENGLISH
from model.bundle import ModelBundle
from model.engines.engine import Engine, context_frames
from model.features import FeatureSettings, FeatureStatistics
from model.recipe import NetworkSettings
from model.weights import weight_shapes

NETWORK = NetworkSettings(filters=8, layers=1, units=8)
MELS = NETWORK.features


@pytest.fixture(scope="module")
def model() -> AcousticModel:
    random = np.random.default_rng(1)
    weights = {
        name: random.normal(0, 0.3, shape).astype(np.float32)
        for name, shape in weight_shapes(NETWORK).items()
    }
    statistics = FeatureStatistics(np.zeros(MELS, np.float32), np.ones(MELS, np.float32))
    return AcousticModel(
        ModelBundle("toy", ENGLISH, FeatureSettings(), statistics, NETWORK, weights)
    )


def features(frames: int) -> np.ndarray:
    return np.random.default_rng(2).normal(0, 1, (frames, MELS)).astype(np.float32)


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("frames", [0, 1, 2, 3, 4, 5, 8, 41, 300])
def test_every_length_gives_its_frames_of_probabilities(
    model: AcousticModel, frames: int, final: bool
) -> None:
    log_probs = model.log_probs(features(frames), final)
    assert log_probs.shape == (NETWORK.output_frames(frames), ENGLISH.size)
    assert np.allclose(logsumexp(log_probs, axis=1), 0, atol=1e-5)


def test_a_final_reading_is_the_mean_over_the_ways_to_begin(model: AcousticModel) -> None:
    heard = features(83)
    normalised = model.bundle.statistics.normalise(heard)
    readings = [
        model.engine.logits(normalised[None, start:], np.array([83 - start], np.int32))[0]
        for start in range(NETWORK.stride)
    ]
    shared = len(readings[-1])
    readings = [log_softmax(reading, axis=-1) for reading in readings]
    expected = log_softmax(np.mean([reading[:shared] for reading in readings], axis=0), axis=-1)
    found = model.log_probs(heard, final=True)
    np.testing.assert_allclose(found[:shared], expected, atol=1e-4)
    np.testing.assert_allclose(found[shared:], readings[0][shared:], atol=1e-4)


def pushed(session: AcousticSession, heard: np.ndarray, pieces: list[int]) -> list[Reading]:
    """Push pieces of these lengths, again and again, and return the reading after each."""
    readings, start = [], 0
    for length in itertools.cycle(pieces):
        session.push(heard[start : start + length])
        readings.append(session.read())
        start += length
        if start >= len(heard):
            return readings


def test_a_session_without_windows_reads_the_whole(model: AcousticModel) -> None:
    heard = features(60)
    session = model.session()
    assert session.read().log_probs.shape == (0, ENGLISH.size)
    last = pushed(session, heard, [7])[-1]
    assert last.frozen == 0
    np.testing.assert_allclose(last.log_probs, model.log_probs(heard), atol=1e-6)
    cut = session.log_probs(37, final=True)
    np.testing.assert_allclose(cut, model.log_probs(heard[:37], final=True), atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(
    frames=st.integers(1, 240),
    pieces=st.lists(st.integers(1, 90), min_size=1, max_size=4),
    every=st.integers(1, 12),
    after=st.integers(0, 12),
)
def test_what_is_frozen_stays_and_does_not_depend_on_the_pieces(
    model: AcousticModel, frames: int, pieces: list[int], every: int, after: int
) -> None:
    heard, windows = features(frames), Windows(every, after)
    readings = pushed(model.session(windows), heard, pieces)
    for earlier, later in itertools.pairwise(readings):
        assert earlier.frozen <= later.frozen
        assert (later.log_probs[: earlier.frozen] == earlier.log_probs[: earlier.frozen]).all()
    [once] = pushed(model.session(windows), heard, [frames])
    assert readings[-1].frozen == once.frozen
    assert len(once.log_probs) == NETWORK.output_frames(frames)
    assert frames // NETWORK.stride - every - after < once.frozen + 1
    np.testing.assert_allclose(readings[-1].log_probs, once.log_probs, atol=1e-5)


def test_frames_that_see_the_whole_future_are_read_as_in_the_whole(model: AcousticModel) -> None:
    heard = features(200)
    session = model.session(Windows(every=20, after=29))
    session.push(heard[:197])
    assert session.read().frozen == 20
    # The mean that is removed is that of the frames heard so far.
    expected = model.log_probs(heard[:196])[:20]
    np.testing.assert_allclose(session.read().log_probs[:20], expected, atol=1e-5)


def test_later_windows_go_on_behind_the_frozen_frames_as_the_whole_would(
    model: AcousticModel,
) -> None:
    # With a mean that does not change; one layer's states forwards hang on no future.
    statistics = replace(model.bundle.statistics, prior_frames=1e9)
    steady = AcousticModel(replace(model.bundle, statistics=statistics))
    every, after, heard = 5, 7, features(200)
    session = steady.session(Windows(every, after))
    session.push(heard)
    reading = session.read()
    assert reading.frozen == 40
    for start in range(0, reading.frozen, every):
        seen = steady.log_probs(heard[: (start + every + after) * NETWORK.stride])
        window = slice(start, start + every)
        np.testing.assert_allclose(reading.log_probs[window], seen[window], atol=1e-4)
    whole = steady.log_probs(heard)
    np.testing.assert_allclose(reading.log_probs[40:], whole[40:], atol=1e-4)


class SpyingEngine:
    """Notes how many frames each window has."""

    streams = True

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name
        self.logits = engine.logits
        self.frames: list[int] = []
        self.last: np.ndarray | None = None

    def window(
        self, features: np.ndarray, skipped: int, states: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.frames.append(len(features))
        self.last = features
        return self._engine.window(features, skipped, states)


def test_a_window_loses_the_mean_of_all_that_was_heard(model: AcousticModel) -> None:
    engine = SpyingEngine(model.engine)
    session = AcousticModel(model.bundle, engine).session(Windows(every=5, after=5))
    heard = features(101) + np.linspace(0, 3, 101, dtype=np.float32)[:, None]
    session.push(heard)
    session.read()
    expected = model.bundle.statistics.normalise(heard)[-engine.frames[-1] :]
    assert len(expected) < len(heard)
    np.testing.assert_allclose(engine.last, expected, atol=1e-5)


def test_an_engine_that_cannot_go_on_from_its_outputs_reads_the_whole(
    model: AcousticModel,
) -> None:
    engine = SpyingEngine(model.engine)
    engine.streams = False
    heard = features(200)
    session = AcousticModel(model.bundle, engine).session(Windows(every=5, after=5))
    last = pushed(session, heard, [50])[-1]
    assert (last.frozen, engine.frames) == (0, [])
    np.testing.assert_allclose(last.log_probs, model.log_probs(heard), atol=1e-6)


def test_a_reading_costs_the_same_however_long_the_utterance_is(model: AcousticModel) -> None:
    engine = SpyingEngine(model.engine)
    session = AcousticModel(model.bundle, engine).session(Windows(every=5, after=5))
    pushed(session, features(1_000), [4])
    context = context_frames(NETWORK)
    assert max(engine.frames) <= (5 + 5 + context) * NETWORK.stride
    assert len(engine.frames) <= 1_000 / 4 + 1_000 / (5 * NETWORK.stride)
