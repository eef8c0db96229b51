"""pyctcdecode's beam search, the reference that ours is measured against."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lm.decoder import DecodedWord, Hypothesis, WholeSession
from lm.language_model import LN_10, LanguageModel
from lm.search import SearchSettings
from model.alphabet import Alphabet


class ReferenceDecoder:
    """Prefix beam search with a KenLM language model, by pyctcdecode.

    It reads an utterance as a whole, anew each time; a session of it keeps the frames.

    Args:
        alphabet: Symbols of the network.
        language_model: Scores words.
        settings: How wide the search is and how its evidence is weighed.
        hotwords: Words to prefer with their weights, of which pyctcdecode takes one, the
            greatest.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        language_model: LanguageModel,
        settings: SearchSettings = SearchSettings(),  # noqa: B008  (immutable)
        hotwords: Mapping[str, float] | None = None,
    ) -> None:
        self.alphabet = alphabet
        self.settings = settings
        self._hotwords = dict(hotwords or {})
        self._decoder = _build(alphabet, language_model, settings)

    def decode(self, log_probs: np.ndarray, settled: Sequence[str] = ()) -> Hypothesis:
        """Return the best beam over float32 (frames, symbols), whatever is settled."""
        if len(log_probs) == 0:
            return Hypothesis((), 0.0)
        beams = self._decoder.decode_beams(
            log_probs,
            beam_width=self.settings.beam_width,
            beam_prune_logp=-self.settings.beam_threshold,
            token_min_logp=-self.settings.symbol_threshold,
            prune_history=True,
            hotwords=self._hotwords or None,
            hotword_weight=max(self._hotwords.values(), default=0.0),
        )
        _, _, spans, _, score = beams[0]
        words = (self._word(word, span, log_probs) for word, span in spans if word)
        return Hypothesis(tuple(words), float(score))

    def session(self, settled: Sequence[str] = ()) -> WholeSession:
        """Start an utterance that is read while it grows."""
        return WholeSession(self)

    def _word(self, word: str, span: tuple[int, int], log_probs: np.ndarray) -> DecodedWord:
        start, end = int(span[0]), max(int(span[1]), int(span[0]) + 1)
        surest = log_probs[start:end, self.alphabet.encode(word)].max(axis=0)
        return DecodedWord(word, start, end, float(np.exp(surest).mean()))


def _build(alphabet: Alphabet, language_model: LanguageModel, settings: SearchSettings) -> Any:
    """Return pyctcdecode's decoder, built without its talk on the terminal."""
    logging.getLogger("pyctcdecode").setLevel(logging.ERROR)
    from pyctcdecode.alphabet import Alphabet as Labels
    from pyctcdecode.decoder import BeamSearchDecoderCTC
    from pyctcdecode.language_model import LanguageModel as Scorer

    scorer = Scorer(
        language_model.kenlm,
        language_model.words,
        alpha=settings.alpha,
        beta=settings.beta,
        # pyctcdecode's is a logarithm to base ten that alpha weighs too.
        unk_score_offset=-settings.unknown_penalty / max(LN_10 * settings.alpha, 1e-9),
    )
    return BeamSearchDecoderCTC(Labels.build_alphabet(list(alphabet.symbols)), scorer)
