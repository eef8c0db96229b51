"""Captions and recordings in parts that belong together, and disks that are full for a while."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.errors import OutputError, ReaderGone
from streamer.events import (
    AudioGap,
    Event,
    FinalTranscript,
    Notice,
    PartialTranscript,
    Status,
    StreamStarted,
    Summary,
    Word,
)
from streamer.rotating import HELD_EVENTS, Patience, RotatingRecorder, RotatingSink
from streamer.rotation import Every, Keeping, Rotation
from streamer.runner import run_inline
from streamer.sinks import SinkGroup
from tests.streamer.disks import full_disk
from tests.streamer.tone_speech import BlockSource, blocks, caption_stream, say, silence

STATUS = Status(1.0, -30.0, 0.0, 0.0, False)


class Stream:
    """A rotation whose parts the test begins, with a clock that stands still unless moved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_s = 0.0
        wall = time.mktime((2026, 11, 23, 12, 0, 0, 0, 0, -1))
        self.rotation = Rotation(Every("day"), lambda: wall + self.now_s, lambda: self.now_s)

    def begin_part(self, second: float) -> None:
        self.now_s = max(self.now_s, second)
        self.rotation.request()
        self.rotation.hear(AudioBlock(np.zeros(1, np.float32), round(second * SAMPLE_RATE)))

    def files(self, ending: str) -> list[Path]:
        return sorted(self.folder.glob(f"*.{ending}"))

    def texts(self, ending: str) -> list[str]:
        return [path.read_text() for path in self.files(ending)]

    def records(self) -> list[list[dict[str, Any]]]:
        return [[json.loads(line) for line in text.splitlines()] for text in self.texts("jsonl")]


@pytest.fixture
def stream(tmp_path: Path) -> Stream:
    return Stream(tmp_path)


def partial(stable: str, start_s: float, number: int = 1) -> PartialTranscript:
    return PartialTranscript(number, stable, "and more", start_s, start_s + 2)


def final(text: str, start_s: float, number: int = 1) -> FinalTranscript:
    words = tuple(
        Word(word, start_s + i, start_s + i + 0.5, 0.9) for i, word in enumerate(text.split())
    )
    end_s = start_s + len(words)
    return FinalTranscript(number, text, words, start_s, end_s, end_s, "silence")


def emit(sink: RotatingSink, *events: Event) -> None:
    for event in events:
        sink.emit(event, 1.0)


# Captions


def test_an_utterance_stands_whole_in_the_part_where_it_begins(stream: Stream) -> None:
    sink = RotatingSink(stream.folder / "talk.txt", stream.rotation)
    emit(sink, partial("it", 95.0))
    stream.begin_part(100.0)
    emit(sink, partial("it goes", 95.0), final("it goes on", 95.0))
    emit(sink, AudioGap(101.0, 0.5), final("later", 102.0, 2))
    sink.close()
    assert stream.texts("txt") == ["it goes on\n", "[audio lost: 0.5 s]\nlater\n"]


def test_a_part_begins_with_the_silence_before_its_first_word(stream: Stream) -> None:
    sink = RotatingSink(stream.folder / "talk.srt", stream.rotation)
    emit(sink, final("one", 10.0))
    stream.begin_part(100.0)
    emit(sink, final("two", 99.7, 2), final("three", 105.0, 3))
    sink.close()
    assert stream.texts("srt") == [
        "1\n00:00:10,000 --> 00:00:11,000\none\n",
        "1\n00:00:00,000 --> 00:00:01,000\ntwo\n\n2\n00:00:05,000 --> 00:00:06,000\nthree\n",
    ]


def test_every_part_of_json_lines_says_where_it_begins(stream: Stream) -> None:
    sink = RotatingSink(stream.folder / "talk.jsonl", stream.rotation)
    emit(sink, StreamStarted("Mic", "small"), final("one", 10.0))
    stream.begin_part(100.25)
    emit(sink, Notice("device_lost", "Gone."), final("two", 110.0, 2))
    emit(sink, Summary(120.0, 2.0, 0.0, 0.1, 2, 2, 0))
    sink.close()
    one, other = stream.records()
    assert [record["type"] for record in one] == ["start", "final", "notice"]
    assert [record["type"] for record in other] == ["start", "final", "summary"]
    assert (one[0]["part"], one[0]["part_start_s"]) == (1, 0.0)
    assert (other[0]["part"], other[0]["part_start_s"]) == (2, 100.25)
    assert other[0]["part_began"].startswith("2026-11-23T12:01:40")
    assert (other[0]["schema"], other[0]["source"]) == (1, "Mic")
    assert other[1]["start_s"] == 110.0


