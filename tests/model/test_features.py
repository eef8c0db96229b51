from __future__ import annotations

import dataclasses
from typing import Any

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import fft, signal

from model.features import (
    BLOCK_FRAMES,
    KINDS,
    FeatureExtractor,
    FeatureSettings,
    FeatureStatistics,
    Kind,
    mel_filters,
)
from model.recipe import NetworkSettings, Recipe, recipe_from
from model.settings import RangeError
from model.variation.augmentation import AugmentationSettings

SETTINGS = FeatureSettings()
KIND_SETTINGS = [
    *(FeatureSettings(kind=kind) for kind in KINDS),
    FeatureSettings(
        sample_rate=8_000, window=200, hop=67, fft_size=205, mels=17, high_hz=3_500.0, kind="mfcc"
    ),
    FeatureSettings(hop=400, low_hz=0.0, high_hz=8_000.0, kind="spectrogram"),
]


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


def librosa_log_mels(samples: np.ndarray, settings: FeatureSettings = SETTINGS) -> np.ndarray:
    # librosa puts a short window into the middle of the FFT's points.
    before = (settings.fft_size - settings.window) // 2
    power = librosa.feature.melspectrogram(
        y=np.pad(samples, before),
        sr=settings.sample_rate,
        n_fft=settings.fft_size,
        hop_length=settings.hop,
        win_length=settings.window,
        center=False,
        n_mels=settings.mels,
        fmin=settings.low_hz,
        fmax=settings.high_hz,
    )
    return np.log(power.T + 1e-6)[: settings.frames_in(len(samples))]


def test_log_mels_are_those_of_librosa() -> None:
    samples = noise(16_000)
    features = FeatureExtractor(SETTINGS).extract(samples)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, librosa_log_mels(samples), atol=1e-4)


@pytest.mark.parametrize("coefficients", [1, 13, 80])
def test_mfcc_are_those_of_librosa(coefficients: int) -> None:
    samples = noise(16_000)
    settings = FeatureSettings(kind="mfcc", coefficients=coefficients)
    features = FeatureExtractor(settings).extract(samples)
    log_mels = librosa_log_mels(samples)
    expected = librosa.feature.mfcc(S=log_mels.T, n_mfcc=coefficients, dct_type=2, norm="ortho").T
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, atol=1e-4)
    np.testing.assert_allclose(
        features, fft.dct(log_mels.astype(float), norm="ortho")[:, :coefficients], atol=1e-4
    )


@pytest.mark.parametrize(
    ("low_hz", "high_hz", "bins"),
    [
        (0.0, 8_000.0, range(257)),
        (20.0, 7_600.0, range(1, 244)),
        (1_000.0, 4_000.0, range(32, 129)),
    ],
)
def test_the_spectrogram_is_that_of_scipy(low_hz: float, high_hz: float, bins: range) -> None:
    samples = noise(16_000)
    settings = FeatureSettings(kind="spectrogram", low_hz=low_hz, high_hz=high_hz)
    frames, window = settings.frames_in(len(samples)), signal.get_window("hann", settings.window)
    power = np.array(
        [
            np.abs(np.fft.rfft(samples[start : start + settings.window] * window, 512)) ** 2
            for start in settings.hop * np.arange(frames)
        ]
    )
    features = FeatureExtractor(settings).extract(samples)
    assert features.dtype == np.float32
    assert settings.size == len(bins)
    np.testing.assert_allclose(features, np.log(power[:, bins] + 1e-6), atol=1e-4)


def test_a_tone_stands_in_its_bin() -> None:
    settings = FeatureSettings(kind="spectrogram")
    tone = np.sin(2 * np.pi * 1_000 * np.arange(8_000) / settings.sample_rate)
    features = FeatureExtractor(settings).extract(tone.astype(np.float32))
    assert settings.bins[int(features.mean(axis=0).argmax())] == 1_000 * 512 // 16_000


