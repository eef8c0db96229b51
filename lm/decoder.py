"""From log-probabilities of symbols to words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lm.errors import LanguageModelError
from model.alphabet import Alphabet
from model.text import normalise_text

SPACE = " "


@dataclass(frozen=True)
class DecodedWord:
    """A word and the frames it was read from.

    Attributes:
        text: The word.
        start_frame: First frame of its first symbol.
        end_frame: Frame after the last one of its last symbol.
        confidence: Mean probability of its symbols, each at its surest frame, 0 to 1.
    """

    text: str
    start_frame: int
    end_frame: int
    confidence: float


@dataclass(frozen=True)
class Hypothesis:
    """A reading of an utterance.

    Attributes:
        words: Its words in order.
        score: Natural logarithm of what the decoder maximised.
    """

    words: tuple[DecodedWord, ...]
    score: float

    @property
    def text(self) -> str:
        """The words, separated by single spaces."""
        return SPACE.join(word.text for word in self.words)


class Decoder(Protocol):
    """Finds the words in log-probabilities; shared, keeps no state of an utterance."""

    def decode(self, log_probs: np.ndarray) -> Hypothesis:
        """Return the best reading of float32 (frames, symbols)."""
        ...


class GreedyDecoder:
    """Reads the likeliest symbol of each frame; repeats are joined, blanks dropped."""

    def __init__(self, alphabet: Alphabet) -> None:
        self._alphabet = alphabet

    def decode(self, log_probs: np.ndarray) -> Hypothesis:
        """Return the reading of the best path through float32 (frames, symbols)."""
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


class BeamDecoder:
    """Prefix beam search with a KenLM language model, by pyctcdecode.

    Args:
        alphabet: Symbols of the network.
        language_model: An ARPA or KenLM binary file.
        unigrams: A text file with a known word a line; read from an ARPA file
            when not given.
        beam_width: Prefixes kept from frame to frame.
        alpha: Weight of the language model.
        beta: Reward for each word.
        hotwords: Words to prefer, in any spelling of upper and lower case.
        hotword_weight: How strongly.

    Raises:
        LanguageModelError: If a file is missing or unreadable, or a hotword cannot be
            spelled with the alphabet.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        language_model: Path,
        unigrams: Path | None = None,
        beam_width: int = 64,
        alpha: float = 0.5,
        beta: float = 1.0,
        hotwords: Sequence[str] = (),
        hotword_weight: float = 10.0,
    ) -> None:
        self._alphabet = alphabet
        self._decoder = _build(alphabet, language_model, unigrams, alpha, beta)
        self._beam_width = beam_width
        self._hotwords = _spelled(hotwords, alphabet)
        self._hotword_weight = hotword_weight

    def decode(self, log_probs: np.ndarray) -> Hypothesis:
        """Return the best beam over float32 (frames, symbols)."""
        if len(log_probs) == 0:
            return Hypothesis((), 0.0)
        beams = self._decoder.decode_beams(
            log_probs,
            beam_width=self._beam_width,
            hotwords=self._hotwords or None,
            hotword_weight=self._hotword_weight,
        )
        _, _, spans, _, score = beams[0]
        words = (self._word(word, span, log_probs) for word, span in spans if word)
        return Hypothesis(tuple(words), float(score))

    def _word(self, word: str, span: tuple[int, int], log_probs: np.ndarray) -> DecodedWord:
        start, end = int(span[0]), max(int(span[1]), int(span[0]) + 1)
        surest = log_probs[start:end, self._alphabet.encode(word)].max(axis=0)
        return DecodedWord(word, start, end, float(np.exp(surest).mean()))


def _spelled(hotwords: Sequence[str], alphabet: Alphabet) -> list[str]:
    try:
        return [normalise_text(word, alphabet) for word in hotwords]
    except ValueError as error:
        raise LanguageModelError(f"hotwords {', '.join(hotwords)}: {error}") from error


def _build(
    alphabet: Alphabet, language_model: Path, unigrams: Path | None, alpha: float, beta: float
) -> Any:
    """Return pyctcdecode's decoder, built without its and KenLM's talk on the terminal."""
    import logging

    logging.getLogger("pyctcdecode").setLevel(logging.ERROR)
    import kenlm
    from pyctcdecode.alphabet import Alphabet as Labels
    from pyctcdecode.decoder import BeamSearchDecoderCTC
    from pyctcdecode.language_model import LanguageModel

    for path in (language_model, unigrams):
        if path is not None and not path.is_file():
            raise LanguageModelError(f"{path}: no such file; give a KenLM ARPA or binary file")
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        model = kenlm.Model(str(language_model), config)
        known = _read_unigrams(language_model, unigrams)
    except (OSError, RuntimeError, ValueError) as error:
        raise LanguageModelError(
            f"{language_model}: cannot be loaded as a KenLM ARPA or binary file: {error}"
        ) from error
    language = LanguageModel(model, known, alpha=alpha, beta=beta)
    return BeamSearchDecoderCTC(Labels.build_alphabet(list(alphabet.symbols)), language)


def _read_unigrams(language_model: Path, unigrams: Path | None) -> set[str] | None:
    """Return the known words, or None where neither file lists them."""
    from pyctcdecode.language_model import load_unigram_set_from_arpa

    if unigrams is not None:
        try:
            return set(unigrams.read_text(encoding="utf-8").split())
        except UnicodeDecodeError as error:
            raise LanguageModelError(f"{unigrams}: is not UTF-8 text; save it as UTF-8") from error
    if language_model.suffix == ".arpa":
        known: set[str] = load_unigram_set_from_arpa(str(language_model))
        return known
    return None
