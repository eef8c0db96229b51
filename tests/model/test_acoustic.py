"""The network of a bundle, run on utterances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from model.acoustic import AcousticModel
from model.alphabet import ENGLISH
from model.bundle import ModelBundle
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
        model._predict(normalised[None, start:], np.array([83 - start], np.int32))[0]
        for start in range(NETWORK.stride)
    ]
    shared = len(readings[-1])
    readings = [log_softmax(reading, axis=-1) for reading in readings]
    expected = log_softmax(np.mean([reading[:shared] for reading in readings], axis=0), axis=-1)
    found = model.log_probs(heard, final=True)
    np.testing.assert_allclose(found[:shared], expected, atol=1e-4)
    np.testing.assert_allclose(found[shared:], readings[0][shared:], atol=1e-4)


def test_a_session_reads_what_was_pushed_up_to_a_frame(model: AcousticModel) -> None:
    heard = features(60)
    session = model.session()
    assert session.log_probs().shape == (0, ENGLISH.size)
    for start in range(0, 60, 7):
        session.push(heard[start : start + 7])
    np.testing.assert_allclose(session.log_probs(), model.log_probs(heard), atol=1e-6)
    cut = session.log_probs(37, final=True)
    np.testing.assert_allclose(cut, model.log_probs(heard[:37], final=True), atol=1e-6)
