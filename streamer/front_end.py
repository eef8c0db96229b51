"""From audio to the features of utterances: all that happens before recognition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.features import FeatureExtractor
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.events import AudioGap, EndReason
from streamer.segmenter import UtteranceSegmenter
from streamer.segments import SegmentEvent, SpeechAudio, SpeechEnded, SpeechStarted


@dataclass(frozen=True)
class UtteranceFeatures:
    """More frames of the current utterance, following on what came before.

    Attributes:
        utterance: Number of the utterance.
        features: float32 (frames, size), frames at least 1.
        end: Index in the stream up to which its audio has been used.
    """

    utterance: int
    features: np.ndarray
    end: int


@dataclass(frozen=True)
class UtteranceEnded:
    """An utterance is over.

    Attributes:
        utterance: Number of the utterance.
        end: Index in the stream of the sample after its last one.
        reason: Why it ended.
        frames: Feature frames that lie wholly within the utterance; after a cut of a
            long utterance fewer than were given out.
        heard: Index in the stream up to which audio was needed to know that it ended;
            after a cut past ``end``.
    """

    utterance: int
    end: int
    reason: EndReason
    frames: int
    heard: int


FrontEndItem = SpeechStarted | UtteranceFeatures | UtteranceEnded | AudioGap


class SpeechFrontEnd:
    """Turn the blocks of one stream into utterances of features.

    Owns the segmenter and, during an utterance, its feature stream.

    Args:
        segmenter: Used for this stream only.
        extractor: Shared; the one that the model was trained with.
    """

    def __init__(self, segmenter: UtteranceSegmenter, extractor: FeatureExtractor) -> None:
        self._segmenter = segmenter
        self._extractor = extractor

    def push(self, block: AudioBlock) -> list[FrontEndItem]:
        """Take the next block and return what it tells, in order."""
        if block.lost_before == 0:
            return self._convert(self._segmenter.push(block))
        # The gap is pushed alone, so that it is told between what it ends and what follows.
        gap = AudioBlock(block.samples[:0], block.start, block.lost_before)
        rest = AudioBlock(block.samples, block.start)
        gap_start = block.start - block.lost_before
        return [
            *self._convert(self._segmenter.push(gap)),
            AudioGap(gap_start / SAMPLE_RATE, block.lost_before / SAMPLE_RATE),
            *self._convert(self._segmenter.push(rest)),
        ]

    def flush(self, reason: EndReason = "end") -> list[FrontEndItem]:
        """End the utterance that goes on, as at the stream's end."""
        return self._convert(self._segmenter.flush(reason))

    def _convert(self, events: list[SegmentEvent]) -> list[FrontEndItem]:
        items: list[FrontEndItem] = []
        for event in events:
            match event:
                case SpeechStarted():
                    items.append(self._started(event))
                case SpeechAudio():
                    items += self._features(event)
                case SpeechEnded():
                    items.append(self._ended(event))
        return items

    def _started(self, event: SpeechStarted) -> SpeechStarted:
        self._stream = self._extractor.stream()
        self._start = self._heard = event.start
        return event

    def _features(self, event: SpeechAudio) -> list[UtteranceFeatures]:
        self._heard = event.start + len(event.samples)
        features = self._stream.push(event.samples)
        if len(features) == 0:
            return []
        return [UtteranceFeatures(event.utterance, features, self._heard)]

    def _ended(self, event: SpeechEnded) -> UtteranceEnded:
        frames = self._extractor.settings.frames_in(event.end - self._start)
        return UtteranceEnded(event.utterance, event.end, event.reason, frames, self._heard)
