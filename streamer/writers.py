"""Captions as text for pipes, programs and players, and the group that feeds all sinks.

Every line, and every subtitle cue, is written by one call and flushed: what was
written stays whole and readable when the program is killed (a power cut is not
covered: nothing is forced to the disk).  All text that comes from outside passes
through :func:`printable`.
"""

from __future__ import annotations

import json
import os
import re
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from numbers import Real
from pathlib import Path
from typing import IO, Any, Literal

from model.errors import UsageError
from streamer.errors import OutputError, ReaderGone
from streamer.events import (
    SCHEMA_VERSION,
    AudioGap,
    Event,
    EventSink,
    FinalTranscript,
    Notice,
    PartialTranscript,
    StreamStarted,
    Summary,
    Word,
)
from streamer.files import require_new

FORMATS = ("txt", "jsonl", "srt", "vtt")
"""Names of the formats, which are also the endings of their files."""

LINE_CHARACTERS = 42
"""Longest subtitle line; a longer word stands alone, unbroken."""

CUE_LINES = 2
"""Most lines in a subtitle cue."""

CUE_LONGEST_S = 7.0
"""Longest time from the first word of a cue to the end of its last; seconds."""

CUE_SHORTEST_MS = 1_000
"""Shortest time that a cue is shown; the next one waits for it."""

_LINE_ENDS = re.compile("[\t-\r\x1c-\x1f\x85\u2028\u2029]+")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_TYPES: dict[type, str] = {
    StreamStarted: "start",
    PartialTranscript: "partial",
    FinalTranscript: "final",
    AudioGap: "gap",
    Notice: "notice",
    Summary: "summary",
}


def printable(text: str) -> str:
    """Return ``text`` as one line that cannot steer a terminal.

    Line ends and tabs become spaces; other control characters (ESC and the
    8-bit ones among them), bidirectional overrides and lone surrogates go.
    """
    return _UNSAFE.sub("", _LINE_ENDS.sub(" ", text))


class TextSink(ABC):
    """Base of the sinks that write text: whole lines, each flushed.

    Args:
        file: Where the text goes.
        owned: Whether :meth:`close` closes the file; not wanted for standard output.
        notices: Where warnings and errors go as well, for people; standard error
            when ``file`` is standard output.
    """

    def __init__(
        self, file: IO[str], *, owned: bool = False, notices: IO[str] | None = None
    ) -> None:
        self._file = file
        self._owned = owned
        self._notices = notices

    def emit(self, event: Event, emitted_s: float) -> None:
        """Write an event, if the format has a place for it.

        Raises:
            ReaderGone: If the file is a pipe that nobody reads any more.
            OutputError: If it cannot be written, as when the disk is full.
        """
        if isinstance(event, Notice) and event.level != "info" and self._notices is not None:
            with suppress(OSError):
                print(f"{event.level}: {printable(event.text)}", file=self._notices, flush=True)
        self._take(event, emitted_s)

    def close(self) -> None:
        """Close the file if it is owned; all that was emitted is in it already."""
        if self._owned:
            self._file.close()

    @abstractmethod
    def _take(self, event: Event, emitted_s: float) -> None: ...

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
            self._file.flush()
        except OSError as error:
            _forget_pending(self._file)
            self.close()
            name = getattr(self._file, "name", "output")
            message = f"{name}: {error.strerror or error}; make room or choose another place"
            kind = ReaderGone if isinstance(error, BrokenPipeError) else OutputError
            raise kind(message) from error


class PlainWriter(TextSink):
    """Finals and gaps as plain lines, for pipes and text files."""

    def _take(self, event: Event, emitted_s: float) -> None:
        match event:
            case FinalTranscript(text=text) if text:
                self._write(f"{printable(text)}\n")
            case AudioGap(lost_s=lost_s):
                self._write(f"[audio lost: {lost_s:.1f} s]\n")


class JsonLinesWriter(TextSink):
    """Every event but the status as one JSON object a line, for programs.

    An object has ``type``, the fields of the event, and ``emitted_s``; the first
    one also has ``schema``.  Numbers are rounded to 3 digits: times to 1 ms.
    Text beyond ASCII is escaped, so that any encoding of the output carries it.
    """

    def _take(self, event: Event, emitted_s: float) -> None:
        if type(event) in _TYPES:
            self._write(json.dumps(event_record(event, emitted_s)) + "\n")


