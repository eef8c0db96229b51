"""Words and phrases to prefer, each with its weight, matched letter by letter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from lm.errors import LanguageModelError
from model.alphabet import ENGLISH, Alphabet
from model.text import normalise_text

DEFAULT_WEIGHT = 8.0
SPACE = " "


@dataclass
class _Place:
    """A place inside phrases; what follows, and what the letters so far are worth."""

    worth: float = 0.0
    weight: float = 0.0
    next: dict[str, _Place] = field(default_factory=dict)


Match = tuple[_Place, ...]
"""Where the end of a hypothesis stands inside phrases; empty when inside none."""


class Hotwords:
    """Phrases to prefer; immutable, shared by all utterances.

    A hypothesis gains a share of a phrase's weight with each letter of it, loses what it
    gained when the letters turn out to be another word's, and keeps the whole weight once
    the phrase ends at the end of a word.  So the bonus of a phrase comes before its end,
    when the beam might lose it; as in Zhao et al., Shallow-fusion end-to-end contextual
    biasing, Interspeech 2019.

    Args:
        weights: The weight of each phrase, in natural logarithms, by its spelling in
            letters of the alphabet, words separated by single spaces.
    """

    def __init__(self, weights: dict[str, float]) -> None:
        self.weights = dict(weights)
        self._root = _Place()
        for phrase, weight in weights.items():
            self._add(phrase, weight)

    @classmethod
    def parse(cls, phrases: Iterable[tuple[str, float]], alphabet: Alphabet = ENGLISH) -> Hotwords:
        """Return the phrases as the alphabet spells them, in any case and punctuation.

        Raises:
            LanguageModelError: If one of them cannot be spelled; the message names it.
        """
        weights = {}
        for phrase, weight in phrases:
            weights[spell(phrase, alphabet)] = weight
        return cls(weights)

    def begin(self, match: Match = ()) -> Match:
        """Return the match at the start of a word, behind the phrases that ``match`` is inside."""
        return (*match, self._root) if self.weights else ()

    @staticmethod
    def advance(match: Match, letter: str) -> Match:
        """Return the match after one more letter, or after the space behind a word."""
        return tuple(place.next[letter] for place in match if letter in place.next)

    @staticmethod
    def worth(match: Match) -> float:
        """Return what the phrases begun are worth so far: that of the best one."""
        return max((place.worth for place in match), default=0.0)

    @staticmethod
    def completed(match: Match) -> float:
        """Return the weights of the phrases that end where the word ends."""
        return sum(place.weight for place in match)

    @staticmethod
    def has_word(match: Match) -> bool:
        """Return whether the word that ends is one of a phrase, its last or an earlier one."""
        return any(place.weight or SPACE in place.next for place in match)

    def _add(self, phrase: str, weight: float) -> None:
        place = self._root
        for count, letter in enumerate(phrase, 1):
            place = place.next.setdefault(letter, _Place())
            place.worth = max(place.worth, weight * count / len(phrase))
        place.weight = weight


def spell(phrase: str, alphabet: Alphabet = ENGLISH) -> str:
    """Return a phrase in letters of the alphabet.

    Raises:
        LanguageModelError: If it cannot be spelled with them, or has none.
    """
    try:
        spelled = normalise_text(phrase, alphabet)
    except ValueError as error:
        raise LanguageModelError(f"hotword {phrase}: {error}") from error
    if not spelled:
        raise LanguageModelError(f"hotword {phrase!r}: has no letters; write a word or a phrase")
    return spelled
