"""Where the text of a language model comes from: files, compressed or not, and documents."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm.errors import LanguageModelError
from model.errors import UsageError
from model.files import file_checksum

OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
"""What opens the compressed files of each ending."""

SUFFIXES = (".txt", *OPENERS)
"""Endings of the files that are taken from a folder."""

LONGEST_LINE = 1 << 20
"""Characters after which a line is cut, so that no file needs more memory than this."""


@dataclass(frozen=True)
class Register:
    """Text of one kind, such as novels or conversations.

    Attributes:
        name: What reports call it.
        files: Its text, UTF-8, each a document or many.
    """

    name: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class TextOption:
    """A value of ``--text``: ``[NAME[:WEIGHT]=]PATH``.

    Attributes:
        name: Of the register; that of the file or folder where none was given.
        path: A file or folder of text.
        weight: Of the register in the mixture; None where none was given.
    """

    name: str
    path: Path
    weight: str | None = None

    @classmethod
    def parse(cls, value: str) -> TextOption:
        """Read a value of ``--text``.

        Raises:
            UsageError: If the name or the path is empty or has other signs.
        """
        head, equals, rest = value.partition("=")
        if not equals or os.path.exists(value):
            path = Path(value)
            return cls(_plain_name(path.resolve().name.split(".")[0]), path)
        name, colon, weight = head.partition(":")
        if not rest or name != _plain_name(name) or (colon and not weight):
            raise UsageError(
                f"--text {value}: must be PATH, NAME=PATH or NAME:WEIGHT=PATH, the name of "
                "letters, digits, - and _"
            )
        return cls(name, Path(rest), weight if colon else None)


def registers_of(options: Sequence[TextOption]) -> list[Register]:
    """Return the registers, in order of their first mention.

    Raises:
        LanguageModelError: If a path does not exist or has no text files, or a file is
            given twice.
    """
    files: dict[str, list[Path]] = {}
    for option in options:
        files.setdefault(option.name, []).extend(find_files(option.path))
    seen: dict[Path, str] = {}
    for name, paths in files.items():
        for path in paths:
            if path.resolve() in seen:
                raise LanguageModelError(
                    f"{path}: is given twice, for {seen[path.resolve()]} and {name}; "
                    "leave one of them out"
                )
            seen[path.resolve()] = name
    return [Register(name, tuple(paths)) for name, paths in files.items()]


def find_files(path: Path) -> list[Path]:
    """Return a file, or the text files in a folder and its folders, sorted.

    Raises:
        LanguageModelError: If there is none.
    """
    if path.is_dir():
        found = sorted(
            file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file()
        )
        if not found:
            raise LanguageModelError(
                f"{path}: has no text files; give a folder with files that end in "
                f"{', '.join(SUFFIXES)}"
            )
        return found
    if not path.is_file():
        raise LanguageModelError(f"{path}: no such file or folder; give text files or folders")
    return [path]


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, decompressed by its ending; a huge line in pieces.

    Raises:
        LanguageModelError: If it cannot be read, is damaged or not UTF-8 text.
    """
    opener = OPENERS.get(path.suffix, open)
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            yield from iter(lambda: file.readline(LONGEST_LINE), "")
    except UnicodeDecodeError as error:
        raise LanguageModelError(f"{path}: is not UTF-8 text; save it as UTF-8") from error
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(path, error) from error
    except OSError as error:
        if error.errno is None:
            raise _damaged(path, error) from error
        raise LanguageModelError(
            f"{path}: cannot be read ({error.strerror}); give a text file"
        ) from error


def documents(register: Register, whole_files: int, block_lines: int) -> Iterator[Iterator[str]]:
    """Yield the documents of a register, each as its lines; read each before the next.

    Args:
        register: What to read.
        whole_files: Files from which on each is a document.
        block_lines: Lines of a document where there are fewer files.

    Raises:
        LanguageModelError: As :func:`read_lines`.
    """
    for path in register.files:
        if len(register.files) >= whole_files:
            yield read_lines(path)
        else:
            yield from _blocks(read_lines(path), block_lines)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises:
        LanguageModelError: If it cannot be read.
    """
    try:
        return file_checksum(path)
    except OSError as error:
        raise LanguageModelError(
            f"{path}: cannot be read ({error.strerror or error}); give a text file"
        ) from error


def _blocks(lines: Iterator[str], size: int) -> Iterator[Iterator[str]]:
    block: list[str] = []
    for line in lines:
        block.append(line)
        if len(block) == size:
            yield iter(block)
            block = []
    if block:
        yield iter(block)


def _damaged(path: Path, error: Exception) -> LanguageModelError:
    return LanguageModelError(
        f"{path}: is damaged or no {path.suffix} file ({error}); copy or compress it again"
    )


def _plain_name(name: str) -> str:
    """Return a name without the signs that a register's cannot have."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name) or "text"
