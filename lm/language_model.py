"""A KenLM n-gram model with its list of words, memory-mapped and shared by all utterances."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lm.errors import LanguageModelError
from model.files import read_file

LN_10 = math.log(10)
BINARY_MAGIC = b"mmap lm http://kheafield.com/code"
COMPRESSED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
"""How compressed files are opened, by how they begin."""
LONGEST_MAGIC = max(map(len, COMPRESSED))
LAST = "\U0010ffff"
"""Comes after every symbol of an alphabet in the order of strings."""
LARGEST_LIST = 1 << 28
"""Bytes of the largest list of words that is read."""
MOST_SPANS = 30_000
"""Beginnings of words that are remembered with the words that they may become."""
WORDS_TRIED = 1000
"""Words of a list of which is found out whether the model knows them."""
COMMON_WORDS = ("the", "and", "of", "to", "a", "is", "in", "it", "i", "you")
"""Some of them are in every English model; they tell the case of its words."""


class Span(NamedTuple):
    """The known words that begin in one way: ``words[low:high]``.

    Attributes:
        low: The first of them.
        high: Behind the last of them; equal to ``low`` where there is none.
        best: Natural logarithm of the unigram probability of the likeliest one.
    """

    low: int
    high: int
    best: float


class LanguageModel:
    """An n-gram model over the words that the alphabet spells.

    Owns KenLM's model, ``kenlm``, whose binary files are mapped into memory, and the sorted
    list of its words.  States of KenLM stand for the last words of a hypothesis.

    Args:
        model: A ``kenlm.Model``.
        words: The words it knows, in lower case, sorted; None where they are not listed,
            so that nothing is known of a word before its end.
        spelling: From a word in lower case to the form in which the model has it.
        name: For messages.
    """

    def __init__(
        self,
        model: Any,
        words: Sequence[str] | None,
        spelling: Callable[[str], str] = str,
        name: str = "",
    ) -> None:
        import kenlm

        self.name = name
        self.order: int = model.order
        self.words = words
        self.kenlm = model
        self._new_state = kenlm.State
        self._spelling = spelling
        self._spans: dict[str, Span] = {}
        self._unigrams = self._score_unigrams(words or ())

    @classmethod
    def load(cls, path: str | Path, unigrams: str | Path | None = None) -> LanguageModel:
        """Load a model.

        Args:
            path: A folder with ``lm.binary`` and ``words.txt``, as ``lm.build`` writes
                it, or an ARPA or KenLM binary file of anyone's, in lower or upper case.
            unigrams: A text file with the known words, one a line; those of an ARPA
                file are read from it.

        Raises:
            LanguageModelError: If a file is missing, damaged, of no known format, or
                has words in mixed case, or the words are mostly none of the model's.
        """
        path, listed = _files(Path(path), Path(unigrams) if unigrams is not None else None)
        model = _load(path)
        spelling = _spelling(model, path)
        loaded = cls(model, _words(path, listed), spelling, str(path))
        if listed is not None:
            _check_words(loaded, listed)
        return loaded

    def start(self) -> Any:
        """Return the state before the first word of an utterance."""
        state = self._new_state()
        self.kenlm.BeginSentenceWrite(state)
        return state

    def score(self, state: Any, word: str) -> tuple[float, Any]:
        """Return the natural logarithm of a word's probability, and the state behind it."""
        after = self._new_state()
        return LN_10 * self.kenlm.BaseScore(state, self._spelling(word), after), after

    def end_score(self, state: Any) -> float:
        """Return the natural logarithm of the probability that the utterance ends here."""
        return LN_10 * self.kenlm.BaseScore(state, "</s>", self._new_state())

    def sentence_end(self, words: Sequence[str]) -> float:
        """Return the probability, 0 to 1, that a sentence ends behind its words so far."""
        state = self.start()
        if len(words) >= self.order:
            self.kenlm.NullContextWrite(state)
            words = words[-self.order :]
        for word in words:
            _, state = self.score(state, word)
        return math.exp(self.end_score(state))

    def knows(self, word: str) -> bool:
        """Return whether the model has seen a word."""
        return self._spelling(word) in self.kenlm

    @property
    def unknown(self) -> float:
        """Natural logarithm of the unigram probability of words that it has not seen."""
        return self._score_unigrams(["<unk>"])[0]

    @property
    def everything(self) -> Span | None:
        """All words, as what can follow on nothing; None where they are not listed."""
        if self.words is None:
            return None
        return Span(0, len(self.words), max(self._unigrams, default=-math.inf))

    def spell(self, span: Span, beginning: str) -> Span:
        """Return the words of a span that start with ``beginning``.

        The span has all words that start with all but the last letter of it.
        """
        narrowed = self._spans.get(beginning)
        if narrowed is None:
            if len(self._spans) >= MOST_SPANS:
                self._spans.clear()
            narrowed = self._spans[beginning] = self._narrow(span, beginning)
        return narrowed

    def _narrow(self, span: Span, beginning: str) -> Span:
        assert self.words is not None
        low = bisect_left(self.words, beginning, span.low, span.high)
        high = bisect_left(self.words, beginning + LAST, low, span.high)
        return Span(low, high, max(self._unigrams[low:high], default=-math.inf))

    def _score_unigrams(self, words: Sequence[str]) -> list[float]:
        before, after = self._new_state(), self._new_state()
        self.kenlm.NullContextWrite(before)
        score, spelling = self.kenlm.BaseScore, self._spelling
        return [LN_10 * score(before, spelling(word), after) for word in words]