def test_parts_in_which_nothing_was_said_have_no_captions(stream: Stream) -> None:
    sink = RotatingSink(stream.folder / "talk.vtt", stream.rotation)
    for second in (100.0, 200.0, 300.0):
        stream.begin_part(second)
        emit(sink, STATUS)
    emit(sink, final("at last", 310.0))
    sink.close()
    assert [path.name[-10:] for path in stream.files("vtt")] == ["120000.vtt", "120500.vtt"]
    assert stream.texts("vtt")[1].startswith("WEBVTT\n\n1\n00:00:10.000")


def test_an_empty_text_does_not_stay(stream: Stream) -> None:
    RotatingSink(stream.folder / "talk.txt", stream.rotation).close()
    assert stream.files("txt") == []


def test_a_run_that_begins_in_the_same_second_overwrites_nothing(stream: Stream) -> None:
    for text in ("first run", "second run"):
        sink = RotatingSink(stream.folder / "talk.txt", stream.rotation)
        emit(sink, final(text, 1.0))
        sink.close()
    assert sorted(stream.texts("txt")) == ["first run\n", "second run\n"]


def test_the_size_of_a_caption_file_ends_the_part(tmp_path: Path) -> None:
    rotation = Rotation(Every(size=1000))
    sink = RotatingSink(tmp_path / "talk.txt", rotation)
    for second in range(30):
        rotation.hear(AudioBlock(np.zeros(1, np.float32), second * SAMPLE_RATE))
        emit(sink, final("word " * 20, float(second)))
    sink.close()
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 3
    assert max(sizes) < 1200


# Recordings


def push(recorder: RotatingRecorder, second: float, seconds: float = 1.0) -> list[Notice]:
    samples = np.full(round(seconds * SAMPLE_RATE), 0.25, np.float32)
    return recorder.push(AudioBlock(samples, round(second * SAMPLE_RATE)))


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_recordings_of_parts_have_all_audio_between_them(stream: Stream, ending: str) -> None:
    recorder = RotatingRecorder(stream.folder / f"talk.{ending}", stream.rotation)
    for second in range(10):
        stream.now_s = second
        if second in (3, 7):
            stream.rotation.request()
        assert push(recorder, second) == []
    recorder.close()
    durations = [soundfile.info(path).duration for path in stream.files(ending)]
    assert durations == [3.0, 4.0, 3.0]


def test_a_device_that_was_away_at_the_cut_leaves_no_hours_of_silence(stream: Stream) -> None:
    recorder = RotatingRecorder(stream.folder / "talk.wav", stream.rotation)
    push(recorder, 0)
    stream.now_s = 86_400.0
    push(recorder, 86_400.0)
    recorder.close()
    assert [soundfile.info(path).duration for path in stream.files("wav")] == [1.0, 1.0]


def test_old_recordings_go(stream: Stream) -> None:
    recorder = RotatingRecorder(stream.folder / "talk.wav", stream.rotation, Keeping(files=2))
    for second in range(6):
        stream.now_s = second
        stream.rotation.request()
        push(recorder, second)
    recorder.close()
    assert [path.name[-10:] for path in stream.files("wav")] == ["120004.wav", "120005.wav"]


