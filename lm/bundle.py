"""Folders with a language model: all that decoding needs, and where it comes from.

A folder holds ``lm.binary`` (KenLM's quantised trie), ``words.txt`` (a known word a line,
sorted by code point), ``lm.json`` (what they were made of, sizes and checksums) and a
``MODEL_CARD.md`` for people; ``lm.tune`` adds ``decoder.yaml``.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from lm.errors import LanguageModelError
from lm.language_model import BINARY_MAGIC
from lm.tuned import TUNED_FILE, TunedDecoder, read_tuned
from model.files import file_checksum, make_folder, read_file, replace_folder, write_whole
from model.records import LARGEST_RECORD, is_intact, parse_json, record_checksum

FORMAT = 1
"""Raised whenever the content of a folder changes its meaning."""

BINARY_FILE = "lm.binary"
WORDS_FILE = "words.txt"
RECORD_FILE = "lm.json"
CARD_FILE = "MODEL_CARD.md"
OWN_FILES = frozenset({BINARY_FILE, WORDS_FILE, RECORD_FILE, CARD_FILE, TUNED_FILE})
"""All that goes with the folder when another model takes its place."""

FETCH_AGAIN = "copy or download the folder again"


@dataclass(frozen=True)
class LanguageBundle:
    """A folder with a language model, its files checked.

    Attributes:
        folder: Where it is.
        record: What ``lm.json`` tells: recipe, text, perplexities, versions.
        tuned: Settings of the search and how they were found; defaults where nothing
            was tuned.
    """

    folder: Path
    record: Mapping[str, Any]
    tuned: TunedDecoder

    @property
    def binary(self) -> Path:
        """KenLM's binary file."""
        return self.folder / BINARY_FILE

    @property
    def words(self) -> Path:
        """The known words, one a line."""
        return self.folder / WORDS_FILE

    @classmethod
    def load(cls, folder: str | Path) -> LanguageBundle:
        """Check a folder and read what it tells of the model, not the model itself.

        The large file is checked by its size and its beginning; :meth:`verify` reads
        it whole, as is done before it is given to KenLM.

        Raises:
            LanguageModelError: If the folder or a file of it is missing, damaged or of
                another format version.
            SettingsError: If ``decoder.yaml`` has unusable values.
        """
        folder = Path(folder)
        record = _read_record(folder)
        for name in (BINARY_FILE, WORDS_FILE):
            _check_size(folder / name, record["files"][name]["bytes"])
        _check_sum(folder / WORDS_FILE, record["files"][WORDS_FILE]["sha256"])
        _check_begin(folder / BINARY_FILE)
        tuned = folder / TUNED_FILE
        return cls(folder, record, read_tuned(tuned) if tuned.exists() else TunedDecoder())

    def verify(self) -> None:
        """Check the large file whole.

        Raises:
            LanguageModelError: If it is not what was written.
        """
        _check_sum(self.binary, self.record["files"][BINARY_FILE]["sha256"])


def is_bundle(folder: Path) -> bool:
    """Return whether a folder holds a language model of ``lm.build``."""
    return (folder / RECORD_FILE).is_file()


def check_place(folder: Path) -> None:
    """Find out before the work whether a bundle may be written to a place.

    Raises:
        LanguageModelError: If something else is there, or in the bundle that is there, or
            it is the folder that the program runs in.
    """
    if folder.resolve() == Path.cwd():
        raise LanguageModelError(
            f"{folder}: is the folder that you are in, of which nothing may take the place; "
            "go elsewhere, or give another place"
        )
    if not os.path.lexists(folder):
        return
    inside = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else None
    if inside != [] and not is_bundle(folder):
        raise LanguageModelError(
            f"{folder}: is there and is no language model of lm.build; give another place"
        )
    strange = [name for name in inside or () if name not in OWN_FILES]
    if strange:
        raise LanguageModelError(
            f"{folder / strange[0]}: is no part of the language model that is to be replaced, "
            "and would be lost; move it, or give another place"
        )


