"""Files of unknown origin become sound, or a sentence that says why not."""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pytest
import soundfile

from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.events import Notice
from streamer.replay import WavReplaySource
from streamer.web import decoding
from streamer.web.decode_child import END, HEADER, SOUND, TROUBLE, Limits, frames
from streamer.web.decoding import ClientGone, DecodedUpload, limits_for
from streamer.web.errors import TooLarge, Unprocessable, Unsupported, WebError

ROOT = Path(__file__).parents[3]
SPEECH = ROOT / "tests/data/speech"
LIMITS = limits_for(60.0, 32)

FORMATS = [
    ("PCM_16", "WAV"),
    ("FLOAT", "WAV"),
    ("ULAW", "WAVEX"),
    ("PCM_24", "FLAC"),
    ("VORBIS", "OGG"),
    ("OPUS", "OGG"),
    ("MPEG_LAYER_III", "MP3"),
]


def encoded(samples: np.ndarray, rate: int, subtype: str, format: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, subtype=subtype, format=format)
    return file.getvalue()


def noise(seconds: float, rate: int = SAMPLE_RATE, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (round(seconds * rate), channels))


def wav(seconds: float = 1.0, rate: int = SAMPLE_RATE, channels: int = 1) -> bytes:
    return encoded(noise(seconds, rate, channels), rate, "PCM_16", "WAV")


@contextmanager
def upload(content: bytes, limits: Limits = LIMITS, **how: object) -> Iterator[DecodedUpload]:
    with TemporaryFile() as file:
        file.write(content)
        file.flush()
        with DecodedUpload(file, "upload", limits, **how) as source:  # type: ignore[arg-type]
            yield source


def heard(source: DecodedUpload) -> tuple[list[AudioBlock], list[Notice]]:
    items = list(source)
    blocks = [item for item in items if isinstance(item, AudioBlock)]
    return blocks, [item for item in items if isinstance(item, Notice)]


def refused(content: bytes, limits: Limits = LIMITS) -> WebError:
    with pytest.raises(WebError) as caught, upload(content, limits):
        pass
    assert str(caught.value).startswith("the file")
    assert "/proc" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(("subtype", "format"), FORMATS)
def test_the_samples_are_those_that_the_captioner_hears_of_the_file(
    tmp_path: Path, subtype: str, format: str
) -> None:
    content = encoded(noise(1.3, 48_000, 2), 48_000, subtype, format)
    path = tmp_path / "file"
    path.write_bytes(content)
    with WavReplaySource([path], "max", 32) as replay:
        expected = [item for item in replay if isinstance(item, AudioBlock)]
    with upload(content) as source:
        blocks, notices = heard(source)
    assert notices == []
    assert [block.start for block in blocks] == [block.start for block in expected]
    for block, wanted in zip(blocks, expected, strict=True):
        np.testing.assert_array_equal(block.samples, wanted.samples)


def test_the_length_that_a_file_declares_is_known_at_once() -> None:
    with upload(wav(1.5)) as source:
        assert source.duration_s == 1.5
        assert source.lossless


@pytest.mark.parametrize(
    ("content", "kind", "text"),
    [
        (b"hello, this is no sound at all", Unsupported, "is not WAV, FLAC, Ogg"),
        (b"\0" * 5000, Unsupported, "is not WAV, FLAC, Ogg"),
        (b"fLaC", Unsupported, "not readable"),
        (b"OggS" + b"\0" * 100, Unsupported, "not readable"),
        (wav(0.0), Unprocessable, "holds no samples"),
        (encoded(noise(0.1), 8000, "PCM_16", "AIFF"), Unsupported, "is not WAV, FLAC, Ogg"),
        (encoded(noise(0.1), 8000, "GSM610", "WAV"), Unsupported, "is WAV, GSM610; convert"),
        (wav(0.1, channels=65), Unsupported, "65 channels"),
        (wav(0.1, rate=900), Unsupported, "at 900 Hz"),
    ],
)
def test_what_is_no_recording_is_refused(content: bytes, kind: type[WebError], text: str) -> None:
    error = refused(content)
    assert type(error) is kind
    assert text in str(error)


def test_a_header_with_an_absurd_rate_costs_no_memory() -> None:
    content = bytearray(wav())
    struct.pack_into("<I", content, 24, 2**31 - 1)
    assert "2147483647 Hz" in str(refused(bytes(content)))


def test_a_damaged_file_is_heard_up_to_there_and_told() -> None:
    content = bytearray(encoded(noise(4.0), SAMPLE_RATE, "PCM_16", "FLAC"))
    middle = len(content) // 2
    content[middle:] = bytes(len(content) - middle)
    with upload(bytes(content)) as source:
        blocks, notices = heard(source)
    assert 1 < blocks[-1].end / SAMPLE_RATE < 3
    assert [(one.kind, one.level) for one in notices] == [("file_damaged", "error")]
    assert notices[0].text.startswith("the file: damaged")
    assert isinstance(source.trouble, Unprocessable)


def test_a_file_that_says_it_is_too_long_is_refused_at_once() -> None:
    error = refused(wav(3.0), Limits(2.0, 10))
    assert isinstance(error, TooLarge)
    assert "is longer than 0.0333333 minutes, the most here" in str(error)


