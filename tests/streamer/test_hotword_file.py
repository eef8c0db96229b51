"""Hotwords as written, and the file of them that changes while captions go on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm.hotwords import Hotwords
from model.alphabet import ENGLISH
from model.errors import UsageError
from streamer.events import Notice
from streamer.hotword_file import LARGEST_FILE, HotwordFile, parse_hotword, parse_hotwords

WEIGHT = 8.0
NOBODY = 65534
"""User without any rights, on every Linux."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ada", ("Ada", WEIGHT)),
        ("Ada Lovelace", ("Ada Lovelace", WEIGHT)),
        ("Ada Lovelace:5", ("Ada Lovelace", 5.0)),
        ("Ada Lovelace: 5.5", ("Ada Lovelace", 5.5)),
        ("Ada\t0", ("Ada", 0.0)),
        ("  Ada :100 ", ("Ada", 100.0)),
    ],
)
def test_a_hotword_may_carry_its_own_weight(text: str, expected: tuple[str, float]) -> None:
    assert parse_hotword(text, WEIGHT) == expected


@pytest.mark.parametrize(
    "text", ["Ada:", "Ada:much", ":5", "Ada:-1", "Ada:101", "Ada:nan", "Ada:inf", "A:b:c", "", " "]
)
def test_a_hotword_of_another_form_is_refused_with_the_form_wanted(text: str) -> None:
    with pytest.raises(UsageError, match="weight from 0 to 100, such as 'Ada Lovelace:8'"):
        parse_hotword(text, WEIGHT)


def test_what_is_too_long_for_a_phrase_is_told_by_its_beginning() -> None:
    assert parse_hotword("a" * 200, WEIGHT) == ("a" * 200, WEIGHT)
    with pytest.raises(UsageError, match=r"hotword 'aaaa.*must be at most 200") as caught:
        parse_hotword("a" * 100_000, WEIGHT)
    assert len(str(caught.value)) < 200


def test_hotwords_are_spelled_as_the_alphabet_has_them() -> None:
    assert parse_hotwords(["Zoë Ball-Jones:3"], WEIGHT, ENGLISH) == [("zoe ball jones", 3.0)]


@pytest.mark.parametrize("text", ["R2D2", "日本", "..."])
def test_a_hotword_that_cannot_be_spelled_is_named(text: str) -> None:
    with pytest.raises(UsageError, match=text):
        parse_hotwords([text], WEIGHT, ENGLISH)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_hotword_or_refused_with_a_reason(text: str) -> None:
    try:
        [(phrase, weight)] = parse_hotwords([text], WEIGHT, ENGLISH)
    except UsageError as error:
        assert str(error)
    else:
        assert phrase and set(phrase) <= set(ENGLISH.symbols)
        assert 0 <= weight <= 100


class Watched:
    """A file of hotwords and what became of its changes."""

    def __init__(self, path: Path, text: str = "Ada\n", fixed: tuple[str, ...] = ()) -> None:
        self.path = path
        self.used: list[dict[str, float]] = []
        path.write_text(text, encoding="utf-8")
        fixed_words = parse_hotwords(fixed, WEIGHT, ENGLISH)
        self.file = HotwordFile(path, ENGLISH, WEIGHT, fixed_words, self.use)

    def use(self, hotwords: Hotwords) -> None:
        self.used.append(dict(hotwords.weights))

    def next_utterance(self) -> list[Notice]:
        return self.file.utterance_starts(0.0)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    watched = Watched(tmp_path / "names.txt")
    watched.file.load()
    return watched


def test_a_file_has_a_hotword_a_line_besides_comments_and_blank_lines(tmp_path: Path) -> None:
    text = "# people\nAda Lovelace\n\n  # more of them\nBabbage:12\r\nGrace Hopper\t3\n"
    watched = Watched(tmp_path / "names.txt", text, fixed=("Turing", "Babbage"))
    assert watched.file.load().weights == {
        "turing": WEIGHT,
        "babbage": 12.0,
        "ada lovelace": WEIGHT,
        "grace hopper": 3.0,
    }
    assert watched.next_utterance() == []
    assert watched.used == []


