from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.audio import read_audio, stream_audio
from model.errors import AudioFileError

RATE = 16_000


def tone(rate: int = RATE, seconds: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)).astype(
        np.float32
    )


def loudest_hz(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * RATE / len(samples))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tone.wav", {}),
        ("tone.flac", {}),
        ("tone.ogg", {}),
        ("tone.opus", {"format": "OGG", "subtype": "OPUS"}),
        ("tone.mp3", {}),
    ],
)
def test_common_formats_are_read(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    soundfile.write(tmp_path / name, tone(), RATE, **options)
    samples = read_audio(tmp_path / name, RATE)
    assert samples.dtype == np.float32
    assert len(samples) / RATE == pytest.approx(1, abs=0.15)
    assert loudest_hz(samples) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 192_000])
def test_any_rate_becomes_the_one_asked_for(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "tone.wav", tone(rate), rate)
    samples = read_audio(tmp_path / "tone.wav", RATE)
    assert len(samples) == pytest.approx(RATE, abs=2)
    np.testing.assert_allclose(samples[1_000:15_000], tone()[1_000:15_000], atol=2e-3)


def test_channels_are_mixed(tmp_path: Path) -> None:
    channels = np.zeros((RATE, 8), np.float32)
    channels[:, 5] = tone()
    soundfile.write(tmp_path / "eight.wav", channels, RATE, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "eight.wav", RATE), tone() / 8, atol=1e-6)


@pytest.mark.parametrize("rate", [RATE, 44_100])
@pytest.mark.parametrize("block_s", [0.0001, 0.013, 5.0])
def test_block_length_changes_nothing(tmp_path: Path, rate: int, block_s: float) -> None:
    soundfile.write(tmp_path / "tone.wav", tone(rate, 0.2), rate)
    blocks = np.concatenate(list(stream_audio(tmp_path / "tone.wav", RATE, block_s)))
    np.testing.assert_allclose(blocks, read_audio(tmp_path / "tone.wav", RATE), atol=1e-6)


def test_nan_and_infinity_become_sound(tmp_path: Path) -> None:
    samples = tone()
    samples[[3, 4, 5]] = [np.nan, np.inf, -np.inf]
    soundfile.write(tmp_path / "nan.wav", samples, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(tmp_path / "nan.wav", RATE)[3:6], [0, 1, -1])


def test_damaged_file_says_where(tmp_path: Path) -> None:
    path = tmp_path / "cut.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, 4 * RATE), RATE)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + bytes(len(content) // 4))
    with pytest.raises(AudioFileError, match=r"cut\.flac: damaged after [0-9.]+ s"):
        read_audio(path, RATE)


def test_truncated_wav_gives_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    soundfile.write(path, tone(), RATE)
    path.write_bytes(path.read_bytes()[: 44 + RATE])
    assert len(read_audio(path, RATE)) == RATE // 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"the cat sat on the mat\n" * 20, "not readable as WAV, FLAC"),
    ],
)
def test_files_without_audio_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(AudioFileError, match=rf"bad\.wav: .*{message}"):
        read_audio(path, RATE)


def test_no_samples_missing_and_folder(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", np.zeros(0), RATE)
    with pytest.raises(AudioFileError, match="holds no samples"):
        read_audio(tmp_path / "none.wav", RATE)
    with pytest.raises(AudioFileError, match="no such file"):
        read_audio(tmp_path / "missing.wav", RATE)
    with pytest.raises(AudioFileError, match="is a folder"):
        read_audio(tmp_path, RATE)
