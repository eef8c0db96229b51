"""Where the words of a corrected transcript lie in its audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lm.alignment import align_whole
from model.text import normalise_text
from streamer.audio import SAMPLE_RATE
from streamer.events import Word
from streamer.web.library.audio_files import WavSamples
from streamer.web.library.transcripts import Segment

if TYPE_CHECKING:
    from model.acoustic import AcousticModel

CONTEXT_S = 0.25
"""Audio before and after an utterance that is read with it, at most half of the pause there."""

LONGEST_ALIGNED_S = 900.0
"""Audio that is read for one correction, seconds; the words behind it are spread evenly."""

CERTAIN = 1.0
"""Confidence of words that a user wrote."""


class Models(Protocol):
    """Who has the model in use."""

    @property
    def acoustic(self) -> AcousticModel: ...


@dataclass(frozen=True)
class _Stretch:
    """Where a segment's words may lie, seconds."""

    start_s: float
    end_s: float


class Aligner:
    """Finds when the words of corrected segments were said.

    The log-probabilities of the acoustic model are aligned with the words by the best
    path, see :mod:`lm.alignment`.  Words that the model cannot spell, such as numbers in
    digits, and more words than the audio can hold are spread over the segment evenly, each
    as long as its letters are many.

    Args:
        acoustic: The model in use.
        samples: Audio of the recording; may be shorter than its transcript.
        segments: All segments of the recording.
    """

    def __init__(
        self, acoustic: AcousticModel, samples: WavSamples | np.ndarray, segments: Sequence[Segment]
    ) -> None:
        self._acoustic = acoustic
        self._samples = samples
        self._segments = segments
        self._left_s = LONGEST_ALIGNED_S

    def corrected(self, position: int, text: str) -> Segment:
        """Return a segment with another text and the times of its words."""
        segment = self._segments[position]
        tokens = text.split()
        spans = self._aligned(position, tokens) if tokens else []
        spans = spans or spread(tokens, segment.start_s, segment.end_s)
        words = tuple(
            Word(token, start_s, end_s, CERTAIN)
            for token, (start_s, end_s) in zip(tokens, spans, strict=True)
        )
        return Segment(segment.start_s, segment.end_s, text, words)

    def _aligned(self, position: int, tokens: Sequence[str]) -> list[tuple[float, float]]:
        """Return the start and end of each token; nothing where they cannot be aligned."""
        spelled = self._spelled(tokens)
        stretch = self._stretch(position)
        self._left_s -= stretch.end_s - stretch.start_s
        if not any(spelled) or self._left_s < 0:
            return []
        first, last = round(stretch.start_s * SAMPLE_RATE), round(stretch.end_s * SAMPLE_RATE)
        features = self._acoustic.extractor.extract(self._samples[first:last])
        log_probs = self._acoustic.log_probs(features, final=True)
        words = [word for spelling in spelled for word in spelling]
        if frames_needed(words) > len(log_probs):
            return []
        frames = align_whole(log_probs, words, self._acoustic.bundle.alphabet)
        frame_s = self._acoustic.frame_samples / SAMPLE_RATE
        times = [
            (
                min(stretch.start_s + start * frame_s, stretch.end_s),
                min(stretch.start_s + end * frame_s, stretch.end_s),
            )
            for start, end in frames
        ]
        return _gathered(times, spelled, stretch.start_s)

    def _spelled(self, tokens: Sequence[str]) -> list[list[str]]:
        """Return the model's words for each token; nothing where one cannot be spelled."""
        alphabet = self._acoustic.bundle.alphabet
        try:
            return [normalise_text(token, alphabet).split() for token in tokens]
        except ValueError:
            return []

    def _stretch(self, position: int) -> _Stretch:
        """Return a segment's place with some audio around it."""
        segment, segments = self._segments[position], self._segments
        start_s, end_s = segment.start_s, segment.end_s
        before_s, after_s = 0.0, np.inf
        # A pause is shared by both sides, so that the words of neighbours never overlap.
        if position:
            before_s = (segments[position - 1].end_s + start_s) / 2
        if position + 1 < len(segments):
            after_s = (end_s + segments[position + 1].start_s) / 2
        start_s = min(start_s, max(start_s - CONTEXT_S, before_s))
        end_s = max(end_s, min(end_s + CONTEXT_S, after_s))
        length_s = len(self._samples) / SAMPLE_RATE
        return _Stretch(min(start_s, length_s), min(end_s, length_s))


def spread(tokens: Sequence[str], start_s: float, end_s: float) -> list[tuple[float, float]]:
    """Return times for tokens one after the other, each as long as its letters are many."""
    edges = np.cumsum([0, *map(len, tokens)], dtype=float)
    edges = start_s + (end_s - start_s) * edges / max(edges[-1], 1.0)
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def frames_needed(words: Sequence[str]) -> int:
    """Return how many frames words need: one a symbol, and a blank between equal ones."""
    text = " ".join(words)
    return len(text) + sum(len(list(run)) - 1 for _, run in groupby(text))


def _gathered(
    times: Sequence[tuple[float, float]], spelled: Sequence[Sequence[str]], start_s: float
) -> list[tuple[float, float]]:
    """Return the time of each token from those of its words; without any it takes no time."""
    spans, at, now_s = [], 0, start_s
    for spelling in spelled:
        own = times[at : at + len(spelling)]
        at += len(spelling)
        span = (own[0][0], own[-1][1]) if own else (now_s, now_s)
        spans.append(span)
        now_s = span[1]
    return spans
