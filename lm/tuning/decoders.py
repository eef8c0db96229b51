"""Decoders that differ in their settings, over one language model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lm.beam import BeamDecoder
from lm.language_model import LanguageModel
from lm.search import SearchSettings
from model.alphabet import Alphabet


@dataclass(frozen=True)
class BeamMaker:
    """Makes beam decoders; loads the language model once, where it is first needed.

    Attributes:
        alphabet: Symbols of the network.
        language_model: A folder of ``lm.build``, an ARPA or a KenLM binary file.
        unigrams: Its words, where no other file lists them.
    """

    alphabet: Alphabet
    language_model: Path
    unigrams: Path | None = None

    def __call__(self, settings: SearchSettings) -> BeamDecoder:
        """Return a decoder; raises LanguageModelError."""
        return BeamDecoder(self.alphabet, self._model, settings)

    @cached_property
    def _model(self) -> LanguageModel:
        return LanguageModel.load(self.language_model, self.unigrams)
