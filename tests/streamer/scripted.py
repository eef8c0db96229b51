"""Streams of frames written as strings, for the tests of the segmenter.

A character is a frame of 100 ms: ``s`` speech, ``q`` quiet speech, ``n`` noise that voice
activity takes for speech, ``w`` a whisper that it does not hear, ``e`` speech that ends a
sentence, ``.`` silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from streamer.events import EndReason
from streamer.listening import Listened
from streamer.segmenter import UtteranceSegmenter
from streamer.segments import (
    Evidence,
    LookDue,
    SegmentEvent,
    SpeechEnded,
    SpeechFrames,
    SpeechStarted,
)
from streamer.settings import EndpointSettings

FRAME = 1_600
LOOK_MS = 400
COVERED = 240
"""Samples that a frame covers behind its hop."""

POWER = {"s": 0.1, "q": 1e-4, "n": 0.01, "w": 1e-3, "e": 0.1, ".": 0.0}
VOICED, LETTERS = "sqne", "sqwe"
SETTINGS = EndpointSettings(
    pre_roll_ms=200,
    minimum_speech_ms=300,
    finished_ms=300,
    pause_ms=500,
    held_ms=800,
    blanks_ms=700,
    nothing_ms=1_000,
    longest_s=3.0,
    cut_search_s=1.0,
)
"""Pre-roll of 2 frames, speech from 3 on, pauses of 3 or 5, 8 held, blanks 7, nothing 10."""


def listened(script: str, start: int = 0) -> Listened:
    """Frames of a script that begin at ``start`` of the stream; features count them."""
    first = start // FRAME
    return Listened(
        start,
        np.arange(first, first + len(script), dtype=np.float32)[:, None],
        np.array([character in VOICED for character in script]),
        np.array([POWER[character] for character in script], np.float32),
        start + len(script) * FRAME + COVERED,
    )


@dataclass(frozen=True)
class Part:
    """A stretch without gaps: its frames, and samples lost before it."""

    script: str
    lost_before: int = 0


@dataclass
class Utterance:
    """What the events say about one utterance."""

    start: int
    end: int = -1
    reason: EndReason | None = None
    frames: int = -1
    heard: int = -1
    looks: list[int] = field(default_factory=list)
    pieces: list[np.ndarray] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    @property
    def features(self) -> np.ndarray:
        return np.concatenate(self.pieces)[:, 0]


class Ear:
    """Drives a segmenter and hears what the script says.

    Args:
        script: All frames of the stream, one for each ``FRAME`` from sample 0 on.
        sighted: Whether it tells what it hears.
        behind: Newest frames of which it knows nothing yet.
    """

    def __init__(
        self,
        script: str,
        settings: EndpointSettings = SETTINGS,
        sighted: bool = True,
        behind: int = 0,
    ) -> None:
        self.segmenter = UtteranceSegmenter(settings, FRAME, LOOK_MS)
        self.utterances: list[Utterance] = []
        self.events: list[SegmentEvent] = []
        self._script = script
        self._sighted = sighted
        self._behind = behind
        self._speaking = False

    def push(self, frames: Listened) -> None:
        self.segmenter.push(frames)
        self._drain()

    def close(self, reason: EndReason) -> None:
        self.segmenter.close(reason)
        self._drain()

    def _drain(self) -> None:
        while (event := self.segmenter.step()) is not None:
            self.events.append(event)
            self._take(event)
        given = sum(map(len, self.utterances[-1].pieces)) if self._speaking else 0
        assert not self._speaking or given > 0

    def _take(self, event: SegmentEvent) -> None:
        if isinstance(event, SpeechStarted):
            assert not self._speaking
            self.utterances.append(Utterance(event.start))
            self._speaking = True
        utterance = self.utterances[-1]
        assert self._speaking
        assert event.utterance == len(self.utterances)
        given = sum(map(len, utterance.pieces))
        if isinstance(event, SpeechFrames):
            assert len(event.features) > 0
            utterance.pieces.append(event.features)
            utterance.ends.append(event.end)
        elif isinstance(event, LookDue):
            assert event.frames == given
            utterance.looks.append(event.frames)
            if self._sighted:
                self.segmenter.tell(self._evidence(utterance.start // FRAME, given))
        elif isinstance(event, SpeechEnded):
            utterance.end, utterance.reason = event.end, event.reason
            utterance.frames, utterance.heard = event.frames, event.heard
            self._speaking = False

    def _evidence(self, start: int, frames: int) -> Evidence:
        known = self._script[start : start + frames - self._behind]
        letters = [character for character in known if character in LETTERS]
        blank = np.array([character not in LETTERS for character in known], bool)
        return Evidence(blank, float(bool(letters) and letters[-1] == "e"))


def run(
    parts: Sequence[Part],
    sizes: Iterable[int] = (),
    settings: EndpointSettings = SETTINGS,
    sighted: bool = True,
    behind: int = 0,
) -> Ear:
    """Push a stream in pieces of the given numbers of frames, then the rest; close it."""
    whole = "".join(" " * (part.lost_before // FRAME) + part.script for part in parts)
    ear = Ear(whole, settings, sighted, behind)
    remaining = iter(sizes)
    position = 0
    for part in parts:
        if part.lost_before:
            ear.close("gap")
        position += part.lost_before
        script = part.script
        while script:
            size = next(remaining, len(script))
            ear.push(listened(script[:size], position))
            position += len(script[:size]) * FRAME
            script = script[size:]
    ear.close("end")
    return ear
