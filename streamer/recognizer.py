"""Features of utterances in, transcripts out; knows no thread and no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lm.decoder import Decoder, DecoderSession, Hypothesis
from streamer.audio import SAMPLE_RATE
from streamer.events import (
    AudioGap,
    Event,
    FinalTranscript,
    Notice,
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


class UtteranceListener(Protocol):
    """What may change the decoder between two utterances, and tells so."""

    def utterance_starts(self, stream_s: float) -> list[Notice]:
        """Called at ``stream_s``, before the decoder starts its session."""
        ...


@dataclass
class _Utterance:
    """The utterance that goes on; ``frozen`` frames of it are in its decoder session."""

    number: int
    start: int
    acoustic: AcousticSession
    decoding: DecoderSession
    settler: WordSettler
    end: int
    read_to: int
    frozen: int = 0


class StreamingRecognizer:
    """Turns what the front end gives into partial and final transcripts.

    The network rereads an utterance for each partial.  The decoder does not: frames
    older than ``settings.freeze_s`` are pushed into its session once, as they were read
    then, so that a partial costs it the same however long the utterance is.  Words that
    were settled begin every later reading, the final one included, which reads the whole
    utterance anew with more care.

    Owns the utterance that goes on, nothing of those before it.

    Args:
        acoustic: Shared model; one session of it is used for each utterance.
        decoder: Shared decoder of finals, and of partials unless others are given.
        settings: When partials are due and when their words are settled.
        uncut_s: Seconds from an utterance's start that no cut takes from it; words behind
            them settle with the final.
        partial_decoder: Cheaper decoder for partials.
        listeners: Called before each utterance, in order.
    """

    def __init__(
        self,
        acoustic: AcousticModel,
        decoder: Decoder,
        settings: PartialSettings,
        uncut_s: float = math.inf,
        partial_decoder: Decoder | None = None,
        listeners: Sequence[UtteranceListener] = (),
    ) -> None:
        self._acoustic = acoustic
        self._decoder = decoder
        self._partial_decoder = partial_decoder or decoder
        self._settings = settings
        self._uncut_s = uncut_s
        self._listeners = tuple(listeners)
        self._frame_s = acoustic.frame_samples / SAMPLE_RATE
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
            return [*self._start(item)]
        if isinstance(item, UtteranceFeatures):
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
        words = self._read_so_far(utterance)
        audio_s = utterance.end / SAMPLE_RATE
        stable, tail = utterance.settler.update(words, audio_s)
        if not stable and not tail:
            return []
        return [
            PartialTranscript(
                utterance.number, stable, tail, utterance.start / SAMPLE_RATE, audio_s
            )
        ]

    def _start(self, item: SpeechStarted) -> list[Notice]:
        start_s = item.start / SAMPLE_RATE
        notices = [n for listener in self._listeners for n in listener.utterance_starts(start_s)]
        self._utterance = _Utterance(
            item.utterance,
            item.start,
            self._acoustic.session(),
            self._partial_decoder.session(),
            WordSettler(
                self._settings.settle_after,
                self._settings.settle_lag_ms / 1000,
                start_s + self._uncut_s,
            ),
            end=item.start,
            read_to=item.start,
        )
        return notices

    def _extend(self, item: UtteranceFeatures) -> None:
        if self._utterance is not None:
            self._utterance.acoustic.push(item.features)
            self._utterance.end = item.end

    def _finish(self, item: UtteranceEnded) -> FinalTranscript:
        utterance, self._utterance = self._utterance, None
        if utterance is None:
            raise ValueError(f"utterance {item.utterance} ended without a start")
        words = self._read_whole(utterance, item.frames)
        return FinalTranscript(
            utterance=utterance.number,
            text=" ".join(word.word for word in words),
            words=words,
            start_s=utterance.start / SAMPLE_RATE,
            end_s=item.end / SAMPLE_RATE,
            audio_s=item.heard / SAMPLE_RATE,
            reason=item.reason,
        )

    def _read_so_far(self, utterance: _Utterance) -> tuple[Word, ...]:
        log_probs = utterance.acoustic.log_probs()
        old = len(log_probs) - round(self._settings.freeze_s / self._frame_s)
        if old > utterance.frozen:
            utterance.decoding.push(log_probs[utterance.frozen : old])
            utterance.frozen = old
        settled = utterance.settler.texts
        return self._words(
            utterance, utterance.decoding.best(log_probs[utterance.frozen :], settled)
        )

    def _read_whole(self, utterance: _Utterance, frames: int) -> tuple[Word, ...]:
        log_probs = utterance.acoustic.log_probs(frames, final=True)
        return self._words(utterance, self._decoder.decode(log_probs, utterance.settler.texts))

    def _words(self, utterance: _Utterance, hypothesis: Hypothesis) -> tuple[Word, ...]:
        """Return a reading that begins with the settled words, its times in the stream."""
        start_s = utterance.start / SAMPLE_RATE
        words = (
            Word(
                word.text,
                start_s + word.start_frame * self._frame_s,
                start_s + word.end_frame * self._frame_s,
                word.confidence,
            )
            for word in hypothesis.words
        )
        return utterance.settler.fitted(tuple(words))
