"""Utterances found in a stream, and what is heard in them, as values."""

from __future__ import annotations

from dataclasses import dataclass, field

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
class SpeechFrames:
    """More frames of the current utterance, following on what came before.

    Attributes:
        utterance: Number of the utterance.
        features: float32 (frames, size), frames at least 1.
        end: Index in the stream up to which their audio reaches.
    """

    utterance: int
    features: np.ndarray
    end: int


@dataclass(frozen=True)
class LookDue:
    """The network is to be read; :meth:`UtteranceSegmenter.tell` takes what it hears.

    Attributes:
        utterance: Number of the utterance.
        frames: Frames of the utterance so far, all of them given.
        urgent: Whether it may end here, so that no older evidence will do.
    """

    utterance: int
    frames: int
    urgent: bool


@dataclass(frozen=True)
class SpeechEnded:
    """An utterance is over.

    Attributes:
        utterance: Number of the utterance.
        end: Index in the stream of the sample after its last one; the next utterance
            begins there or later.
        reason: Why it ended.
        frames: Frames that belong to it.  After a cut fewer than were given out: what
            lies behind is given again to the next utterance.  After a pause all of them,
            though some of its last, in which nothing was heard, may lie behind ``end``
            and begin the next utterance too.
        heard: Index in the stream up to which audio was needed to know that it ended.
    """

    utterance: int
    end: int
    reason: EndReason
    frames: int
    heard: int


SegmentEvent = SpeechStarted | SpeechFrames | LookDue | SpeechEnded


@dataclass(frozen=True)
class Evidence:
    """What the network and the language model make of an utterance so far.

    Attributes:
        blank: bool (frames,): for its feature frames from the first on, whether no letter
            is heard there; what is not known yet is left out at the end.
        sentence_end: Probability that the sentence ends behind the words so far; 0 where
            nothing is known or nothing was read.
    """

    blank: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    sentence_end: float = 0.0
