"""What texts are worth to the models, exactly, and what that says of an error.

The decoder looks for the text with the greatest sum of three logarithms: the probability of
all paths of symbols that spell it (Graves et al., Connectionist temporal classification, 2006,
by the forward sums of section 4.1), that of its words by the language model, times alpha, and
beta for each word.  Where the right text has more of it than what was read, the search lost it;
else a model is wrong: the difference has an acoustic part and one of language.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np

from lm.hotwords import Hotwords
from lm.language_model import LanguageModel
from lm.search import BLANK_LABEL, SPACE, Scorer, SearchSettings
from model.alphabet import Alphabet
from model.evaluation.rates import Pair

Kind = Literal["search", "unknown", "acoustic", "language", "both"]

ENDS = 4
"""States that a text may end in: its last letter, a blank, the first space, what follows."""


@dataclass(frozen=True)
class Worth:
    """What a text is worth to the decoder, in natural logarithms.

    Attributes:
        acoustic: Logarithm of the probability that the network gives to its symbols.
        language: Weighted logarithm of the language model, the bonuses of the words, less
            the penalties of the unknown ones.
    """

    acoustic: float
    language: float

    @property
    def total(self) -> float:
        """What the search maximises."""
        return self.acoustic + self.language


class Judge:
    """Tells what texts are worth.

    Args:
        alphabet: Symbols of the network.
        language_model: That of the decoder.
        settings: Those of its search, of which the weights are used.
    """

    def __init__(
        self, alphabet: Alphabet, language_model: LanguageModel, settings: SearchSettings
    ) -> None:
        self._alphabet = alphabet
        self._language_model = language_model
        self._alpha = settings.alpha
        self._scorer = Scorer(alphabet, language_model, settings, Hotwords({}))

    def worth(self, log_probs: np.ndarray, words: Sequence[str]) -> Worth:
        """Return what a text is worth as the reading of float32 (frames, symbols)."""
        return Worth(text_log_prob(log_probs, words, self._alphabet), self.language(words))

    def language(self, words: Sequence[str]) -> float:
        """Return the part of it that does not depend on the sound."""
        prefix = self._scorer.root()
        for label in self._alphabet.encode(SPACE.join(words)):
            prefix, _ = self._scorer.extend(prefix, label)
        finished, _ = self._scorer.end(prefix)
        return finished.told + self._alpha * self._language_model.end_score(finished.state)


def kind_of(right: Worth, read: Worth, unknown: bool = False) -> Kind:
    """Return why a text was read and not the right one.

    Args:
        right: What the right text is worth.
        read: What the one that was read is worth.
        unknown: Whether a word at stake is unknown to the language model.
    """
    if right.total > read.total:
        return "search"
    if unknown:
        return "unknown"
    if right.acoustic > read.acoustic:
        return "language"
    return "acoustic" if right.language > read.language else "both"


def text_log_prob(log_probs: np.ndarray, words: Sequence[str], alphabet: Alphabet) -> float:
    """Return the natural logarithm of the probability of a text, whatever its pauses.

    As in the search, spaces before and behind it, and more of them in a row, with blanks
    between them or not, change nothing.

    Args:
        log_probs: float32 (frames, symbols).
        words: The text.
        alphabet: Symbols of the network, the space among them.
    """
    if len(log_probs) == 0:
        return -np.inf if words else 0.0
    columns, stays, skips = _states(words, alphabet)
    pauses = np.logaddexp(log_probs[:, BLANK_LABEL], log_probs[:, alphabet.symbols.index(SPACE)])
    heard = np.concatenate([log_probs, pauses[:, None]], axis=1).astype(np.float64)[:, columns]
    total = np.full(len(columns), -np.inf)
    total[:2] = heard[0, :2]
    for frame in heard[1:]:
        choices = np.full((3, len(total)), -np.inf)
        choices[0, stays] = total[stays]
        choices[1, 1:] = total[:-1]
        choices[2, skips] = total[np.flatnonzero(skips) - 2]
        total = np.logaddexp.reduce(choices, axis=0) + frame
    return float(np.logaddexp.reduce(total[-ENDS:] if words else total))


def _states(words: Sequence[str], alphabet: Alphabet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the states of a text: a pause, and for each word its letters with blanks between
    them, a blank, the first space behind it, and the pause after that.

    Returns:
        int (states,): the symbol of each, or behind the last symbol for a pause, which is blanks
        and spaces; bool (states,): whether it may last; bool (states,): whether it may be come
        to from the state before the last one.
    """
    pause, space = alphabet.size, alphabet.symbols.index(SPACE)
    columns, stays, skips = [pause], [True], [False]
    for place, word in enumerate(words):
        before = None
        for label in alphabet.encode(word):
            if before is not None:
                columns.append(BLANK_LABEL)
                stays.append(True)
                skips.append(False)
            columns.append(label)
            stays.append(True)
            skips.append(before != label if before is not None else place > 0)
            before = label
        columns += [BLANK_LABEL, space, pause]
        stays += [True, False, True]
        skips += [False, True, False]
    return np.array(columns), np.array(stays), np.array(skips)


@dataclass(frozen=True)
class Fault:
    """Wrong words in a row, between right ones.

    Attributes:
        start: Place of the first of them among the aligned pairs.
        pairs: What was said and what was read instead.
    """

    start: int
    pairs: tuple[Pair, ...]

    @property
    def right(self) -> str:
        """What was said."""
        return SPACE.join(wanted for wanted, _ in self.pairs if wanted)

    @property
    def read(self) -> str:
        """What was read instead."""
        return SPACE.join(read for _, read in self.pairs if read)


def faults(pairs: Sequence[Pair]) -> list[Fault]:
    """Return the runs of wrong words of an alignment."""
    found = []
    for wrong, group in groupby(enumerate(pairs), key=lambda item: item[1][0] != item[1][1]):
        if wrong:
            places, run = zip(*group, strict=True)
            found.append(Fault(places[0], run))
    return found


def mended(pairs: Sequence[Pair], fault: Fault) -> list[str]:
    """Return what was read with one fault put right and the others left."""
    behind = fault.start + len(fault.pairs)
    words = [read for _, read in pairs[: fault.start]]
    words += [wanted for wanted, _ in fault.pairs]
    words += [read for _, read in pairs[behind:]]
    return [word for word in words if word]
