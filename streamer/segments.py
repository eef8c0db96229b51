"""Utterances cut out of a stream, as values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamer.events import EndReason


@dataclass(frozen=True)
class SpeechStarted:
    """An utterance begins.

    Attributes:
        utterance: Number of the utterance, from 1.
        start: Index in the stream of its first sample, pre-roll included.
    """

    utterance: int
    start: int


@dataclass(frozen=True)
class SpeechAudio:
    """More audio of the current utterance, following on what came before.

    Attributes:
        utterance: Number of the utterance.
        samples: float32 (n,), -1 to 1.
        start: Index in the stream of the first sample.
    """

    utterance: int
    samples: np.ndarray
    start: int


@dataclass(frozen=True)
class SpeechEnded:
    """An utterance is over.

    Attributes:
        utterance: Number of the utterance.
        end: Index in the stream of the sample after its last one.  After a cut of
            a long utterance this lies before the end of the audio given out so
            far; what lies behind it is given again to the next utterance.
        reason: Why it ended.
    """

    utterance: int
    end: int
    reason: EndReason


SegmentEvent = SpeechStarted | SpeechAudio | SpeechEnded
