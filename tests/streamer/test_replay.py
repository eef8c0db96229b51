"""Files replayed as a stream: any format, whole, in equal blocks, at the right pace."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.audio import read_audio
from model.errors import AudioFileError, UsageError
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.events import Notice
from streamer.replay import SILENCE_BETWEEN_FILES_S, WavReplaySource

SILENCE = round(SILENCE_BETWEEN_FILES_S * SAMPLE_RATE)


def write_noise(
    path: Path, seconds: float, rate: int = SAMPLE_RATE, channels: int = 1, **how: str
) -> Path:
    noise = np.random.default_rng(0).normal(0, 0.1, (round(seconds * rate), channels))
    soundfile.write(path, noise, rate, **how)
    return path


def damage(path: Path) -> Path:
    """Overwrite the middle of a file."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    path.write_bytes(content)
    return path


def blocks_of(items: Iterable[AudioBlock | Notice]) -> list[AudioBlock]:
    return [item for item in items if isinstance(item, AudioBlock)]


def audio_of(items: Iterable[AudioBlock | Notice]) -> np.ndarray:
    return np.concatenate([block.samples for block in blocks_of(items)])


def replay(*paths: Path, block_ms: int = 32) -> list[AudioBlock | Notice]:
    with WavReplaySource(paths, "max", block_ms) as source:
        return list(source)


