"""Captions as text for pipes, programs and players.

All that an event brings is written by one call and flushed: what was written stays
whole and readable when the program is killed (a power cut is not covered: nothing is
forced to the disk).  Files hold the settled words of the utterance that goes on too,
as a draft that its final takes the place of.  All text that comes from outside passes
through :func:`printable`.
"""

from __future__ import annotations

import json
import os
import re
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
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
    FinalTranscript,
    Notice,
    PartialTranscript,
    StreamStarted,
    Summary,
    Word,
)
from streamer.files import WholeTextFile

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
        file: Where the text goes; one that takes texts whole may hold drafts.
        owned: Whether :meth:`close` closes the file; not wanted for standard output.
        notices: Where warnings and errors go as well, for people; standard error
            when ``file`` is standard output.
    """

    def __init__(
        self,
        file: IO[str] | WholeTextFile,
        *,
        owned: bool = False,
        notices: IO[str] | None = None,
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
        with self._failing():
            self._file.write(text)
            if not isinstance(self._file, WholeTextFile):
                self._file.flush()

    def _draft(self, text: str) -> None:
        """Let the file end with ``text`` until more is written, if it is one that can."""
        if isinstance(self._file, WholeTextFile):
            with self._failing():
                self._file.draft(text)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not isinstance(self._file, WholeTextFile):
                _forget_pending(self._file)
            self.close()
            name = getattr(self._file, "name", "output")
            message = f"{name}: {error.strerror or error}; make room or choose another place"
            kind = ReaderGone if isinstance(error, BrokenPipeError) else OutputError
            raise kind(message) from error


class PlainWriter(TextSink):
    """Finals and gaps as plain lines, for pipes and text files.

    In a file the line of an utterance that goes on grows with its settled words.
    """

    def _take(self, event: Event, emitted_s: float) -> None:
        match event:
            case PartialTranscript(stable=stable) if stable:
                self._draft(printable(stable))
            case FinalTranscript(text=text) if text:
                self._write(f"{printable(text)}\n")
            case AudioGap(lost_s=lost_s):
                self._write(f"[audio lost: {lost_s:.1f} s]\n")


class JsonLinesWriter(TextSink):
    """Every event but the status as one JSON object a line, for programs.

    An object has ``type``, the fields of the event, and ``emitted_s``; the first
    one also has ``schema``.  Numbers are rounded to 3 digits: times to 1 ms.
    Text beyond ASCII is escaped, so that any encoding of the output carries it.

    Args:
        file: As for :class:`TextSink`.
        owned: As for :class:`TextSink`.
        notices: As for :class:`TextSink`.
        about: More fields for the first object.
    """

    def __init__(
        self,
        file: IO[str] | WholeTextFile,
        *,
        owned: bool = False,
        notices: IO[str] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(file, owned=owned, notices=notices)
        self._about = dict(about or {})

    def _take(self, event: Event, emitted_s: float) -> None:
        if type(event) in _TYPES:
            about = self._about if isinstance(event, StreamStarted) else {}
            self._write(json.dumps(event_record(event, emitted_s) | about) + "\n")


class SubtitleWriter(TextSink):
    """Finals as subtitle cues, written as they come.

    A cue starts with the blank line that ends the one before, so a file that
    breaks off anywhere holds whole cues and at most one cut short at its end.
    Cues are numbered from 1, follow each other without overlap, and are shown
    for :data:`CUE_SHORTEST_MS` at least.  Lost audio has no cue: the times after
    it stay true.  In a file the settled words of the utterance that goes on stand
    in cues, too, spread evenly over its time until its final says more.

    Args:
        file: As for :class:`TextSink`; the header of WebVTT is written at once.
        kind: SubRip or WebVTT.
        owned: As for :class:`TextSink`.
        notices: As for :class:`TextSink`.
        origin_s: Stream time that is 0 in the file, seconds.

    Raises:
        OutputError: If the header cannot be written.
    """

    def __init__(
        self,
        file: IO[str] | WholeTextFile,
        kind: Literal["srt", "vtt"],
        *,
        owned: bool = False,
        notices: IO[str] | None = None,
        origin_s: float = 0.0,
    ) -> None:
        super().__init__(file, owned=owned, notices=notices)
        self._kind = kind
        self._origin_s = origin_s
        self._cues = 0
        self._end_ms = 0
        if kind == "vtt":
            self._write("WEBVTT\n")

    def _take(self, event: Event, emitted_s: float) -> None:
        match event:
            case PartialTranscript(stable=stable) if stable:
                self._draft(self._cues_of(_spread(event))[0])
            case FinalTranscript(words=words):
                text, cues, end_ms = self._cues_of(words)
                if text:
                    self._write(text)
                    self._cues, self._end_ms = cues, end_ms

    def _cues_of(self, words: Iterable[Word]) -> tuple[str, int, int]:
        """Return words as cues, the number of the last one, and where it ends, ms."""
        texts, number, end_ms = [], self._cues, self._end_ms
        for group in split_cues(words):
            start_ms = max(self._ms(group[0].start_s), end_ms)
            end_ms = max(self._ms(group[-1].end_s), start_ms + CUE_SHORTEST_MS)
            separator = "\n" if number or self._kind == "vtt" else ""
            number += 1
            times = f"{self._clock_time(start_ms)} --> {self._clock_time(end_ms)}"
            text = "\n".join(_lines(group))
            if self._kind == "vtt":
                text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            texts.append(f"{separator}{number}\n{times}\n{text}\n")
        return "".join(texts), number, end_ms

    def _ms(self, stream_s: float) -> int:
        return max(0, round((stream_s - self._origin_s) * 1_000))

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
    file: IO[str] | WholeTextFile,
    format: str,
    *,
    owned: bool = False,
    notices: IO[str] | None = None,
    origin_s: float = 0.0,
    about: Mapping[str, Any] | None = None,
) -> TextSink:
    """Return the writer of a format.

    Args:
        file: As for :class:`TextSink`.
        format: One of :data:`FORMATS`.
        owned: As for :class:`TextSink`.
        notices: As for :class:`TextSink`.
        origin_s: As for :class:`SubtitleWriter`.
        about: As for :class:`JsonLinesWriter`.

    Raises:
        UsageError: If there is no such format.
        OutputError: If the header of the format cannot be written.
    """
    match format:
        case "txt":
            return PlainWriter(file, owned=owned, notices=notices)
        case "jsonl":
            return JsonLinesWriter(file, owned=owned, notices=notices, about=about)
        case "srt" | "vtt":
            return SubtitleWriter(file, format, owned=owned, notices=notices, origin_s=origin_s)
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


def open_sink(
    path: Path, origin_s: float = 0.0, about: Mapping[str, Any] | None = None
) -> TextSink:
    """Make a file for captions; a file that holds something already is left alone.

    Args:
        path: The file, its format by its ending; it must be new or empty (or a pipe
            or a device).
        origin_s: As for :class:`SubtitleWriter`.
        about: As for :class:`JsonLinesWriter`.

    Raises:
        UsageError: If the format is unknown, the file is not empty, or there is no
            folder for it.
        OutputError: If the file cannot be made or written.
    """
    format = file_format(path)
    return new_writer(WholeTextFile(path), format, owned=True, origin_s=origin_s, about=about)


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


def _spread(partial: PartialTranscript) -> list[Word]:
    """Return the settled words of a partial, spread evenly over its time."""
    words = partial.stable.split()
    step_s = (partial.audio_s - partial.start_s) / len(words)
    return [
        Word(word, partial.start_s + i * step_s, partial.start_s + (i + 1) * step_s, 1.0)
        for i, word in enumerate(words)
    ]


def _fits(words: list[Word]) -> bool:
    long = words[-1].end_s - words[0].start_s > CUE_LONGEST_S
    return not long and len(_lines(words)) <= CUE_LINES


def _lines(words: Iterable[Word]) -> list[str]:
    """Return the words wrapped to subtitle lines; none is empty."""
    text = " ".join(printable(word.word) for word in words)
    return textwrap.wrap(text, LINE_CHARACTERS, break_long_words=False, break_on_hyphens=False)


def _forget_pending(file: IO[str]) -> None:
    """Let what a failed write left in the file's buffer go to nowhere.

    Otherwise closing the file, or Python when it ends, would try again and raise.
    """
    with suppress(OSError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), file.fileno())
