"""Verdicts on a level, by synthetic signals and the bundled recordings."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.audio import read_audio
from streamer.doctor.finding import Finding
from streamer.doctor.level import Level, find_hum, judge, judge_channels, measure
from streamer.levels import LOWEST_DB

RATE = 16_000
CLIPS = sorted((Path(__file__).parents[2] / "data/speech").glob("*.opus"))
LOUDNESS = ("silent", "quiet", "good", "clipping")


@cache
def speech(clip: int, rate: int = RATE) -> np.ndarray:
    """Return the loudest three seconds of a recording, float64 (n, 1), at a usual level."""
    samples = read_audio(CLIPS[clip], rate).astype(float)
    length = 3 * rate
    starts = range(0, max(1, len(samples) - length), rate // 2)
    start = max(starts, key=lambda at: float(np.square(samples[at : at + length]).sum()))
    piece = samples[start : start + length]
    return (0.1 * piece / np.sqrt(np.mean(piece**2)))[:, None].clip(-0.98, 0.98)


def mains(frequency: float, count: int, rate: int = RATE, harmonics: int = 1) -> np.ndarray:
    """Return hum of root mean square 1, float64 (n, 1), its harmonics each half the one before."""
    moments = np.arange(count) / rate
    parts = [
        np.sin(2 * np.pi * frequency * n * moments + n) / 2 ** (n - 1)
        for n in range(1, harmonics + 1)
    ]
    hum: np.ndarray = np.sum(parts, axis=0)
    return (hum / np.sqrt(np.mean(hum**2)))[:, None]


def verdict(level: Level) -> str:
    return judge(level)[0].text.split(": ")[0]


def named(findings: list[Finding], check: str) -> list[Finding]:
    return [finding for finding in findings if finding.check == check]


def with_hum(samples: np.ndarray, hum: np.ndarray, ratio_db: float) -> np.ndarray:
    power = np.sqrt(np.mean(samples**2)) * 10 ** (-ratio_db / 20)
    mixed: np.ndarray = samples + power * hum
    return mixed


@pytest.mark.parametrize("clip", range(len(CLIPS)))
def test_speech_is_good_and_has_no_other_fault(clip: int) -> None:
    [finding] = judge(measure(speech(clip), RATE))
    assert (finding.status, finding.remedy) == ("ok", "")
    assert finding.text.startswith("good: peak ")


@pytest.mark.parametrize("clip", [0, 5, 11])
def test_more_gain_never_gives_a_lower_verdict(clip: int) -> None:
    rounded = [
        np.rint(speech(clip) * 10 ** (gain / 20) * 32768).clip(-32768, 32767) / 32768
        for gain in range(-90, 50, 10)
    ]
    found = [verdict(measure(samples, RATE)) for samples in rounded]
    places = [LOUDNESS.index(each) for each in found]
    assert places == sorted(places)
    assert set(found) == set(LOUDNESS)


@settings(max_examples=20)
@given(st.floats(0.001, 1.0))
def test_levels_follow_the_gain(gain: float) -> None:
    whole, part = measure(speech(0), RATE), measure(gain * speech(0), RATE)
    for name in ("peak_db", "rms_db", "speech_db"):
        lowered = getattr(part, name) - getattr(whole, name)
        assert lowered == pytest.approx(20 * np.log10(gain), abs=1e-6)


@pytest.mark.parametrize("clip", [3, 6, 9])
@pytest.mark.parametrize("frequency", [50, 60, 49.9, 60.05])
@pytest.mark.parametrize(("harmonics", "ratio_db"), [(1, 20), (1, 25), (4, 20)])
def test_hum_is_found_in_speech(
    clip: int, frequency: float, harmonics: int, ratio_db: float
) -> None:
    samples = speech(clip)
    hum = mains(frequency, len(samples), harmonics=harmonics)
    level = measure(with_hum(samples, hum, ratio_db), RATE)
    assert level.hum.mains_hz == round(frequency, -1)
    assert level.hum.level_db == pytest.approx(level.rms_db - ratio_db, abs=3)
    [found] = named(judge(level), "hum")
    assert found.status == "warning"
    assert f"{level.hum.mains_hz} Hz" in found.text and found.remedy


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_hum_is_found_at_any_rate(rate: int) -> None:
    samples = speech(4, rate)
    assert find_hum(samples[:, 0], rate).mains_hz == 0
    hummed = with_hum(samples, mains(50, len(samples), rate), 20)
    assert find_hum(hummed[:, 0], rate).mains_hz == 50


def test_a_glide_and_white_noise_are_no_hum() -> None:
    moments = np.arange(3 * RATE) / RATE
    glide = 0.1 * np.sin(2 * np.pi * (45 * moments + 5 * moments**2))
    noise = 0.1 * np.random.default_rng(0).normal(size=3 * RATE)
    assert find_hum(glide, RATE).mains_hz == find_hum(noise, RATE).mains_hz == 0


def test_digital_silence_is_a_failure_with_a_remedy() -> None:
    for offset in (0.0, 0.2):
        level = measure(np.full((3 * RATE, 1), offset), RATE)
        finding = judge(level)[0]
        assert (finding.status, verdict(level)) == ("failure", "silent")
        assert "alsamixer" in finding.remedy
    assert measure(np.zeros((100, 1)), RATE).peak_db == LOWEST_DB


def test_an_offset_is_told_and_spoils_no_other_figure() -> None:
    plain, shifted = measure(speech(2), RATE), measure(speech(2) + 0.02, RATE)
    assert shifted.offset - plain.offset == pytest.approx(0.02, abs=1e-9)
    assert shifted.rms_db == pytest.approx(plain.rms_db)
    assert shifted.floor_db == pytest.approx(plain.floor_db)
    assert named(judge(shifted), "offset")[0].status == "warning"
    assert not named(judge(plain), "offset")


def test_samples_that_are_no_numbers_are_told_and_left_out() -> None:
    samples = speech(2).copy()
    samples[::100] = np.nan
    samples[7] = np.inf
    level = measure(samples, RATE)
    assert level.broken == pytest.approx(0.01, abs=0.001)
    assert np.isfinite([level.peak_db, level.rms_db, level.floor_db, level.offset]).all()
    assert named(judge(level), "broken")[0].status == "failure"


def test_an_unused_channel_is_told_and_changes_no_figure() -> None:
    alone = measure(speech(1), RATE)
    beside = measure(np.hstack([0 * speech(1), speech(1)]), RATE)
    assert beside.rms_db == pytest.approx(alone.rms_db)
    [found] = judge_channels(beside)
    assert (found.status, "only channel 2 of 2" in found.text) == ("ok", True)
    [found] = judge_channels(beside, measure(0 * speech(1), RATE))
    assert (found.status, "channel 1" in found.remedy) == ("failure", True)


def test_opposed_channels_are_told() -> None:
    opposed = measure(np.hstack([speech(1), -0.9 * speech(1)]), RATE)
    [found] = judge_channels(opposed)
    assert found.status == "warning" and "cancel" in found.text
    for other in (speech(1), 0.5 * speech(1)):
        assert not list(judge_channels(measure(np.hstack([speech(1), other]), RATE)))


def test_steady_noise_is_told_apart_from_speech() -> None:
    noise = 0.05 * np.random.default_rng(1).normal(size=(3 * RATE, 1))
    assert verdict(measure(noise, RATE)).startswith("noise")
    assert verdict(measure(0.01 * noise, RATE)) == "quiet"


@pytest.mark.parametrize("count", [1, 2, 799, 801])
def test_any_length_is_measured(count: int) -> None:
    level = measure(speech(0)[:count], RATE)
    assert level.seconds == pytest.approx(count / RATE)
    assert judge(level)
