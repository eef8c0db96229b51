"""Captions and recordings in parts, see :mod:`streamer.rotation`; a full disk only delays them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from model.errors import CaptionerError
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.errors import OutputError
from streamer.events import (
    AudioGap,
    Event,
    FinalTranscript,
    Notice,
    PartialTranscript,
    Status,
    StreamStarted,
)
from streamer.files import has_room, size_of
from streamer.recorder import AudioRecorder, recording_kind
from streamer.rotation import KEEP_ALL, Keeping, Part, PartFiles, Rotation
from streamer.writers import TextSink, file_format, open_sink, printable

EARLY_S = 0.5
"""How far before its first word an utterance may begin, seconds: with so much of it in the part
before it still belongs to the next one."""

RETRY_S = 30.0
"""Time from a failure to the next attempt, seconds; twice as long after each that fails."""

LONGEST_RETRY_S = 600.0

HELD_EVENTS = 2000
"""Events that are held in memory while there is no room for them."""

SIZED_EVERY = SAMPLE_RATE
"""Samples from one look at the size of a recording to the next."""


class Patience:
    """Tells when something that failed is to be tried again.

    Args:
        steady: Seconds that only rise.
    """

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._wait_s = RETRY_S
        self._until = 0.0

    def failed(self) -> None:
        """Wait, twice as long as after the last failure."""
        self._until = self._steady() + self._wait_s
        self._wait_s = min(2 * self._wait_s, LONGEST_RETRY_S)

    def worked(self) -> None:
        """Wait shortly the next time."""
        self._wait_s = RETRY_S

    @property
    def over(self) -> bool:
        """Whether it is time to try."""
        return self._steady() >= self._until


@dataclass(frozen=True)
class _Held:
    event: Event
    emitted_s: float


class RotatingSink:
    """Writes captions to a file for each part of the stream in which something was said.

    An utterance goes whole to the part in which it begins.  In subtitles times count from
    the part's beginning, as in its recording; in JSON Lines they stay stream times, and the
    ``start`` of each file says where its part begins.

    When a file cannot be written, events are held in memory (``HELD_EVENTS``) and put into
    another file of the same part once there is room; both is told (``writer_stopped``,
    ``writer_back``).  The settled words of an utterance may then stand in both.

    Owns the open file, and the events that are held.

    Args:
        path: The name that was asked for, its format by its ending.
        rotation: Shared with the recording and the other captions.
        keeping: Which old files stay.

    Raises:
        UsageError: If the format is unknown, or there is no folder.
        OutputError: If the first file cannot be made.
    """

    def __init__(self, path: Path, rotation: Rotation, keeping: Keeping = KEEP_ALL) -> None:
        file_format(path)
        self._rotation = rotation
        self._files = PartFiles(path, rotation.leaps, keeping)
        self._patience = Patience(rotation.leaps.steady)
        self._started: StreamStarted | None = None
        self._held: deque[_Held] = deque(maxlen=HELD_EVENTS)
        self._lacking = 0
        self._tell: Callable[[Notice], None] = lambda notice: None
        self._part = rotation.newest
        self._path = path
        self._writer: TextSink | None = None
        self._open(0.0)

    def tell_to(self, tell: Callable[[Notice], None]) -> None:
        """Use ``tell`` for notices; see :class:`~streamer.sinks.TellingSink`."""
        self._tell = tell

    def emit(self, event: Event, emitted_s: float) -> None:
        """Write an event to the part that it belongs to, or hold it; raises nothing."""
        if self._writer is None and self._patience.over:
            self._resume(emitted_s)
        if isinstance(event, StreamStarted):
            self._started = event
        if isinstance(event, Status):
            self._files.tidy()
        elif self._writer is None:
            self._hold(event, emitted_s)
        else:
            try:
                self._write(event, emitted_s)
            except CaptionerError as error:
                self._stop(error)
                self._hold(event, emitted_s)

    def close(self) -> None:
        """Finish the file, with what was held if there is room now.

        Raises:
            OutputError: If there is not.
        """
        if self._writer is None:
            self._resume(0.0)
        if self._held:
            lost = len(self._held) + self._lacking
            raise OutputError(f"{self._files.path}: still no room; the last {lost} events are lost")
        self._close()

    def _write(self, event: Event, emitted_s: float) -> None:
        part = self._rotation.part_of(_belongs_s(event, self._part), self._part)
        if part is not self._part:
            self._close()
            self._part = part
            self._open(emitted_s)
        assert self._writer is not None
        self._writer.emit(event, emitted_s)
        self._note_size()

    def _open(self, emitted_s: float) -> None:
        """Open a new file for the part.

        Raises:
            CaptionerError: If it cannot be made, or not be written.
        """
        self._path = self._files.make(self._part)
        try:
            self._writer = open_sink(self._path, self._part.start_s, self._about())
            if self._started is not None:
                self._writer.emit(self._started, emitted_s)
        except CaptionerError:
            self._close()
            raise

    def _about(self) -> dict[str, object]:
        part = self._part
        return {
            "part": part.number,
            "part_start_s": round(part.start_s, 3),
            "part_began": part.began_text,
        }

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        self._files.drop(self._path)

    def _note_size(self) -> None:
        if self._part is self._rotation.newest:
            self._rotation.wrote(self._part, size_of(self._path))

    def _hold(self, event: Event, emitted_s: float) -> None:
        # The beginning of the stream is in every file anyway.
        if not isinstance(event, PartialTranscript | Status | StreamStarted):
            self._lacking += len(self._held) == HELD_EVENTS
            self._held.append(_Held(event, emitted_s))

    def _stop(self, error: CaptionerError) -> None:
        self._close()
        self._patience.failed()
        cause = error.__cause__
        reason = getattr(cause, "strerror", None) or str(cause or error)
        self._tell(
            Notice(
                "writer_stopped",
                printable(
                    f"Captions no longer go to {self._path}: {reason}. They are held in memory, "
                    "and go on in another file once there is room; make some."
                ),
                "error",
            )
        )

    def _resume(self, emitted_s: float) -> None:
        """Write what was held, if there is room."""
        if not has_room(self._files.path.parent):
            self._patience.failed()
            return
        try:
            self._open(emitted_s)
            held = len(self._held)
            while self._held:
                self._write(self._held[0].event, self._held[0].emitted_s)
                self._held.popleft()
        except CaptionerError:
            self._close()
            self._patience.failed()
            return
        self._patience.worked()
        self._tell_back(held)

    def _tell_back(self, held: int) -> None:
        lacking, self._lacking = self._lacking, 0
        text = f"captions go to {self._path} now, with {held} events that were held"
        if lacking:
            text += f"; {lacking} more, for which there was no room in memory, are lost"
        self._tell(Notice("writer_back", printable(text), "info"))


class RotatingRecorder:
    """Keeps the audio of each part in a file of its own.

    When a file cannot be written, a new part begins once there is room; both is told
    (``recording_stopped``, ``recording_back``).  Asks the rotation for the part of every
    block, so it is what cuts the stream, with or without a recording.

    Owns the open file.

    Args:
        path: The name that was asked for; None to keep no audio.
        rotation: Shared with the captions.
        keeping: Which old files stay.

    Raises:
        UsageError: If the name has another ending than a recording, or there is no folder.
        OutputError: If the first file cannot be made.
    """

    def __init__(self, path: Path | None, rotation: Rotation, keeping: Keeping = KEEP_ALL) -> None:
        self._rotation = rotation
        self._part = rotation.newest
        self._patience = Patience(rotation.leaps.steady)
        self._files: PartFiles | None = None
        self._recorder: AudioRecorder | None = None
        self._sized = 0
        if path is not None:
            recording_kind(path)
            self._files = PartFiles(path, rotation.leaps, keeping)
            self._open(self._files)

    def push(self, block: AudioBlock) -> list[Notice]:
        """Write a block to the part that it belongs to; see :class:`BlockRecorder`."""
        part = self._rotation.hear(block)
        notices: list[Notice] = []
        if part is not self._part:
            self._part = part
            notices += self._turn()
        if self._recorder is not None and not self._recorder.stopped:
            notices += self._record(self._recorder, block)
        elif self._files is not None and self._patience.over:
            self._ask_for_room(self._files)
        return notices

    def close(self) -> None:
        """Finish the file; may be called again."""
        if self._recorder is not None:
            self._recorder.close()
            assert self._files is not None
            self._files.drop(self._path)

    def _turn(self) -> list[Notice]:
        """Go on in the file of a new part."""
        if self._files is None:
            return []
        stopped = self._recorder is None or self._recorder.stopped
        self.close()
        try:
            self._open(self._files)
        except CaptionerError as error:
            self._recorder = None
            self._patience.failed()
            return [] if stopped else [_recording_stopped(error)]
        if not stopped:
            return []
        text = f"the recording goes on in {self._path}"
        return [Notice("recording_back", printable(text), "info")]

    def _open(self, files: PartFiles) -> None:
        self._path = files.make(self._part)
        try:
            self._recorder = AudioRecorder(self._path, self._part.start)
        except CaptionerError:
            files.drop(self._path)
            raise

    def _record(self, recorder: AudioRecorder, block: AudioBlock) -> list[Notice]:
        notices = recorder.push(block)
        if notices:
            self._patience.failed()
            more = "; it goes on in a new file once there is room"
            return [Notice(notice.kind, notice.text + more, notice.level) for notice in notices]
        if block.end - self._sized >= SIZED_EVERY:
            self._sized = block.end
            self._patience.worked()
            self._rotation.wrote(self._part, size_of(self._path))
            if self._files is not None:
                self._files.tidy()
        return []

    def _ask_for_room(self, files: PartFiles) -> None:
        self._patience.failed()
        if has_room(files.path.parent):
            self._rotation.request()


def _belongs_s(event: Event, part: Part) -> float:
    """Return the stream time that tells the part of an event."""
    match event:
        case PartialTranscript() | FinalTranscript():
            return event.start_s + EARLY_S
        case AudioGap():
            return event.start_s
        case _:
            return part.start_s


def _recording_stopped(error: CaptionerError) -> Notice:
    return Notice("recording_stopped", printable(f"{error}; captions go on"), "error")
