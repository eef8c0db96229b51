"""Pictures to lay under a player: every column is its own moment, from edge to edge."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model import pictures
from model.features import FeatureExtractor, FeatureSettings
from model.pictures import envelope, level_range, means, spectrogram_png, waveform_png

RATE = 16_000


class Counted:
    """Samples that know the longest piece that was read."""

    def __init__(self, samples: np.ndarray) -> None:
        self._samples = samples
        self.longest = 0

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, place: slice) -> np.ndarray:
        piece = self._samples[place]
        self.longest = max(self.longest, len(piece))
        return piece


def pixels(png: bytes) -> np.ndarray:
    """Return the picture as int (height, width, 4)."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")).astype(int)


@settings(deadline=None)
@given(st.integers(1, 500), st.integers(1, 60), st.integers(1, 200))
def test_the_envelope_is_that_of_each_column(samples: int, columns: int, at_a_time: int) -> None:
    sound = np.random.default_rng(samples).normal(size=samples)
    before, pictures.READ_SAMPLES = pictures.READ_SAMPLES, at_a_time
    try:
        low, high = envelope(sound, columns)
    finally:
        pictures.READ_SAMPLES = before
    for column in range(columns):
        start, stop = column * samples // columns, (column + 1) * samples // columns
        part = sound[start : max(stop, start + 1)]
        assert (low[column], high[column]) == (part.min(), part.max())


def test_a_long_recording_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "READ_SAMPLES", 5000)
    sound = Counted(np.zeros(40 * RATE, np.float32))
    waveform_png(sound, 300, 20)
    spectrogram_png(sound, FeatureSettings(), 300, 20)
    assert sound.longest <= 5000


@pytest.mark.parametrize(("width", "height"), [(50, 20), (317, 61), (1200, 160), (1001, 333)])
def test_pictures_have_the_size_that_was_asked_for(width: int, height: int) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    for png in (
        waveform_png(sound, width, height),
        spectrogram_png(sound, FeatureSettings(), width, height),
    ):
        assert pixels(png).shape == (height, width, 4)


def test_the_wave_is_where_the_sound_is_and_the_ground_is_clear() -> None:
    sound = np.zeros(4 * RATE, np.float32)
    sound[RATE : 2 * RATE] = 0.25 * np.sin(np.arange(RATE))
    drawn = pixels(waveform_png(sound, 400, 100))[:, :, 3] > 128
    heights = drawn.sum(axis=0)
    assert heights[101:199].min() > 90
    assert heights[:99].max() <= 3 and heights[201:].max() <= 3
    assert heights.min() >= 1
    assert drawn[48:52].any(axis=0).all()


def test_the_spectrum_is_from_edge_to_edge_and_low_below() -> None:
    sound = np.zeros(2 * RATE, np.float32)
    time = np.arange(RATE) / RATE
    sound[:RATE] = 0.5 * np.sin(2 * np.pi * 1000 * time)
    sound[RATE:] = 0.5 * np.sin(2 * np.pi * 6000 * time)
    bright = pixels(spectrogram_png(sound, FeatureSettings(), 200, 100))[:, :, :3].sum(axis=2)
    loudest = bright.argmax(axis=0)
    hz = 7600 * (1 - (loudest + 0.5) / 100)
    np.testing.assert_allclose(hz[:99], 1000, atol=160)
    np.testing.assert_allclose(hz[101:], 6000, atol=160)


def test_a_column_is_the_mean_of_frames_spread_over_it() -> None:
    sound = np.random.default_rng(1).normal(0, 0.1, 8 * RATE).astype(np.float32)
    taken = FeatureSettings(kind="spectrogram")
    coarse = pictures._spectra(sound, taken, 4)
    exact = FeatureExtractor(taken).extract(sound)
    whole = np.stack([part.mean(axis=0) for part in np.array_split(exact, 4)])
    assert coarse.shape == (4, taken.size)
    np.testing.assert_allclose(coarse.mean(axis=1), whole.mean(axis=1), atol=0.1)


@pytest.mark.parametrize("samples", [0, 1, 100, 401])
def test_the_shortest_sounds_are_drawn(samples: int) -> None:
    sound = np.full(samples, 0.5, np.float32)
    assert pixels(waveform_png(sound, 60, 20)).shape == (20, 60, 4)
    assert pixels(spectrogram_png(sound, FeatureSettings(), 60, 20)).shape == (20, 60, 4)


def test_means_of_rows() -> None:
    assert means(np.arange(5.0)[:, None], 2).tolist() == [[0.5], [2.5], [4.0]]


def test_the_range_has_a_width() -> None:
    assert level_range(np.array([-100.0, 0.0]), 80.0) == (-80.0, 0.0)
    assert level_range(np.array([-10.0, 0.0]), 80.0) == (-10.0, 0.0)
    assert level_range(np.array([-5.0, -5.0]), 80.0) == (-5.0, -1.0)
