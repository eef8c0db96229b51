"""Keep what is heard, from the moment that somebody asks for it; nothing before."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from typing import Literal, Protocol

from model.errors import CaptionerError
from streamer.audio import SAMPLE_RATE, AudioBlock, from_pcm, to_pcm
from streamer.events import FinalTranscript, Notice
from streamer.web.errors import NothingKept

Origin = Literal["microphone", "live", "upload"]
"""Where a recording came from: a browser, the machine's own microphone, or a file."""

KEEPING_ENDED = "keeping_ended"
"""Kind of the notice that the recording was deleted while it was being made."""


class Kept(Protocol):
    """A recording on its way to disk; see :class:`streamer.web.library.library.Library`."""

    @property
    def id(self) -> str: ...

    @property
    def ended(self) -> bool: ...

    def push(self, block: AudioBlock) -> list[Notice]: ...

    def add(self, final: FinalTranscript) -> None: ...

    def finish(self) -> None: ...

    def discard(self) -> None: ...


class Shelf(Protocol):
    """Where recordings are kept."""

    def begin(self, title: str, origin: Origin, model: str) -> Kept: ...


class NoShelf:
    """The shelf of a server that was started with ``--private``."""

    def begin(self, title: str, origin: Origin, model: str) -> Kept:
        """Keep nothing.

        Raises:
            NothingKept: Always.
        """
        raise NothingKept


class Keeper:
    """Holds the last part of a stream in memory, and keeps it once that is wanted.

    Until :meth:`keep` is called nothing of it reaches a disk.  Then all that is still
    held, and all that follows, goes into one recording, whose times count from its own
    beginning.  May be used from any thread; a stream pushes to it as to any recorder.

    Args:
        shelf: Where recordings are kept.
        origin: What the stream is.
        remembered_s: How much audio is held before it is kept, seconds.
    """

    def __init__(self, shelf: Shelf, origin: Origin, remembered_s: float) -> None:
        self._shelf = shelf
        self._origin = origin
        self._remembered = round(remembered_s * SAMPLE_RATE)
        self._blocks: deque[AudioBlock] = deque()
        self._finals: deque[FinalTranscript] = deque()
        self._heard = 0
        self._kept: Kept | None = None
        self._start = 0
        self._untold: list[Notice] = []
        self._lock = threading.RLock()

    @property
    def recording(self) -> str | None:
        """The id of the recording being kept, or None."""
        with self._lock:
            return self._kept.id if self._kept and not self._kept.ended else None

    @property
    def begun(self) -> bool:
        """Whether a recording was begun and not finished yet, be it deleted or not."""
        with self._lock:
            return self._kept is not None

    def push(self, block: AudioBlock) -> list[Notice]:
        """Take a block; see :class:`~streamer.recorder.BlockRecorder`."""
        with self._lock:
            self._heard = block.end
            self._let_go()
            untold, self._untold = self._untold, []
            if self._kept is not None:
                return [*untold, *self._kept.push(self._moved(block))]
            self._blocks.append(_packed(block))
            self._forget()
            return untold

    def add(self, final: FinalTranscript) -> None:
        """Take what an utterance was found to say."""
        with self._lock:
            if self._kept is not None:
                self._add(final)
            else:
                self._finals.append(final)

    def keep(self, title: str, model: str) -> str:
        """Keep what is held and what follows; return the recording's id.

        While a recording is being kept, this changes nothing; one that was deleted is not.

        Args:
            title: What the user calls it; may be empty.
            model: Name of the model that hears it.

        Raises:
            CaptionerError: If it cannot be kept.
        """
        with self._lock:
            if self._kept is None or self._kept.ended:
                self._start = self._blocks[0].start if self._blocks else self._heard
                self._kept = self._shelf.begin(title, self._origin, model)
                for block in self._blocks:
                    self._kept.push(self._moved(_unpacked(block)))
                for final in self._finals:
                    self._add(final)
                self._blocks.clear()
                self._finals.clear()
            return self._kept.id

    def finish(self) -> str | None:
        """Finish the recording, if one is being kept, and return its id."""
        with self._lock:
            kept, self._kept = self._kept, None
            if kept is None or kept.ended:
                return None
            kept.finish()
            return kept.id

    def discard(self) -> None:
        """Throw away the recording that is being kept, and what is held."""
        with self._lock:
            kept, self._kept = self._kept, None
            if kept is not None:
                kept.discard()
            self._blocks.clear()
            self._finals.clear()

    def _let_go(self) -> None:
        """Have no more to do with a recording that was deleted, and say so."""
        if self._kept is not None and self._kept.ended:
            self._kept = None
            text = "the recording was deleted, so nothing more is kept"
            self._untold.append(Notice(KEEPING_ENDED, text, "warning"))

    def _forget(self) -> None:
        """Let go of what is older than what is to be remembered."""
        while self._blocks and self._heard - self._blocks[0].start > self._remembered:
            self._blocks.popleft()
        start_s = (self._blocks[0].start if self._blocks else self._heard) / SAMPLE_RATE
        while self._finals and self._finals[0].end_s <= start_s:
            self._finals.popleft()

    def _moved(self, block: AudioBlock) -> AudioBlock:
        return replace(block, start=block.start - self._start)

    def _add(self, final: FinalTranscript) -> None:
        """Add what of a transcript lies within the recording."""
        assert self._kept is not None
        by_s = self._start / SAMPLE_RATE
        if final.end_s <= by_s:
            return
        words = tuple(
            replace(word, start_s=word.start_s - by_s, end_s=word.end_s - by_s)
            for word in final.words
            if word.start_s >= by_s
        )
        moved = replace(
            final,
            text=" ".join(word.word for word in words),
            words=words,
            start_s=max(0.0, final.start_s - by_s),
            end_s=final.end_s - by_s,
            audio_s=final.audio_s - by_s,
        )
        try:
            self._kept.add(moved)
        except CaptionerError as error:
            self._untold.append(Notice("keeping_failed", str(error), "error"))


def _packed(block: AudioBlock) -> AudioBlock:
    """Return a block in the 16 bits that it would have on disk, half as large."""
    return replace(block, samples=to_pcm(block.samples))


def _unpacked(block: AudioBlock) -> AudioBlock:
    return replace(block, samples=from_pcm(block.samples))
