"""The terminal display, seen through a small terminal that interprets what it writes."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import xml.etree.ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len, get_character_cell_size
from rich.console import Console

from model.errors import UsageError
from streamer.display import REFRESH_S, CaptionDisplay, default_sink
from streamer.errors import OutputError
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
from streamer.sinks import SinkGroup
from streamer.writers import JsonLinesWriter, PlainWriter

SEQUENCE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|([^\x1b])", re.DOTALL)


class Terminal(io.StringIO):
    """A terminal of a given size with a history that scrolls; knows what rich writes.

    Anything else, such as an unknown escape sequence, fails the test.
    """

    def __init__(self, width: int = 60, height: int = 20) -> None:
        super().__init__()
        self.width = width
        self.height = height
        self.lines: list[list[str]] = [[]]
        self.row = 0
        self.column = 0
        self.cursor_shown = True

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        position = 0
        while position < len(text):
            match = SEQUENCE.match(text, position)
            assert match is not None, f"unknown sequence: {text[position:][:20]!r}"
            argument, command, character = match.groups()
            self._put(character) if character else self._command(argument, command)
            position = match.end()
        return super().write(text)

    def _command(self, argument: str, command: str) -> None:
        match command, argument:
            case "m", _:
                pass
            case "A", count:
                self.row = max(0, len(self.lines) - self.height, self.row - int(count))
            case "K", "2":
                self.lines[self.row] = []
            case "l", "?25":
                self.cursor_shown = False
            case "h", "?25":
                self.cursor_shown = True
            case _:
                raise AssertionError(f"unknown sequence: {argument}{command}")

    def _put(self, character: str) -> None:
        if character == "\n":
            self.row, self.column = self.row + 1, 0
        elif character == "\r":
            self.column = 0
        else:
            assert character.isprintable() or not character.isascii(), repr(character)
            self._put_cells(character, get_character_cell_size(character))
        if self.row == len(self.lines):
            self.lines.append([])

    def _put_cells(self, character: str, cells: int) -> None:
        if cells and self.column + cells > self.width:
            self.row, self.column = self.row + 1, 0
            if self.row == len(self.lines):
                self.lines.append([])
        line = self.lines[self.row]
        line += [" "] * (self.column + cells - len(line))
        if cells:
            line[self.column : self.column + cells] = [character] + [""] * (cells - 1)
        elif line:
            line[-1] += character
        self.column += cells

    @property
    def shown(self) -> list[str]:
        """Every line, history and screen, without the empty ones at the end."""
        return "\n".join("".join(line).rstrip() for line in self.lines).rstrip("\n").split("\n")


class Setting:
    """A display on a terminal, with a clock that moves when told."""

    def __init__(self, width: int, height: int, color: bool = False) -> None:
        self.terminal = Terminal(width, height)
        self.console = Console(
            file=self.terminal,
            width=width,
            height=height,
            force_terminal=True,
            color_system="standard" if color else None,
            legacy_windows=False,
            _environ={},
        )
        self.now = 0.0
        self.display = CaptionDisplay(self.console, lambda: self.now)

    def emit(self, *events: Event) -> None:
        """Give events to the display, each later than the least refresh time."""
        for event in events:
            self.now += 2 * REFRESH_S
            self.display.emit(event, self.now)

    def resize(self, width: int, height: int) -> None:
        self.terminal.width, self.terminal.height = width, height
        self.console.size = (width, height)

    @property
    def shown(self) -> list[str]:
        return self.terminal.shown

    @property
    def raw(self) -> str:
        return self.terminal.getvalue()


@contextmanager
def displaying(width: int = 60, height: int = 20, color: bool = False) -> Iterator[Setting]:
    """Give a display and close it at the end, as the runner does."""
    setting = Setting(width, height, color)
    try:
        yield setting
    finally:
        setting.display.close()


def partial(stable: str, tail: str, start_s: float = 12.0) -> PartialTranscript:
    return PartialTranscript(1, stable, tail, start_s, start_s + 1)


def final(text: str, start_s: float = 12.0, doubtful: tuple[str, ...] = ()) -> FinalTranscript:
    words = tuple(
        Word(word, start_s, start_s + 1, 0.4 if word in doubtful else 0.5) for word in text.split()
    )
    return FinalTranscript(1, text, words, start_s, start_s + 1, start_s + 2, "silence")


STARTED = StreamStarted("USB Mic", "small")
STATUS = Status(15.4, -30.0, 0.42, 0.0, True)


def test_partial_is_replaced_by_what_follows_and_never_repeated() -> None:
    with displaying() as setting:
        setting.emit(STARTED, partial("", "good"), partial("good", "mourning"))
        assert setting.shown == [
            "Listening to USB Mic with small; Ctrl-C ends.",
            "[00:12] good mourning",
            "waiting for USB Mic",
        ]
        setting.emit(final("good morning everyone"), partial("", "how", 15.0))
        assert setting.shown[1:] == [
            "[00:12] good morning everyone",
            "[00:15] how",
            "waiting for USB Mic",
        ]


def test_everything_said_stays_in_the_history_after_the_end() -> None:
    with displaying(height=8) as setting:
        setting.emit(STARTED)
        for number in range(40):
            setting.emit(partial("", f"utter {number}"), final(f"utterance {number}", number * 2.0))
        setting.emit(STATUS, Summary(83.0, 40.0, 1.25, 0.1234, 40, 80, 40))
    assert setting.shown == [
        "Listening to USB Mic with small; Ctrl-C ends.",
        *(f"[{n * 2 // 60:02d}:{n * 2 % 60:02d}] utterance {n}" for n in range(40)),
        "01:23 heard, 40.0 s of it speech: 80 words in 40 utterances;",
        "1.2 s lost; real-time factor 0.12.",
    ]


def test_status_line_shows_the_state_of_the_stream() -> None:
    with displaying() as setting:
        setting.emit(STARTED, STATUS)
        assert (
            setting.shown[-1]
            == ("speech  █████░░░░░  -30 dB  00:15  lag 0.4 s  lost 0.0 s  USB Mic"[:56])
        )
    with displaying(width=80) as setting:
        setting.emit(STARTED, Status(3_723.0, -100.0, 2.0, 7.25, False))
        assert setting.shown[-1] == (
            "silence ░░░░░░░░░░ -100 dB  1:02:03  lag 2.0 s  lost 7.2 s  USB Mic"
        )


@pytest.mark.parametrize(
    ("level_db", "bar"),
    [
        (-120.0, "░" * 10),
        (-60.0, "░" * 10),
        (-6.0, "█" * 9 + "░"),
        (0.0, "█" * 10),
        (3.0, "█" * 10),
    ],
)
def test_meter_spans_sixty_decibels(level_db: float, bar: str) -> None:
    with displaying() as setting:
        setting.emit(Status(1.0, level_db, 0.0, 0.0, False))
        assert f" {bar} " in setting.shown[-1]


def test_lost_audio_is_red_in_the_status_and_marked_in_the_history() -> None:
    with displaying(color=True) as setting:
        setting.emit(STATUS)
        assert "\x1b[1;31m" not in setting.raw
        setting.emit(AudioGap(13.0, 1.234), Status(16.0, -30.0, 0.4, 1.234, True))
        assert setting.shown[0] == "[00:13] [audio lost: 1.2 s]"
        assert "\x1b[1;31m[audio lost: 1.2 s]" in setting.raw
        assert "\x1b[1;31mlost 1.2 s" in setting.raw


def test_doubtful_words_are_marked_without_colour() -> None:
    with displaying(color=True) as setting:
        setting.emit(final("see the sea see", doubtful=("sea",)))
        assert "see the \x1b[3;4msea\x1b[0m see" in setting.raw


def test_tail_is_dim_and_settled_words_are_not() -> None:
    with displaying(color=True) as setting:
        setting.emit(partial("good morning", "every"))
        assert "\x1b[0mgood morning \x1b[2mevery\x1b[0m" in setting.raw


def test_text_is_kept_when_the_words_do_not_match_it() -> None:
    with displaying() as setting:
        words = (Word("other", 0.0, 1.0, 0.1),)
        setting.emit(FinalTranscript(1, "what was said", words, 0.0, 1.0, 2.0, "end"))
        assert setting.shown[0] == "[00:00] what was said"


def test_empty_final_takes_its_partial_away() -> None:
    with displaying() as setting:
        setting.emit(STARTED, partial("", "uh"), final(""))
        assert setting.shown[1:] == ["waiting for USB Mic"]


def test_notices_say_how_bad_they_are() -> None:
    with displaying() as setting:
        setting.emit(
            Notice("device_back", "The microphone is back.", "info"),
            Notice("input_silent", "Nothing is heard; unmute it."),
            Notice("writer_stopped", "Disk full.", "error"),
        )
        assert setting.shown[:3] == [
            "info: The microphone is back.",
            "warning: Nothing is heard; unmute it.",
            "error: Disk full.",
        ]


def test_live_region_is_drawn_ten_times_a_second_at_most() -> None:
    with displaying() as setting:
        setting.emit(partial("", "one"))
        drawn = len(setting.raw)
        setting.display.emit(partial("", "one two"), 0.0)
        setting.now += REFRESH_S / 2
        setting.display.emit(STATUS, 0.0)
        assert len(setting.raw) == drawn
        setting.now += REFRESH_S
        setting.display.emit(STATUS, 0.0)
        assert setting.shown[0] == "[00:12] one two"


def test_words_do_not_wait_for_what_drew_the_status() -> None:
    with displaying() as setting:
        setting.emit(partial("", "one"), STATUS)
        setting.display.emit(partial("", "one two"), 0.0)
        assert setting.shown[0] == "[00:12] one two"


def test_finals_are_shown_at_once() -> None:
    with displaying() as setting:
        setting.emit(partial("", "one"))
        setting.display.emit(final("one two"), 0.0)
        assert setting.shown[0] == "[00:12] one two"


def test_long_partial_shows_its_end_on_half_of_the_screen() -> None:
    with displaying(width=40, height=10) as setting:
        setting.emit(STARTED, partial(" ".join(f"word{n}" for n in range(200)), "and the end"))
        region = setting.shown[2:]
        assert len(region) == 5
        assert region[-2].endswith("end")
        setting.emit(final("short after all"))
        assert setting.shown[2:] == ["[00:12] short after all", "waiting for USB Mic"]


def test_resizing_keeps_the_history_and_fits_the_new_size() -> None:
    said = " ".join(f"word{n}" for n in range(30))
    with displaying(width=60, height=20) as setting:
        setting.emit(STARTED, final("before"), STATUS, partial(said, "tail"))
        setting.resize(30, 8)
        setting.emit(STATUS, partial(said, "and tail"))
        assert all(len(line) <= 30 for line in setting.shown[-4:])
        setting.resize(100, 30)
        setting.emit(STATUS, partial(said, "and more tail"), final("after"))
    assert "[00:12] before" in setting.shown
    assert setting.shown[-1] == "[00:12] after"


@settings(deadline=None)
@given(
    st.lists(st.text(st.characters()), max_size=8),
    st.integers(1, 40),
    st.integers(1, 12),
)
def test_any_text_fits_any_terminal_and_steers_none(
    texts: list[str], width: int, height: int
) -> None:
    with displaying(width, height) as setting:
        setting.emit(StreamStarted("".join(texts), "small"), STATUS)
        for text in texts:
            setting.emit(partial(text, text), Notice("kind", text), final(text), partial("", text))
            half = max(2, height // 2)
            region = list(setting.console.render_lines(setting.display, pad=False))
            assert len(region) <= half
            assert all(sum(segment.cell_length for segment in line) <= width for line in region)
    assert setting.terminal.cursor_shown


def test_wide_and_right_to_left_text_leaves_no_remains() -> None:
    with displaying(width=20, height=10) as setting:
        setting.emit(STARTED, partial("日本語の字幕がここに表示されます", "はい"))
        assert all(cell_len(line) <= 20 for line in setting.shown)
        setting.emit(partial("שלום", "עולם"), final("ok"))
        assert setting.shown[-2:] == ["[00:12] ok", "waiting for USB"]


def test_markup_and_escape_sequences_from_outside_are_only_text() -> None:
    with displaying(width=80) as setting:
        setting.emit(
            StreamStarted("[bold]Mic[/bold]\x1b]0;owned\x07", "m\x1b[2J"),
            final("[red]not red[/red] \x1b[31m"),
            Notice("kind", "[link=x]y \x9b2J"),
        )
        assert setting.shown[:3] == [
            "Listening to [bold]Mic[/bold]]0;owned with m[2J; Ctrl-C ends.",
            "[00:12] [red]not red[/red] [31m",
            "warning: [link=x]y 2J",
        ]


def test_cursor_is_hidden_while_live_and_shown_after_close() -> None:
    standard_output = sys.stdout
    with displaying() as setting:
        assert setting.raw == ""
        setting.emit(STARTED, STATUS)
        assert not setting.terminal.cursor_shown
        assert "\x1b[?25l" in setting.raw
    assert setting.raw.rindex("\x1b[?25h") > setting.raw.rindex("\x1b[?25l")
    assert setting.shown == ["Listening to USB Mic with small; Ctrl-C ends."]
    assert sys.stdout is standard_output


def test_close_keeps_the_words_of_an_unfinished_utterance() -> None:
    with displaying() as setting:
        setting.emit(partial("nearly", "done"))
    assert setting.shown == ["[00:12] nearly done [not finished]"]


def test_display_that_was_never_used_closes_without_a_trace() -> None:
    with displaying() as setting:
        pass
    assert setting.raw == ""


def test_terminal_that_is_gone_is_named_and_others_go_on() -> None:
    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    console = Console(file=Gone(), force_terminal=True, _environ={})
    display = CaptionDisplay(console)
    with pytest.raises(OutputError, match="the terminal cannot be written: Input/output error"):
        display.emit(STARTED, 0.0)
    lines = io.StringIO()
    standard_output = sys.stdout
    group = SinkGroup({"the screen": display, "lines": PlainWriter(lines, notices=lines)})
    group.emit(final("still written"), 1.0)
    group.close()
    assert lines.getvalue().splitlines()[0] == "still written"
    assert "Captions no longer go to the screen: Input/output error" in lines.getvalue()
    assert sys.stdout is standard_output


SHOW_UNTIL_ABANDONED = """
from rich.console import Console
from streamer.display import CaptionDisplay
from streamer.events import FinalTranscript
from streamer.sinks import SinkGroup