class SubtitleWriter(TextSink):
    """Finals as subtitle cues, written as they come.

    A cue starts with the blank line that ends the one before, so a file that
    breaks off anywhere holds whole cues and at most one cut short at its end.
    Cues are numbered from 1, follow each other without overlap, and are shown
    for :data:`CUE_SHORTEST_MS` at least.  Lost audio has no cue: the times after
    it stay true.

    Args:
        file: As for :class:`TextSink`; the header of WebVTT is written at once.
        kind: SubRip or WebVTT.
        owned: As for :class:`TextSink`.
        notices: As for :class:`TextSink`.

    Raises:
        OutputError: If the header cannot be written.
    """

    def __init__(
        self,
        file: IO[str],
        kind: Literal["srt", "vtt"],
        *,
        owned: bool = False,
        notices: IO[str] | None = None,
    ) -> None:
        super().__init__(file, owned=owned, notices=notices)
        self._kind = kind
        self._cues = 0
        self._end_ms = 0
        if kind == "vtt":
            self._write("WEBVTT\n")

    def _take(self, event: Event, emitted_s: float) -> None:
        if isinstance(event, FinalTranscript):
            for words in split_cues(event.words):
                self._write_cue(words)

    def _write_cue(self, words: list[Word]) -> None:
        start_ms = max(round(words[0].start_s * 1_000), self._end_ms)
        end_ms = max(round(words[-1].end_s * 1_000), start_ms + CUE_SHORTEST_MS)
        separator = "\n" if self._cues or self._kind == "vtt" else ""
        self._cues += 1
        self._end_ms = end_ms
        times = f"{self._clock_time(start_ms)} --> {self._clock_time(end_ms)}"
        text = "\n".join(_lines(words))
        if self._kind == "vtt":
            text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        self._write(f"{separator}{self._cues}\n{times}\n{text}\n")

    def _clock_time(self, ms: int) -> str:
        seconds, ms = divmod(ms, 1_000)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        mark = "," if self._kind == "srt" else "."
        return f"{hours:02d}:{minutes:02d}:{seconds:02d}{mark}{ms:03d}"


def split_cues(words: Iterable[Word]) -> list[list[Word]]:
    """Return the words in groups that each fit a subtitle cue; empty words are left out."""
    cues: list[list[Word]] = []
    for word in words:
        if not printable(word.word).strip():
            continue
        if cues and _fits([*cues[-1], word]):
            cues[-1].append(word)
        else:
            cues.append([word])
    return cues


def new_writer(
    file: IO[str], format: str, *, owned: bool = False, notices: IO[str] | None = None
) -> TextSink:
    """Return the writer of a format.

    Args:
        file: As for :class:`TextSink`.
        format: One of :data:`FORMATS`.
        owned: As for :class:`TextSink`.
        notices: As for :class:`TextSink`.

    Raises:
        UsageError: If there is no such format.
        OutputError: If the header of the format cannot be written.
    """
    match format:
        case "txt":
            return PlainWriter(file, owned=owned, notices=notices)
        case "jsonl":
            return JsonLinesWriter(file, owned=owned, notices=notices)
        case "srt" | "vtt":
            return SubtitleWriter(file, format, owned=owned, notices=notices)
        case _:
            raise UsageError(f"no caption format {format!r}; choose one of {', '.join(FORMATS)}")


def file_format(path: Path) -> str:
    """Return the format of a file for captions, one of :data:`FORMATS`, by its ending.

    Raises:
        UsageError: If it has another ending.
    """
    format = path.suffix.removeprefix(".").lower()
    if format not in FORMATS:
        endings = ", ".join(f".{name}" for name in FORMATS)
        raise UsageError(f"{path}: no caption format {format!r}; end the name with {endings}")
    return format


def open_sink(path: Path) -> TextSink:
    """Make a file for captions; a file that holds something already is left alone.

    Args:
        path: The file, its format by its ending; it must be new or empty (or a pipe
            or a device).

    Raises:
        UsageError: If the format is unknown, the file is not empty, or there is no
            folder for it.
        OutputError: If the file cannot be made or written.
    """
    format = file_format(path)
    return new_writer(_open_new(path), format, owned=True)


