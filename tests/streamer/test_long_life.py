"""Histories have bounds: nothing that Python holds grows with the utterances of a stream."""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from streamer.caption_stream import CaptionStream
from streamer.display import CaptionDisplay
from streamer.events import (
    AudioGap,
    Event,
    FinalTranscript,
    Notice,
    PartialTranscript,
    Status,
    Word,
)
from streamer.log import ProgramLog
from streamer.rotating import RotatingRecorder, RotatingSink
from streamer.rotation import Every, Keeping, Rotation
from streamer.screen import BackgroundSink
from streamer.sinks import SinkGroup
from streamer.writers import FORMATS
from tests.streamer.tone_speech import blocks, caption_stream, say, silence

ROOT = Path(__file__).parents[2]

MORE_OBJECTS = 60
"""Objects of a type that may come and go: what waits for a thread, what a library keeps."""


def objects() -> Counter[str]:
    gc.collect()
    return Counter(f"{type(o).__module__}.{type(o).__qualname__}" for o in gc.get_objects())


def grown(before: Counter[str], after: Counter[str]) -> dict[str, int]:
    return {name: n for name, n in (after - before).items() if n > MORE_OBJECTS}


class Nowhere(io.StringIO):
    """Forgets what is written."""

    def write(self, text: str) -> int:
        return len(text)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ProgramLog]:
    log = ProgramLog(tmp_path / "live.log")
    yield log
    log.close()


def all_sinks(folder: Path, rotation: Rotation, log: ProgramLog) -> SinkGroup:
    screen = CaptionDisplay(Console(file=Nowhere(), force_terminal=True, width=80, height=20))
    files = {
        form: RotatingSink(folder / f"talk.{form}", rotation, Keeping(files=3)) for form in FORMATS
    }
    return SinkGroup({"screen": BackgroundSink(screen, patient=True), **files}, log)


def say_events(group: SinkGroup, first: int, count: int) -> None:
    for number in range(first, first + count):
        at = 3.0 * number
        words = tuple(Word(f"w{number}x{i}", at + i, at + i + 0.5, 0.9) for i in range(3))
        text = " ".join(word.word for word in words)
        events: list[Event] = [
            PartialTranscript(number, "", words[0].word, at, at + 1),
            PartialTranscript(number, words[0].word, words[1].word, at, at + 2),
            FinalTranscript(number, text, words, at, at + 3, at + 3, "silence"),
            Status(at + 3, -30.0, 0.1, 0.0, False),
            Notice("input_silent", f"the input is silent since {at} s"),
            AudioGap(at + 3, 0.1),
        ]
        for event in events:
            group.emit(event, at)


def hear(stream: CaptionStream, group: SinkGroup, at: int, times: int) -> int:
    """Caption utterances from a place of the stream on; return where they end."""
    audio = np.concatenate([say("abc de"), silence(1.3)])
    for _ in range(times):
        for block in blocks(audio):
            moved = type(block)(block.samples, at + block.start)
            for event in stream.recognize(stream.hear(moved)):
                group.emit(event, 0.0)
        at += len(audio)
    return at


def test_thousands_of_events_leave_nothing_in_any_sink(tmp_path: Path, log: ProgramLog) -> None:
    rotation = Rotation(Every(size=30_000))
    recorder = RotatingRecorder(None, rotation)
    group = all_sinks(tmp_path, rotation, log)
    counts = []
    for turn in range(3):
        for hundred in range(2):
            first = 200 * turn + 100 * hundred
            say_events(group, first, 100)
            for block in blocks(silence(0.04)):
                recorder.push(type(block)(block.samples, round(3.0 * first * 16_000)))
        counts.append(objects())
    group.close()
    assert rotation.newest.number >= 5
    assert grown(counts[1], counts[2]) == {}
    # Three of each format, and the log.
    assert len(list(tmp_path.iterdir())) == 3 * len(FORMATS) + 1


def test_many_utterances_leave_nothing_in_the_live_path(tmp_path: Path, log: ProgramLog) -> None:
    rotation = Rotation(Every("day"))
    recorder = RotatingRecorder(tmp_path / "talk.wav", rotation, Keeping(files=2))
    group = all_sinks(tmp_path, rotation, log)
    stream = caption_stream(recorder=recorder)
    rotation.watch(lambda: stream.speaking)
    at = hear(stream, group, 0, 8)
    counts = []
    for _ in range(2):
        rotation.request()
        at = hear(stream, group, at, 8)
        counts.append(objects())
    recorder.close()
    group.close()
    assert stream.summary().utterances == 24
    assert rotation.newest.number == 3
    assert grown(*counts) == {}


LEAPING = """
import sys, time
from pathlib import Path
import numpy as np
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.events import FinalTranscript, Word
from streamer.rotating import RotatingRecorder, RotatingSink
from streamer.rotation import Every, Rotation

folder, clock = Path(sys.argv[1]), Path(sys.argv[2])
rotation = Rotation(Every("hour"))
recorder = RotatingRecorder(folder / "talk.wav", rotation)
sink = RotatingSink(folder / "talk.srt", rotation)
began = time.monotonic()
for number, now in enumerate(sys.argv[3:]):
    clock.write_text(now)
    for second in range(70):
        start = (70 * number + second) * SAMPLE_RATE
        recorder.push(AudioBlock(np.zeros(SAMPLE_RATE, np.float32), start))
    at = 70.0 * number + 65
    word = Word(f"word{number}", at, at + 1, 0.9)
    sink.emit(FinalTranscript(number, word.word, (word,), at, at + 1, at + 1, "silence"), at)
sink.close()
recorder.close()
assert time.monotonic() - began < 3600, "the steady clock leapt"
"""

LIBRARIES = [
    path
    for pattern in ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/*MT.so.1")
    for path in Path("/").glob(pattern.lstrip("/"))
]


@pytest.mark.skipif(not LIBRARIES, reason="needs the Debian package libfaketime")
def test_a_program_whose_clock_leaps_writes_everything_once(tmp_path: Path) -> None:
    """The whole process sees another time, as after an NTP step, forward and back."""
    clock, folder = tmp_path / "clock", tmp_path / "files"
    folder.mkdir()
    times = [
        "@1970-01-02 03:00:00",
        "@2026-11-23 11:59:00",
        "@2026-11-23 12:30:00",
        "@2026-11-23 11:40:00",
        "@2099-01-01 00:00:00",
        "@2026-11-23 11:45:00",
    ]
    clock.write_text(times[0])
    environment = {
        **os.environ,
        "TZ": "UTC",
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", LEAPING, str(folder), str(clock), *times],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    texts = [path.read_text() for path in sorted(folder.glob("*.srt"))]
    words = sorted(word for text in texts for word in text.split() if word.startswith("word"))
    assert words == [f"word{number}" for number in range(len(times))]
    recorded = sum((path.stat().st_size - 44) // 32_000 for path in folder.glob("*.wav"))
    assert recorded == 70 * len(times)
    days = [path.name[5:13] for path in sorted(folder.glob("*.wav"))]
    assert days == ["19700102", "20261123", "20261123", "20261123", "20990101"]
