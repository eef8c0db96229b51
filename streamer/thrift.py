"""Partial captions by a narrower search, or by none, where the machine is too slow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from lm.decoder import Decoder, DecoderSession, Hypothesis
from streamer.events import Notice

DEAR_SHARE = 0.5
"""Time of decoding for a second of audio above which the next decoder is cheaper."""

CHEAP_SHARE = 0.125
"""The same below which an utterance was cheap: twice that is still not dear."""

CHEAP_IN_A_ROW = 5
"""Cheap utterances after which the dearer decoder before is tried again."""

TOLD_EVERY_S = 60.0
"""Stream time between two notices of slowness."""


class ThriftyDecoder:
    """The best of several decoders that the machine has time for, utterance by utterance.

    The time that reading one utterance's partials took chooses the decoder of the next.

    Args:
        decoders: The best first, each cheaper than the one before.
        names: What the user calls each, such as ``a beam of 32``.
        frame_s: Audio of a frame of log-probabilities, seconds.
        clock: Seconds that only rise; used for the cost of decoding alone.

    Owns the count of what the session started last has cost, so there is one session
    at a time.
    """

    def __init__(
        self,
        decoders: Sequence[Decoder],
        names: Sequence[str],
        frame_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._decoders = tuple(decoders)
        self._names = tuple(names)
        self._frame_s = frame_s
        self._clock = clock
        self._rung = 0
        self._cheap = 0
        self._session: _TimedSession | None = None
        self._told_s = -math.inf
        self._slow = False

    def decode(self, log_probs: np.ndarray, settled: Sequence[str] = ()) -> Hypothesis:
        """Return the best decoder's reading of float32 (frames, symbols)."""
        return self._decoders[0].decode(log_probs, settled)

    def session(self) -> DecoderSession:
        """Start an utterance with the decoder that there is time for."""
        self._session = _TimedSession(self._decoders[self._rung].session(), self._clock)
        return self._session

    def utterance_starts(self, stream_s: float) -> list[Notice]:
        """Choose the decoder of the next session by what the last one cost, and say so."""
        session, self._session = self._session, None
        if session is None or session.frames == 0:
            return []
        share = session.spent_s / (session.frames * self._frame_s)
        self._cheap = self._cheap + 1 if share < CHEAP_SHARE else 0
        if share > DEAR_SHARE and self._rung + 1 < len(self._decoders):
            self._rung += 1
            return self._tell_slowness(stream_s)
        if self._cheap >= CHEAP_IN_A_ROW and self._rung > 0:
            self._rung -= 1
            self._cheap = 0
            return self._tell_recovery()
        return []

    def _tell_slowness(self, stream_s: float) -> list[Notice]:
        if stream_s - self._told_s < TOLD_EVERY_S:
            return []
        self._told_s, self._slow = stream_s, True
        return [Notice("decoding_slow", _SLOW.format(self._names[self._rung], self._names[0]))]

    def _tell_recovery(self) -> list[Notice]:
        if self._rung > 0 or not self._slow:
            return []
        self._slow = False
        return [Notice("decoding_recovered", _RECOVERED.format(self._names[0]), "info")]


_SLOW = (
    "This machine is too slow to read partial captions with {1}: they are read with {0} now,"
    " finals as before; set a smaller decoder.beam_width, or decoder.kind greedy."
)
_RECOVERED = "There is time again to read partial captions with {0}."


class _TimedSession:
    """Counts what a session costs and how much it has read."""

    def __init__(self, session: DecoderSession, clock: Callable[[], float]) -> None:
        self._session = session
        self._clock = clock
        self._pushed = 0
        self.frames = 0
        self.spent_s = 0.0

    def push(self, log_probs: np.ndarray) -> None:
        began = self._clock()
        self._session.push(log_probs)
        self.spent_s += self._clock() - began
        self._pushed += len(log_probs)
        self.frames = max(self.frames, self._pushed)

    def best(
        self,
        tail: np.ndarray | None = None,
        settled: Sequence[str] = (),
        final: bool = False,
        shown: Sequence[str] = (),
        margin: float = 0.0,
    ) -> Hypothesis:
        began = self._clock()
        hypothesis = self._session.best(tail, settled, final, shown, margin)
        self.spent_s += self._clock() - began
        self.frames = max(self.frames, self._pushed + (0 if tail is None else len(tail)))
        return hypothesis
