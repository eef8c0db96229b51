"""Features of utterances in, transcripts out; knows no thread and no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lm.decoder import Decoder
from streamer.audio import SAMPLE_RATE
from streamer.events import (
    AudioGap,
    Event,
    FinalTranscript,
    PartialTranscript,
    Word,
)
from streamer.front_end import (
    FrontEndItem,
    UtteranceEnded,
    UtteranceFeatures,
)
from streamer.segments import SpeechStarted
from streamer.settings import PartialSettings
from streamer.settler import WordSettler


class AcousticSession(Protocol):
    """One utterance inside the acoustic model; see ``model.acoustic``."""

    def push(self, features: np.ndarray) -> None:
        """Add float32 (frames, size)."""
        ...

    def log_probs(self, frames: int | None = None, final: bool = False) -> np.ndarray:
        """Return float32 (output frames, symbols) for the first ``frames`` frames, or all.

        ``final`` asks for the most careful reading.
        """
        ...


class AcousticModel(Protocol):
    """What the recogniser needs of an acoustic model; see ``model.acoustic``."""

    @property
    def frame_samples(self) -> int:
        """Audio samples from one frame of log-probabilities to the next."""
        ...

    def session(self) -> AcousticSession:
        """Start an utterance."""
        ...


@dataclass
class _Utterance:
    """The utterance that goes on."""

    number: int
    start: int
    session: AcousticSession
    settler: WordSettler
    end: int = 0
    read_to: int = 0


class StreamingRecognizer:
    """Turns what the front end gives into partial and final transcripts.

    Owns the utterance that goes on, nothing of those before it.

    Args:
        acoustic: Shared model; one session of it is used for each utterance.
        decoder: Shared decoder.
        settings: When partials are due and when their words are settled.
    """

    def __init__(
        self, acoustic: AcousticModel, decoder: Decoder, settings: PartialSettings
    ) -> None:
        self._acoustic = acoustic
        self._decoder = decoder
        self._settings = settings
        self._utterance: _Utterance | None = None

    @property
    def speaking(self) -> bool:
        """Whether an utterance goes on."""
        return self._utterance is not None

    def push(self, item: FrontEndItem) -> list[Event]:
        """Take the next item and return the events that follow from it at once."""
        if isinstance(item, AudioGap):
            return [item]
        if isinstance(item, SpeechStarted):
            self._start(item)
        elif isinstance(item, UtteranceFeatures):
            self._extend(item)
        elif isinstance(item, UtteranceEnded):
            return [self._finish(item)]
        return []

    def partial_due(self, cost_s: float = 0.0) -> bool:
        """Return whether a partial is worth its price.

        Args:
            cost_s: What the last partial cost, seconds; at least as much new audio
                must have come, so that partials never eat more time than there is.
        """
        if self._utterance is None:
            return False
        new_s = (self._utterance.end - self._utterance.read_to) / SAMPLE_RATE
        return new_s >= max(self._settings.every_ms / 1000, cost_s)

    def partial(self) -> list[PartialTranscript]:
        """Read the utterance so far; nothing while none goes on or nothing is heard in it."""
        utterance = self._utterance
        if utterance is None:
            return []
        utterance.read_to = utterance.end
        words = self._read(utterance, utterance.session.log_probs())
        audio_s = utterance.end / SAMPLE_RATE
        stable, tail = utterance.settler.update(words, audio_s)
        if not stable and not tail:
            return []
        return [
            PartialTranscript(
                utterance.number, stable, tail, utterance.start / SAMPLE_RATE, audio_s
            )
        ]

    def _start(self, item: SpeechStarted) -> None:
        settler = WordSettler(self._settings.settle_after, self._settings.settle_lag_ms / 1000)
        self._utterance = _Utterance(
            item.utterance,
            item.start,
            self._acoustic.session(),
            settler,
            end=item.start,
            read_to=item.start,
        )

    def _extend(self, item: UtteranceFeatures) -> None:
        if self._utterance is not None:
            self._utterance.session.push(item.features)
            self._utterance.end = item.end

    def _finish(self, item: UtteranceEnded) -> FinalTranscript:
        utterance, self._utterance = self._utterance, None
        if utterance is None:
            raise ValueError(f"utterance {item.utterance} ended without a start")
        words = self._read(utterance, utterance.session.log_probs(item.frames, final=True))
        return FinalTranscript(
            utterance=utterance.number,
            text=" ".join(word.word for word in words),
            words=words,
            start_s=utterance.start / SAMPLE_RATE,
            end_s=item.end / SAMPLE_RATE,
            audio_s=item.heard / SAMPLE_RATE,
            reason=item.reason,
        )

    def _read(self, utterance: _Utterance, log_probs: np.ndarray) -> tuple[Word, ...]:
        hypothesis = self._decoder.decode(log_probs)
        frame_s = self._acoustic.frame_samples / SAMPLE_RATE
        start_s = utterance.start / SAMPLE_RATE
        return tuple(
            Word(
                word.text,
                start_s + word.start_frame * frame_s,
                start_s + word.end_frame * frame_s,
                word.confidence,
            )
            for word in hypothesis.words
        )
