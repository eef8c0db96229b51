"""Rolling captions on a terminal, and the choice of what standard output carries."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import IO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from streamer.errors import OutputError, ReaderGone
from streamer.events import (
    AudioGap,
    Event,
    EventSink,
    FinalTranscript,
    Notice,
    PartialTranscript,
    Status,
    StreamStarted,
    Summary,
)
from streamer.settings import DisplaySettings
from streamer.writers import new_writer, printable

REFRESH_S = 0.1
"""Least time between two drawings of the live region, and between two drawings of new words
in it; seconds by the display's clock."""

ECHO_CELLS = 4
"""Kept free behind the status for the ^C that a terminal echoes, which would wrap otherwise
and leave the cursor a line too low."""

METER_CELLS = 10
METER_FLOOR_DB = -60.0

# Underlined as well as slanted: seen without colour, on any background, and where
# a terminal has no italics.
LOW_CONFIDENCE_STYLE = "italic underline"
NOTICE_STYLES = {"info": "cyan", "warning": "yellow", "error": "bold red"}


class CaptionDisplay:
    """Captions on a terminal: finals scroll up and stay, the current words change below.

    Finals, gaps and notices are printed into the terminal's own history.  Under
    them a live region shows the current partial (settled words plain, the tail
    dim) above one line of status; it takes half of the screen at most.  As a rich
    renderable, a display is its live region.

    Owns the terminal from the first event to :meth:`close`: the cursor is hidden
    and what Python prints goes above the live region.

    Args:
        console: The terminal.
        clock: Seconds, for limiting how often the live region is drawn.
        low_confidence: Words of a final below it are marked.
    """

    def __init__(
        self,
        console: Console,
        clock: Callable[[], float] = time.monotonic,
        low_confidence: float = DisplaySettings().low_confidence,
    ) -> None:
        self._console = console
        self._low_confidence = low_confidence
        self._clock = clock
        self._drawn_at = -REFRESH_S
        self._captioned_at = -REFRESH_S
        self._source = ""
        self._partial: PartialTranscript | None = None
        self._status: Status | None = None
        self._live = Live(
            console=console, auto_refresh=False, transient=True, get_renderable=lambda: self
        )

    def emit(self, event: Event, emitted_s: float) -> None:
        """Show an event.

        Raises:
            ReaderGone: If the console is a pipe that nobody reads any more.
            OutputError: If the terminal is gone.
        """
        try:
            self._live.start()
            self._show(event)
        except SystemExit as error:
            # What rich makes of a broken pipe; other sinks may have work left.
            raise ReaderGone("standard output: nobody reads it any more") from error
        except OSError as error:
            raise OutputError(
                f"the terminal cannot be written: {error.strerror or error}; start in another one"
            ) from error

    def close(self) -> None:
        """Keep the words of an utterance that was not finished, and restore the terminal."""
        partial, self._partial = self._partial, None
        try:
            if partial is not None:
                self._print(Text.assemble(_partial_text(partial), (" [not finished]", "yellow")))
        finally:
            self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines of the live region."""
        if self._partial is not None:
            lines = _partial_text(self._partial).wrap(console, options.max_width, overflow="fold")
            yield from lines[-max(1, options.size.height // 2 - 1) :]
        status = self._status_line(options.ascii_only)
        status.truncate(max(1, options.max_width - ECHO_CELLS))
        yield status

    def _show(self, event: Event) -> None:
        match event:
            case StreamStarted():
                self._source = printable(event.source)
                self._print(_started_text(event))
            case PartialTranscript():
                self._partial = event if event.stable or event.tail else None
                self._caption()
            case FinalTranscript():
                self._partial = None
                if event.text:
                    self._print(_final_text(event, self._low_confidence))
                else:
                    self._refresh()
            case AudioGap():
                self._print(_gap_text(event))
            case Notice():
                text = f"{event.level}: {printable(event.text)}"
                self._print(Text(text, NOTICE_STYLES[event.level]))
            case Status():
                self._status = event
                self._refresh()
            case Summary():
                self._print(_summary_text(event))

    def _print(self, text: Text) -> None:
        """Add to the history; the live region is drawn anew with it."""
        self._console.print(text, overflow="fold")
        self._drawn_at = self._captioned_at = self._clock()

    def _caption(self) -> None:
        """Draw the live region with new words, which wait for other words only."""
        if self._clock() - self._captioned_at >= REFRESH_S:
            self._draw()
            self._captioned_at = self._drawn_at

    def _refresh(self) -> None:
        """Draw the live region, unless it was drawn just now: the next event then does."""
        if self._clock() - self._drawn_at >= REFRESH_S:
            self._draw()

    def _draw(self) -> None:
        self._live.refresh()
        self._drawn_at = self._clock()

    def _status_line(self, ascii_only: bool) -> Text:
        line = Text(no_wrap=True, overflow="crop")
        if self._status is None:
            return line.append(f"waiting for {self._source}", "dim")
        status = self._status
        line.append(*(("speech  ", "bold") if status.speaking else ("silence ", "")))
        line.append_text(level_bar(status.level_db, ascii_only))
        line.append(f" {status.level_db:4.0f} dB  {_clock_time(status.audio_s)}")
        line.append(f"  lag {status.lag_s:.1f} s  ")
        line.append(f"lost {status.lost_s:.1f} s", "bold red" if status.lost_s > 0 else "")
        return line.append(f"  {self._source}", "dim")


def default_sink(
    console: Console,
    format: str | None = None,
    notices: IO[str] | None = None,
    low_confidence: float = DisplaySettings().low_confidence,
) -> EventSink:
    """Return what shows captions on standard output.

    Without a format: the display where the console can draw on a real terminal,
    plain lines anywhere else (a pipe, a file, ``TERM=dumb``).  With a format:
    its writer, also on a terminal.

    Args:
        console: Of standard output.
        format: One of ``streamer.writers.FORMATS``, or None.
        notices: Where a writer puts warnings and errors; standard error if None.
        low_confidence: As for :class:`CaptionDisplay`.

    Raises:
        UsageError: If there is no such format.
        OutputError: If the header of the format cannot be written.
    """
    # FORCE_COLOR makes rich take any pipe for a terminal, hence isatty too.
    if format is None and console.is_interactive and console.file.isatty():
        return CaptionDisplay(console, low_confidence=low_confidence)
    return new_writer(console.file, format or "txt", notices=notices or sys.stderr)


def _started_text(event: StreamStarted) -> Text:
    source, model = printable(event.source), printable(event.model)
    return Text(f"Listening to {source} with {model}; Ctrl-C ends.", "cyan")


def _partial_text(event: PartialTranscript) -> Text:
    words = (
        (printable(event.stable), ""),
        (" " if event.stable and event.tail else "", ""),
        (printable(event.tail), "dim"),
    )
    return Text.assemble(_stamp(event.start_s), *words)


def _final_text(event: FinalTranscript, low_confidence: float) -> Text:
    """Return the text with its time and its doubtful words marked."""
    text = Text(printable(event.text))
    position = 0
    for word in event.words:
        shown = printable(word.word)
        start = text.plain.find(shown, position)
        if start >= 0:
            position = start + len(shown)
            if word.confidence < low_confidence:
                text.stylize(LOW_CONFIDENCE_STYLE, start, position)
    return Text.assemble(_stamp(event.start_s), text)


def _gap_text(event: AudioGap) -> Text:
    return Text.assemble(_stamp(event.start_s), (f"[audio lost: {event.lost_s:.1f} s]", "bold red"))


def _summary_text(event: Summary) -> Text:
    return Text(
        f"{_clock_time(event.audio_s)} heard, {event.speech_s:.1f} s of it speech:"
        f" {event.words} words in {event.utterances} utterances;"
        f" {event.lost_s:.1f} s lost; real-time factor {event.rtf:.2f}.",
        "cyan",
    )


def _stamp(seconds: float) -> tuple[str, str]:
    return f"[{_clock_time(seconds)}] ", "dim"


def _clock_time(seconds: float) -> str:
    """Return ``mm:ss``, or ``h:mm:ss`` from one hour on."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute:02d}:{second:02d}"


def level_bar(level_db: float, ascii_only: bool) -> Text:
    """Return a bar of ``METER_CELLS`` cells: empty at ``METER_FLOOR_DB``, full at 0 dB."""
    full, empty = ("#", "-") if ascii_only else ("█", "░")
    share = 1 - max(METER_FLOOR_DB, min(level_db, 0.0)) / METER_FLOOR_DB
    cells = round(share * METER_CELLS)
    return Text.assemble((full * cells, "green"), (empty * (METER_CELLS - cells), "dim"))