def test_a_change_is_used_from_the_next_utterance_on_and_told(watched: Watched) -> None:
    watched.path.write_text("Ada\nBabbage\n")
    [notice] = watched.next_utterance()
    assert (notice.kind, notice.level) == ("hotwords", "info")
    assert "2 hotwords in use" in notice.text
    assert watched.used == [{"ada": WEIGHT, "babbage": WEIGHT}]
    assert watched.next_utterance() == []
    assert len(watched.used) == 1


def test_lines_that_cannot_be_used_are_named_and_the_others_used(watched: Watched) -> None:
    watched.path.write_text("Babbage\nR2D2\nAda:much\n日本\nGrace\n3PO\n")
    [notice] = watched.next_utterance()
    assert notice.level == "warning"
    assert f"{watched.path}:2: hotword R2D2: cannot spell '2'" in notice.text
    assert f"{watched.path}:3: hotword 'Ada:much'" in notice.text
    assert "and 1 more" in notice.text and "2 hotwords of other lines in use" in notice.text
    assert watched.used == [{"babbage": WEIGHT, "grace": WEIGHT}]


def test_lines_that_cannot_be_used_at_the_start_are_told_with_the_first_utterance(
    tmp_path: Path,
) -> None:
    watched = Watched(tmp_path / "names.txt", "Ada\nR2D2\n")
    assert watched.file.load().weights == {"ada": WEIGHT}
    [notice] = watched.next_utterance()
    assert "names.txt:2" in notice.text
    assert watched.next_utterance() == []


def test_a_file_taken_away_is_told_once_and_its_words_stay(watched: Watched) -> None:
    watched.path.unlink()
    [notice] = watched.next_utterance()
    assert notice.level == "warning"
    assert "names.txt: cannot be read (No such file or directory)" in notice.text
    assert "the hotwords before stay in use" in notice.text
    assert watched.next_utterance() == []
    watched.path.write_text("Babbage\n")
    [back] = watched.next_utterance()
    assert (back.kind, back.level) == ("hotwords", "info")
    assert watched.used == [{"babbage": WEIGHT}]


@contextmanager
def no_superuser() -> Iterator[None]:
    """Let permissions count: the superuser, who reads every file, becomes nobody."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_locked_file_is_told_and_comes_back(watched: Watched) -> None:
    watched.path.chmod(0)
    with no_superuser():
        [notice] = watched.next_utterance()
    assert "Permission denied" in notice.text
    watched.path.chmod(0o600)
    [back] = watched.next_utterance()
    assert back.level == "info"


def test_a_file_in_another_encoding_is_named_with_its_line(watched: Watched) -> None:
    watched.path.write_bytes(b"Ada\n" + "Zoë\n".encode("latin-1"))
    [notice] = watched.next_utterance()
    assert "names.txt:2: is not UTF-8 text; save it as UTF-8" in notice.text
    assert watched.used == []


def test_a_file_of_another_kind_is_refused(watched: Watched) -> None:
    watched.path.unlink()
    os.mkfifo(watched.path)
    [notice] = watched.next_utterance()
    assert "is no file" in notice.text
    watched.path.unlink()
    watched.path.mkdir()
    [notice] = watched.next_utterance()
    assert "give a text file with a hotword a line" in notice.text


def test_a_huge_file_is_refused(watched: Watched) -> None:
    watched.path.write_text("ada\n" * (LARGEST_FILE // 4 + 1))
    [notice] = watched.next_utterance()
    assert "is larger than 1 MiB" in notice.text


def test_a_file_that_cannot_be_read_at_the_start_is_an_error(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "names.txt")
    watched.path.unlink()
    with pytest.raises(UsageError, match=r"names\.txt: cannot be read"):
        watched.file.load()


def test_an_empty_file_takes_its_words_away(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "names.txt", fixed=("Turing",))
    watched.file.load()
    watched.path.write_text("")
    [notice] = watched.next_utterance()
    assert "0 hotwords in use" in notice.text
    assert watched.used == [{"turing": WEIGHT}]