def write_bundle(
    folder: Path, binary: Path, words: Sequence[str], record: Mapping[str, Any], card: str
) -> LanguageBundle:
    """Write a folder and return it as loaded.

    The folder appears whole: it is written under another name and then renamed.  A
    bundle that was there before is replaced, its tuned settings, which belong to the
    model that goes, included.

    Args:
        folder: Its place.
        binary: KenLM's binary file, to be copied.
        words: The known words.
        record: What ``lm.json`` shall tell.
        card: The model card, in Markdown.

    Raises:
        LanguageModelError: If something else is there, or the folder cannot be written.
    """
    check_place(folder)
    temporary = folder.with_name(f".{folder.name}.{uuid4().hex}.partial")
    listed = "".join(f"{word}\n" for word in sorted(words)).encode()
    try:
        make_folder(folder.parent)
        temporary.mkdir()
        shutil.copyfile(binary, temporary / BINARY_FILE)
        write_whole(temporary / WORDS_FILE, listed)
        files = {name: _described(temporary / name) for name in (BINARY_FILE, WORDS_FILE)}
        write_whole(temporary / RECORD_FILE, _formatted({"format": FORMAT, **record}, files))
        write_whole(temporary / CARD_FILE, card.encode())
        replace_folder(temporary, folder)
    except OSError as error:
        raise LanguageModelError(
            f"{folder}: the language model cannot be written ({error.strerror or error}); "
            "free some space or give another place for it"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return LanguageBundle.load(folder)


def _formatted(record: Mapping[str, Any], files: Mapping[str, Any]) -> bytes:
    whole = {**record, "files": files}
    return (json.dumps({**whole, "sha256": record_checksum(whole)}, indent=1) + "\n").encode()


def _described(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": file_checksum(path)}


def _read_record(folder: Path) -> dict[str, Any]:
    path = folder / RECORD_FILE
    if not folder.is_dir():
        raise LanguageModelError(f"{folder}: no such folder; give a folder that lm.build wrote")
    if not path.exists():
        raise LanguageModelError(
            f"{folder}: is no language model of lm.build, as it has no {RECORD_FILE}; "
            "give a folder that lm.build wrote"
        )
    try:
        record = parse_json(read_file(path, LARGEST_RECORD))
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise LanguageModelError(f"{path}: is not JSON: {error}; {FETCH_AGAIN}") from error
    if not isinstance(record, dict) or "format" not in record:
        raise LanguageModelError(f"{path}: does not describe a language model; {FETCH_AGAIN}")
    if record["format"] != FORMAT:
        raise LanguageModelError(
            f"{path}: has format {str(record['format'])[:20]}, but this program reads format "
            f"{FORMAT}; use the program's version that made it, or build the language model again"
        )
    if "files" not in record or not is_intact(record):
        raise _changed(path)
    if not _describes_files(record["files"]):
        raise LanguageModelError(f"{path}: does not describe a language model; {FETCH_AGAIN}")
    return record


def _describes_files(files: Any) -> bool:
    """Return whether a record tells the size and the checksum of each file."""
    try:
        return all(
            type(files[name]["bytes"]) is int and type(files[name]["sha256"]) is str
            for name in (BINARY_FILE, WORDS_FILE)
        )
    except (LookupError, TypeError):
        return False


def _check_size(path: Path, size: int) -> None:
    try:
        there = path.stat().st_size
    except OSError as error:
        raise _unreadable(path, error) from error
    if there != size:
        raise LanguageModelError(
            f"{path}: was changed or cut short: it has {there} bytes in place of {size}; "
            f"{FETCH_AGAIN}"
        )


def _check_begin(path: Path) -> None:
    try:
        with path.open("rb") as file:
            begin = file.read(len(BINARY_MAGIC))
    except OSError as error:
        raise _unreadable(path, error) from error
    if begin != BINARY_MAGIC:
        raise LanguageModelError(f"{path}: is no KenLM binary file; {FETCH_AGAIN}")


def _check_sum(path: Path, expected: str) -> None:
    try:
        if not path.is_file() or file_checksum(path) != expected:
            raise _changed(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _changed(path: Path) -> LanguageModelError:
    return LanguageModelError(f"{path}: was changed or cut short (checksum differs); {FETCH_AGAIN}")


def _unreadable(path: Path, error: OSError) -> LanguageModelError:
    return LanguageModelError(f"{path}: cannot be read ({error.strerror or error}); {FETCH_AGAIN}")
