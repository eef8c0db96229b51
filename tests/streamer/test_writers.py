"""Writers and the sink group: golden texts, files cut anywhere, disks full, readers gone."""

from __future__ import annotations

import html
import io
import json
import os
import re
import subprocess
import sys
import unicodedata
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import UsageError
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
from streamer.sinks import GuardedSink, SinkGroup
from streamer.writers import (
    JsonLinesWriter,
    PlainWriter,
    SubtitleWriter,
    new_writer,
    open_sink,
    printable,
)

ROOT = Path(__file__).parents[2]

SENTENCE = (
    "the old man was thin and gaunt with deep wrinkles in the back of his neck and the brown"
    " blotches of the benevolent skin cancer the sun brings"
)


def final(text: str, start_s: float = 0.0, word_s: float = 0.4, number: int = 1) -> FinalTranscript:
    """Return a final whose words follow each other, ``word_s`` seconds each."""
    words = tuple(
        Word(word, start_s + place * word_s, start_s + (place + 1) * word_s, 0.9)
        for place, word in enumerate(text.split())
    )
    end_s = words[-1].end_s if words else start_s
    return FinalTranscript(number, text, words, start_s, end_s, end_s + 0.5, "silence")


def written(format: str, *events: Event) -> str:
    """Return what a writer makes of events."""
    file = io.StringIO()
    sink = new_writer(file, format)
    for event in events:
        sink.emit(event, 1.0)
    sink.close()
    return file.getvalue()


class ListSink:
    """Remember what it is given; fail from the first event of a kind on."""

    def __init__(self, fails_on: type | None = None, error: Exception | None = None) -> None:
        self.events: list[Event] = []
        self.closed = 0
        self.close_error: Exception | None = None
        self._fails_on = fails_on
        self._error = error

    def emit(self, event: Event, emitted_s: float) -> None:
        if self._error is not None and self._fails_on is type(event):
            raise self._error
        self.events.append(event)

    def close(self) -> None:
        self.closed += 1
        if self.close_error is not None:
            raise self.close_error


