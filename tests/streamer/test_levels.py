"""The level meter: right figures, one warning at a time, whatever the block size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.events import Notice
from streamer.levels import LOWEST_DB, LevelMeter

NOISE = np.random.default_rng(0).uniform(-0.1, 0.1, SAMPLE_RATE).astype(np.float32)
SILENCE = np.zeros(SAMPLE_RATE, np.float32)
LOUD = np.clip(NOISE * 20, -1, 1)
SECONDS = {"n": NOISE, ".": SILENCE, "!": LOUD}


def hear(sound: str, block: int = 512) -> list[tuple[float, Notice]]:
    """Return the notices with the second after which they came; a letter is a second."""
    samples = np.concatenate([SECONDS[letter] for letter in sound])
    meter = LevelMeter()
    notices = []
    for start in range(0, len(samples), block):
        audio = AudioBlock(samples[start : start + block], start)
        notices += [(audio.end / SAMPLE_RATE, notice) for notice in meter.push(audio)]
    return notices


def kinds(sound: str) -> str:
    return " ".join(notice.kind.removeprefix("input_") for _, notice in hear(sound))


@pytest.mark.parametrize(
    ("sound", "expected"),
    [
        ("nnnnn", ""),
        ("n..n..n", ""),
        ("...", "silent"),
        ("n" + "." * 60, "silent"),
        ("n....n", "silent back"),
        ("....n....n", "silent back"),
        ("....n" + "n" * 30 + "....", "silent back silent"),
        ("....n" + "." * 40, "silent back silent"),
        ("n!n", "clipping"),
        ("!!!!!!", "clipping"),
        ("!" + "n" * 31 + "!", "clipping clipping"),
        ("!" * 31, "clipping clipping"),
        ("!....!", "clipping silent back"),
    ],
)
def test_warnings_come_once_and_not_too_often(sound: str, expected: str) -> None:
    assert kinds(sound) == expected


def test_silence_is_told_after_three_seconds_with_the_remedy() -> None:
    [(after_s, notice)] = hear("n" + "." * 5)
    assert after_s == pytest.approx(4.0, abs=0.05)
    assert notice.level == "warning"
    assert "alsamixer" in notice.text
    assert "--list-devices" in notice.text


def test_the_end_of_silence_is_good_news() -> None:
    assert [notice.level for _, notice in hear("....n")] == ["warning", "info"]


def test_a_muted_microphone_with_an_offset_and_a_restless_last_bit_is_silent() -> None:
    meter = LevelMeter()
    bits = np.random.default_rng(1).integers(0, 2, 4 * SAMPLE_RATE) / 32768
    notices = meter.push(AudioBlock((bits + 0.01).astype(np.float32), 0))
    assert [notice.kind for notice in notices] == ["input_silent"]


def test_a_very_quiet_room_is_not_silent() -> None:
    quiet = np.random.default_rng(1).normal(0, 1e-4, 5 * SAMPLE_RATE).astype(np.float32)
    assert LevelMeter().push(AudioBlock(quiet, 0)) == []


def test_single_peaks_do_not_count_as_clipping() -> None:
    peaks = np.zeros(5 * SAMPLE_RATE, np.float32)
    peaks[:: SAMPLE_RATE // 4] = 1.0
    assert LevelMeter().push(AudioBlock(peaks, 0)) == []


def test_the_time_of_lost_audio_counts_between_two_warnings() -> None:
    meter = LevelMeter()
    assert meter.push(AudioBlock(LOUD, 0))
    after_gap = AudioBlock(LOUD, 60 * SAMPLE_RATE, lost_before=59 * SAMPLE_RATE)
    assert [notice.kind for notice in meter.push(after_gap)] == ["input_clipping"]


@given(st.text("n.!", max_size=12), st.integers(100, 70_000))
def test_block_size_makes_no_difference(sound: str, block: int) -> None:
    if sound:
        at_once = [notice for _, notice in hear(sound, len(sound) * SAMPLE_RATE)]
        assert [notice for _, notice in hear(sound, block)] == at_once


@pytest.mark.parametrize("amplitude", [1.0, 0.1, 0.001])
def test_level_of_a_tone(amplitude: float) -> None:
    meter = LevelMeter()
    tone = amplitude * np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    meter.push(AudioBlock(tone.astype(np.float32), 0))
    assert meter.level_db == pytest.approx(20 * np.log10(amplitude) - 3.01, abs=0.05)


def test_level_follows_within_200_ms_and_is_minus_100_for_silence() -> None:
    meter = LevelMeter()
    assert meter.level_db == LOWEST_DB
    meter.push(AudioBlock(NOISE, 0))
    assert meter.level_db == pytest.approx(-24.8, abs=0.5)
    meter.push(AudioBlock(SILENCE[:3200], SAMPLE_RATE))
    assert meter.level_db == LOWEST_DB
