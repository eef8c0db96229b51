"""Text files of every kind, registers, documents, and what is wrong with them."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from lm.building import sources
from lm.building.sources import (
    Register,
    TextOption,
    digest,
    documents,
    find_files,
    read_lines,
    registers_of,
)
from lm.errors import LanguageModelError
from model.errors import UsageError

TEXT = "One line.\nAnother, caf\N{LATIN SMALL LETTER E WITH ACUTE}.\n"
PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".txt": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def written(path: Path, text: str = TEXT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PACKED.get(path.suffix, bytes)(text.encode()))
    return path


@pytest.mark.parametrize("suffix", PACKED)
def test_every_kind_of_file_reads_alike(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"text{suffix}", "\N{ZERO WIDTH NO-BREAK SPACE}" + TEXT)
    assert "".join(read_lines(path)) == TEXT


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
@pytest.mark.parametrize("damage", ["cut short", "other bytes"])
def test_a_damaged_file_is_named(tmp_path: Path, suffix: str, damage: str) -> None:
    path = written(tmp_path / f"text{suffix}", "".join(map(str, range(5000))))
    content = path.read_bytes()
    path.write_bytes(content[:-40] if damage == "cut short" else b"plain text, not packed")
    with pytest.raises(LanguageModelError, match=rf"text\{suffix}: is damaged or no \{suffix}"):
        list(read_lines(path))


def test_text_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes("caf\xe9 au lait".encode("latin-1"))
    with pytest.raises(LanguageModelError, match=r"latin.txt: is not UTF-8 text; save it"):
        list(read_lines(path))


def test_a_huge_line_comes_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LONGEST_LINE", 10)
    pieces = list(read_lines(written(tmp_path / "long.txt", "0123456789" * 3)))
    assert pieces == ["0123456789"] * 3


def test_a_folder_gives_its_text_files_sorted(tmp_path: Path) -> None:
    names = ["b.txt", "a.txt.bz2", "deep/c.txt.gz"]
    paths = [written(tmp_path / name) for name in names]
    written(tmp_path / "picture.png")
    assert find_files(tmp_path) == sorted(paths)
    assert find_files(paths[0]) == [paths[0]]


def test_missing_and_empty_places_are_named(tmp_path: Path) -> None:
    with pytest.raises(LanguageModelError, match="nowhere: no such file or folder"):
        find_files(tmp_path / "nowhere")
    with pytest.raises(LanguageModelError, match="has no text files; give a folder with files"):
        find_files(tmp_path)


def test_options_name_registers_and_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert TextOption.parse("some/chat.txt.gz") == TextOption("chat", Path("some/chat.txt.gz"))
    assert TextOption.parse("talk=a=b.txt") == TextOption("talk", Path("a=b.txt"))
    assert TextOption.parse("talk:0.5=b.txt") == TextOption("talk", Path("b.txt"), "0.5")
    written(tmp_path / "a=b.txt")
    assert TextOption.parse("a=b.txt") == TextOption("a-b", Path("a=b.txt"))


@pytest.mark.parametrize("value", ["=x", "talk=", "talk:=x", "my talk=x", "a/b=x"])
def test_an_option_of_another_form_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match=r"must be PATH, NAME=PATH or NAME:WEIGHT=PATH"):
        TextOption.parse(value)


def test_the_same_name_makes_one_register(tmp_path: Path) -> None:
    one, two, three = (written(tmp_path / f"{name}.txt") for name in "abc")
    options = [TextOption("talk", one), TextOption("books", two), TextOption("talk", three)]
    assert registers_of(options) == [Register("talk", (one, three)), Register("books", (two,))]
    with pytest.raises(LanguageModelError, match=r"a.txt: is given twice, for talk and books"):
        registers_of([TextOption("talk", one), TextOption("books", one)])


def test_documents_are_files_where_there_are_many_and_else_blocks(tmp_path: Path) -> None:
    files = tuple(written(tmp_path / f"{n}.txt", f"{n}1\n{n}2\n{n}3\n") for n in range(3))
    register = Register("talk", files)
    read = [["".join(lines) for lines in documents(register, *how)] for how in ((3, 2), (4, 2))]
    assert read[0] == ["01\n02\n03\n", "11\n12\n13\n", "21\n22\n23\n"]
    assert read[1] == ["01\n02\n", "03\n", "11\n12\n", "13\n", "21\n22\n", "23\n"]


def test_the_digest_is_of_the_bytes(tmp_path: Path) -> None:
    path = written(tmp_path / "empty.txt", "")
    assert digest(path).startswith("e3b0c44298fc1c149afbf4c8996fb924")
