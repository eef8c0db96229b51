"""Streams written as strings, for the tests of the segmenter and of the front end.

A character is a frame of 100 ms: ``s`` loud speech, ``q`` quiet speech, ``.`` silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from streamer.audio import AudioBlock
from streamer.segmenter import UtteranceSegmenter
from streamer.segments import SegmentEvent, SpeechAudio, SpeechEnded, SpeechStarted
from streamer.settings import VadSettings

FRAME = 1_600
LEVELS = {"s": 0.3, "q": 0.01, ".": 0.0}
SETTINGS = VadSettings(
    pre_roll_ms=200,
    minimum_speech_ms=300,
    hangover_ms=500,
    longest_s=3.0,
    cut_search_s=1.0,
)
"""Pre-roll of 2 frames, speech from 3 on, pauses from 5 on, 30 at most, cut within the last 10."""


class ScriptedDetector:
    """Reads its answers from a script."""

    frame = FRAME

    def __init__(self, script: str) -> None:
        self._answers = iter(script)
        self.resets = 0

    def is_speech(self, frame: np.ndarray) -> bool:
        assert frame.shape == (FRAME,)
        return next(self._answers) != "."

    def reset(self) -> None:
        self.resets += 1


@dataclass(frozen=True)
class Part:
    """A stretch without gaps: its frames, samples after the last frame, samples lost before it."""

    script: str
    leftover: int = 0
    lost_before: int = 0


@dataclass
class Utterance:
    """What the events say about one utterance."""

    start: int
    end: int = -1
    reason: str = ""
    pieces: list[np.ndarray] = field(default_factory=list)

    @property
    def samples(self) -> np.ndarray:
        return np.concatenate(self.pieces)


def segmenter(*scripts: str, settings: VadSettings = SETTINGS) -> UtteranceSegmenter:
    return UtteranceSegmenter(ScriptedDetector("".join(scripts)), settings)


def audio(script: str, leftover: int = 0) -> np.ndarray:
    """Noise as loud as the script says, no two samples of speech alike."""
    levels = np.repeat([LEVELS[character] for character in script] + [0.3], FRAME)
    levels = levels[: len(script) * FRAME + leftover]
    noise = np.random.default_rng(len(script)).uniform(0.5, 1, len(levels))
    return (levels * noise).astype(np.float32)


def whole_stream(parts: Sequence[Part]) -> np.ndarray:
    """All samples by their index, NaN where they were lost."""
    pieces = [
        piece
        for part in parts
        for piece in (
            np.full(part.lost_before, np.nan, np.float32),
            audio(part.script, part.leftover),
        )
    ]
    return np.concatenate(pieces)


def blocks(parts: Sequence[Part], sizes: Iterable[int] = ()) -> Iterator[AudioBlock]:
    """Split the stream into blocks of the given sizes, then one for the rest of each part."""
    remaining_sizes = iter(sizes)
    position = 0
    for part in parts:
        position += part.lost_before
        lost, samples = part.lost_before, audio(part.script, part.leftover)
        while len(samples):
            size = next(remaining_sizes, len(samples))
            block = AudioBlock(samples[:size], position, lost)
            yield block
            position, lost, samples = block.end, 0, samples[size:]


def utterances(events: Iterable[SegmentEvent]) -> list[Utterance]:
    """Join events to utterances, checking that they come in order and without holes."""
    found: list[Utterance] = []
    speaking = False
    for event in events:
        if isinstance(event, SpeechStarted):
            assert not speaking
            found.append(Utterance(event.start))
        assert event.utterance == len(found)
        if isinstance(event, SpeechAudio):
            assert event.start == found[-1].start + sum(map(len, found[-1].pieces))
            assert len(event.samples) > 0
            found[-1].pieces.append(event.samples)
        elif isinstance(event, SpeechEnded):
            found[-1].end, found[-1].reason = event.end, event.reason
        speaking = not isinstance(event, SpeechEnded)
    assert not speaking
    return found