def test_a_file_that_only_turns_out_too_long_ends_at_the_limit() -> None:
    content = bytearray(encoded(noise(5.0), SAMPLE_RATE, "PCM_16", "FLAC"))
    content[21] &= 0xF0
    content[22:26] = bytes(4)  # 36 bits of the header hold the number of samples.
    with upload(bytes(content), Limits(3.0, 10)) as source:
        assert source.duration_s is None
        blocks, notices = heard(source)
    assert blocks[-1].end == 3 * SAMPLE_RATE
    assert [one.kind for one in notices] == ["file_too_long"]
    assert isinstance(source.trouble, TooLarge)


def test_a_tiny_file_of_hours_of_silence_gets_no_further_than_allowed() -> None:
    content = bytearray(
        encoded(np.zeros(600 * SAMPLE_RATE, np.int16), SAMPLE_RATE, "PCM_16", "FLAC")
    )
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    assert len(content) < 100_000
    with upload(bytes(content), Limits(20.0, 10)) as source:
        blocks, notices = heard(source)
    assert blocks[-1].end == 20 * SAMPLE_RATE
    assert [one.kind for one in notices] == ["file_too_long"]


CHILDREN = {
    "crashes": "import os; os.kill(os.getpid(), 11)",
    "is killed": "import os; os.kill(os.getpid(), 9)",
    "ends without a word": "",
    "breaks off in a frame": "print('H', end='')",
    "sends rubbish": "print('x' * 100_000)",
    "sends an endless frame": "import sys; sys.stdout.buffer.write(b'H' + b'\\xff' * 4)",
    "sends a header that is none": "print('H\\2\\0\\0\\0[]S\\0\\0\\0\\0T\\1\\0\\0\\0x', end='')",
    "stands still": "import threading; threading.Event().wait(60)",
    "computes for ever": "while True: pass",
}


@contextmanager
def played_by(program: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let another program take the place of the decoder, with the same limits."""
    confined = "from streamer.web.decode_child import Limits, confine; confine(Limits(1.0, 1))\n"
    start = subprocess.Popen

    def other(command: list[str], **how: object) -> subprocess.Popen[bytes]:
        return start([*command[:4], "-c", confined + program], **how)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(decoding.subprocess, "Popen", other)
        yield


@pytest.mark.parametrize("what", CHILDREN)
def test_a_decoder_that_fails_is_an_error_and_no_more(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience_s = 0.5 if what == "stands still" else 20.0
    with (
        played_by(CHILDREN[what], monkeypatch),
        pytest.raises(Unprocessable, match="the file: "),
        upload(wav(), patience_s=patience_s) as source,
    ):
        heard(source)
        assert source.trouble is not None
        raise source.trouble


def test_the_decoder_cannot_write_files_nor_take_much_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = f"""
import sys
found = []
try:
    with open({str(tmp_path / "x")!r}, "wb") as file:
        file.write(b"x")
except OSError:
    found.append("no file")
try:
    bytearray(600_000_000)
except MemoryError:
    found.append("no memory")
text = ('{{"kind": "damaged", "text": "the file: ' + ", ".join(found) + '"}}').encode()
sys.stdout.buffer.write(b"T" + len(text).to_bytes(4, "little") + text)
"""
    with played_by(program, monkeypatch):
        assert str(refused(wav())) == "the file: no file, no memory"


def test_the_decoder_gets_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPTIONER_SECRET", "x")
    program = """
import os, sys
text = ('{"kind": "damaged", "text": "the file: ' + " ".join(sorted(os.environ)) + '"}').encode()
sys.stdout.buffer.write(b"T" + len(text).to_bytes(4, "little") + text)
"""
    with played_by(program, monkeypatch):
        assert "SECRET" not in str(refused(wav()))


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def wait_until(condition: Callable[[], bool]) -> None:
    due = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < due
        time.sleep(0.02)


def test_nobody_waiting_ends_the_decoder() -> None:
    waited: list[bool] = []

    def gone() -> bool:
        waited.append(True)
        return len(waited) > 20

    with pytest.raises(ClientGone), upload(wav(50.0), gone=gone) as source:
        child = source._process
        heard(source)
    assert child is not None and not is_running(child.pid)


def test_stopping_ends_the_iteration_and_the_decoder() -> None:
    with upload(wav(50.0)) as source:
        child = source._process
        blocks = iter(source)
        next(blocks)
        source.stop()
        assert sum(1 for _ in blocks) < 100
        assert source.trouble is None
    assert child is not None and not is_running(child.pid)


def test_a_killed_server_takes_its_decoder_along(tmp_path: Path) -> None:
    (tmp_path / "long.wav").write_bytes(wav(50.0))
    program = f"""
import threading
from streamer.web.decoding import DecodedUpload, limits_for
with open({str(tmp_path / "long.wav")!r}, "rb") as file:
    with DecodedUpload(file, "x", limits_for(60.0, 32)) as source:
        print(source._process.pid, flush=True)
        threading.Event().wait()
"""
    server = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT)
    assert server.stdout is not None
    child = int(server.stdout.readline())
    assert is_running(child)
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    server.stdout.close()
    wait_until(lambda: not is_running(child))


def test_frames_of_a_file_are_a_header_sound_and_the_end() -> None:
    path = next(SPEECH.glob("*.opus"))
    kinds = [kind for kind, _ in frames(str(path), LIMITS)]
    assert kinds[0] == HEADER
    assert set(kinds[1:-1]) == {SOUND}
    assert kinds[-1] == END
    assert [kind for kind, _ in frames(str(ROOT / "README.md"), LIMITS)] == [TROUBLE]


def test_the_decoder_loads_little() -> None:
    program = "import sys, streamer.web.decode_child; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint({"flask", "scipy", "onnxruntime", "sqlalchemy", "rich", "yaml"})