@pytest.mark.parametrize("settings", KIND_SETTINGS)
def test_blocks_of_frames_leave_no_seam(settings: FeatureSettings) -> None:
    samples = noise((2 * BLOCK_FRAMES + 7) * settings.hop)
    extractor = FeatureExtractor(settings)
    features = extractor.extract(samples)
    start = BLOCK_FRAMES - 3
    np.testing.assert_allclose(
        extractor.extract(samples[start * settings.hop :]), features[start:], rtol=0, atol=1e-4
    )


def test_frames_never_look_past_their_window() -> None:
    samples = noise(4_000)
    changed = samples.copy()
    changed[SETTINGS.window + 3 * SETTINGS.hop :] = 0
    extractor = FeatureExtractor(SETTINGS)
    np.testing.assert_array_equal(extractor.extract(changed)[:4], extractor.extract(samples)[:4])


@settings(deadline=None)
@given(st.lists(st.integers(0, 1_500), max_size=12), st.sampled_from(KIND_SETTINGS))
def test_any_chunking_gives_the_features_of_the_whole(
    lengths: list[int], chosen: FeatureSettings
) -> None:
    samples = noise(sum(lengths))
    extractor = FeatureExtractor(chosen)
    stream = extractor.stream()
    pieces = np.split(samples, np.cumsum(lengths)[:-1]) if lengths else []
    streamed = [stream.push(piece) for piece in pieces]
    streamed.append(stream.flush())
    np.testing.assert_allclose(
        np.concatenate(streamed), extractor.extract(samples), rtol=0, atol=5e-5
    )


@settings(deadline=None)
@given(st.integers(0, 5_000), st.sampled_from(KIND_SETTINGS))
def test_shape_is_known_beforehand(samples: int, chosen: FeatureSettings) -> None:
    features = FeatureExtractor(chosen).extract(np.zeros(samples, np.float32))
    assert features.shape == (chosen.frames_in(samples), chosen.size)


def test_a_flushed_stream_starts_anew() -> None:
    extractor = FeatureExtractor(SETTINGS)
    stream = extractor.stream()
    stream.push(noise(399, seed=1))
    stream.flush()
    samples = noise(800)
    np.testing.assert_allclose(stream.push(samples), extractor.extract(samples), atol=1e-6)


@pytest.mark.parametrize("settings", KIND_SETTINGS)
def test_silence_is_finite(settings: FeatureSettings) -> None:
    assert np.isfinite(FeatureExtractor(settings).extract(np.zeros(1_000, np.float32))).all()


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
        ({"kind": "cepstra"}, "kind: must be log_mel, spectrogram or mfcc"),
        ({"coefficients": 0}, "coefficients"),
        ({"kind": "mfcc", "coefficients": 81}, "coefficients: must be at most mels"),
        ({"kind": "spectrogram", "low_hz": 101.0, "high_hz": 120.0}, "high_hz: must leave a bin"),
    ],
)
def test_impossible_settings_name_the_field(change: dict[str, Any], named: str) -> None:
    with pytest.raises(RangeError, match=named):
        FeatureSettings(**change)


@pytest.mark.parametrize("chosen", KIND_SETTINGS)
def test_the_network_takes_frames_of_any_kind(chosen: FeatureSettings) -> None:
    plain = AugmentationSettings(vocal_tract=0.0)
    recipe = Recipe(features=chosen, augmentation=plain)
    assert recipe.network.features == chosen.size
    assert recipe_from(dataclasses.asdict(recipe)) == recipe
    with pytest.raises(RangeError, match=f"its features must be {chosen.size}, got 3"):
        Recipe(features=chosen, augmentation=plain, network=NetworkSettings(features=3))


def test_cepstra_have_no_mel_axis_to_stretch() -> None:
    kinds: dict[Kind, bool] = {"log_mel": True, "spectrogram": True, "mfcc": False}
    for kind, has_axis in kinds.items():
        if has_axis:
            Recipe(features=FeatureSettings(kind=kind))
        else:
            with pytest.raises(RangeError, match="its vocal_tract must be 0"):
                Recipe(features=FeatureSettings(kind=kind))
