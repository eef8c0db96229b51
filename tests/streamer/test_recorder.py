"""The recording: the same audio, times that stay true, and no harm from a full disk."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.errors import CaptionerError, UsageError
from streamer import recorder as recorder_module
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.events import Notice
from streamer.recorder import AudioRecorder
from streamer.replay import WavReplaySource

REPOSITORY = Path(__file__).resolve().parents[2]
ENDINGS = pytest.mark.parametrize("ending", ["wav", "flac", "FLAC"])

PUSH_FIVE_SECONDS = """
import os, signal, sys
from pathlib import Path
import numpy as np
from streamer.audio import AudioBlock
from streamer.recorder import AudioRecorder

noise = np.random.default_rng(0).integers(-9000, 9000, 80_000).astype(np.float32) / 32768
recorder = AudioRecorder(Path(sys.argv[1]))
notices = []
def push_all():
    for start in range(0, len(noise), 512):
        notices.extend(recorder.push(AudioBlock(noise[start : start + 512], start)))
"""


def noise(samples: int) -> np.ndarray:
    """Noise on the grid of 16 bits, as the microphone gives it."""
    return (np.random.default_rng(0).integers(-9000, 9000, samples) / 32768).astype(np.float32)


def run_python(script: str, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PUSH_FIVE_SECONDS + script, str(path)],
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def replay(path: Path) -> tuple[np.ndarray, list[Notice]]:
    with WavReplaySource([path], "max") as source:
        items = list(source)
    blocks = [item.samples for item in items if isinstance(item, AudioBlock)]
    return np.concatenate(blocks), [item for item in items if isinstance(item, Notice)]


@ENDINGS
def test_a_replay_gives_exactly_what_was_recorded(tmp_path: Path, ending: str) -> None:
    path, audio = tmp_path / f"a.{ending}", noise(20_000)
    recorder = AudioRecorder(path)
    for start in range(0, len(audio), 777):
        assert recorder.push(AudioBlock(audio[start : start + 777], start)) == []
    recorder.close()
    recorder.close()
    heard, notices = replay(path)
    np.testing.assert_array_equal(heard, audio)
    assert notices == []
    assert (soundfile.info(path).samplerate, soundfile.info(path).channels) == (SAMPLE_RATE, 1)


@ENDINGS
def test_lost_audio_becomes_silence_so_that_times_stay_true(tmp_path: Path, ending: str) -> None:
    path, audio = tmp_path / f"a.{ending}", noise(1000)
    lost = 3 * SAMPLE_RATE + 123
    recorder = AudioRecorder(path)
    recorder.push(AudioBlock(audio, 0))
    recorder.push(AudioBlock(audio, 1000 + lost, lost_before=lost))
    recorder.close()
    heard, _ = replay(path)
    np.testing.assert_array_equal(heard, np.concatenate([audio, np.zeros(lost), audio]))


def test_samples_beyond_full_scale_are_clipped_not_wrapped(tmp_path: Path) -> None:
    recorder = AudioRecorder(tmp_path / "a.wav")
    recorder.push(AudioBlock(np.array([2.0, -2.0, 1.0, -1.0], np.float32), 0))
    recorder.close()
    pcm, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert pcm.tolist() == [32767, -32768, 32767, -32768]


@pytest.mark.parametrize(("ending", "may_lack_s"), [("wav", 0.0), ("flac", 0.5)])
def test_a_killed_program_leaves_a_recording_that_plays(
    tmp_path: Path, ending: str, may_lack_s: float
) -> None:
    path = tmp_path / f"a.{ending}"
    done = run_python("push_all(); os.kill(os.getpid(), signal.SIGKILL)", path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    heard, _ = replay(path)
    assert len(heard) >= (5 - may_lack_s) * SAMPLE_RATE
    np.testing.assert_array_equal(heard, noise(80_000)[: len(heard)])


def test_the_wav_header_fits_while_recording(tmp_path: Path) -> None:
    recorder = AudioRecorder(tmp_path / "a.wav")
    recorder.push(AudioBlock(noise(500), 0))
    header = (tmp_path / "a.wav").read_bytes()[:44]
    assert int.from_bytes(header[4:8], "little") == 36 + 1000
    assert int.from_bytes(header[40:44], "little") == 1000
    recorder.close()


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_full_disk_ends_the_recording_once_and_keeps_it(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    limit = """
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
push_all()
recorder.close()
[notice] = notices
print(notice.kind, notice.level, notice.text)
"""
    done = run_python(limit, path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("recording_stopped error")
    assert f"a.{ending}" in done.stdout
    assert "make room" in done.stdout
    heard, _ = replay(path)
    assert len(heard) > SAMPLE_RATE
    np.testing.assert_array_equal(heard, noise(80_000)[: len(heard)])


def test_a_wav_file_ends_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "_WAV_LIMIT", 3000)
    recorder = AudioRecorder(tmp_path / "a.wav")
    assert recorder.push(AudioBlock(noise(1000), 0)) == []
    [notice] = recorder.push(AudioBlock(noise(1000), 1000))
    assert notice.kind == "recording_stopped"
    assert "FLAC" in notice.text
    assert recorder.push(AudioBlock(noise(1000), 2000)) == []
    assert len(replay(tmp_path / "a.wav")[0]) == 1000


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.mp3", "must end in .flac or .wav"),
        ("missing/a.wav", "there is no folder"),
        ("missing/a.flac", "there is no folder"),
        ("folder.wav", "Is a directory"),
    ],
)
def test_a_file_that_cannot_be_opened_is_told_at_once(
    tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(CaptionerError, match=reason):
        AudioRecorder(tmp_path / name)


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_recording_of_nothing_does_not_bar_the_next_one(tmp_path: Path, ending: str) -> None:
    AudioRecorder(tmp_path / f"a.{ending}").close()
    AudioRecorder(tmp_path / f"a.{ending}").close()


def test_a_recording_that_is_there_already_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"a session of yesterday")
    with pytest.raises(UsageError, match="holds something already"):
        AudioRecorder(path)
    assert path.read_bytes() == b"a session of yesterday"
