from __future__ import annotations

import numpy as np
import pytest

from model.variation.channels import (
    CODECS,
    CodecName,
    change_speed,
    encode,
    fit_length,
    low_pass,
    set_peak,
    telephone_band,
)

RATE = 16_000


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def tone(hz: float, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def gain_db(changed: np.ndarray, samples: np.ndarray) -> float:
    inner = slice(len(samples) // 4, -len(samples) // 4)
    return float(10 * np.log10(np.mean(changed[inner] ** 2) / np.mean(samples[inner] ** 2)))


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.1])
def test_speed_changes_length_and_pitch_together(factor: float) -> None:
    changed = change_speed(tone(400), factor)
    assert changed.dtype == np.float32
    assert len(changed) == pytest.approx(RATE / factor, abs=1)
    peak = np.abs(np.fft.rfft(changed)).argmax() * RATE / len(changed)
    assert peak == pytest.approx(400 * factor, abs=2)


@pytest.mark.parametrize("cutoff_hz", [3000.0, 5500.0])
def test_what_is_above_the_cut_off_is_gone_and_what_is_below_stays(cutoff_hz: float) -> None:
    for hz, lowest, highest in ((0.8 * cutoff_hz, -0.5, 0.5), (1.2 * cutoff_hz, -300, -50)):
        changed = low_pass(tone(hz), RATE, cutoff_hz)
        assert changed.shape == (RATE,)
        assert lowest < gain_db(changed, tone(hz)) < highest


def test_a_cut_off_above_half_the_rate_changes_next_to_nothing() -> None:
    changed = low_pass(tone(1000), RATE, 12_000.0)
    np.testing.assert_allclose(changed[200:-200], tone(1000)[200:-200], atol=1e-3)


@pytest.mark.parametrize(
    ("hz", "lowest", "highest"),
    [(100, -90, -30), (300, -4, -2), (1000, -0.1, 0.1), (3400, -4, -2), (6000, -90, -30)],
)
def test_a_telephone_passes_its_band(hz: float, lowest: float, highest: float) -> None:
    assert lowest < gain_db(telephone_band(tone(hz), RATE), tone(hz)) < highest


@pytest.mark.parametrize("name", CODECS)
def test_codecs_keep_what_is_in_their_band_in_its_place(name: CodecName) -> None:
    random = seeded()
    noise = random.normal(size=2 * RATE) * np.repeat(random.uniform(0, 1, 20), RATE // 10)
    samples = 0.1 * low_pass(noise.astype(np.float32), RATE, 2_000.0)
    for seed in range(3):
        decoded = encode(samples, RATE, name, seeded(seed))
        assert decoded.dtype == np.float32
        assert decoded.shape == samples.shape
        shifts = range(-160, 161)
        matches = [float(np.roll(decoded, shift) @ samples) for shift in shifts]
        assert abs(shifts[int(np.argmax(matches))]) <= 1
        assert np.corrcoef(decoded, samples)[0, 1] > 0.7
        assert not np.allclose(decoded, samples, atol=1e-5)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("length", [1, 321, 8000])
def test_codecs_keep_the_length_and_repeat_themselves(name: CodecName, length: int) -> None:
    samples = seeded().normal(0, 0.5, length).astype(np.float32)
    first, second = (encode(samples, RATE, name, seeded(4)) for _ in range(2))
    assert first.shape == (length,)
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, second)


def test_mu_law_is_that_of_its_definition() -> None:
    samples = low_pass(tone(700) + 0.3 * tone(1100), RATE, 2_000.0)
    compressed = np.sign(samples) * np.log1p(255 * np.abs(samples)) / np.log(256)
    rounded = np.round(compressed * 127) / 127
    expected = np.sign(rounded) * (256 ** np.abs(rounded) - 1) / 255
    error = encode(samples, RATE, "mulaw", seeded()) - samples
    assert gain_db(error, samples) == pytest.approx(gain_db(expected - samples, samples), abs=2)


@pytest.mark.parametrize("peak_db", [-30.0, -6.0, 0.0])
def test_the_peak_has_the_level_asked_for(peak_db: float) -> None:
    changed = set_peak(tone(300), peak_db)
    assert np.abs(changed).max() == pytest.approx(10 ** (peak_db / 20), rel=1e-4)
    np.testing.assert_allclose(changed / np.abs(changed).max(), tone(300) / 0.3, atol=1e-3)


def test_above_full_scale_the_sound_is_cut_off() -> None:
    changed = set_peak(tone(300), 6.0)
    assert np.abs(changed).max() == 1
    assert np.mean(np.abs(changed) == 1) == pytest.approx(2 / 3, abs=0.02)
    np.testing.assert_array_equal(set_peak(np.zeros(5, np.float32), 6.0), np.zeros(5))


def test_lengths_are_fitted_at_the_end() -> None:
    np.testing.assert_array_equal(fit_length(np.arange(4.0), 2), [0, 1])
    np.testing.assert_array_equal(fit_length(np.arange(2.0), 4), [0, 1, 0, 0])
