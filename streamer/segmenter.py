"""Cut a stream of audio into utterances by voice activity.

Pushed audio in, events out; no thread, no clock.  Decisions are made per frame
of the detector, at places that depend on the stream alone, so that any split of
it into blocks gives the same utterances.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

import numpy as np

from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.detector import SpeechDetector
from streamer.events import EndReason
from streamer.segments import SegmentEvent, SpeechAudio, SpeechEnded, SpeechStarted
from streamer.settings import VadSettings

WINDOW_MINIMA = 2
"""Length of the window in which voiced frames are counted, in minimum lengths of speech."""

QUIET_SPAN = SAMPLE_RATE // 10
"""Samples over which energy is averaged to find a quiet place: 100 ms."""


class _State(Enum):
    LISTENING = auto()
    SPEAKING = auto()


class UtteranceSegmenter:
    """Find the utterances of one stream.

    Speech is *confirmed* at a voiced frame when the voiced frames of a short
    window, twice ``minimum_speech_ms`` long, sum to ``minimum_speech_ms``.  The first
    confirmation starts an utterance, ``pre_roll_ms`` before the first voiced frame of
    the window.  Unvoiced frames are counted from the last confirmation on, and
    ``hangover_ms`` of them end it; voiced frames too few to confirm speech hold the
    count but do not set it back: a word that sets in late in the pause is not torn,
    and clicks do not keep an utterance open.

    Owns the detector, and the audio of the pre-roll and the window, or, during an
    utterance, of ``cut_search_s``; besides them less than a frame of samples that
    wait for more.

    Args:
        detector: Used for this stream only.
        settings: How utterances start and end.
    """

    def __init__(self, detector: SpeechDetector, settings: VadSettings) -> None:
        self._detector = detector
        self._frame = detector.frame
        self._minimum = max(1, self._frames(settings.minimum_speech_ms))
        self._hangover = self._frames(settings.hangover_ms)
        self._pre_roll = _samples(settings.pre_roll_ms / 1_000)
        self._longest = _samples(settings.longest_s)
        self._cut_search = _samples(settings.cut_search_s)
        self._recent: deque[bool] = deque(maxlen=WINDOW_MINIMA * self._minimum)
        self._onset_reach = self._pre_roll + WINDOW_MINIMA * self._minimum * self._frame
        self._utterance = 0
        self._restart(0)

    def push(self, block: AudioBlock) -> list[SegmentEvent]:
        """Take the next block and return what it tells, in order.

        A block that does not follow on the last one ends the utterance at the gap.
        """
        events: list[SegmentEvent] = []
        if block.start != self._kept.end:
            events += self._close("gap")
            self._restart(block.start)
        self._kept.append(block.samples)
        while self._kept.end - self._position >= self._frame:
            events += self._take_frame()
        if self._state is _State.SPEAKING:
            events += self._audio_until(self._position)
        self._forget()
        return events

    def flush(self, reason: EndReason = "end") -> list[SegmentEvent]:
        """End the utterance that goes on with all audio that was pushed, as at the stream's end."""
        events = self._close(reason)
        self._restart(self._kept.end)
        return events

    def _restart(self, index: int) -> None:
        """Begin at ``index`` with nothing heard before it."""
        self._detector.reset()
        self._kept = _KeptAudio(index)
        self._position = index
        self._listen_from(index)

    def _listen_from(self, index: int) -> None:
        self._state = _State.LISTENING
        self._earliest_start = index
        self._recent.clear()

    def _take_frame(self) -> list[SegmentEvent]:
        end = self._position + self._frame
        voiced = self._detector.is_speech(self._kept.between(self._position, end))
        self._position = end
        self._recent.append(voiced)
        confirmed = voiced and sum(self._recent) >= self._minimum
        if self._state is _State.LISTENING:
            return self._listen(confirmed)
        return self._follow(voiced, confirmed)

    def _listen(self, confirmed: bool) -> list[SegmentEvent]:
        if not confirmed:
            return []
        voiced_for = len(self._recent) - self._recent.index(True)
        onset = self._position - voiced_for * self._frame
        self._unvoiced = 0
        return [self._start_at(max(self._earliest_start, onset - self._pre_roll))]

    def _follow(self, voiced: bool, confirmed: bool) -> list[SegmentEvent]:
        if confirmed:
            self._unvoiced = 0
        elif not voiced:
            self._unvoiced += 1
        if self._unvoiced >= self._hangover:
            return self._end_at(self._position, "silence")
        if self._position + self._frame - self._start > self._longest:
            return self._cut()
        return []

    def _start_at(self, index: int) -> SpeechStarted:
        self._state = _State.SPEAKING
        self._utterance += 1
        self._start = self._given = index
        return SpeechStarted(self._utterance, index)

    def _end_at(self, index: int, reason: EndReason) -> list[SegmentEvent]:
        events = self._audio_until(index)
        self._listen_from(index)
        return [*events, SpeechEnded(self._utterance, index, reason)]

    def _close(self, reason: EndReason) -> list[SegmentEvent]:
        if self._state is _State.LISTENING:
            return []
        return self._end_at(self._kept.end, reason)

    def _cut(self) -> list[SegmentEvent]:
        """End the utterance at its quietest place of late and start the next one there."""
        earliest = max(self._start, self._position - self._cut_search)
        place = earliest + quietest_place(self._kept.between(earliest, self._position))
        events = self._audio_until(self._position)
        ended = SpeechEnded(self._utterance, place, "longest")
        return [*events, ended, self._start_at(place)]

    def _audio_until(self, end: int) -> list[SegmentEvent]:
        if end == self._given:
            return []
        audio = SpeechAudio(self._utterance, self._kept.between(self._given, end), self._given)
        self._given = end
        return [audio]

    def _forget(self) -> None:
        listening = self._state is _State.LISTENING
        self._kept.drop_before(
            self._position - (self._onset_reach if listening else self._cut_search)
        )

    def _frames(self, milliseconds: float) -> int:
        """Frames that cover a length of time."""
        return -(-_samples(milliseconds / 1_000) // self._frame)


class _KeptAudio:
    """The last samples of a stream, found by their index in it."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._samples = np.zeros(0, np.float32)

    @property
    def end(self) -> int:
        return self._start + len(self._samples)

    def append(self, samples: np.ndarray) -> None:
        self._samples = np.concatenate([self._samples, samples])

    def between(self, start: int, end: int) -> np.ndarray:
        """Return a copy, so that what is given out keeps nothing else alive."""
        return self._samples[start - self._start : end - self._start].copy()

    def drop_before(self, index: int) -> None:
        if index > self._start:
            self._samples = self.between(index, self.end)
            self._start = index


def quietest_place(samples: np.ndarray) -> int:
    """Return the middle of the stretch of 100 ms with the least energy, the last of equals.

    Args:
        samples: float32 (n,); all of it is one stretch if it is shorter.
    """
    span = min(QUIET_SPAN, len(samples))
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    spans = energy[span:] - energy[: len(energy) - span]
    return len(spans) - 1 - int(np.argmin(spans[::-1])) + span // 2


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)
