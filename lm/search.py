"""Prefix beam search through the log-probabilities of an utterance, a frame at a time.

The search is that of Hannun et al., First-pass large vocabulary continuous speech
recognition using bi-directional recurrent DNNs (2014): hypotheses are strings of symbols,
each with the probability that it ends in the blank and that it ends in its last symbol.
What a string is worth to the language model depends on the string alone and is found
once, when it first comes up.  Probabilities are kept as such, scaled so that the best
hypothesis of a frame has the probability one; the weights of the language model are in
them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from lm.hotwords import Hotwords, Match
from lm.language_model import LanguageModel, Span
from model.alphabet import Alphabet
from model.settings import above, at_least, between, check

SPACE = " "
BLANK_LABEL = 0
NO_LABEL = -1
LEAST = -50.0
"""Natural logarithm of the least probability of a symbol."""
RISE = math.exp(6.0)
"""No symbol is expected to make a hypothesis better than this by what it tells of a word."""
STEEPEST = 300.0
"""Most that a symbol is taken to make a hypothesis better or worse, in natural logarithms."""


@dataclass(frozen=True)
class SearchSettings:
    """How wide the search is and how its evidence is weighed.

    Attributes:
        beam_width: Hypotheses kept from frame to frame.
        alpha: Weight of the language model's logarithms.
        beta: Bonus for each word, in natural logarithms.
        beam_threshold: How much worse than the best one a hypothesis may be, in natural
            logarithms.
        symbol_threshold: Symbols less probable than the exponential of minus this are not
            tried in a frame, but for the most probable one.
        unknown_penalty: What a word costs that neither the language model knows nor a
            hotword has, in natural logarithms, besides the probability that the language
            model gives to unknown words.

    Raises:
        RangeError: If a value is out of its range.
    """

    beam_width: int = 64
    alpha: float = 0.5
    beta: float = 1.0
    beam_threshold: float = 12.0
    symbol_threshold: float = 5.0
    unknown_penalty: float = 8.0

    def __post_init__(self) -> None:
        check(
            self,
            between(1, 10_000, "beam_width"),
            between(0, 10, "alpha"),
            between(-10, 10, "beta"),
            above(0, "beam_threshold", "symbol_threshold"),
            at_least(0, "unknown_penalty"),
        )


class FoundWord:
    """A finished word of a hypothesis, linked to those before it; shared by hypotheses."""

    __slots__ = ("acoustic", "before", "count", "end", "start", "text")

    def __init__(self, before: FoundWord | None, text: str, start: int, end: int) -> None:
        self.before = before
        """The word before."""
        self.text = text
        self.start = start
        """First frame of its first symbol."""
        self.end = end
        """Frame after the last one of its last symbol."""
        self.count: int = before.count + 1 if before else 1
        """Number of words up to it."""
        self.acoustic: float | None = None
        """Mean probability of its symbols, each at its surest frame, once it was asked for."""

    def chain(self) -> list[FoundWord]:
        """Return the words up to this one, in order."""
        words: list[FoundWord] = []
        word: FoundWord | None = self
        while word is not None:
            words.append(word)
            word = word.before
        return words[::-1]


class Prefix:
    """A string of symbols, with what it is worth apart from the sound.

    Owns the strings that go on from it, as far as they came up.
    """

    __slots__ = ("label", "match", "next", "span", "state", "told", "word", "worth")

    def __init__(
        self,
        label: int,
        word: str,
        state: Any,
        told: float,
        worth: float,
        span: Span | None,
        match: Match,
    ) -> None:
        self.label = label
        """Its last symbol."""
        self.word = word
        """The letters of its last word so far; empty behind a space."""
        self.state = state
        """The language model's state behind the finished words."""
        self.told = told
        """What the finished words are worth, in natural logarithms."""
        self.worth = worth
        """``told``, and what is expected of the word that goes on."""
        self.span = span
        """The known words that begin with ``word``."""
        self.match = match
        """Where it stands inside hotwords."""
        self.next: dict[int, tuple[Prefix, float]] = {}
        """By the next symbol: the longer string, and how many times as much it is worth."""


Beam = tuple[Prefix, float, float, int, int, FoundWord | None]
"""A hypothesis at a frame: its string, the scaled probabilities that it ends in the blank and
in its last symbol, the first frame of the word that goes on, the frame after its last
symbol, and its finished words."""