def _files(path: Path, unigrams: Path | None) -> tuple[Path, Path | None]:
    """Return the model's file and the list of its words, which both exist."""
    if path.is_dir():
        path, unigrams = path / "lm.binary", unigrams or path / "words.txt"
    for file in (path, unigrams):
        if file is not None and not file.is_file():
            raise LanguageModelError(
                f"{file}: no such file; give a folder of lm.build, or a KenLM ARPA or binary file"
            )
    return path, unigrams


def _load(path: Path) -> Any:
    import kenlm

    kind = "a KenLM binary" if is_binary(path) else "an ARPA"
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        return kenlm.Model(str(path), config)
    except (MemoryError, OSError, RuntimeError, ValueError) as error:
        raise LanguageModelError(
            f"{path}: cannot be loaded as {kind} file: {_reason(error)}; copy or build it again"
        ) from error


def is_binary(path: Path) -> bool:
    """Return whether a file is one of KenLM's binary files.

    Raises:
        LanguageModelError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(len(BINARY_MAGIC)) == BINARY_MAGIC
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> LanguageModelError:
    return LanguageModelError(
        f"{path}: cannot be read ({error.strerror or error}); make it readable or give another"
    )


def _reason(error: Exception) -> str:
    """Return what KenLM says, without the place in its source."""
    said = " ".join(str(error).split())
    said = re.sub(r"^Cannot read model '.*' \((.*)\)$", r"\1", said)
    said = re.sub(r"^\S+\.(cc|hh):\d+ in .* threw \w+( because `.*?')?\.? ?", "", said)
    return said.rstrip(".") or type(error).__name__


def _spelling(model: Any, path: Path) -> Callable[[str], str]:
    """Return how the model writes a word, by the common words that it has.

    Raises:
        LanguageModelError: If it writes them in both cases.
    """
    lower = any(word in model for word in COMMON_WORDS)
    capital = "I" if lower else "The"
    if capital in model and capital.lower() not in model:
        raise LanguageModelError(
            f"{path}: has words with capitals only, such as {capital!r}; "
            "its text must be all lower or all upper case: build it anew"
        )
    upper = any(word.upper() in model for word in COMMON_WORDS)
    return str.upper if upper and not lower else str


def _check_words(model: LanguageModel, listed: Path) -> None:
    """Refuse a list of words of which the model does not know the half.

    Raises:
        LanguageModelError: If it is such a list.
    """
    words = model.words or ()
    tried = words[:: -(-len(words) // WORDS_TRIED) or 1]
    unknown = [word for word in tried if not model.knows(word)]
    if 2 * len(unknown) > len(tried):
        raise LanguageModelError(
            f"{listed}: does not belong to {model.name}, which does not know most of its words, "
            f"such as {unknown[0]!r}; give the list of the words that the model was built with"
        )


def _words(path: Path, listed: Path | None) -> list[str] | None:
    """Return the known words in lower case, sorted, or None where no file lists them."""
    if listed is None:
        if is_binary(path):
            return None
        return sorted({word.lower() for word in _arpa_words(path)})
    try:
        words = read_file(listed, LARGEST_LIST).decode("utf-8-sig").split()
    except OSError as error:
        raise _unreadable(listed, error) from error
    except UnicodeDecodeError as error:
        raise LanguageModelError(f"{listed}: is not UTF-8 text; save it as UTF-8") from error
    if not words:
        raise LanguageModelError(f"{listed}: has no words; give a file with a known word a line")
    return words if _is_plain(words) else sorted({word.lower() for word in words})


def _is_plain(words: Sequence[str]) -> bool:
    """Return whether words are in lower case and in order already."""
    return all(map(str.islower, words)) and all(map(str.__lt__, words, words[1:]))


def _arpa_words(path: Path) -> Iterator[str]:
    """Yield the words of an ARPA file, plain or compressed in a way that KenLM reads."""
    with path.open("rb") as file:
        begin = file.read(LONGEST_MAGIC)
    opened = next((each for magic, each in COMPRESSED.items() if begin.startswith(magic)), open)
    with opened(path, "rt", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("\\1-grams:"):
                break
        for line in lines:
            fields = line.split()
            if len(fields) < 2:
                return
            if not fields[1].startswith("<"):
                yield fields[1]
