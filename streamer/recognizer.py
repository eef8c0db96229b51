"""What the front end heard in, transcripts out; knows no thread and no clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lm.decoder import Decoder, DecoderSession, Hypothesis
from model.acoustic import Reading, Windows
from streamer.audio import SAMPLE_RATE
from streamer.events import (
    AudioGap,
    Event,
    FinalTranscript,
    Notice,
    PartialTranscript,
    Word,
)
from streamer.listening import Ended, Listened
from streamer.segmenter import UtteranceSegmenter
from streamer.segments import (
    Evidence,
    LookDue,
    SegmentEvent,
    SpeechEnded,
    SpeechFrames,
    SpeechStarted,
)
from streamer.settings import PartialSettings
from streamer.settler import WordSettler

NewSettler = Callable[[PartialSettings, float], WordSettler]


class AcousticSession(Protocol):
    """One utterance inside the acoustic model; see ``model.acoustic``."""

    def push(self, features: np.ndarray) -> None:
        """Add float32 (frames, size)."""
        ...

    def read(self) -> Reading:
        """Return what is known of the utterance so far."""
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

    @property
    def stride(self) -> int:
        """Feature frames in a frame of log-probabilities."""
        ...

    @property
    def pauses(self) -> tuple[int, ...]:
        """The symbols that stand for no letter."""
        ...

    def session(self, windows: Windows | None = None) -> AcousticSession:
        """Start an utterance."""
        ...


class UtteranceListener(Protocol):
    """What may change the decoder between two utterances, and tells so."""

    def utterance_starts(self, stream_s: float) -> list[Notice]:
        """Called at ``stream_s``, before the decoder starts its session."""
        ...


@dataclass
class _Utterance:
    """The utterance that goes on.

    ``frozen`` frames of it are in its decoder session; ``shown`` tells whether its last
    partial had words.
    """

    number: int
    start: int
    end: int
    acoustic: AcousticSession
    decoding: DecoderSession
    settler: WordSettler
    evidence: Evidence
    frozen: int = 0
    shown: bool = False


class StreamingRecognizer:
    """Turns what the front end gives into partial and final transcripts.

    The segmenter says when an utterance starts and ends, and when to look at it in
    between.  At a look the network reads it from the anchor on, see
    :class:`~model.acoustic.AcousticSession`; frames that it froze are pushed into the
    decoder's session once, the others read anew; and the segmenter is told what was
    found.  Words that were settled begin every later reading, the final one included,
    which reads the whole utterance anew with more care.

    Looks lie at places that depend on the stream alone, so on a machine that keeps up
    two runs give the same transcripts.

    Owns the segmenter and the utterance that goes on, nothing of those before it.

    Args:
        acoustic: Shared model; one session of it is used for each utterance.
        decoder: Shared decoder of finals, and of partials unless others are given.
        segmenter: Used for this stream only.
        settings: When words are shown and settled.
        uncut_s: Seconds from an utterance's start that no cut takes from it; words behind
            them settle with the final.
        partial_decoder: Cheaper decoder for partials.
        listeners: Called before each utterance, in order.
        partials: Whether partials are wanted; without them nothing settles early.
        least_confidence: While the words of an utterance have a lower confidence on
            average, and none of them is settled, it is read as empty.
        settler: Gives each utterance its own, from ``settings`` and the stream time after
            which no word settles.
    """

    def __init__(
        self,
        acoustic: AcousticModel,
        decoder: Decoder,
        segmenter: UtteranceSegmenter,
        settings: PartialSettings,
        uncut_s: float = math.inf,
        partial_decoder: Decoder | None = None,
        listeners: Sequence[UtteranceListener] = (),
        partials: bool = True,
        least_confidence: float = 0.0,
        settler: NewSettler = WordSettler,
    ) -> None:
        self._acoustic = acoustic
        self._decoder = decoder
        self._segmenter = segmenter
        self._partial_decoder = partial_decoder or decoder
        self._settings = settings
        self._uncut_s = uncut_s
        self._listeners = tuple(listeners)
        self._partials = partials
        self._least_confidence = least_confidence
        self._settler = settler
        self._frame_s = acoustic.frame_samples / SAMPLE_RATE
        self._windows = Windows.lasting(
            settings.freeze_every_ms, settings.freeze_after_ms, self._frame_s
        )
        self._utterance: _Utterance | None = None

    @property
    def speaking(self) -> bool:
        """Whether an utterance goes on."""
        return self._utterance is not None

    def push(self, item: Listened | AudioGap | Ended, hurried: bool = False) -> list[Event]:
        """Take the next item and return the events that follow from it at once.

        Args:
            item: From the front end.
            hurried: Whether there is no time for partials.
        """
        if isinstance(item, Listened):
            self._segmenter.push(item)
            return self._advance(hurried)
        self._segmenter.close("gap" if isinstance(item, AudioGap) else item.reason)
        gap = [item] if isinstance(item, AudioGap) else []
        return [*self._advance(hurried), *gap]

    def _advance(self, hurried: bool) -> list[Event]:
        events: list[Event] = []
        while (event := self._segmenter.step()) is not None:
            events += self._take(event, hurried)
        return events

    def _take(self, event: SegmentEvent, hurried: bool) -> Sequence[Event]:
        if isinstance(event, SpeechStarted):
            return self._start(event)
        utterance = self._utterance
        assert utterance is not None
        match event:
            case SpeechFrames():
                utterance.acoustic.push(event.features)
                utterance.end = event.end
                return ()
            case LookDue():
                late = hurried and not event.urgent
                partials = () if late else self._look(utterance, event)
                self._segmenter.tell(utterance.evidence)
                return partials
            case SpeechEnded():
                self._utterance = None
                return (self._finish(utterance, event),)

    def _start(self, event: SpeechStarted) -> list[Notice]:
        start_s = event.start / SAMPLE_RATE
        notices = [n for listener in self._listeners for n in listener.utterance_starts(start_s)]
        self._utterance = _Utterance(
            event.utterance,
            event.start,
            event.start,
            self._acoustic.session(self._windows),
            self._partial_decoder.session(),
            self._settler(self._settings, start_s + self._uncut_s),
            Evidence(np.zeros(0, bool), 0.0),
        )
        return notices

    def _look(self, utterance: _Utterance, look: LookDue) -> Sequence[PartialTranscript]:
        """Read the utterance so far; keep the evidence and return what is to be shown."""
        reading = utterance.acoustic.read()
        pauses = np.isin(reading.log_probs.argmax(axis=1), self._acoustic.pauses)
        blank = np.repeat(pauses, self._acoustic.stride)[: look.frames]
        sentence_end = 0.0
        partials: Sequence[PartialTranscript] = ()
        if self._partials or look.urgent:
            hypothesis = self._decode(utterance, reading)
            sentence_end = hypothesis.sentence_end
            if self._partials:
                partials = self._show(utterance, hypothesis)
        utterance.evidence = Evidence(blank, sentence_end)
        return partials

    def _decode(self, utterance: _Utterance, reading: Reading) -> Hypothesis:
        if reading.frozen > utterance.frozen:
            utterance.decoding.push(reading.log_probs[utterance.frozen : reading.frozen])
            utterance.frozen = reading.frozen
        tail = reading.log_probs[utterance.frozen :]
        settler = utterance.settler
        return utterance.decoding.best(
            tail, settler.texts, shown=settler.read, margin=self._settings.stickiness
        )

    def _show(self, utterance: _Utterance, hypothesis: Hypothesis) -> Sequence[PartialTranscript]:
        audio_s = utterance.end / SAMPLE_RATE
        stable, tail = utterance.settler.update(
            self._words(utterance, hypothesis, utterance.end), audio_s
        )
        before, utterance.shown = utterance.shown, bool(stable or tail)
        if not utterance.shown and not before:
            return ()
        start_s = utterance.start / SAMPLE_RATE
        return (PartialTranscript(utterance.number, stable, tail, start_s, audio_s),)

    def _finish(self, utterance: _Utterance, event: SpeechEnded) -> FinalTranscript:
        log_probs = utterance.acoustic.log_probs(event.frames, final=True)
        hypothesis = self._decoder.decode(log_probs, utterance.settler.texts)
        cut = event.reason == "longest"
        words = self._words(utterance, hypothesis, event.end if cut else utterance.end)
        return FinalTranscript(
            utterance=utterance.number,
            text=" ".join(word.word for word in words),
            words=words,
            start_s=utterance.start / SAMPLE_RATE,
            end_s=event.end / SAMPLE_RATE,
            audio_s=event.heard / SAMPLE_RATE,
            reason=event.reason,
        )

    def _words(self, utterance: _Utterance, hypothesis: Hypothesis, end: int) -> tuple[Word, ...]:
        """Return a reading that begins with the settled words, its times in the stream.

        The last frame may reach beyond ``end``, the index up to which its audio was read.
        """
        start_s = utterance.start / SAMPLE_RATE
        words = tuple(
            Word(
                word.text,
                start_s + word.start_frame * self._frame_s,
                min(start_s + word.end_frame * self._frame_s, end / SAMPLE_RATE),
                word.confidence,
            )
            for word in hypothesis.words
        )
        if not utterance.settler.texts and self._doubts(words):
            return ()
        return utterance.settler.fitted(words)

    def _doubts(self, words: Sequence[Word]) -> bool:
        """Return whether words are so unsure that probably none was said."""
        total = sum(word.confidence for word in words)
        return total < self._least_confidence * len(words)