class Scorer:
    """What strings are worth: by the language model, its known words and hotwords.

    Args:
        alphabet: Symbols of the network.
        language_model: Scores words.
        settings: Weights.
        hotwords: Phrases to prefer.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        language_model: LanguageModel,
        settings: SearchSettings,
        hotwords: Hotwords,
    ) -> None:
        self.settings = settings
        self.symbols = alphabet.symbols
        self.space = alphabet.symbols.index(SPACE) if SPACE in alphabet.symbols else NO_LABEL
        self.language_model = language_model
        self._hotwords = hotwords
        self._all = language_model.everything
        self._alpha, self._beta = settings.alpha, settings.beta
        self._unknown = settings.alpha * language_model.unknown - settings.unknown_penalty

    def root(self, context: Sequence[str] = ()) -> Prefix:
        """Return the empty string, behind the words of ``context``."""
        state, match = self.language_model.start(), self._hotwords.begin()
        for word in context:
            _, state = self.language_model.score(state, word)
        return self._between_words(NO_LABEL, state, 0.0, match)

    def extend(self, prefix: Prefix, label: int) -> tuple[Prefix, float]:
        """Return the string with one more symbol, and the factor of what it is worth more."""
        longer = self._finish(prefix) if label == self.space else self._spell(prefix, label)
        step = prefix.next[label] = longer, _factor(longer.worth - prefix.worth)
        return step

    def end(self, prefix: Prefix) -> tuple[Prefix, float]:
        """Return the string with its last word finished and the utterance at its end.

        The factor is that of what it is then worth more than ``prefix``.
        """
        finished = prefix
        if prefix.word:
            step = prefix.next.get(self.space) or self.extend(prefix, self.space)
            finished = step[0]
        told = finished.told + self.settings.alpha * self.language_model.end_score(finished.state)
        return finished, _factor(told - prefix.worth)

    def _spell(self, prefix: Prefix, label: int) -> Prefix:
        letter = self.symbols[label]
        word = prefix.word + letter
        match = prefix.match and self._hotwords.advance(prefix.match, letter)
        span, expected = prefix.span, 0.0
        if span is not None:
            span = self.language_model.spell(span, word)
            if span.low < span.high:
                expected = self._alpha * span.best
            else:
                expected = self._unknown + (self.settings.unknown_penalty if match else 0.0)
        worth = prefix.told + self._beta + expected
        if match:
            worth += self._hotwords.worth(match)
        return Prefix(label, word, prefix.state, prefix.told, worth, span, match)

    def _finish(self, prefix: Prefix) -> Prefix:
        settings, word = self.settings, prefix.word
        score, state = self.language_model.score(prefix.state, word)
        bonus = self._hotwords.completed(prefix.match)
        told = prefix.told + settings.beta + settings.alpha * score + bonus
        if not self._hotwords.has_word(prefix.match) and not self.language_model.knows(word):
            told -= settings.unknown_penalty
        match = self._hotwords.begin(self._hotwords.advance(prefix.match, SPACE))
        return self._between_words(self.space, state, told, match)

    def _between_words(self, label: int, state: Any, told: float, match: Match) -> Prefix:
        expected = self.settings.alpha * self._all.best if self._all else 0.0
        worth = told + expected + self._hotwords.worth(match)
        return Prefix(label, "", state, told, worth, self._all, match)


class Search:
    """The hypotheses of one utterance, renewed frame by frame.

    Args:
        scorer: What strings are worth.
        context: Words before the utterance's first, known to the language model only.

    Owns the tree of strings that came up.  ``fork`` starts from the same hypotheses
    and shares that tree, but changes nothing of this search.
    """

    def __init__(self, scorer: Scorer, context: Sequence[str] = ()) -> None:
        self._scorer = scorer
        root = scorer.root(context)
        self.beams: list[Beam] = [(root, 1.0, 0.0, 0, 0, None)]
        self.log_scale = root.worth
        self.frame = 0
        self.settled: tuple[str, ...] = ()

    def fork(self) -> Search:
        """Return a search that goes on from here on its own."""
        other = object.__new__(Search)
        other.__dict__.update(self.__dict__)
        return other

    def read(self, log_probs: np.ndarray) -> None:
        """Go through float32 (frames, symbols); nothing comes of it without hypotheses."""
        if not self.beams:
            return
        log_probs = np.maximum(log_probs.astype(np.float64), LEAST)
        best = log_probs.max(axis=1, keepdims=True)
        tried = np.minimum(best, -self._scorer.settings.symbol_threshold)
        rows, labels = np.nonzero(log_probs[:, 1:] >= tried)
        labels += 1
        picked = labels[np.lexsort((-log_probs[rows, labels], rows))].tolist()
        bounds = np.searchsorted(rows, np.arange(len(log_probs) + 1)).tolist()
        probs = np.exp(log_probs)
        for frame, row in enumerate(probs.tolist()):
            self._step(row, picked[bounds[frame] : bounds[frame + 1]])

    def settle(self, words: Sequence[str]) -> None:
        """Keep only the hypotheses that begin with ``words``, now and from now on."""
        self.settled = tuple(words)
        self.beams = [beam for beam in self.beams if self._fits(beam)]

    def _step(self, probs: list[float], labels: list[int]) -> None:
        scorer, space, frame = self._scorer, self._scorer.space, self.frame
        blank, settled = probs[BLANK_LABEL], self.settled
        narrow = math.exp(-scorer.settings.beam_threshold)
        found: dict[Prefix, list[Any]] = {}
        floor = 0.0
        for prefix, ends_blank, ends_symbol, start, end, words in self.beams:
            total = ends_blank + ends_symbol
            last = prefix.label
            to_blank = total * blank
            to_symbol = ends_symbol * probs[last]
            between = not prefix.word
            if between and space > 0:
                # More spaces change nothing.
                to_symbol = 0.0
                if last == space:
                    to_symbol = total * probs[space]
                else:
                    to_blank += total * probs[space]
            stays = to_blank + to_symbol
            if stays * narrow > floor:
                floor = stays * narrow
            if last > 0 and probs[last] > blank and not between:
                end = frame + 1
            entry = found.get(prefix)
            if entry is None:
                found[prefix] = [to_blank, to_symbol, start, end, words]
            else:
                if stays > entry[1]:
                    entry[2:] = start, end, words
                entry[0] += to_blank
                entry[1] += to_symbol
            for label in labels:
                mass = (ends_blank if label == last else total) * probs[label]
                if mass * RISE < floor:
                    if label == last:
                        continue
                    break
                if between and label == space:
                    continue
                if settled and not _may(settled, words, prefix.word, scorer.symbols[label]):
                    continue
                step = prefix.next.get(label)
                longer, gain = step if step is not None else scorer.extend(prefix, label)
                mass *= gain
                if mass < floor:
                    continue
                if mass * narrow > floor:
                    floor = mass * narrow
                entry = found.get(longer)
                if entry is None:
                    entry = found[longer] = [0.0, 0.0, 0, 0, None]
                if mass > entry[0] + entry[1]:
                    if label == space:
                        entry[2:] = frame, frame, FoundWord(words, prefix.word, start, end)
                    else:
                        entry[2:] = frame if between else start, frame + 1, words
                entry[1] += mass
        self._keep(found, floor)
        self.frame += 1

    def _keep(self, found: dict[Prefix, list[Any]], floor: float) -> None:
        """Keep the best hypotheses, best first, and scale them."""
        ranked = [
            (entry[0] + entry[1], prefix, entry)
            for prefix, entry in found.items()
            if entry[0] + entry[1] >= floor
        ]
        ranked.sort(key=itemgetter(0), reverse=True)
        best = ranked[0][0]
        self.log_scale += math.log(best)
        scale = 1 / best
        self.beams = [
            (prefix, entry[0] * scale, entry[1] * scale, entry[2], entry[3], entry[4])
            for _, prefix, entry in ranked[: self._scorer.settings.beam_width]
        ]

    def _fits(self, beam: Beam) -> bool:
        """Return whether a hypothesis begins with the settled words, or may come to."""
        prefix, words = beam[0], beam[-1]
        count = words.count if words else 0
        while words is not None:
            if words.count <= len(self.settled) and words.text != self.settled[words.count - 1]:
                return False
            words = words.before
        return count >= len(self.settled) or self.settled[count].startswith(prefix.word)


def _factor(gain: float) -> float:
    """Return the exponential of what is gained, kept far from overflow and from zero."""
    return math.exp(max(-STEEPEST, min(gain, STEEPEST)))


def _may(settled: Sequence[str], words: FoundWord | None, word: str, letter: str) -> bool:
    """Return whether ``letter`` may follow on ``word``, the next one behind ``words``."""
    count = words.count if words else 0
    if count >= len(settled):
        return True
    if letter == SPACE:
        return word == settled[count]
    return settled[count].startswith(word + letter)
