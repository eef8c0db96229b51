"""Audio files replayed as if they were a microphone."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from typing_extensions import Self

from model.audio import stream_audio
from model.errors import AudioFileError, UsageError
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.events import Notice

SILENCE_BETWEEN_FILES_S = 1.0
"""Seconds of silence between two files, so that no utterance reaches into the next one."""


class WavReplaySource:
    """Audio files, one after the other, as one stream that loses nothing.

    Any rate and number of channels, in any format of :func:`model.audio.stream_audio`.
    Several files are announced by a notice ``file`` each.  A file that turns out to
    be damaged is heard up to there, then a notice ``file_damaged`` says so and the
    next file follows.  A notice comes right after the block in which its place lies.

    Args:
        paths: The files, at least one.
        pace: ``real`` gives a block out when its last sample would have been
            recorded; ``max`` gives blocks out as fast as they are taken.
        block_ms: Length of every block but the last, milliseconds.
        clock: Seconds that only rise.
        stopped: Set by :meth:`stop`, and waited on for the pace.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        pace: Literal["real", "max"] = "real",
        block_ms: int = 32,
        clock: Callable[[], float] = time.monotonic,
        stopped: threading.Event | None = None,
    ) -> None:
        self._paths = tuple(paths)
        self._pace = pace
        self._block = block_ms * SAMPLE_RATE // 1000
        self._clock = clock
        self._stopped = threading.Event() if stopped is None else stopped

    @property
    def name(self) -> str:
        """The file's name, or the first one's and how many follow."""
        first, others = self._paths[0].name, len(self._paths) - 1
        return first if not others else f"{first} and {others} more"

    @property
    def lossless(self) -> bool:
        """True: it waits when the program is slow."""
        return True

    def __enter__(self) -> Self:
        """Check that every file can be read.

        Raises:
            AudioFileError: If one is missing, empty, damaged at its start or not audio.
            UsageError: If no file was given.
        """
        if not self._paths:
            raise UsageError("no audio file to replay: name one or more")
        for path in self._paths:
            next(self._samples_of(path), None)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __iter__(self) -> Iterator[AudioBlock | Notice]:
        started = self._clock()
        for item in self._blocks():
            if isinstance(item, AudioBlock) and self._pace == "real":
                self._wait_until(started + item.end / SAMPLE_RATE)
            if self._stopped.is_set():
                return
            yield item

    def stop(self) -> None:
        """End the iteration soon; may be called from any thread, more than once."""
        self._stopped.set()

    def _wait_until(self, due_s: float) -> None:
        while not self._stopped.is_set() and (left_s := due_s - self._clock()) > 0:
            self._stopped.wait(left_s)

    def _blocks(self) -> Iterator[AudioBlock | Notice]:
        """Regroup the pieces to blocks of equal length; owns the samples left over."""
        pending = np.zeros(0, np.float32)
        notices: deque[Notice] = deque()
        start = 0
        for piece in self._pieces():
            if isinstance(piece, Notice):
                notices.append(piece)
            else:
                pending = np.concatenate([pending, piece])
            while len(pending) >= self._block:
                yield AudioBlock(pending[: self._block], start)
                pending = pending[self._block :]
                start += self._block
                yield from _taken(notices)
            if not len(pending):
                yield from _taken(notices)
        if len(pending):
            yield AudioBlock(pending, start)
        yield from notices

    def _pieces(self) -> Iterator[np.ndarray | Notice]:
        """Yield the files' samples (n,), the silence between them and the notices."""
        for number, path in enumerate(self._paths, 1):
            if number > 1:
                yield np.zeros(round(SILENCE_BETWEEN_FILES_S * SAMPLE_RATE), np.float32)
            if len(self._paths) > 1:
                yield Notice("file", f"file {number} of {len(self._paths)}: {path}", "info")
            try:
                yield from self._samples_of(path)
            except AudioFileError as error:
                text = f"{error}; captions go on behind it: replace the file and replay it again"
                yield Notice("file_damaged", text, "error")

    def _samples_of(self, path: Path) -> Iterator[np.ndarray]:
        return stream_audio(path, SAMPLE_RATE, self._block / SAMPLE_RATE)


def _taken(notices: deque[Notice]) -> Iterator[Notice]:
    while notices:
        yield notices.popleft()
