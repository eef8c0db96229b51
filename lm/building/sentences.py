"""From lines of running text to sentences in the symbols of the model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

from model.alphabet import ENGLISH, Alphabet
from model.corpora.spelling import spell_out
from model.text import normalise_text

OTHER_SCRIPT = "other script"
FIGURES_OR_SIGNS = "figures or signs"
REPEATED = "repeated"
KEPT_APART = "kept apart"
REASONS = (OTHER_SCRIPT, FIGURES_OR_SIGNS, REPEATED, KEPT_APART)
"""Why a sentence is left out."""

_QUOTES = "\"'\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}"
_QUOTES += "\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"
_BREAK = re.compile(rf"(?<=[.!?])(?<!\b[A-Z]\.)[{_QUOTES})\]]*\s+(?=[{_QUOTES}(\[]*[A-Z0-9])")
"""Between sentences: not after an initial, and not before a small letter."""

FILTER_BITS = 1 << 29
FILTER_HASHES = 4


def sentences_of(line: str, dropped: Counter[str], alphabet: Alphabet = ENGLISH) -> Iterator[str]:
    """Yield the sentences of a line, spelled as the model spells them.

    Numbers, signs and abbreviations are spelled out as they are read aloud.

    Args:
        line: Running text.
        dropped: Counts the sentences that cannot be spelled, by reason.
        alphabet: The symbols that sentences may have.
    """
    for sentence in _BREAK.split(spell_out(line.strip())):
        try:
            text = normalise_text(sentence, alphabet)
        except ValueError:
            dropped[_reason(sentence)] += 1
        else:
            if text:
                yield text


def _reason(sentence: str) -> str:
    """Return why a sentence cannot be spelled."""
    foreign = any(c.isalpha() and not c.isascii() for c in sentence)
    return OTHER_SCRIPT if foreign else FIGURES_OR_SIGNS


class SharedRuns:
    """Finds sentences that share a run of words with given texts.

    Args:
        texts: Normalised texts, such as the transcripts of a test.
        length: Words of a run.
    """

    def __init__(self, texts: Iterable[str], length: int) -> None:
        self._length = length
        self._runs = {run for text in texts for run in self._of(text.split())}

    def touches(self, words: Sequence[str]) -> bool:
        """Return whether the words have one of the runs."""
        return bool(self._runs) and not self._runs.isdisjoint(self._of(words))

    def _of(self, words: Sequence[str]) -> Iterator[tuple[str, ...]]:
        return zip(*(words[start:] for start in range(self._length)), strict=False)


class SeenBefore:
    """Tells which sentences came before, in memory that does not grow with their number.

    A Bloom filter (Bloom, 1970) of 64 MiB: it takes one new sentence in 30,000 for an old
    one after 10 million of them, and one in 13 after 100 million.
    """

    def __init__(self) -> None:
        self._bits = bytearray(FILTER_BITS // 8)

    def add(self, sentence: str) -> bool:
        """Remember a sentence; return whether it was there."""
        number = int.from_bytes(blake2b(sentence.encode(), digest_size=16).digest(), "big")
        known = True
        for _ in range(FILTER_HASHES):
            byte, mask = (number >> 3) % len(self._bits), 1 << (number & 7)
            known = known and bool(self._bits[byte] & mask)
            self._bits[byte] |= mask
            number >>= 32
        return known
