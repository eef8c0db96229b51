"""ARPA files: the text format in which n-gram tools hand models to each other.

The format has a header with the number of n-grams of each order, and a section for
each order with an n-gram a line: the base-10 logarithm of its probability, its words,
and, below the highest order, the logarithm of its back-off weight, which may be left
out where it is zero.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, NoReturn
from uuid import uuid4

import numpy as np

from lm.building.ngrams import UNKNOWN, NGramModel, NGrams, model_of
from lm.errors import LanguageModelError
from model.files import make_folder, unwritable

SAME = {b"<UNK>": UNKNOWN.encode()}
"""Spellings of special words that are read as another."""

LINES_AT_ONCE = 50_000
"""Lines that are taken apart together."""

LONGEST_LINE = 1 << 20
"""Bytes of a header line; a longer one is not of this format."""

LONGEST_SHOWN = 60
"""Bytes of a line that an error shows."""

REMEDY = "make the file anew, for instance with lmplz"


def read_arpa(path: Path) -> NGramModel:
    """Read a model from an ARPA file, plain or compressed by gzip.

    An n-gram whose ending lacks, which other tools may write, gets it with the
    probability that backing off gives; this changes no probability.

    Args:
        path: The file; one that ends in ``.gz`` is read as compressed.

    Raises:
        LanguageModelError: If it cannot be read, is no ARPA file, is cut off, or holds
            n-grams that do not fit together; with the line and the rule.
    """
    try:
        with _opened(path, "rb") as file:
            return _Reader(path, file).model()
    except EOFError as error:
        raise LanguageModelError(f"{path}: is cut off; {REMEDY}") from error
    except (OSError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise LanguageModelError(
            f"{path}: cannot be read ({reason}); give the path of an ARPA file"
        ) from error


def write_arpa(model: NGramModel, path: Path) -> None:
    """Write a model as an ARPA file that reads back exactly.

    Args:
        model: The model.
        path: The file, put in the place of the one before when it is whole; compressed
            by gzip if it ends in ``.gz``.

    Raises:
        LanguageModelError: If it cannot be written.
    """
    try:
        make_folder(path.parent)
        _write(model, path, path.with_name(f"{path.stem}.{uuid4().hex}.partial{path.suffix}"))
    except OSError as error:
        raise unwritable(path, error, LanguageModelError) from error


def _write(model: NGramModel, path: Path, partial: Path) -> None:
    """Write an ARPA file under another name until it is whole."""
    try:
        with _opened(partial, "wb") as file:
            file.writelines(_blocks(model))
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _opened(path: Path, mode: str) -> IO[bytes]:
    """Open a file that is compressed if its name says so."""
    if path.suffix == ".gz":
        return gzip.open(path, mode, compresslevel=3)  # type: ignore[return-value]
    return path.open(mode)


def _blocks(model: NGramModel) -> Iterator[bytes]:
    """Yield the parts of a model's ARPA file."""
    counts = (f"ngram {n}={count}\n" for n, count in enumerate(model.counts, 1))
    yield "".join(["\\data\\\n", *counts]).encode()
    words = np.array(model.words, dtype=object)
    for n, grams in enumerate(model.orders, 1):
        yield f"\n\\{n}-grams:\n".encode()
        rows = model.rows(n)
        line = "%.9g\t" + " ".join(["%s"] * n) + ("\t%.9g\n" if n < model.order else "\n")
        for start in range(0, len(grams), LINES_AT_ONCE):
            some = slice(start, start + LINES_AT_ONCE)
            columns = [grams.log_probs[some].tolist(), *words[rows[some].T].tolist()]
            if n < model.order:
                columns.append(grams.back_offs[some].tolist())
            yield "".join(map(line.__mod__, zip(*columns, strict=True))).encode()
    yield b"\n\\end\\\n"