def test_subtitles_fit_the_recording_of_their_part(tmp_path: Path) -> None:
    """Where a cue stands, the recording of the same part has sound."""
    rotation = Rotation(Every("day"))
    recorder = RotatingRecorder(tmp_path / "talk.wav", rotation)
    sink = RotatingSink(tmp_path / "talk.srt", rotation)
    audio = np.concatenate([piece for _ in range(4) for piece in (silence(1.5), say("abc de"))])
    source = BlockSource(blocks(np.concatenate([audio, silence(1.0)])))
    captions = caption_stream(recorder=recorder)
    rotation.watch(lambda: captions.speaking)
    rotating = Requesting(sink, rotation)
    run_inline(source, captions, rotating)
    sink.close()
    recorder.close()
    subtitles = sorted(tmp_path.glob("*.srt"))
    assert len(subtitles) == 4
    for path in subtitles:
        sound, _ = soundfile.read(path.with_suffix(".wav"))
        times = path.read_text().splitlines()[1].split(" --> ")
        start, end = (round(float(time[6:].replace(",", ".")) * SAMPLE_RATE) for time in times)
        assert np.abs(sound[start:end]).max() > 0.01
        assert np.abs(sound[: max(0, start - SAMPLE_RATE // 2)]).max(initial=0) < 0.01


class Requesting:
    """Asks for a new part after every final."""

    def __init__(self, sink: RotatingSink, rotation: Rotation) -> None:
        self._sink, self._rotation = sink, rotation

    def emit(self, event: Event, emitted_s: float) -> None:
        self._sink.emit(event, emitted_s)
        if isinstance(event, FinalTranscript):
            self._rotation.request()

    def close(self) -> None:
        """Nothing to finish."""


# Full disks


class Screen:
    """Remembers the notices."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def emit(self, event: Event, emitted_s: float) -> None:
        if isinstance(event, Notice):
            self.notices.append(event)

    def close(self) -> None:
        """Nothing to finish."""


class Left(Screen):
    """A reader who has left."""

    def emit(self, event: Event, emitted_s: float) -> None:
        raise ReaderGone("left")


@pytest.mark.parametrize("ending", ["txt", "jsonl", "srt", "vtt"])
def test_captions_go_on_in_another_file_when_there_is_room(stream: Stream, ending: str) -> None:
    sink = RotatingSink(stream.folder / f"talk.{ending}", stream.rotation)
    screen = Screen()
    group = SinkGroup({"screen": screen, "talk": sink})
    said = [f"word{number}" for number in range(30)]
    with full_disk(400):
        group.emit(StreamStarted("Mic", "small"), 0.0)
        for number, word in enumerate(said[:20]):
            group.emit(partial(word, float(number), number), 1.0)
            group.emit(final(f"{word} {'x' * 30}", float(number), number), 1.0)
        stream.now_s += 31
        group.emit(STATUS, 1.0)
        assert [notice.kind for notice in screen.notices] == ["writer_stopped"]
        assert "held in memory" in screen.notices[0].text
        assert not group.abandoned
    stream.now_s += 10
    group.emit(STATUS, 1.0)
    assert [notice.kind for notice in screen.notices] == ["writer_stopped"]
    stream.now_s += 60
    group.emit(STATUS, 1.0)
    assert [notice.kind for notice in screen.notices] == ["writer_stopped", "writer_back"]
    for number, word in enumerate(said[20:], start=20):
        group.emit(final(f"{word} {'x' * 30}", float(number), number), 1.0)
    group.close()
    files = sorted(stream.files(ending), key=lambda path: path.stat().st_mtime_ns)
    assert len(files) == 2
    assert files[1].stem == f"{files[0].stem}-2"
    both = "\n".join(path.read_text() for path in files)
    if ending == "jsonl":
        records = [json.loads(line) for line in both.splitlines() if line]
        both = " ".join(record["text"] for record in records if record["type"] == "final")
    # The first file ends with what was settled of the utterance that the second has whole.
    words = [word for word in both.split() if word.startswith("word")]
    assert [word for word, _ in groupby(words)] == said


def test_a_file_that_cannot_even_be_begun_has_one_beginning(stream: Stream) -> None:
    sink = RotatingSink(stream.folder / "talk.jsonl", stream.rotation)
    with full_disk(0):
        emit(sink, StreamStarted("Mic", "small"), final("one", 1.0))
    sink.close()
    assert [[record["type"] for record in file] for file in stream.records()] == [
        ["start", "final"]
    ]


def test_attempts_come_less_and_less_often_until_one_works() -> None:
    now = [0.0]
    patience = Patience(lambda: now[0])

    def waits(times: int) -> Iterator[float]:
        for _ in range(times):
            patience.failed()
            began = now[0]
            while not patience.over:
                now[0] += 1
            yield now[0] - began

    assert list(waits(7)) == [30, 60, 120, 240, 480, 600, 600]
    patience.worked()
    assert list(waits(2)) == [30, 60]


def test_room_at_the_very_end_is_no_failure(stream: Stream) -> None:
    sink = RotatingSink(stream.folder / "talk.txt", stream.rotation)
    group = SinkGroup({"screen": Left(), "talk": sink})
    with full_disk(0):
        group.emit(final("one", 1.0), 1.0)
    group.close()
    assert stream.texts("txt") == ["one\n"]


def test_a_disk_that_is_pulled_out_ends_neither_captions_nor_recording(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = RotatingRecorder(stream.folder / "talk.wav", stream.rotation)
    sink = RotatingSink(stream.folder / "talk.txt", stream.rotation)
    real = Path.stat

    def stat(path: Path, **options: Any) -> Any:
        if path.suffix in (".wav", ".txt"):
            raise OSError(errno.EIO, "Input/output error", str(path))
        return real(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", stat)
        assert push(recorder, 0.0) == []
        emit(sink, final("one", 1.0))
        sink.close()
        recorder.close()
    assert stream.texts("txt") == ["one\n"]
    assert [soundfile.info(path).duration for path in stream.files("wav")] == [1.0]


def test_what_was_held_goes_to_the_parts_that_it_belongs_to(stream: Stream) -> None:
    sink = RotatingSink(stream.folder / "talk.srt", stream.rotation)
    with full_disk(0):
        emit(sink, final("one", 10.0))
        stream.begin_part(100.0)
        emit(sink, final("two", 110.0, 2))
    emit(sink, STATUS)
    sink.close()
    assert [text.split("\n")[1:3] for text in stream.texts("srt")] == [
        ["00:00:10,000 --> 00:00:11,000", "one"],
        ["00:00:10,000 --> 00:00:11,000", "two"],
    ]


def test_a_disk_that_stays_full_costs_no_more_than_so_much_memory(stream: Stream) -> None:
    sink = RotatingSink(stream.folder / "talk.txt", stream.rotation)
    notices: list[Notice] = []
    sink.tell_to(notices.append)
    with full_disk(0):
        for number in range(HELD_EVENTS + 10):
            emit(sink, partial("word", number, number), final("word", number, number))
        with pytest.raises(OutputError, match=f"the last {HELD_EVENTS + 10} events are lost"):
            sink.close()
    stream.now_s += 1000
    emit(sink, STATUS)
    sink.close()
    assert stream.texts("txt") == ["word\n" * HELD_EVENTS]
    assert "10 more, for which there was no room in memory, are lost" in notices[-1].text


def test_no_crowd_of_empty_files_stays_while_the_disk_is_full(stream: Stream) -> None:
    sink = RotatingSink(stream.folder / "talk.vtt", stream.rotation)
    with full_disk(0):
        for number in range(200):
            stream.now_s += 30
            emit(sink, final("word", float(number), number))
    assert len(stream.files("vtt")) == 1
    stream.now_s += 1000
    emit(sink, STATUS)
    sink.close()
    assert len(stream.files("vtt")) == 2


def test_a_recording_goes_on_in_a_new_part_when_there_is_room(stream: Stream) -> None:
    recorder = RotatingRecorder(stream.folder / "talk.wav", stream.rotation)
    told: list[str] = []
    with full_disk(100_000):
        for second in range(60):
            stream.now_s = second
            told += [notice.kind for notice in push(recorder, second)]
    assert told == ["recording_stopped"]
    for second in range(60, 200):
        stream.now_s = second
        told += [notice.kind for notice in push(recorder, second)]
    recorder.close()
    assert told == ["recording_stopped", "recording_back"]
    first, second_file = stream.files("wav")
    assert soundfile.info(first).duration >= 2.0
    assert soundfile.info(second_file).duration > 60
    assert stream.rotation.newest.number == 2
