"""Everything that decides a language model but its text."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from lm.building.pruning import TrieFormat
from model.settings import Rule, at_least, between, check

HIGHEST_ORDER = 6
"""Of the n-grams that KenLM reads as it is usually compiled."""


@dataclass(frozen=True)
class TextSettings:
    """How text becomes sentences.

    Attributes:
        held_out: Share of the documents of each register that is kept out of the model
            and judges it.
        whole_files: Files from which on each file of a register is a document; with
            fewer of them, blocks of lines are.
        block_lines: Lines in such a block.
        once_words: Words from which on a sentence counts once in a register, however
            often it comes; 0 counts every one.
        apart_words: Words in a row that a sentence may not share with the transcripts
            that the text is to be kept apart from.
    """

    held_out: float = 0.03
    whole_files: int = 20
    block_lines: int = 500
    once_words: int = 6
    apart_words: int = 8

    def __post_init__(self) -> None:
        check(
            self,
            Rule("must be 0 to 0.5", ("held_out",), lambda share: 0 <= share <= 0.5),
            at_least(1, "whole_files", "block_lines"),
            at_least(0, "once_words"),
            at_least(2, "apart_words"),
        )


@dataclass(frozen=True)
class VocabularySettings:
    """Which words the model knows.

    Attributes:
        size: How many at most, the likeliest in the mixture; 0 for all.
        min_count: How often one must come in all registers together.
    """

    size: int = 100_000
    min_count: int = 2

    def __post_init__(self) -> None:
        check(self, at_least(0, "size"), at_least(1, "min_count"))


@dataclass(frozen=True)
class NGramSettings:
    """How the n-grams of each register are counted.

    Attributes:
        order: Words of the longest n-grams.
        prune: For each order, from 1 on, the count up to which n-grams are left out;
            the last holds for all longer ones.
        memory: That lmplz may use: a share such as ``30%`` or a size such as ``2G``.
    """

    order: int = 4
    prune: tuple[int, ...] = (0, 0, 1)
    memory: str = "30%"

    def __post_init__(self) -> None:
        check(
            self,
            between(2, HIGHEST_ORDER, "order"),
            Rule(
                "must be whole numbers from 0 on that do not fall, 0 first, at most as many as "
                "order",
                ("prune",),
                self._can_prune,
            ),
            Rule("must be a share such as 30% or a size such as 2G", ("memory",), _is_memory),
        )

    def _can_prune(self, counts: tuple[int, ...]) -> bool:
        return (
            0 < len(counts) <= self.order
            and counts[0] == 0
            and all(a <= b for a, b in pairwise(counts))
        )


@dataclass(frozen=True)
class MixtureSettings:
    """How the registers are joined.

    Attributes:
        weights: Share of each register in the mixture, relative to the others; 1 where
            it is not named.
        adaptation: How much more a register counts after words that are at home in it:
            0, the same weights everywhere, to 1.
    """

    weights: dict[str, float] = field(default_factory=dict)
    adaptation: float = 0.0

    def __post_init__(self) -> None:
        check(
            self,
            between(0, 1, "adaptation"),
            Rule(
                "must be above 0 each",
                ("weights",),
                lambda weights: all(weight > 0 for weight in weights.values()),
            ),
        )


@dataclass(frozen=True)
class SizeSettings:
    """How large the model may be, and how it is stored.

    Attributes:
        max_mb: Largest size of the folder, in millions of bytes; n-grams that matter
            least are left out until it fits.  0 for any.
        probability_bits: Bits of a logarithm of a probability.
        back_off_bits: Bits of a logarithm of a back-off weight.
        pointer_bits: Most bits that the compression of pointers takes off.
    """

    max_mb: float = 20.0
    probability_bits: int = 8
    back_off_bits: int = 8
    pointer_bits: int = 22

    def __post_init__(self) -> None:
        check(self, at_least(0, "max_mb"))
        check(self, between(2, 25, "probability_bits", "back_off_bits"))
        check(self, between(0, 64, "pointer_bits"))

    @property
    def trie(self) -> TrieFormat:
        """How KenLM is to store the model."""
        return TrieFormat(self.probability_bits, self.back_off_bits, self.pointer_bits)


@dataclass(frozen=True)
class LanguageRecipe:
    """All settings of ``lm.build``; each is a section of its YAML files."""

    text: TextSettings = field(default_factory=TextSettings)
    vocabulary: VocabularySettings = field(default_factory=VocabularySettings)
    ngrams: NGramSettings = field(default_factory=NGramSettings)
    mixture: MixtureSettings = field(default_factory=MixtureSettings)
    size: SizeSettings = field(default_factory=SizeSettings)


def _is_memory(text: str) -> bool:
    return text.endswith(("%", "K", "M", "G", "T")) and text[:-1].isdecimal() and int(text[:-1]) > 0
