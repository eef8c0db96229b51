from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.errors import TrainingError
from model.variation.rooms import LEAD, Rooms, reverberate, simulate

RATE = 16_000
RANGE = (0.15, 0.3)


def decay_s(response: np.ndarray) -> float:
    """Return the reverberation time by Schroeder's backward integral, from -5 to -25 dB."""
    energy = np.cumsum(response[::-1].astype(float) ** 2)[::-1]
    level_db = 10 * np.log10(energy / energy[0])
    first, last = np.argmax(level_db < -5), np.argmax(level_db < -25)
    return float(3 * (last - first) / RATE)


def test_the_direct_path_is_first_and_the_echo_lasts_about_as_long_as_asked_for() -> None:
    for number in range(6):
        response = simulate(number, RANGE, RATE)
        assert response.dtype == np.float32
        assert np.linalg.norm(response) == pytest.approx(1, abs=1e-5)
        direct = int(np.argmax(np.abs(response) > 0.3 * np.abs(response).max()))
        assert abs(direct - LEAD) <= 2
        assert 0.5 * RANGE[0] < decay_s(response) < 1.7 * RANGE[1]


def test_a_number_decides_its_room() -> None:
    again = simulate.__wrapped__(3, RANGE, RATE)
    np.testing.assert_array_equal(again, simulate(3, RANGE, RATE))
    assert not np.array_equal(simulate(4, RANGE, RATE)[:999], again[:999])


def test_speech_stays_in_its_place() -> None:
    samples = np.zeros(RATE, np.float32)
    samples[5000] = 1
    for number in range(3):
        heard = reverberate(samples, simulate(number, RANGE, RATE))
        assert heard.shape == samples.shape
        assert heard.dtype == np.float32
        onset = int(np.argmax(np.abs(heard) > 0.3 * np.abs(heard).max()))
        assert abs(onset - 5000) <= 2


def test_an_echo_is_that_of_the_definition() -> None:
    samples = np.random.default_rng(0).normal(size=50).astype(np.float32)
    response = np.zeros(LEAD + 8, np.float32)
    response[LEAD], response[LEAD + 7] = 1.0, -0.5
    expected = samples.copy()
    expected[7:] -= 0.5 * samples[:-7]
    np.testing.assert_allclose(reverberate(samples, response), expected, atol=1e-6)
    assert reverberate(samples[:1], response) == pytest.approx(samples[:1], abs=1e-6)


def test_a_filled_folder_gives_the_same_rooms(tmp_path: Path) -> None:
    done: list[int] = []
    kept = Rooms(3, RANGE, RATE, tmp_path / "cache")
    before = [kept.response(number) for number in range(3)]
    kept.fill(done.append)
    assert done == [1, 2, 3]
    for number, response in enumerate(before):
        np.testing.assert_array_equal(kept.response(number), response)
    kept.fill(done.append)
    assert done == [1, 2, 3, 3]
    [path] = (tmp_path / "cache").iterdir()
    assert path.suffix == ".npy"


def test_other_rooms_are_kept_apart_and_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    Rooms(1, RANGE, RATE, tmp_path).fill()
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:200])
    Rooms(1, RANGE, RATE, tmp_path).fill()
    assert np.load(path).shape[0] == 1
    Rooms(1, (0.15, 0.31), RATE, tmp_path).fill()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="--cache"):
        Rooms(1, RANGE, RATE, tmp_path / "file").fill()
