"""The symbols that the network predicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

BLANK = ""
"""The CTC blank; its label is the empty string, as pyctcdecode expects it."""


@dataclass(frozen=True)
class Alphabet:
    """An ordered set of symbols; the position of a symbol is its network output.

    Attributes:
        symbols: The CTC blank first, then one character each.

    Raises:
        ValueError: If the blank is not first, or a symbol is repeated or is not
            one character long.
    """

    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.symbols or self.symbols[0] != BLANK:
            raise ValueError("alphabet: the first symbol must be the CTC blank ''")
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError("alphabet: every symbol must occur once")
        if any(len(symbol) != 1 for symbol in self.symbols[1:]):
            raise ValueError("alphabet: every symbol but the blank must be one character")

    @property
    def size(self) -> int:
        """Number of symbols, the blank included."""
        return len(self.symbols)

    def encode(self, text: str) -> list[int]:
        """Return the label of each character of ``text``.

        Raises:
            ValueError: If a character is not in the alphabet.
        """
        labels = {symbol: index for index, symbol in enumerate(self.symbols)}
        unknown = sorted({character for character in text if character not in labels})
        if unknown:
            raise ValueError(f"symbols outside the alphabet: {' '.join(map(repr, unknown))}")
        return [labels[character] for character in text]

    def decode(self, labels: Iterable[int]) -> str:
        """Return the text of ``labels``; blanks vanish, repeats stay."""
        return "".join(self.symbols[label] for label in labels)

    @classmethod
    def from_symbols(cls, symbols: Sequence[str]) -> Alphabet:
        """Build an alphabet from a list, as it stands in a bundle."""
        return cls(tuple(symbols))


ENGLISH = Alphabet((BLANK, *"abcdefghijklmnopqrstuvwxyz", "'", " "))
"""29 symbols: blank, a to z, apostrophe, space."""


def frames_needed(labels: np.ndarray) -> int:
    """Return the output frames that CTC needs: one a label, one more between equal ones."""
    return len(labels) + int(np.count_nonzero(labels[1:] == labels[:-1]))
