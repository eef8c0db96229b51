"""Where the captions and the audio of a run go, opened as they were asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from model.errors import UsageError
from streamer.display import CaptionDisplay, default_sink
from streamer.events import EventSink
from streamer.files import require_new
from streamer.recorder import AudioRecorder, BlockRecorder, recording_kind
from streamer.rotating import RotatingRecorder, RotatingSink
from streamer.rotation import KEEP_ALL, Every, Keeping, Rotation
from streamer.screen import BackgroundSink
from streamer.writers import JsonLinesWriter, file_format, open_sink

SCREEN = "standard output"


@dataclass(frozen=True)
class Outputs:
    """What was asked for.

    Attributes:
        format: Form on standard output; None for what fits it.
        files: For captions.
        recording: For audio, or None.
        every: When files are to be cut into parts, or None for never.
        keeping: Which parts stay.
        low_confidence: Words below it are marked on a terminal.
    """

    format: str | None = None
    files: Sequence[Path] = ()
    recording: Path | None = None
    every: Every | None = None
    keeping: Keeping = KEEP_ALL
    low_confidence: float = 0.5

    def check(self) -> None:
        """Refuse what is seen before anything is opened.

        Raises:
            UsageError: If a file has no known ending, no folder, or, unless it is cut into
                parts, holds something already, or if two outputs are one file, by whatever
                names.
        """
        for path in self.files:
            file_format(path)
            if self.every is None:
                require_new(path)
        recordings = [self.recording] if self.recording else []
        for path in recordings:
            recording_kind(path)
        files = [*self.files, *recordings]
        places = [os.path.realpath(path) for path in files]
        for path, place in zip(files, places, strict=True):
            if places.count(place) > 1:
                raise UsageError(f"{path}: is to be written twice; leave one out")

    def rotation(self) -> Rotation | None:
        """Return what cuts the files into parts; None where that is not wanted."""
        return None if self.every is None else Rotation(self.every)

    def recorder(self, rotation: Rotation | None, stack: ExitStack) -> BlockRecorder | None:
        """Open the recording, if there is to be one; ``stack`` closes it.

        Raises:
            CaptionerError: If it cannot be opened.
        """
        if rotation is not None:
            parts = RotatingRecorder(self.recording, rotation, self.keeping)
            stack.callback(parts.close)
            return parts
        if self.recording is None:
            return None
        recorder = AudioRecorder(self.recording)
        stack.callback(recorder.close)
        return recorder

    def sinks(self, rotation: Rotation | None) -> dict[str, EventSink]:
        """Open every sink, standard output first; a failure of one leaves no other open.

        Raises:
            CaptionerError: If one cannot be opened.
        """
        with ExitStack() as opened:
            sinks: dict[str, EventSink] = {SCREEN: _screen(self.format, self.low_confidence)}
            opened.callback(sinks[SCREEN].close)
            for path in self.files:
                sink = open_sink(path) if rotation is None else self._parts(path, rotation)
                sinks[str(path)] = sink
                opened.callback(sink.close)
            opened.pop_all()
        return sinks

    def show_partials(self, sinks: dict[str, EventSink]) -> bool:
        """Return whether anybody wants to know what an utterance sounds like so far."""
        shown = isinstance(sinks[SCREEN], CaptionDisplay | JsonLinesWriter)
        return shown or any(file_format(path) == "jsonl" for path in self.files)

    def _parts(self, path: Path, rotation: Rotation) -> RotatingSink:
        return RotatingSink(path, rotation, self.keeping)


def in_background(sinks: dict[str, EventSink], patient: bool) -> BackgroundSink:
    """Let standard output be written by a thread of its own.

    Args:
        sinks: From :meth:`Outputs.sinks`; changed.
        patient: As for :class:`~streamer.screen.BackgroundSink`.
    """
    screen = BackgroundSink(sinks[SCREEN], patient)
    sinks[SCREEN] = screen
    return screen


def _screen(format: str | None, low_confidence: float) -> EventSink:
    console = Console()
    if format == "captions":
        return CaptionDisplay(console, low_confidence=low_confidence)
    name = "txt" if format == "plain" else format
    return default_sink(console, name, low_confidence=low_confidence)