class GuardedSink:
    """Keep a sink's failure from the rest of the program.

    The first error stops and closes the sink for good.  It is told once, to
    ``on_failure``; a reader who left is no failure and is told to nobody.

    Args:
        sink: Used by nobody else.
        name: What the user knows it by: a file's name, or "the screen".
        on_failure: Takes the notice ``writer_stopped``.
    """

    def __init__(self, sink: EventSink, name: str, on_failure: Callable[[Notice], None]) -> None:
        self._sink = sink
        self._name = name
        self._on_failure = on_failure
        self.stopped = False

    def emit(self, event: Event, emitted_s: float) -> None:
        """Hand on an event, unless the sink has stopped; raises nothing."""
        if self.stopped:
            return
        try:
            self._sink.emit(event, emitted_s)
        except Exception as error:
            self.stopped = True
            with suppress(Exception):
                self._sink.close()
            self._tell(error)

    def close(self) -> None:
        """Close the sink, unless it has stopped; raises nothing."""
        if self.stopped:
            return
        self.stopped = True
        try:
            self._sink.close()
        except Exception as error:
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        if isinstance(error, ReaderGone):
            return
        cause = error.__cause__ or error
        reason = getattr(cause, "strerror", None) or f"{type(cause).__name__}: {cause}"
        text = (
            f"Captions no longer go to {self._name}: {reason}. What it holds is kept;"
            " make room or choose another place, and start again to have the rest there."
        )
        self._on_failure(Notice("writer_stopped", printable(text), "error"))


class SinkGroup:
    """Give every event to several sinks; one that fails is dropped and the others are told.

    Called by one thread; a sink that blocks, such as a full pipe, blocks the group.

    Args:
        sinks: The sinks by the names that the user knows them by.  They are closed
            in reverse order, so that the first, the screen, hears of a file that
            could not be finished.
    """

    def __init__(self, sinks: Mapping[str, EventSink]) -> None:
        self._untold: list[Notice] = []
        self._sinks = [GuardedSink(sink, name, self._untold.append) for name, sink in sinks.items()]
        self._emitted_s = 0.0

    @property
    def abandoned(self) -> bool:
        """Whether every sink has stopped, so that nobody gets captions any more.

        Standard output into ``head`` and a file: the file goes on, so this is False.
        """
        return bool(self._sinks) and all(sink.stopped for sink in self._sinks)

    def emit(self, event: Event, emitted_s: float) -> None:
        """Give an event to every sink that works.

        Raises:
            OutputError: If the last one failed, so that nobody could be told; not
                if its reader left (see :attr:`abandoned`).
        """
        self._emitted_s = emitted_s
        for sink in self._sinks:
            sink.emit(event, emitted_s)
        self._tell_failures()

    def close(self) -> None:
        """Close every sink that works.

        Raises:
            OutputError: If one failed and none was left to show it.
        """
        for sink in reversed(self._sinks):
            sink.close()
            self._tell_failures()

    def _tell_failures(self) -> None:
        while self._untold and not self.abandoned:
            notice = self._untold.pop(0)
            for sink in self._sinks:
                sink.emit(notice, self._emitted_s)
        if self._untold:
            message = " ".join(notice.text for notice in self._untold)
            self._untold.clear()
            raise OutputError(message)


def event_record(event: Event, emitted_s: float) -> dict[str, Any]:
    """Return the JSON object of an event that :class:`JsonLinesWriter` writes.

    Args:
        event: Any but a :class:`~streamer.events.Status`.
        emitted_s: Seconds since the stream began, by the wall clock.
    """
    record: dict[str, Any] = {"type": _TYPES[type(event)]}
    if isinstance(event, StreamStarted):
        record["schema"] = SCHEMA_VERSION
    fields: dict[str, Any] = _plain(asdict(event) | {"emitted_s": emitted_s})
    return record | fields


def _plain(value: Any) -> Any:
    """Return a field's value as JSON has it: numbers rounded, text printable."""
    match value:
        case int():
            return value
        case Real():
            return round(float(value), 3)
        case str():
            return printable(value)
        case dict():
            return {name: _plain(field) for name, field in value.items()}
        case _:
            return [_plain(element) for element in value]


def _fits(words: list[Word]) -> bool:
    long = words[-1].end_s - words[0].start_s > CUE_LONGEST_S
    return not long and len(_lines(words)) <= CUE_LINES


def _lines(words: Iterable[Word]) -> list[str]:
    """Return the words wrapped to subtitle lines; none is empty."""
    text = " ".join(printable(word.word) for word in words)
    return textwrap.wrap(text, LINE_CHARACTERS, break_long_words=False, break_on_hyphens=False)


def _open_new(path: Path) -> IO[str]:
    require_new(path)
    try:
        return path.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written: {error.strerror or error}; choose another place"
        ) from error


def _forget_pending(file: IO[str]) -> None:
    """Let what a failed write left in the file's buffer go to nowhere.

    Otherwise closing the file, or Python when it ends, would try again and raise.
    """
    with suppress(OSError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), file.fileno())
