"""A recording with what was read, word by word, and how noisy it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lm.tuning.log_probs import Scored
from model.corpora.manifest import Utterance
from model.evaluation.rates import ErrorRates, Pair, align_words, error_rates
from streamer.detector import WebRtcDetector

VOICE_MS = 10
"""Length of the frames in which voice is told from other sound, milliseconds."""

STRICTEST = 3
"""Aggressiveness of the detector: what it takes for voice is voice."""

NEAR = 5
"""Frames beside voice that count neither as voice nor as a pause: words fade."""

LEAST_PAUSE = 20
"""Frames of pauses from which on their level is known."""

QUIETEST = 10**-7.5
"""Power of a pause that is quieter, or digital silence."""


@dataclass(frozen=True)
class Case:
    """A recording and its readings as a whole.

    Attributes:
        scored: The recording with its log-probabilities.
        text: The decoder's reading.
        listed: Its readings, best first, as many as it knows.
        greedy: The likeliest symbols.
        snr_db: Ratio of voice to noise in dB, or None where it has no pause.
    """

    scored: Scored
    text: str
    listed: tuple[str, ...]
    greedy: str
    snr_db: float | None = None

    @property
    def row(self) -> Utterance:
        """The recording with its reference."""
        return self.scored.row

    @cached_property
    def pairs(self) -> list[Pair]:
        """The words of reference and reading, aligned."""
        return align_words(self.row.text, self.text)

    @cached_property
    def rates(self) -> ErrorRates:
        """Errors of the reading."""
        return error_rates([self.row.text], [self.text])


@dataclass(frozen=True)
class Said:
    """A word of a reference.

    Attributes:
        word: The word.
        read: What was read in its place, or "".
        place: How many words come before it.
        words: How many the reference has.
        before: The word before it, or "".
        after: The word behind it, or "".
    """

    word: str
    read: str
    place: int
    words: int
    before: str
    after: str

    @property
    def wrong(self) -> bool:
        """Whether it was replaced or left out."""
        return self.word != self.read


def words_said(case: Case) -> Iterator[Said]:
    """Yield the words of a reference with what was read of them."""
    pairs = [pair for pair in case.pairs if pair[0]]
    said = ["", *(word for word, _ in pairs), ""]
    for place, (word, read) in enumerate(pairs):
        yield Said(word, read, place, len(pairs), said[place], said[place + 2])


def best_of(reference: str, texts: tuple[str, ...]) -> ErrorRates:
    """Return the errors of that text which has the fewest wrong words; of none for no texts."""
    rates = [error_rates([reference], [text]) for text in texts or ("",)]
    return min(rates, key=lambda one: one.word_errors)


def snr_db(samples: np.ndarray) -> float | None:
    """Return how far voice stands out of the noise, in dB, by the detector of WebRTC.

    The power of its voice frames less that of the pauses, to that of the pauses; of these the
    median, as words that it missed are among them.

    Args:
        samples: float32 (n,) at 16 kHz.

    Returns:
        None where there is no voice, or too little else.
    """
    detector = WebRtcDetector(STRICTEST, VOICE_MS)
    whole = len(samples) // detector.frame
    frames = samples[: whole * detector.frame].reshape(whole, detector.frame)
    voiced = np.array([detector.is_speech(frame) for frame in frames], bool)
    if not voiced.any():
        return None
    pauses = np.convolve(voiced, np.ones(2 * NEAR + 1), "same")[:whole] < 0.5
    if pauses.sum() < LEAST_PAUSE:
        return None
    powers = np.mean(frames.astype(np.float64) ** 2, axis=1)
    noise = max(float(np.median(powers[pauses])), QUIETEST)
    voice = max(float(powers[voiced].mean()) - noise, noise / 100)
    return float(10 * np.log10(voice / noise))
