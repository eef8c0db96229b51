"""Registers on disk: documents held out whole, repeats once, a test's sentences never."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lm.building.recipe import TextSettings
from lm.building.registers import PreparedRegister, prepare
from lm.building.sources import Register
from lm.errors import LanguageModelError

LINES = [f"{name} went to the {place}" for name in ("ann", "bob", "cid") for place in "abcdefgh"]


def prepared(
    folder: Path, lines: list[str], apart: tuple[str, ...] = (), **settings: object
) -> PreparedRegister:
    """Return the register of a file with some lines."""
    path = folder / "talk.txt"
    path.write_text("\n".join(lines))
    how = TextSettings(**{"held_out": 0.25, "block_lines": 2, **settings})  # type: ignore[arg-type]
    return prepare(Register("talk", (path,)), how, apart, folder / "work", lambda _: None)


def test_documents_are_held_out_whole(tmp_path: Path) -> None:
    found = prepared(tmp_path, LINES)
    train = found.train_file.read_text().splitlines()
    held_out = found.held_out_file.read_text().splitlines()
    assert (found.train.documents, found.held_out.documents) == (9, 3)
    assert sorted(train + held_out) == sorted(LINES)
    blocks = [LINES[start : start + 2] for start in range(0, len(LINES), 2)]
    assert held_out == blocks[2] + blocks[6] + blocks[10]
    assert found.train.words == sum(len(line.split()) for line in train)
    assert found.counts() == Counter(" ".join(train).split())


def test_nothing_is_held_out_where_none_is_asked_for(tmp_path: Path) -> None:
    found = prepared(tmp_path, LINES, held_out=0.0)
    assert (found.train.sentences, found.held_out.documents) == (len(LINES), 0)


def test_long_sentences_count_once_and_short_ones_each_time(tmp_path: Path) -> None:
    lines = ["yes please", "what a long sentence this is"] * 3
    found = prepared(tmp_path, lines, held_out=0.0)
    assert found.train_file.read_text().splitlines() == [*lines[:3], "yes please"]
    assert found.dropped == {"repeated": 2}
    every = prepared(tmp_path, lines, held_out=0.0, once_words=0)
    assert every.train.sentences == len(lines)


def test_sentences_with_a_run_of_a_test_are_left_out(tmp_path: Path) -> None:
    apart = ("ann went to the a again",)
    found = prepared(tmp_path, LINES, apart, apart_words=5, held_out=0.5)
    both = found.train_file.read_text() + found.held_out_file.read_text()
    assert sorted(both.splitlines()) == sorted(LINES[1:])
    assert found.dropped == {"kept apart": 1}


def test_text_is_read_once_until_it_or_the_settings_change(tmp_path: Path) -> None:
    first = prepared(tmp_path, LINES)
    first.train_file.write_text("kept from before\n")
    assert prepared(tmp_path, LINES) == first
    assert first.train_file.read_text() == "kept from before\n"
    others = [
        prepared(tmp_path, LINES, held_out=0.5),
        prepared(tmp_path, LINES, ("ann went to",)),
        prepared(tmp_path, LINES[1:]),
    ]
    assert len({first.folder, *(other.folder for other in others)}) == 4


def test_text_without_a_sentence_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LanguageModelError, match="talk: holds no sentences to learn from; give"):
        prepared(tmp_path, ["", "..."])
    with pytest.raises(LanguageModelError, match=r"from \(left out: 1 with other script\)"):
        prepared(tmp_path, ["\u041f\u0440\u0438\u0432\u0435\u0442"])
