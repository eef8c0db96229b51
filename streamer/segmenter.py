"""Cut a stream of frames into utterances by voice activity and by what the network hears.

Frames in, events out; no thread, no clock.  Decisions are made frame by frame, at
places that depend on the stream and the evidence alone, so that any split of it into
pushes gives the same utterances.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

import numpy as np

from streamer.audio import SAMPLE_RATE
from streamer.events import EndReason
from streamer.listening import Listened
from streamer.segments import (
    Evidence,
    LookDue,
    SegmentEvent,
    SpeechEnded,
    SpeechFrames,
    SpeechStarted,
)
from streamer.settings import EndpointSettings

WINDOW_MINIMA = 2
"""Length of the window in which voiced frames are counted, in minimum lengths of speech."""

QUIET_SPAN_MS = 100
"""Stretch over which power is averaged to find a quiet place, milliseconds."""

CLEAR_PAUSE_MS = 200
"""Blanks that a cut takes for a pause between words, milliseconds; fewer may lie in a word."""


class _State(Enum):
    LISTENING = auto()
    SPEAKING = auto()
    LOOKING = auto()


class UtteranceSegmenter:
    """Find the utterances of one stream.

    Speech is *confirmed* at a voiced frame when the voiced frames of a short window,
    twice ``minimum_speech_ms`` long, sum to ``minimum_speech_ms``.  The first confirmation
    starts an utterance, ``pre_roll_ms`` before the first voiced frame of the window.

    Unvoiced frames are counted from the last confirmation on; voiced frames too few to
    confirm speech hold the count but do not set it back.  Frames without a letter are
    counted from the last letter that the network heard.  The smaller count is the *pause*.
    An utterance ends by the first of these rules that holds when the network is read, after
    the endpoint rules of Kaldi (``OnlineEndpointConfig``) and sherpa-onnx, which look at
    blanks alone:

    - the pause lasts ``finished_ms`` and the sentence is probably at its end, or nothing
      was heard at all;
    - the pause lasts ``pause_ms``;
    - voice activity rests for ``held_ms``, whatever the network hears;
    - no letter was heard for ``blanks_ms``, whatever voice activity says;
    - no letter was heard since the utterance began, ``nothing_ms`` ago or more;
    - it lasts ``longest_s``: it is cut within the last ``cut_search_s`` of it, in the
      middle of the longest pause between letters, or else where it is quietest.

    The network is read every ``look_ms`` of an utterance and, urgently, wherever one of the
    rules may begin to hold.  Where nothing is told of it, voice activity decides alone.

    Owns the frames of the pre-roll and the window, or, during an utterance, of
    ``cut_search_s``, and those that were pushed and not worked through yet.

    Args:
        settings: How utterances start and end.
        hop: Samples from one frame to the next.
        look_ms: Audio from one reading of the network to the next, milliseconds.
    """

    def __init__(self, settings: EndpointSettings, hop: int, look_ms: int) -> None:
        self._hop = hop
        self._minimum = max(1, self._count(settings.minimum_speech_ms))
        self._pre_roll = self._count(settings.pre_roll_ms)
        self._look = self._count(look_ms)
        self._finished = self._count(settings.finished_ms)
        self._pause = self._count(settings.pause_ms)
        self._held = self._count(settings.held_ms)
        self._blanks = self._count(settings.blanks_ms)
        self._nothing = self._count(settings.nothing_ms)
        self._longest = self._count(settings.longest_s * 1_000)
        self._limits = (
            self._finished,
            self._pause,
            self._held,
            self._blanks,
            self._nothing,
            self._longest,
        )
        self._cut_search = self._count(settings.cut_search_s * 1_000)
        self._quiet_span = self._count(QUIET_SPAN_MS)
        self._clear_pause = self._count(CLEAR_PAUSE_MS)
        self._sentence_end = settings.sentence_end
        self._recent: deque[bool] = deque(maxlen=WINDOW_MINIMA * self._minimum)
        self._waiting: deque[Listened | EndReason] = deque()
        self._events: deque[SegmentEvent] = deque()
        self._utterance = 0
        self._restart(0)

    def push(self, listened: Listened) -> None:
        """Take the next frames; :meth:`step` tells what follows from them.

        Frames that do not follow on the last ones end the utterance as a gap does.
        """
        self._waiting.append(listened)

    def close(self, reason: EndReason) -> None:
        """End the utterance that goes on behind all that was pushed, if there is one."""
        self._waiting.append(reason)

    def tell(self, evidence: Evidence) -> None:
        """Take what is heard in the utterance so far, as :class:`LookDue` asked for."""
        self._blank = evidence.blank[: self._length]
        self._told_end = evidence.sentence_end
        letters = np.flatnonzero(~self._blank)
        self._letters_end = int(letters[-1]) + 1 if len(letters) else 0

    def step(self) -> SegmentEvent | None:
        """Return the next event; None when more frames must be pushed first."""
        while not self._events and self._advance():
            pass
        if not self._events:
            self._give_frames()
        return self._events.popleft() if self._events else None

    def _restart(self, index: int) -> None:
        """Begin with the frame at ``index`` of the stream with nothing heard before it."""
        self._origin = index
        self._kept = _KeptFrames()
        self._now = 0
        self._covered = 0
        self._recent.clear()
        self._listen_from(0)

    def _listen_from(self, frame: int) -> None:
        self._state = _State.LISTENING
        self._earliest_start = frame

    def _advance(self) -> bool:
        """Go one frame or one decision further; return whether there was one to go."""
        if self._state is _State.LOOKING:
            self._state = _State.SPEAKING
            self._decide()
        elif self._now < self._kept.end:
            self._take_frame()
        elif self._waiting:
            self._take(self._waiting.popleft())
        else:
            return False
        return True

    def _take(self, item: Listened | EndReason) -> None:
        if not isinstance(item, Listened):
            self._close(item)
            return
        if item.start != self._index(self._kept.end):
            self._close("gap")
            self._restart(item.start)
        self._kept.append(item)
        self._covered = item.end - self._index(self._kept.end)
        self._give_frames()
        self._forget()

    def _take_frame(self) -> None:
        voiced = self._kept.voiced(self._now)
        self._now += 1
        self._recent.append(voiced)
        confirmed = voiced and sum(self._recent) >= self._minimum
        if self._state is _State.LISTENING:
            if confirmed:
                self._confirm()
        else:
            self._follow(voiced, confirmed)

    def _confirm(self) -> None:
        voiced_for = len(self._recent) - self._recent.index(True)
        self._unvoiced = 0
        self._start_at(max(self._earliest_start, self._now - voiced_for - self._pre_roll))

    def _start_at(self, frame: int) -> None:
        self._state = _State.SPEAKING
        self._utterance += 1
        self._start = self._given = frame
        self.tell(Evidence())
        self._reached = self._counts()
        self._events.append(SpeechStarted(self._utterance, self._index(frame)))

    def _follow(self, voiced: bool, confirmed: bool) -> None:
        if confirmed:
            self._unvoiced = 0
        elif not voiced:
            self._unvoiced += 1
        urgent = self._limit_reached()
        if urgent or self._length % self._look == 0:
            self._state = _State.LOOKING
            self._give_frames()
            self._events.append(LookDue(self._utterance, self._length, urgent))

    @property
    def _length(self) -> int:
        return self._now - self._start

    @property
    def _blank_for(self) -> int:
        """Frames since the last letter, those of which nothing is known counted in."""
        return self._length - self._letters_end

    @property
    def _paused_for(self) -> int:
        return min(self._unvoiced, self._blank_for)

    def _counts(self) -> tuple[int, ...]:
        """The counts that rules are about, in the order of ``_limits``."""
        paused, blank = self._paused_for, self._blank_for
        since, never = (blank, 0) if self._letters_end else (0, blank)
        return paused, paused, self._unvoiced, since, never, self._length

    def _limit_reached(self) -> bool:
        before, self._reached = self._reached, self._counts()
        places = zip(before, self._limits, self._reached, strict=True)
        return any(last < limit <= now for last, limit, now in places)

    def _decide(self) -> None:
        """Look whether a rule holds now that the network was read."""
        self._reached = self._counts()
        known_blank = len(self._blank) - self._letters_end
        heard = self._letters_end > 0
        idle = not heard and known_blank >= self._finished
        finished = idle or self._told_end >= self._sentence_end
        if (
            self._paused_for >= (self._finished if finished else self._pause)
            or self._unvoiced >= self._held
        ):
            self._end_behind(self._paused_for)
        elif known_blank >= (self._blanks if heard else self._nothing):
            self._end_behind(known_blank)
        elif self._length >= self._longest:
            self._cut()

    def _end_behind(self, quiet: int) -> None:
        """End here, and leave the last of ``quiet`` frames to the next utterance as well."""
        end = max(self._start + 1, self._now - min(quiet, self._pre_roll))
        self._end_at(end, "silence", self._length)
        self._listen_from(end)

    def _end_at(self, frame: int, reason: EndReason, frames: int) -> None:
        end, heard = self._index(frame), self._index(self._now) + self._covered
        self._events.append(SpeechEnded(self._utterance, end, reason, frames, heard))

    def _close(self, reason: EndReason) -> None:
        if self._state is not _State.LISTENING:
            self._give_frames()
            end = self._index(self._now) + self._covered
            self._events.append(SpeechEnded(self._utterance, end, reason, self._length, end))
        self._restart(self._index(self._now))

    def _cut(self) -> None:
        """End the utterance between two words of late and start the next one there."""
        first = max(self._start + 1, self._now - self._cut_search)
        place = first + self._cut_place(first)
        blank = self._blank[place - self._start :]
        self._end_at(place, "longest", place - self._start)
        self._start_at(place)
        self.tell(Evidence(blank))
        self._reached = self._counts()

    def _cut_place(self, first: int) -> int:
        """Return how many frames behind ``first`` the cut is best made."""
        start, end = longest_run(self._blank[first - self._start :])
        if end - start >= self._clear_pause:
            return (start + end) // 2
        return quietest_place(self._kept.power(first, self._now), self._quiet_span)

    def _give_frames(self) -> None:
        if self._state is _State.LISTENING or self._given == self._now:
            return
        features = self._kept.features(self._given, self._now)
        end = self._index(self._now) + self._covered
        self._events.append(SpeechFrames(self._utterance, features, end))
        self._given = self._now

    def _forget(self) -> None:
        reach = self._pre_roll + WINDOW_MINIMA * self._minimum
        if self._state is not _State.LISTENING:
            reach = max(reach, self._cut_search)
        self._kept.drop_before(self._now - reach)

    def _index(self, frame: int) -> int:
        """Return the index in the stream of a frame's first sample."""
        return self._origin + frame * self._hop

    def _count(self, milliseconds: float) -> int:
        """Return the frames that cover a length of time."""
        return -(-round(milliseconds / 1_000 * SAMPLE_RATE) // self._hop)


class _KeptFrames:
    """The last frames since a gap, found by their number."""

    def __init__(self) -> None:
        self._first = 0
        self._voiced = np.zeros(0, bool)
        self._power = np.zeros(0, np.float32)
        self._features: np.ndarray | None = None

    @property
    def end(self) -> int:
        return self._first + len(self._voiced)

    def append(self, listened: Listened) -> None:
        kept = listened.features[:0] if self._features is None else self._features
        self._features = np.concatenate([kept, listened.features])
        self._voiced = np.concatenate([self._voiced, listened.voiced])
        self._power = np.concatenate([self._power, listened.power])

    def voiced(self, frame: int) -> bool:
        return bool(self._voiced[frame - self._first])

    def power(self, start: int, end: int) -> np.ndarray:
        return self._power[start - self._first : end - self._first]

    def features(self, start: int, end: int) -> np.ndarray:
        """Return a copy, so that what is given out keeps nothing else alive."""
        assert self._features is not None
        return self._features[start - self._first : end - self._first].copy()

    def drop_before(self, frame: int) -> None:
        unneeded = frame - self._first
        if unneeded > 0 and self._features is not None:
            self._features = self._features[unneeded:].copy()
            self._voiced = self._voiced[unneeded:].copy()
            self._power = self._power[unneeded:].copy()
            self._first = frame


def longest_run(marked: np.ndarray) -> tuple[int, int]:
    """Return start and end of the longest run of true values, the last of equals; 0, 0 if none.

    Args:
        marked: bool (n,).
    """
    edges = np.flatnonzero(np.diff(marked.astype(np.int8), prepend=0, append=0))
    starts, ends = edges[0::2], edges[1::2]
    if len(starts) == 0:
        return 0, 0
    best = len(starts) - 1 - int(np.argmax((ends - starts)[::-1]))
    return int(starts[best]), int(ends[best])


def quietest_place(power: np.ndarray, span: int) -> int:
    """Return the middle of the ``span`` frames with the least power, the last of equals.

    Args:
        power: float32 (frames,); all of it is one span if it is shorter.
        span: Frames.
    """
    span = min(span, len(power))
    sums = np.concatenate([[0.0], np.cumsum(power, dtype=np.float64)])
    spans = sums[span:] - sums[: len(sums) - span]
    return len(spans) - 1 - int(np.argmin(spans[::-1])) + span // 2
