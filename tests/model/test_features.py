from __future__ import annotations

from typing import Any

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.features import FeatureExtractor, FeatureSettings, FeatureStatistics, mel_filters
from model.settings import RangeError

SETTINGS = FeatureSettings()


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


@pytest.mark.parametrize(
    "settings",
    [SETTINGS, FeatureSettings(sample_rate=8_000, window=200, hop=80, mels=40, high_hz=4_000.0)],
)
def test_mel_filters_are_those_of_librosa(settings: FeatureSettings) -> None:
    expected = librosa.filters.mel(
        sr=settings.sample_rate,
        n_fft=settings.fft_size,
        n_mels=settings.mels,
        fmin=settings.low_hz,
        fmax=settings.high_hz,
    )
    np.testing.assert_allclose(mel_filters(settings), expected, atol=1e-7)


def test_features_are_the_log_mels_of_librosa() -> None:
    samples = noise(16_000)
    # librosa puts a short window into the middle of the FFT's points.
    before = (SETTINGS.fft_size - SETTINGS.window) // 2
    power = librosa.feature.melspectrogram(
        y=np.pad(samples, before),
        sr=SETTINGS.sample_rate,
        n_fft=SETTINGS.fft_size,
        hop_length=SETTINGS.hop,
        win_length=SETTINGS.window,
        center=False,
        n_mels=SETTINGS.mels,
        fmin=SETTINGS.low_hz,
        fmax=SETTINGS.high_hz,
    )
    features = FeatureExtractor(SETTINGS).extract(samples)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, np.log(power.T + 1e-6)[: len(features)], atol=2e-4)


def test_frames_never_look_past_their_window() -> None:
    samples = noise(4_000)
    changed = samples.copy()
    changed[SETTINGS.window + 3 * SETTINGS.hop :] = 0
    extractor = FeatureExtractor(SETTINGS)
    np.testing.assert_array_equal(extractor.extract(changed)[:4], extractor.extract(samples)[:4])


@settings(deadline=None)
@given(st.lists(st.integers(0, 1_500), max_size=12))
def test_any_chunking_gives_the_features_of_the_whole(lengths: list[int]) -> None:
    samples = noise(sum(lengths))
    extractor = FeatureExtractor(SETTINGS)
    stream = extractor.stream()
    pieces = np.split(samples, np.cumsum(lengths)[:-1]) if lengths else []
    streamed = [stream.push(piece) for piece in pieces]
    streamed.append(stream.flush())
    np.testing.assert_allclose(
        np.concatenate(streamed), extractor.extract(samples), rtol=0, atol=1e-5
    )


@given(st.integers(0, 5_000))
def test_frame_count_is_known_beforehand(samples: int) -> None:
    features = FeatureExtractor(SETTINGS).extract(np.zeros(samples, np.float32))
    assert features.shape == (SETTINGS.frames_in(samples), SETTINGS.mels)


def test_a_flushed_stream_starts_anew() -> None:
    extractor = FeatureExtractor(SETTINGS)
    stream = extractor.stream()
    stream.push(noise(399, seed=1))
    stream.flush()
    samples = noise(800)
    np.testing.assert_allclose(stream.push(samples), extractor.extract(samples), atol=1e-6)


def test_silence_is_finite() -> None:
    assert np.isfinite(FeatureExtractor(SETTINGS).extract(np.zeros(1_000, np.float32))).all()


def test_normalising_takes_level_and_colour_away() -> None:
    statistics = FeatureStatistics(np.zeros(80, np.float32), np.full(80, 2.0, np.float32), 50.0)
    features = np.random.default_rng(0).normal(0, 2, (2_000, 80)).astype(np.float32)
    normalised = statistics.normalise(features + 7)
    assert normalised.dtype == np.float32
    assert abs(normalised.mean()) < 0.15
    assert normalised.std() == pytest.approx(1, abs=0.02)


def test_the_first_frames_are_drawn_to_the_training_mean() -> None:
    statistics = FeatureStatistics(np.full(80, 3.0, np.float32), np.ones(80, np.float32), 50.0)
    normalised = statistics.normalise(np.full((1, 80), 5.0, np.float32))
    np.testing.assert_allclose(normalised, 2 - 2 / 51, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hop": 0}, "hop"),
        ({"fft_size": 256}, "fft_size"),
        ({"mels": 300}, "mels"),
        ({"high_hz": 9_000.0}, "high_hz"),
    ],
)
def test_impossible_settings_name_the_field(change: dict[str, Any], named: str) -> None:
    with pytest.raises(RangeError, match=named):
        FeatureSettings(**change)