class SteppedTime(threading.Event):
    """A clock that moves on only when it is waited on; also the event that is waited on."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 100.0

    def clock(self) -> float:
        return self.now_s

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.now_s += timeout
        return self.is_set()


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.wav", {}),
        ("a.flac", {}),
        ("a.ogg", {}),
        ("a.mp3", {}),
        ("a.opus", {"format": "OGG", "subtype": "OPUS"}),
    ],
)
def test_every_format_is_heard_whole(tmp_path: Path, name: str, how: dict[str, str]) -> None:
    path = write_noise(tmp_path / name, 0.5, rate=48_000, channels=2, **how)
    heard = audio_of(replay(path))
    assert len(heard) == pytest.approx(0.5 * SAMPLE_RATE, abs=1)
    np.testing.assert_allclose(heard, read_audio(path, SAMPLE_RATE), atol=1e-6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(block_ms=st.integers(10, 500), seconds=st.floats(0.001, 1.5))
def test_blocks_are_equal_and_follow_on(tmp_path: Path, block_ms: int, seconds: float) -> None:
    path = write_noise(tmp_path / "a.wav", seconds)
    blocks = blocks_of(replay(path, block_ms=block_ms))
    length = block_ms * SAMPLE_RATE // 1000
    assert {len(block.samples) for block in blocks[:-1]} <= {length}
    assert 0 < len(blocks[-1].samples) <= length
    assert [block.start for block in blocks] == [i * length for i in range(len(blocks))]
    assert {block.lost_before for block in blocks} == {0}
    np.testing.assert_array_equal(audio_of(blocks), read_audio(path, SAMPLE_RATE))


def test_real_pace_gives_a_block_when_its_last_sample_is_recorded(tmp_path: Path) -> None:
    path = write_noise(tmp_path / "a.wav", 0.25)
    time = SteppedTime()
    with WavReplaySource([path], "real", 100, time.clock, time) as source:
        given_at = [(item.end, time.now_s) for item in source if isinstance(item, AudioBlock)]
    assert [end for end, _ in given_at] == [1600, 3200, 4000]
    assert [now_s for _, now_s in given_at] == pytest.approx([100.1, 100.2, 100.25])


def test_real_pace_catches_up_after_a_slow_reader(tmp_path: Path) -> None:
    path = write_noise(tmp_path / "a.wav", 0.3)
    time = SteppedTime()
    with WavReplaySource([path], "real", 100, time.clock, time) as source:
        items = iter(source)
        next(items)
        time.now_s += 10
        late_s = time.now_s
        assert len(list(items)) == 2
    assert time.now_s == late_s


def test_stop_wakes_the_wait_for_the_next_block(tmp_path: Path) -> None:
    path = write_noise(tmp_path / "a.wav", 2)
    waiting = threading.Event()

    def still_clock() -> float:
        waiting.set()
        return 0.0

    got: list[AudioBlock | Notice] = []
    with WavReplaySource([path], "real", 500, still_clock) as source:
        reader = threading.Thread(target=lambda: got.extend(source), daemon=True)
        reader.start()
        assert waiting.wait(10)
        source.stop()
        reader.join(10)
        assert not reader.is_alive()
    assert got == []


def test_files_are_joined_by_silence_and_announced(tmp_path: Path) -> None:
    one, two = write_noise(tmp_path / "one.wav", 0.25), write_noise(tmp_path / "two.wav", 0.5)
    items = replay(one, two)
    notices = [item for item in items if isinstance(item, Notice)]
    assert [(n.kind, n.level) for n in notices] == [("file", "info")] * 2
    assert ["one.wav" in notices[0].text, "two.wav" in notices[1].text] == [True, True]
    expected = [read_audio(one, SAMPLE_RATE), np.zeros(SILENCE), read_audio(two, SAMPLE_RATE)]
    np.testing.assert_array_equal(audio_of(items), np.concatenate(expected))
    before_second = blocks_of(items[: items.index(notices[1])])[-1].end
    assert 0 <= before_second - (4000 + SILENCE) < 512


def test_a_single_file_is_not_announced(tmp_path: Path) -> None:
    items = replay(write_noise(tmp_path / "a.wav", 0.1))
    assert all(isinstance(item, AudioBlock) for item in items)


def test_a_damaged_file_is_heard_up_to_there_and_the_next_one_follows(tmp_path: Path) -> None:
    broken = damage(write_noise(tmp_path / "broken.flac", 2))
    sound = write_noise(tmp_path / "sound.wav", 0.5)
    items = replay(broken, sound)
    damaged = [item for item in items if isinstance(item, Notice) and item.kind == "file_damaged"]
    assert [notice.level for notice in damaged] == ["error"]
    assert "broken.flac: damaged after" in damaged[0].text
    heard = audio_of(items)
    np.testing.assert_array_equal(heard[-8000:], read_audio(sound, SAMPLE_RATE))
    assert len(heard) > SAMPLE_RATE // 4 + SILENCE + 8000
    before = blocks_of(items[: items.index(damaged[0])])[-1]
    assert before.end >= len(heard) - 8000 - SILENCE


def test_damage_at_the_end_of_the_last_file_is_told(tmp_path: Path) -> None:
    items = replay(damage(write_noise(tmp_path / "broken.flac", 2)))
    assert isinstance(items[-1], Notice)
    assert items[-1].kind == "file_damaged"


@pytest.mark.parametrize("content", [None, b"", b"this is no audio"])
def test_a_bad_file_fails_before_anything_is_heard(tmp_path: Path, content: bytes | None) -> None:
    sound, bad = write_noise(tmp_path / "a.wav", 0.1), tmp_path / "bad.wav"
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(AudioFileError, match=r"bad\.wav"), WavReplaySource([sound, bad], "max"):
        pass


def test_a_file_without_samples_fails_before_anything_is_heard(tmp_path: Path) -> None:
    empty = write_noise(tmp_path / "empty.wav", 0)
    with pytest.raises(AudioFileError, match="holds no samples"), WavReplaySource([empty], "max"):
        pass


def test_no_file_at_all_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no audio file"), WavReplaySource([], "max"):
        pass


def test_name_and_losslessness(tmp_path: Path) -> None:
    source = WavReplaySource([tmp_path / "a.wav"])
    assert source.name == "a.wav"
    assert source.lossless
    assert WavReplaySource([Path("x/a.wav"), Path("b"), Path("c")]).name == "a.wav and 2 more"
