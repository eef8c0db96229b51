from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import welch

from model.errors import SettingsError
from model.variation import noises
from model.variation.noises import (
    COLOURS,
    LEVEL_BLOCK,
    LOWEST_HZ,
    Colour,
    active_power,
    babble,
    coloured_noise,
    find_recordings,
    random_piece,
    recorded_noise,
)

RATE = 16_000


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def write_tone(path: Path, hz: float, seconds: float, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * hz * time), rate)
    return path


def loudest_hz(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * RATE / len(samples))


def test_pauses_do_not_lower_the_level_of_speech() -> None:
    speech = seeded().normal(0, 0.1, 20 * LEVEL_BLOCK)
    pause = seeded(1).normal(0, 1e-4, 60 * LEVEL_BLOCK)
    assert active_power(np.concatenate([pause, speech, pause])) == pytest.approx(
        np.mean(speech**2), rel=1e-6
    )


@pytest.mark.parametrize(("samples", "power"), [([], 0.0), ([0.5, -0.5], 0.25), ([0.0] * 999, 0.0)])
def test_the_level_of_very_little_is_its_mean_square(samples: list[float], power: float) -> None:
    assert active_power(np.array(samples, np.float32)) == power


@pytest.mark.parametrize("colour", COLOURS)
def test_computed_noise_falls_as_its_colour_says(colour: Colour) -> None:
    noise = coloured_noise(colour, 60 * RATE, RATE, seeded())
    assert noise.dtype == np.float32
    assert np.mean(noise.astype(float) ** 2) == pytest.approx(1, rel=1e-3)
    frequencies, power = welch(noise, RATE, nperseg=4096)
    band = (frequencies > 100) & (frequencies < 7000)
    slope, _ = np.polyfit(np.log(frequencies[band]), np.log(power[band]), 1)
    assert slope == pytest.approx(-COLOURS[colour], abs=0.05)
    assert power[frequencies < LOWEST_HZ / 2].max() < 0.01 * power[band].max()


@pytest.mark.parametrize("length", [1, 2, 777])
def test_computed_noise_has_the_length_asked_for(length: int) -> None:
    noise = coloured_noise("pink", length, RATE, seeded())
    assert noise.shape == (length,)
    assert np.isfinite(noise).all()


def test_a_piece_is_cut_from_long_sounds_and_repeats_short_ones() -> None:
    long = np.arange(1000)
    starts = {int(random_piece(long, 10, seeded(seed))[0]) for seed in range(50)}
    assert len(starts) > 30
    for length in (10, 1000):
        np.testing.assert_array_equal(np.diff(random_piece(long, length, seeded())), 1)
    repeated = random_piece(np.arange(4), 11, seeded(3))
    assert len(repeated) == 11
    np.testing.assert_array_equal(np.diff(repeated) % 4, 1)


def test_recorded_noise_of_any_rate_is_brought_to_the_rate_asked_for(tmp_path: Path) -> None:
    path = write_tone(tmp_path / "tone.ogg", 440, 1.0, rate=44_100)
    noise = recorded_noise([path], 3 * RATE, RATE, seeded())
    assert len(noise) == 3 * RATE
    assert loudest_hz(noise) == pytest.approx(440, abs=2)


def test_every_recording_is_drawn(tmp_path: Path) -> None:
    paths = [write_tone(tmp_path / f"{hz}.wav", hz, 0.2) for hz in (300, 600, 900)]
    heard = {round(loudest_hz(recorded_noise(paths, RATE, RATE, seeded(n))), -2) for n in range(30)}
    assert heard == {300, 600, 900}


def test_only_the_start_of_a_very_long_recording_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noises, "LONGEST_RECORDING_S", 1.0)
    samples = np.concatenate([np.full(2 * RATE, 0.1), np.full(RATE, 0.9)])
    soundfile.write(tmp_path / "long.wav", samples, RATE)
    assert recorded_noise([tmp_path / "long.wav"], 9 * RATE, RATE, seeded()).max() < 0.2


def test_babble_is_several_voices_of_equal_level(tmp_path: Path) -> None:
    loud = seeded(1).normal(0, 0.3, RATE)
    paths = [tmp_path / "loud.wav", tmp_path / "quiet.wav"]
    soundfile.write(paths[0], loud.clip(-1, 1), RATE, "FLOAT")
    soundfile.write(paths[1], 0.01 * seeded(2).normal(0, 0.3, RATE), RATE, "FLOAT")
    for seed in range(5):
        mixed = babble(paths, 2 * RATE, RATE, seeded(seed))
        voices = int(seeded(seed).integers(noises.VOICES[0], noises.VOICES[1] + 1))
        assert mixed.shape == (2 * RATE,)
        # Two of the voices may read the same recording, in step or not.
        assert 0.3 * voices < np.mean(mixed**2) < voices**2


def test_recordings_are_found_in_all_folders_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b/2.wav", "b/1.wav", "a.WAV"):
        write_tone(tmp_path / "one" / name, 300, 0.1)
    (tmp_path / "one" / "notes.txt").write_text("no sound")
    write_tone(tmp_path / "two" / "0.flac", 300, 0.1)
    found = find_recordings([str(tmp_path / "one"), str(tmp_path / "two")], "perturbation.noise")
    assert [name for name, _ in found] == ["a.WAV", "b/1.wav", "b/2.wav", "0.flac"]
    assert all(path.is_file() for _, path in found)


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_recordings_is_named_with_its_key(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match=rf"perturbation\.noise: .*{name}: .*give another"):
        find_recordings([str(tmp_path / name)], "perturbation.noise")
