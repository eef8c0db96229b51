"""From log-probabilities of symbols to words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lm.calibration import WordEvidence
from model.alphabet import Alphabet

SPACE = " "


@dataclass(frozen=True)
class DecodedWord:
    """A word and the frames it was read from.

    Attributes:
        text: The word.
        start_frame: First frame of its first symbol.
        end_frame: Frame after the last one of its last symbol.
        confidence: How sure the decoder is of it, 0 to 1: the mean probability of its
            symbols, each at its surest frame, or, from a beam search, a calibrated
            probability that it is right.
        evidence: What that is based on, from a beam search.
    """

    text: str
    start_frame: int
    end_frame: int
    confidence: float
    evidence: WordEvidence | None = None


@dataclass(frozen=True)
class Hypothesis:
    """A reading of an utterance.

    Attributes:
        words: Its words in order.
        score: Natural logarithm of what the decoder maximised.
        sentence_end: Probability that a sentence ends behind the words, by the language
            model, 0 to 1; 0 from a decoder that asks none.
    """

    words: tuple[DecodedWord, ...]
    score: float
    sentence_end: float = 0.0

    @property
    def text(self) -> str:
        """The words, separated by single spaces."""
        return SPACE.join(word.text for word in self.words)


class DecoderSession(Protocol):
    """One utterance inside a decoder, read while it grows."""

    def push(self, log_probs: np.ndarray) -> None:
        """Add float32 (frames, symbols) for good; they are not read again."""
        ...

    def best(
        self,
        tail: np.ndarray | None = None,
        settled: Sequence[str] = (),
        final: bool = False,
        shown: Sequence[str] = (),
        margin: float = 0.0,
    ) -> Hypothesis:
        """Return the best reading of everything pushed and, without keeping them, of ``tail``.

        Args:
            tail: float32 (frames, symbols) that follow on what was pushed.
            settled: Words that the reading must begin with; others are left out, as
                far as the decoder knows others.
            final: Whether the utterance ends here, and with it its last word.
            shown: Words that are read already; of the readings that are nearly as good as
                the best one, that is taken which agrees with the most of them.
            margin: How much worse such a reading may be, in natural logarithms.
        """
        ...


class Decoder(Protocol):
    """Finds the words in log-probabilities; shared, keeps no state of an utterance."""

    def decode(self, log_probs: np.ndarray, settled: Sequence[str] = ()) -> Hypothesis:
        """Return the best reading of float32 (frames, symbols).

        Args:
            log_probs: Natural logarithms of the symbols' probabilities.
            settled: Words that it must begin with, as far as the decoder knows others.
        """
        ...

    def session(self) -> DecoderSession:
        """Start an utterance that is read while it grows."""
        ...


class GreedyDecoder:
    """Reads the likeliest symbol of each frame; repeats are joined, blanks dropped."""

    def __init__(self, alphabet: Alphabet) -> None:
        self._alphabet = alphabet

    def decode(self, log_probs: np.ndarray, settled: Sequence[str] = ()) -> Hypothesis:
        """Return the reading of the best path through float32 (frames, symbols).

        It is the only one that is known, whatever is settled.
        """
        if len(log_probs) == 0:
            return Hypothesis((), 0.0)
        best = log_probs.argmax(axis=1)
        starts = np.flatnonzero(np.diff(best, prepend=-1))
        ends = np.append(starts[1:], len(best))
        words: list[DecodedWord] = []
        symbols: list[tuple[int, int, int]] = []
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            label = int(best[start])
            if self._alphabet.symbols[label] == SPACE:
                words += self._word(symbols, log_probs)
                symbols = []
            elif label != 0:
                symbols.append((label, start, end))
        words += self._word(symbols, log_probs)
        return Hypothesis(tuple(words), float(log_probs.max(axis=1).sum()))

    def session(self) -> WholeSession:
        """Start an utterance that is read while it grows."""
        return WholeSession(self)

    def _word(
        self, symbols: Sequence[tuple[int, int, int]], log_probs: np.ndarray
    ) -> list[DecodedWord]:
        """Return the word made of (label, start, end), or none without symbols."""
        if not symbols:
            return []
        surest = [log_probs[start:end, label].max() for label, start, end in symbols]
        return [
            DecodedWord(
                self._alphabet.decode(label for label, _, _ in symbols),
                symbols[0][1],
                symbols[-1][2],
                float(np.exp(surest).mean()),
            )
        ]


class WholeSession:
    """One utterance that is read anew as a whole each time; owns its frames.

    Args:
        decoder: Knows a single reading of them, whatever is settled.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._pieces: list[np.ndarray] = []

    def push(self, log_probs: np.ndarray) -> None:
        """Add float32 (frames, symbols)."""
        self._pieces.append(log_probs)

    def best(
        self,
        tail: np.ndarray | None = None,
        settled: Sequence[str] = (),
        final: bool = False,
        shown: Sequence[str] = (),
        margin: float = 0.0,
    ) -> Hypothesis:
        """Return the decoder's reading of all that was pushed and of ``tail``."""
        pieces = self._pieces if tail is None else [*self._pieces, tail]
        return self._decoder.decode(np.concatenate(pieces) if pieces else np.zeros((0, 0)))