class _Reader:
    """Reads an ARPA file and knows the line that it is at."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path, self._file = path, file
        self._line = self._first = 0

    def model(self) -> NGramModel:
        """Return the whole file's model."""
        counts = self._counts()
        words, numbers, orders = self._unigrams(counts)
        for n, count in enumerate(counts[1:], 2):
            orders.append(self._order(n, count, NGramModel(words, tuple(orders)), numbers))
        self._header("\\end\\")
        return model_of(words, orders)

    def _counts(self) -> list[int]:
        """Read the header: how many n-grams of each order there are."""
        first = self._next()
        while first.startswith(b"#"):
            first = self._next()
        if first != b"\\data\\":
            self._fail(f"is no ARPA file: must begin with \\data\\, got {_shown(first)}")
        counts: list[int] = []
        while line := self._read().strip():
            match = re.fullmatch(rb"ngram\s+(\d+)\s*=\s*(\d+)", line)
            if not match or int(match[1]) != len(counts) + 1:
                self._fail(f"must be ngram {len(counts) + 1}=COUNT, got {_shown(line)}")
            counts.append(int(match[2]))
        if not counts or not counts[0]:
            self._fail("must give the number of words as ngram 1=COUNT, which is none")
        return counts

    def _unigrams(
        self, counts: Sequence[int]
    ) -> tuple[tuple[str, ...], dict[bytes, int], list[NGrams]]:
        """Read the words; return them sorted, their numbers, and the unigrams."""
        names: dict[bytes, int] = {}
        rows, log_probs, back_offs = self._section(
            1, counts[0], lambda word: names.setdefault(SAME.get(word, word), len(names))
        )
        if len(names) < counts[0]:
            index = int(np.argmax(rows[:, 0] != np.arange(len(rows))))
            self._fail(f"{_shown(list(names)[rows[index, 0]])} is given twice", index)
        order = sorted(names)
        try:
            words = tuple(name.decode() for name in order)
        except UnicodeDecodeError as error:
            self._fail(f"{_shown(error.object)} is not UTF-8 text", names[error.object])
        places = [names[name] for name in order]
        grams = NGrams(np.arange(len(words)), log_probs[places], back_offs[places])
        return words, {name: number for number, name in enumerate(order)}, [grams]

    def _order(self, n: int, count: int, lower: NGramModel, numbers: Mapping[bytes, int]) -> NGrams:
        """Read the n-grams of one order and sort them."""
        rows, log_probs, back_offs = self._section(n, count, numbers.__getitem__)
        history = lower.find(rows[:, :-1])
        if (history < 0).any():
            index = int(np.argmax(history < 0))
            what = _spelled(lower, rows[index, :-1])
            self._fail(f"the history {what} must be a {n - 1}-gram of the file", index)
        keys = history * len(lower.words) + rows[:, -1]
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        twice = np.flatnonzero(keys[1:] == keys[:-1])
        if len(twice):
            index = int(order[twice[0] + 1])
            self._fail(f"{_spelled(lower, rows[index])} is given twice", index)
        return NGrams(keys, log_probs[order], back_offs[order])

    def _section(
        self, n: int, count: int, number: Callable[[bytes], int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read a section: int32 (n-grams, n) words, float32 log-probabilities and back-offs."""
        self._header(f"\\{n}-grams:")
        self._first = self._line + 1
        rows = np.empty((count, n), np.int32)
        log_probs, back_offs = np.empty(count, np.float32), np.empty(count, np.float32)
        for start in range(0, count, LINES_AT_ONCE):
            some = slice(start, min(start + LINES_AT_ONCE, count))
            lines = list(islice(self._file, some.stop - start))
            try:
                rows[some], log_probs[some], back_offs[some] = _columns(lines, n, number)
                _check_range(log_probs[some], back_offs[some])
            except (ValueError, LookupError):
                self._complain(lines, n, count, number)
            self._line += len(lines)
            if len(lines) < some.stop - start:
                self._fail_cut_off()
        return rows, log_probs, back_offs

    def _complain(
        self, lines: Sequence[bytes], n: int, count: int, number: Callable[[bytes], int]
    ) -> NoReturn:
        """Say which of some lines is wrong, and why."""
        for line in lines:
            self._line += 1
            parts = line.split()
            if not parts or parts[0].startswith(b"\\"):
                self._fail(f"must be one of {count} {n}-grams as the header says, has ended")
            if not n + 1 <= len(parts) <= n + 2:
                self._fail(f"must be a probability, {n} words and a back-off, got {_shown(line)}")
            try:
                _, log_probs, back_offs = _columns([line], n, number)
                _check_range(log_probs, back_offs)
            except ValueError:
                self._fail(f"must have logarithms at most 0 of probabilities, got {_shown(line)}")
            except LookupError as error:
                self._fail(f"{_shown(error.args[0])} must be a 1-gram of the file")
        self._fail_cut_off()

    def _header(self, expected: str) -> None:
        """Read the line with which a section begins."""
        if (line := self._next()) != expected.encode():
            self._fail(f"must be {expected}, got {_shown(line)}")

    def _next(self) -> bytes:
        """Return the next line that is not empty, stripped."""
        while not (line := self._read().strip()):
            pass
        return line

    def _read(self) -> bytes:
        line = self._file.readline(LONGEST_LINE)
        if not line:
            self._fail_cut_off()
        self._line += 1
        return line

    def _fail_cut_off(self) -> NoReturn:
        self._fail(f"is cut off: must end with \\end\\; {REMEDY}")

    def _fail(self, problem: str, index: int | None = None) -> NoReturn:
        """Raise the error of the line read last, or of an n-gram of the section."""
        line = self._line if index is None else self._first + index
        raise LanguageModelError(f"{self._path}:{line}: {problem}")


def _columns(
    lines: Sequence[bytes], n: int, number: Callable[[bytes], int]
) -> tuple[np.ndarray, list[float], list[float]]:
    """Return the words (n-grams, n), log-probabilities and back-offs of lines.

    Raises:
        ValueError: If a line has too few or too many parts, or no number where one must be.
        LookupError: If a word is none of the vocabulary.
    """
    parts = (line.split() for line in lines)
    full = [part if len(part) > n + 1 else [*part, b"0"] for part in parts]
    log_probs, *words, back_offs = zip(*full, strict=True)
    if len(words) != n:
        raise ValueError(f"{len(words)} words")
    rows = np.array([list(map(number, column)) for column in words], np.int32).T
    return rows, list(map(float, log_probs)), list(map(float, back_offs))


def _check_range(log_probs: np.ndarray | list[float], back_offs: np.ndarray | list[float]) -> None:
    """Raise ValueError where logarithms are no numbers or those of no probabilities."""
    if not np.isfinite(back_offs).all() or not np.isfinite(log_probs).all():
        raise ValueError("not finite")
    if np.max(log_probs) > 0:
        raise ValueError("above zero")


def _spelled(model: NGramModel, row: np.ndarray) -> str:
    """Return an n-gram's words."""
    return " ".join(model.words[number] for number in row)


def _shown(line: bytes) -> str:
    """Return the beginning of a line as an error shows it."""
    return repr(line.strip()[:LONGEST_SHOWN].decode(errors="replace"))