group = SinkGroup({"standard output": CaptionDisplay(Console(force_terminal=True))})
while not group.abandoned:
    group.emit(FinalTranscript(1, "again", (), 0.0, 1.0, 1.0, "silence"), 0.0)
group.close()
"""


def test_display_forced_into_head_is_abandoned_like_any_pipe() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SHOW_UNTIL_ABANDONED],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "again" in process.stdout.readline()
        process.stdout.close()
        complaint = process.stderr.read()
        assert process.wait(timeout=30) == 0
    assert complaint == ""


def test_ascii_terminal_gets_ascii_signs() -> None:
    written = io.BytesIO()
    file = io.TextIOWrapper(written, encoding="ascii")
    console = Console(
        file=file, width=80, height=20, force_terminal=True, color_system=None, _environ={}
    )
    display = CaptionDisplay(console)
    display.emit(STATUS, 0.0)
    display.close()
    assert b" #####----- " in written.getvalue()


def test_picture_of_a_display_has_history_and_live_region() -> None:
    console = Console(file=io.StringIO(), record=True, width=70, height=20, _environ={})
    display = CaptionDisplay(console)
    for event in (STARTED, final("good morning"), STATUS, partial("how", "are")):
        display.emit(event, 0.0)
    console.print(display)
    picture = console.export_svg(title="captions")
    text = "".join(xml.etree.ElementTree.fromstring(picture).itertext()).replace("\xa0", " ")
    for part in ("[00:12] ", "good morning", "how are", "lag 0.4 s"):
        assert part in text
    display.close()


# What standard output carries


def console_on(descriptor: int, **environment: str) -> Console:
    return Console(file=os.fdopen(descriptor, "w"), _environ={"TERM": "xterm", **environment})


def test_real_terminal_gets_the_display_and_a_format_overrides_it() -> None:
    controller, terminal = os.openpty()
    console = console_on(terminal)
    assert isinstance(default_sink(console), CaptionDisplay)
    assert isinstance(default_sink(console, "txt"), PlainWriter)
    console.file.close()
    os.close(controller)


def test_dumb_terminal_gets_plain_lines() -> None:
    controller, terminal = os.openpty()
    console = console_on(terminal, TERM="dumb")
    assert isinstance(default_sink(console), PlainWriter)
    console.file.close()
    os.close(controller)


def test_pipe_gets_plain_lines_even_when_colour_is_forced() -> None:
    read_end, write_end = os.pipe()
    console = console_on(write_end, FORCE_COLOR="1")
    sink = default_sink(console)
    assert isinstance(sink, PlainWriter)
    sink.emit(final("good morning"), 0.0)
    assert os.read(read_end, 100) == b"good morning\n"
    console.file.close()
    os.close(read_end)


def test_pipe_gets_the_format_asked_for_and_notices_go_elsewhere() -> None:
    notices = io.StringIO()
    file = io.StringIO()
    sink = default_sink(Console(file=file, _environ={}), "jsonl", notices)
    assert isinstance(sink, JsonLinesWriter)
    sink.emit(Notice("device_lost", "Gone."), 0.0)
    assert '"device_lost"' in file.getvalue()
    assert notices.getvalue() == "warning: Gone.\n"


def test_unknown_format_is_refused() -> None:
    with pytest.raises(UsageError, match="'doc'"):
        default_sink(Console(file=io.StringIO(), _environ={}), "doc")
