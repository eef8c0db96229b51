"""The program's own log: what happened to it and how it is, never a word that was said."""

from __future__ import annotations

import logging
import platform
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from logging.handlers import RotatingFileHandler
from pathlib import Path

from model.errors import CaptionerError, UsageError
from streamer.errors import OutputError, StageFailed
from streamer.events import (
    AudioGap,
    Event,
    FinalTranscript,
    Notice,
    Status,
    StreamStarted,
    Summary,
)
from streamer.process import Usage
from streamer.writers import printable

STATUS_EVERY_S = 3600.0
"""Time from one line on the program's state to the next, seconds."""

LIBRARIES = ("numpy", "onnxruntime", "soxr", "sounddevice", "webrtcvad-wheels")
"""Whose versions are told at the start, where they are installed."""

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class ProgramLog:
    """Writes what happens to the program to a file; as a sink, what happens to the stream.

    Device events and other notices, gaps, errors with their place in the program, and every
    hour a line on time, lag, loss, memory, threads and open files.  Of captions it tells how
    many there were.  A log that cannot be written is passed over: captions go on.

    A full file is put aside as ``FILE.1`` and so on.  May be used from any thread.

    Args:
        path: The file; what it holds stays.
        size_mb: Size from which on it is put aside, megabytes.
        keep: Files that were put aside and stay.
        status_every_s: Time between two lines on the program's state, seconds.
        steady: Seconds that only rise.

    Raises:
        UsageError: If there is no folder for it.
        OutputError: If it cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        size_mb: float = 10.0,
        keep: int = 5,
        status_every_s: float = STATUS_EVERY_S,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handler = _open(path, round(size_mb * 1e6), keep)
        self._handler.setFormatter(_Stamped("%(asctime)s %(levelname)s %(message)s"))
        self._logger = logging.Logger("live-captioner", logging.INFO)
        self._logger.addHandler(self._handler)
        self._steady = steady
        self._status_every_s = status_every_s
        self._began = steady()
        self._due = self._began + status_every_s
        self._captions = 0
        self._moved = False

    def begin(self, settings: Mapping[str, object]) -> None:
        """Write what runs here, and with which settings."""
        found = {name: _version(name) for name in LIBRARIES}
        found["python"], found["machine"] = platform.python_version(), platform.platform()
        self._say("program starts: " + _listed(found))
        self._say("settings: " + _listed(settings))

    def emit(self, event: Event, emitted_s: float) -> None:
        """Write what an event says of the program; raises nothing."""
        if self._moved:
            self._moved = False
            self._handler.reopen()
            self._say("log opened anew")
        match event:
            case StreamStarted(source=source, model=model):
                self._say("stream starts: " + _listed({"source": source, "model": model}))
            case Notice(kind=kind, text=text, level=level):
                self._say(f"{kind}: {text}", _LEVELS[level])
            case AudioGap(start_s=start_s, lost_s=lost_s):
                self._say(f"{lost_s:.3f} s of audio lost at {start_s:.3f} s", logging.WARNING)
            case FinalTranscript():
                self._captions += 1
            case Status():
                self._watch(event)
            case Summary():
                self._say(
                    f"stream ends: {event.audio_s:.1f} s heard, {event.speech_s:.1f} s of it "
                    f"speech, {event.lost_s:.1f} s lost, {event.utterances} utterances, "
                    f"real-time factor {event.rtf:.3f}"
                )

    def failed(self, error: BaseException) -> None:
        """Write an error with its place in the program.

        Only the program's own errors are told in words: others could quote what was said.
        """
        lines: list[str] = []
        cause: BaseException | None = error
        while cause is not None:
            lines += "".join(traceback.format_tb(cause.__traceback__)).splitlines()
            lines.append(_told(cause))
            cause = cause.__cause__
        shown = "\n".join(f"    {printable(line)}" for line in lines)
        self._logger.error("program fails:\n%s", shown)

    def reopen(self) -> None:
        """Go on in a new file of the same name with the next event: the file was moved away.

        Takes no lock, so a signal's handler may call it.
        """
        self._moved = True

    def close(self) -> None:
        """Close the file; may be called again."""
        self._handler.close()

    def end(self) -> None:
        """Write that the program ends, and close the file."""
        self._say("program ends")
        self.close()

    def _watch(self, status: Status) -> None:
        now = self._steady()
        if now < self._due:
            return
        self._due = now + self._status_every_s
        usage = Usage.now()
        self._say(
            f"status: up {(now - self._began) / 3600:.1f} h, audio {status.audio_s:.1f} s, "
            f"lag {status.lag_s:.1f} s, lost {status.lost_s:.1f} s, captions {self._captions}, "
            f"memory {usage.memory_mb:.0f} MiB, threads {usage.threads}, handles {usage.handles}"
        )

    def _say(self, text: str, level: int = logging.INFO) -> None:
        self._logger.log(level, "%s", printable(text))


@contextmanager
def logged(log: ProgramLog | None, settings: Mapping[str, object]) -> Iterator[None]:
    """Write to ``log``, if there is one, the beginning and the end of what is done within."""
    if log is None:
        yield
        return
    log.begin(settings)
    try:
        yield
    except BaseException as error:
        log.failed(error)
        raise
    finally:
        log.end()


class _Stamped(logging.Formatter):
    """Local times by ISO 8601, with their zone."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return (
            datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        )


class _Handler(RotatingFileHandler):
    """A file that is begun anew when it is full or asked to, and whose errors are nobody's."""

    def reopen(self) -> None:
        """Close the file; the next record opens it anew."""
        self.acquire()
        try:
            stream, self.stream = self.stream, None
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        finally:
            self.release()

    def doRollover(self) -> None:
        """Put the file aside; where its folder does not let it, go on in it."""
        with suppress(OSError):
            super().doRollover()

    def handleError(self, record: logging.LogRecord) -> None:
        """Pass over an error: the disk may be full; the next record tries again."""
        self.reopen()


def _open(path: Path, size: int, keep: int) -> _Handler:
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}; make it first")
    try:
        return _Handler(path, maxBytes=size, backupCount=keep, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{path}: the log cannot be written: {error.strerror or error}; choose another place"
        ) from error


def _told(error: BaseException) -> str:
    own = isinstance(error, CaptionerError | OSError) and not isinstance(error, StageFailed)
    return f"{type(error).__name__}: {error}" if own else type(error).__name__


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