# Text from outside


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x1b]0;title\x07", "]0;title"),
        ("\x9b2J gone", "2J gone"),
        ("two\r\nlines\tand tab", "two lines and tab"),
        ("next\x85line\u2028end", "next line end"),
        ("\u202eevil\u2066", "evil"),
        ("broken \udc80 name", "broken  name"),
        ("naïve שלום 日本 👩\u200d🚀", "naïve שלום 日本 👩\u200d🚀"),
    ],
)
def test_text_from_outside_is_made_one_harmless_line(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_printable_text_has_no_control_characters(text: str) -> None:
    shown = printable(text)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert printable(shown) == shown
    shown.encode()


# Plain lines


def test_plain_lines_hold_finals_and_gaps_only() -> None:
    events: list[Event] = [
        StreamStarted("Mic", "small"),
        PartialTranscript(1, "good", "mor", 0.0, 1.0),
        final("good morning"),
        final("", 3.0),
        AudioGap(4.0, 1.2345),
        Status(5.0, -30.0, 0.1, 1.2, True),
        final("all\x1b[2J of you", 6.0),
        Summary(9.0, 4.0, 1.2, 0.1, 3, 5, 1),
    ]
    assert written("txt", *events) == "good morning\n[audio lost: 1.2 s]\nall[2J of you\n"


def test_warnings_and_errors_go_to_standard_error_and_infos_do_not() -> None:
    file, notices = io.StringIO(), io.StringIO()
    sink = PlainWriter(file, notices=notices)
    sink.emit(Notice("device_back", "The microphone is back.", "info"), 1.0)
    sink.emit(Notice("device_lost", "The microphone \x1bis gone; plug it in."), 2.0)
    sink.emit(Notice("writer_stopped", "Disk full.", "error"), 3.0)
    assert file.getvalue() == ""
    assert notices.getvalue() == "warning: The microphone is gone; plug it in.\nerror: Disk full.\n"


def test_captions_go_on_when_standard_error_cannot_be_written() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    file = io.StringIO()
    sink = PlainWriter(file, notices=Full())
    sink.emit(Notice("device_lost", "Gone."), 1.0)
    sink.emit(final("still here"), 2.0)
    assert file.getvalue() == "still here\n"


# JSON Lines

RECORDS: list[tuple[Event, dict[str, Any] | None]] = [
    (
        StreamStarted("USB\x1b Mic", "small"),
        {"type": "start", "schema": 1, "source": "USB Mic", "model": "small", "emitted_s": 1.235},
    ),
    (
        PartialTranscript(2, "good", "morning every", 1.00049, 2.5),
        {
            "type": "partial",
            "utterance": 2,
            "stable": "good",
            "tail": "morning every",
            "start_s": 1.0,
            "audio_s": 2.5,
            "emitted_s": 1.235,
        },
    ),
    (
        FinalTranscript(2, "good", (Word("good", 1.11111, 1.5, 0.98765),), 1.0, 1.6, 2.1, "gap"),
        {
            "type": "final",
            "utterance": 2,
            "text": "good",
            "words": [{"word": "good", "start_s": 1.111, "end_s": 1.5, "confidence": 0.988}],
            "start_s": 1.0,
            "end_s": 1.6,
            "audio_s": 2.1,
            "emitted_s": 1.235,
            "reason": "gap",
        },
    ),
    (
        FinalTranscript(3, "", (), 3.0, 3.2, 3.6, "end"),
        {
            "type": "final",
            "utterance": 3,
            "text": "",
            "words": [],
            "start_s": 3.0,
            "end_s": 3.2,
            "audio_s": 3.6,
            "emitted_s": 1.235,
            "reason": "end",
        },
    ),
    (
        AudioGap(4.0, 0.25),
        {"type": "gap", "start_s": 4.0, "lost_s": 0.25, "emitted_s": 1.235},
    ),
    (
        Notice("input_silent", "Nothing is heard; unmute it.", "warning"),
        {
            "type": "notice",
            "kind": "input_silent",
            "level": "warning",
            "text": "Nothing is heard; unmute it.",
            "emitted_s": 1.235,
        },
    ),
    (Status(5.0, -30.0, 0.1, 1.2, True), None),
    (
        Summary(9.0, 4.0, 0.25, 0.12345, 2, 1, 1),
        {
            "type": "summary",
            "audio_s": 9.0,
            "speech_s": 4.0,
            "lost_s": 0.25,
            "rtf": 0.123,
            "utterances": 2,
            "words": 1,
            "partials": 1,
            "emitted_s": 1.235,
        },
    ),
]


@pytest.mark.parametrize(("event", "record"), RECORDS, ids=lambda value: type(value).__name__)
def test_json_lines_have_exactly_the_fields_of_the_schema(
    event: Event, record: dict[str, Any] | None
) -> None:
    file = io.StringIO()
    JsonLinesWriter(file).emit(event, 1.23456)
    lines = file.getvalue().splitlines()
    assert [json.loads(line) for line in lines] == ([] if record is None else [record])
    assert file.getvalue().isascii()


def test_json_numbers_may_come_from_numpy() -> None:
    numpy = pytest.importorskip("numpy")
    gap = AudioGap(numpy.float32(1.2), numpy.float64(0.5))
    assert json.loads(written("jsonl", gap))["start_s"] == 1.2


# Subtitles


@dataclass(frozen=True)
class Cue:
    """A parsed cue; times in milliseconds."""

    number: int
    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


def milliseconds(hours: str, minutes: str, seconds: str, ms: str) -> int:
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(ms)


def parse_cue(block: str, kind: str) -> Cue:
    """Parse a cue strictly; raise ValueError for anything that the format does not allow."""
    number, times, *lines = block.split("\n")
    mark = "," if kind == "srt" else r"\."
    clock = rf"(\d\d):([0-5]\d):([0-5]\d){mark}(\d\d\d)"
    match = re.fullmatch(f"{clock} --> {clock}", times)
    if not re.fullmatch("[1-9][0-9]*", number) or match is None or not all(lines) or not lines:
        raise ValueError(f"no cue: {block!r}")
    if kind == "vtt":
        if re.search("[<>]|&(?!amp;|lt;|gt;)", "\n".join(lines)):
            raise ValueError(f"not escaped: {block!r}")
        lines = [html.unescape(line) for line in lines]
    fields = match.groups()
    return Cue(int(number), milliseconds(*fields[:4]), milliseconds(*fields[4:]), tuple(lines))


def blocks(text: str, kind: str) -> list[str]:
    """Return the cue blocks of a file, the header taken off."""
    if kind == "vtt":
        header, _, text = text.partition("\n")
        if header != "WEBVTT" or (text and not text.startswith("\n")):
            raise ValueError("no WebVTT header")
        text = text[1:]
    return text.removesuffix("\n").split("\n\n") if text else []


def parse_subtitles(text: str, kind: str) -> list[Cue]:
    """Parse a whole file strictly."""
    if text and not text.endswith("\n"):
        raise ValueError("the last line is not ended")
    return [parse_cue(block, kind) for block in blocks(text, kind)]


SRT = """\
1
00:00:01,000 --> 00:00:05,500
the old man was thin and gaunt with deep
wrinkles in the back of his neck and the

2
00:00:05,500 --> 00:00:08,000
brown blotches of the benevolent skin
cancer the sun brings

3
01:00:00,500 --> 01:00:01,500
<b> & so
"""


def test_subrip_text_and_cues_split_by_length() -> None:
    text = written(
        "srt",
        final(SENTENCE, 1.0, word_s=0.25),
        final("", 20.0),
        AudioGap(30.0, 2.0),
        final("<b> & so", 3600.5, word_s=0.1),
    )
    assert text == SRT


def test_webvtt_text_has_a_header_and_escapes() -> None:
    assert written("vtt") == "WEBVTT\n"
    text = written("vtt", final("a <b> & c-->d", 0.5, word_s=0.3))
    assert text == ("WEBVTT\n\n1\n00:00:00.500 --> 00:00:01.700\na &lt;b&gt; &amp; c--&gt;d\n")


def test_cue_lasts_no_longer_than_seven_seconds() -> None:
    cues = parse_subtitles(written("srt", final("one two three four five", word_s=3.0)), "srt")
    assert [cue.lines for cue in cues] == [("one two",), ("three four",), ("five",)]


def test_short_cues_are_shown_long_enough_and_do_not_overlap() -> None:
    cues = parse_subtitles(
        written("srt", final("yes", 1.0, 0.2), final("no", 1.5, 0.2), final("so", 9.0, 2.0)), "srt"
    )
    assert [(cue.start_ms, cue.end_ms) for cue in cues] == [
        (1_000, 2_000),
        (2_000, 3_000),
        (9_000, 11_000),
    ]


words_of_any_script = st.text(
    st.characters(categories=["L", "N", "P", "S"]) | st.sampled_from("ab&<>-"), min_size=1
)
utterances = st.lists(
    st.tuples(
        st.lists(st.tuples(words_of_any_script, st.floats(0.0, 3.0)), max_size=30),
        st.floats(0.0, 4000.0),
    ),
    max_size=5,
)


@pytest.mark.parametrize("kind", ["srt", "vtt"])
@given(utterances)
def test_any_finals_give_strict_subtitles_with_all_their_words(
    kind: str, spoken: list[tuple[list[tuple[str, float]], float]]
) -> None:
    finals, said, now = [], [], 0.0
    for timed_words, pause_s in spoken:
        now += pause_s
        start_s, words = now, []
        for word, length_s in timed_words:
            words.append(Word(word, now, now + length_s, 0.5))
            now += length_s
        text = " ".join(word.word for word in words)
        said += [word.word for word in words]
        finals.append(FinalTranscript(1, text, tuple(words), start_s, now, now, "silence"))
    cues = parse_subtitles(written(kind, *finals), kind)
    assert [cue.number for cue in cues] == list(range(1, len(cues) + 1))
    assert [word for cue in cues for line in cue.lines for word in line.split()] == said
    assert all(cue.end_ms - cue.start_ms >= 1_000 for cue in cues)
    assert all(left.end_ms <= right.start_ms for left, right in pairwise(cues))
    for cue in cues:
        assert len(cue.lines) <= 2
        assert all(len(line) <= 42 or " " not in line for line in cue.lines)


def assert_prefix_is_usable(part: bytes, cues: list[Cue], kind: str) -> int:
    """Check a cut file: whole cues but for the last, which is no cue or a shorter one.

    Returns:
        The number of whole cues.
    """
    text = part.decode(errors="ignore")
    if kind == "vtt" and "\n" not in text:
        return 0
    *whole, torn = blocks(text, kind) or [""]
    assert [parse_cue(block, kind) for block in whole] == cues[: len(whole)]
    lines = torn.split("\n")
    if len(lines) > 2:
        expected = cues[len(whole)]
        timed = parse_cue("\n".join([*lines[:2], "text"]), kind)
        assert (timed.number, timed.start_ms) == (expected.number, expected.start_ms)
        assert timed.end_ms == expected.end_ms
        shown = re.sub("&[a-z]*$", "", "\n".join(lines[2:]).removesuffix("\n"))
        shown = html.unescape(shown) if kind == "vtt" else shown
        assert "\n".join(expected.lines).startswith(shown)
    return len(whole)


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_file_cut_at_any_byte_keeps_its_whole_cues(kind: str) -> None:
    spoken = [final(SENTENCE), final("naïve 日本 & <b>", 20.0), final("the end", 30.0)]
    text = written(kind, *spoken)
    cues = parse_subtitles(text, kind)
    data = text.encode()
    kept = [assert_prefix_is_usable(data[:size], cues, kind) for size in range(len(data) + 1)]
    assert kept == sorted(kept)
    assert kept[-1] == len(cues) - 1


WRITE_FOR_EVER = """
import sys
from pathlib import Path
from streamer.events import FinalTranscript, Word
from streamer.writers import open_sink

sink = open_sink(Path(sys.argv[1]))
number = 0
while True:
    start = float(number)
    words = tuple(Word(f"word{number}", start + i * 0.3, start + 0.3 + i * 0.3, 0.9)
                  for i in range(20))
    text = " ".join(word.word for word in words)
    sink.emit(FinalTranscript(number, text, words, start, start + 6, start + 7, "silence"), 0.0)
    number += 1
    if number == 50:
        print("ready", flush=True)
"""


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_file_is_valid_after_kill_in_the_middle_of_writing(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"captions.{kind}"
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
        finally:
            process.kill()
    text = path.read_text()
    whole = [parse_cue(block, kind) for block in blocks(text, kind)[:-1]]
    assert len(whole) >= 50
    assert [cue.number for cue in whole] == list(range(1, len(whole) + 1))


# Drafts


def partial(stable: str, number: int = 1, start_s: float = 0.0) -> PartialTranscript:
    return PartialTranscript(number, stable, "and more", start_s, start_s + 4.0)


def test_settled_words_stand_in_a_text_as_soon_as_they_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    sink = open_sink(path)
    seen = []
    for event in (
        final("one"),
        partial(""),
        partial("all"),
        partial("all of"),
        final("all of you"),
    ):
        sink.emit(event, 1.0)
        seen.append(path.read_text())
    sink.close()
    assert seen == ["one\n", "one\n", "one\nall", "one\nall of", "one\nall of you\n"]


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_settled_words_stand_in_cues_until_their_final_does(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"talk.{kind}"
    sink = open_sink(path)
    sink.emit(final("one", 1.0), 1.0)
    for event in (partial(SENTENCE, 2, 10.0), partial(f"{SENTENCE} so", 2, 10.0)):
        sink.emit(event, 1.0)
        cues = parse_subtitles(path.read_text(), kind)
        assert [word for cue in cues[1:] for line in cue.lines for word in line.split()] == (
            event.stable.split()
        )
        assert (cues[1].start_ms, cues[-1].end_ms) == (10_000, 14_000 if len(cues) < 6 else 15_000)
    sink.emit(final("and that is all", 10.0, number=2), 1.0)
    sink.emit(final("the end", 30.0, number=3), 1.0)
    sink.close()
    assert path.read_text() == written(
        kind, final("one", 1.0), final("and that is all", 10.0), final("the end", 30.0)
    )


def test_a_pipe_gets_no_drafts(tmp_path: Path) -> None:
    assert written("txt", partial("all"), final("all of you")) == "all of you\n"
    assert written("srt", partial("all")) == ""


def test_a_final_is_written_by_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever moment a kill chooses, the file ends with a whole final or a whole draft."""
    path = tmp_path / "talk.srt"
    sink = open_sink(path)
    states: list[str] = []
    write, cut = os.pwrite, os.ftruncate

    def write_and_look(handle: int, data: bytes, at: int) -> int:
        done = write(handle, data, at)
        states.append(path.read_text())
        return done

    def cut_and_look(handle: int, size: int) -> None:
        cut(handle, size)
        states.append(path.read_text())

    monkeypatch.setattr(os, "pwrite", write_and_look)
    monkeypatch.setattr(os, "ftruncate", cut_and_look)
    sink.emit(partial(SENTENCE), 1.0)
    sink.emit(final("the old man was thin", 0.0), 1.0)
    sink.emit(partial("and", 2, 9.0), 1.0)
    sink.emit(final(SENTENCE, 9.0, number=2), 1.0)
    sink.close()
    assert len(states) == 5
    for state in states:
        assert len(parse_subtitles(state.rstrip("\n") + "\n", "srt")) >= 1


# Files


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "good\n"),
        ("a.SRT", "1\n00:00:01,000 --> 00:00:02,000\ngood\n"),
        ("a.vtt", "WEBVTT\n\n1\n00:00:01.000 --> 00:00:02.000\ngood\n"),
    ],
)
def test_ending_chooses_the_format_and_lines_are_there_at_once(
    name: str, content: str, tmp_path: Path
) -> None:
    sink = open_sink(tmp_path / name)
    sink.emit(final("good", 1.0), 2.0)
    assert (tmp_path / name).read_text() == content
    sink.close()


def test_unknown_ending_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.doc.*'doc'.*\.txt, \.jsonl, \.srt, \.vtt"):
        open_sink(tmp_path / "a.doc")
    with pytest.raises(UsageError, match="'doc'; choose one of txt"):
        new_writer(io.StringIO(), "doc")
    assert list(tmp_path.iterdir()) == []


def test_captions_of_an_earlier_run_are_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "talk.srt"
    path.write_text("precious")
    with pytest.raises(UsageError, match=r"talk\.srt: holds something already; give another name"):
        open_sink(path)
    assert path.read_text() == "precious"


def test_empty_file_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "talk.srt").touch()
    open_sink(tmp_path / "talk.srt").close()


def test_missing_folder_and_impossible_places_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no folder .*nowhere; make it first"):
        open_sink(tmp_path / "nowhere" / "a.srt")
    with pytest.raises(UsageError, match="File name too long; choose another place or name"):
        open_sink(tmp_path / f"{'a' * 300}.srt")
    (tmp_path / "folder.srt").mkdir()
    with pytest.raises(OutputError, match=r"folder\.srt: cannot be written: Is a directory"):
        open_sink(tmp_path / "folder.srt")


# Failing sinks


def on_full_disk(folder: Path, format: str) -> Path:
    """Return a file that can be opened and not be written."""
    path = folder / f"talk.{format}"
    path.symlink_to("/dev/full")
    return path


@pytest.mark.parametrize("format", ["txt", "jsonl", "srt"])
def test_full_disk_stops_its_writer_and_is_told_to_the_others(tmp_path: Path, format: str) -> None:
    screen = ListSink()
    group = SinkGroup({"the screen": screen, "talk": open_sink(on_full_disk(tmp_path, format))})
    for event in (final("one"), final("two", 5.0)):
        group.emit(event, 1.0)
    assert not group.abandoned
    group.close()
    notice = screen.events[1]
    assert isinstance(notice, Notice)
    assert (notice.kind, notice.level) == ("writer_stopped", "error")
    assert notice.text.startswith("Captions no longer go to talk: No space left on device.")
    assert "make room or choose another place" in notice.text
    assert screen.events[2:] == [final("two", 5.0)]


def test_full_disk_is_known_when_the_file_with_a_header_is_opened(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"talk\.vtt: No space left on device; make room"):
        open_sink(on_full_disk(tmp_path, "vtt"))


def test_last_sink_that_fails_raises_since_nobody_is_left_to_be_told(tmp_path: Path) -> None:
    group = SinkGroup({"talk.txt": open_sink(on_full_disk(tmp_path, "txt"))})
    with pytest.raises(OutputError, match=r"talk\.txt: No space left on device"):
        group.emit(final("one"), 1.0)
    assert group.abandoned
    group.close()


def test_reader_who_left_abandons_the_group_quietly() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "w") as file:
        group = SinkGroup({"standard output": PlainWriter(file)})
        group.emit(final("one"), 1.0)
        assert not group.abandoned
        assert os.read(read_end, 100) == b"one\n"
        os.close(read_end)
        group.emit(final("two"), 2.0)
        assert group.abandoned
        group.emit(final("three"), 3.0)
        group.close()


def test_writer_alone_tells_a_reader_who_left_from_a_failure() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as file, pytest.raises(ReaderGone):
        PlainWriter(file).emit(final("one"), 1.0)


def test_file_goes_on_when_the_reader_of_the_pipe_left(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as file:
        saved = open_sink(tmp_path / "talk.txt")
        group = SinkGroup({"standard output": PlainWriter(file), "talk.txt": saved})
        group.emit(final("one"), 1.0)
        group.emit(final("two"), 2.0)
        assert not group.abandoned
        group.close()
    assert (tmp_path / "talk.txt").read_text() == "one\ntwo\n"


WRITE_UNTIL_ABANDONED = """
import sys
from streamer.events import FinalTranscript
from streamer.sinks import SinkGroup
from streamer.writers import PlainWriter

group = SinkGroup({"standard output": PlainWriter(sys.stdout)})
while not group.abandoned:
    group.emit(FinalTranscript(1, "again", (), 0.0, 1.0, 1.0, "silence"), 0.0)
group.close()
"""


def test_program_before_head_ends_without_a_complaint() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_UNTIL_ABANDONED],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "again\n"
        process.stdout.close()
        complaint = process.stderr.read()
        assert process.wait(timeout=30) == 0
    assert complaint == ""


def test_broken_sink_is_closed_once_and_the_others_lose_nothing() -> None:
    first, last = ListSink(), ListSink()
    broken = ListSink(AudioGap, RuntimeError("oops"))
    group = SinkGroup({"first": first, "broken": broken, "last": last})
    events: list[Event] = [final("one"), AudioGap(1.0, 0.5), final("two", 3.0)]
    for event in events:
        group.emit(event, 1.0)
    group.close()
    for sink in (first, last):
        assert [event for event in sink.events if not isinstance(event, Notice)] == events
        told = [event for event in sink.events if isinstance(event, Notice)]
        assert [("broken: RuntimeError: oops" in notice.text) for notice in told] == [True]
        assert sink.closed == 1
    assert broken.events == [final("one")]
    assert broken.closed == 1


def test_file_that_cannot_be_finished_is_told_to_the_screen() -> None:
    screen, file = ListSink(), ListSink()
    file.close_error = OSError(5, "Input/output error")
    group = SinkGroup({"the screen": screen, "talk.srt": file})
    group.close()
    assert [type(event) for event in screen.events] == [Notice]
    assert screen.closed == 1


def test_last_sink_that_cannot_be_finished_raises() -> None:
    file = ListSink()
    file.close_error = OSError(5, "Input/output error")
    with pytest.raises(OutputError, match=r"talk\.srt: Input/output error"):
        SinkGroup({"talk.srt": file}).close()


def test_guard_tells_a_failure_once() -> None:
    told: list[Notice] = []
    guard = GuardedSink(ListSink(FinalTranscript, OSError(28, "No space left")), "x", told.append)
    for _ in range(3):
        guard.emit(final("one"), 1.0)
    guard.close()
    assert [notice.kind for notice in told] == ["writer_stopped"]


def test_subtitles_of_a_pipe_start_with_the_header() -> None:
    file = io.StringIO()
    SubtitleWriter(file, "vtt")
    assert file.getvalue() == "WEBVTT\n"
