from __future__ import annotations

import struct
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
    samples[[3, 4, 5, 6]] = [np.nan, np.inf, -np.inf, 3e38]
    soundfile.write(tmp_path / "nan.wav", samples, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(tmp_path / "nan.wav", RATE)[3:7], [0, 1, -1, 1e10])


def test_damaged_file_says_where(tmp_path: Path) -> None:
    path = tmp_path / "cut.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, 4 * RATE), RATE)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + bytes(len(content) // 4))
    with pytest.raises(AudioFileError, match=r"cut\.flac: damaged after 1\.[0-9]+ s"):
        read_audio(path, RATE)


@pytest.mark.parametrize(
    ("name", "options"), [("hole.ogg", {}), ("hole.opus", {"format": "OGG", "subtype": "OPUS"})]
)
def test_sound_cut_out_of_the_middle_is_damage_after_all_the_rest(
    tmp_path: Path, name: str, options: dict[str, str]
) -> None:
    path = tmp_path / name
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 6 * RATE), RATE, **options)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + content[len(content) * 2 // 3 :])
    heard = []
    with pytest.raises(AudioFileError, match=r"hole\..*: damaged: [1-3]\.[0-9]+ s of its sound"):
        heard.extend(stream_audio(path, RATE, 0.5))
    assert 3 * RATE < sum(map(len, heard)) < 5 * RATE


def shift_page(content: bytes, number: int, granules: int) -> bytes:
    """Return an Ogg stream in which one page is stamped ``granules`` later."""
    pages = []
    for index, rest in enumerate(content.split(b"OggS")[1:]):
        page = bytearray(b"OggS" + rest)
        if index == number:
            (position,) = struct.unpack_from("<q", page, 6)
            struct.pack_into("<q", page, 6, position + granules)
        struct.pack_into("<I", page, 22, 0)
        struct.pack_into("<I", page, 22, ogg_checksum(page))
        pages.append(bytes(page))
    return b"".join(pages)


def ogg_checksum(page: bytes) -> int:
    checksum = 0
    for byte in page:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1 ^ (0x04C11DB7 if checksum >> 31 else 0)) & 0xFFFFFFFF
    return checksum


@pytest.mark.parametrize("block_s", [0.02, 10.0])
def test_time_stamps_that_leave_a_hole_in_opus_are_no_damage(
    tmp_path: Path, block_s: float
) -> None:
    path = tmp_path / "hole.opus"
    soundfile.write(path, tone(seconds=5.0), RATE, format="OGG", subtype="OPUS")
    path.write_bytes(shift_page(path.read_bytes(), 4, 489))
    with soundfile.SoundFile(path) as file, pytest.raises(soundfile.SoundFileError):
        file.read()
    samples = np.concatenate(list(stream_audio(path, RATE, block_s)))
    assert len(samples) / RATE == pytest.approx(5, abs=0.05)
    assert loudest_hz(samples) == pytest.approx(440, abs=2)


def test_an_unfinished_flac_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "open.flac"
    soundfile.write(path, tone(), RATE)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)  # 36 bits of the header hold the number of samples.
    path.write_bytes(content)
    assert len(read_audio(path, RATE)) == RATE


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
