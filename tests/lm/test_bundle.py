"""Folders of language models: what is written is read, and what is damaged is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lm.bundle import (
    BINARY_FILE,
    CARD_FILE,
    RECORD_FILE,
    WORDS_FILE,
    LanguageBundle,
    check_place,
    write_bundle,
)
from lm.errors import LanguageModelError
from lm.language_model import BINARY_MAGIC
from lm.tuned import TUNED_FILE, TunedDecoder
from model.errors import SettingsError

WORDS = ["zebra", "a", "don't", "don"]


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    path = tmp_path / "some.binary"
    path.write_bytes(BINARY_MAGIC + b" format version 5\n" + bytes(range(256)))
    return path


@pytest.fixture
def folder(tmp_path: Path, binary: Path) -> Path:
    return write_bundle(tmp_path / "model", binary, WORDS, {"name": "first"}, "# first\n").folder


def test_what_is_written_is_read(folder: Path, binary: Path) -> None:
    bundle = LanguageBundle.load(folder)
    assert bundle.record["name"] == "first"
    assert bundle.binary.read_bytes() == binary.read_bytes()
    assert bundle.words.read_text().split("\n") == [*sorted(WORDS), ""]
    assert (folder / CARD_FILE).read_text() == "# first\n"
    assert bundle.tuned == TunedDecoder()
    bundle.verify()


def test_a_model_that_was_there_is_replaced_with_its_tuned_settings(
    folder: Path, binary: Path
) -> None:
    (folder / TUNED_FILE).write_text("search:\n  beam_width: 7\n")
    assert LanguageBundle.load(folder).tuned.search.beam_width == 7
    again = write_bundle(folder, binary, ["b"], {"name": "second"}, "")
    assert again.record["name"] == "second"
    assert again.tuned == TunedDecoder()
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == ["model"]


def test_wrong_tuned_settings_are_named(folder: Path) -> None:
    (folder / TUNED_FILE).write_text("search:\n  beam_width: none\n")
    with pytest.raises(SettingsError, match=r"decoder.yaml:2: search\.beam_width"):
        LanguageBundle.load(folder)


@pytest.mark.parametrize("name", [BINARY_FILE, WORDS_FILE])
def test_a_file_cut_short_is_named(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1])
    with pytest.raises(LanguageModelError, match=rf"{name}: was changed or cut short: it has"):
        LanguageBundle.load(folder)


@pytest.mark.parametrize("name", [BINARY_FILE, WORDS_FILE, RECORD_FILE])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(LanguageModelError, match=name):
        LanguageBundle.load(folder)


def test_a_changed_list_of_words_is_found_at_once(folder: Path) -> None:
    path = folder / WORDS_FILE
    path.write_text(path.read_text().replace("zebra", "zebru"))
    with pytest.raises(LanguageModelError, match=r"words.txt: was changed .*copy or download"):
        LanguageBundle.load(folder)


def test_a_changed_byte_of_the_large_file_is_found_by_verifying(folder: Path) -> None:
    path = folder / BINARY_FILE
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    bundle = LanguageBundle.load(folder)
    with pytest.raises(LanguageModelError, match=r"lm.binary: was changed"):
        bundle.verify()


def test_something_else_in_place_of_the_binary_is_found(folder: Path) -> None:
    path = folder / BINARY_FILE
    path.write_bytes(b"#" * path.stat().st_size)
    with pytest.raises(LanguageModelError, match="is no KenLM binary file"):
        LanguageBundle.load(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "does not describe a language model"),
        ('{"format": 2}', "has format 2, but this program reads format 1"),
        ('{"format": 1}', "was changed or cut short"),
    ],
)
def test_a_record_that_cannot_be_used_is_named(folder: Path, text: str, message: str) -> None:
    (folder / RECORD_FILE).write_text(text)
    with pytest.raises(LanguageModelError, match=message):
        LanguageBundle.load(folder)


def test_a_record_edited_by_hand_is_found(folder: Path) -> None:
    record = json.loads((folder / RECORD_FILE).read_text())
    (folder / RECORD_FILE).write_text(json.dumps(record | {"name": "better"}))
    with pytest.raises(LanguageModelError, match="was changed or cut short"):
        LanguageBundle.load(folder)


def test_folders_that_are_no_language_model_are_told(tmp_path: Path) -> None:
    with pytest.raises(LanguageModelError, match="no such folder"):
        LanguageBundle.load(tmp_path / "nowhere")
    with pytest.raises(LanguageModelError, match=r"is no language model of lm\.build"):
        LanguageBundle.load(tmp_path)


def test_what_is_no_language_model_is_not_replaced(tmp_path: Path, binary: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    for name in ("notes", binary.name):
        with pytest.raises(LanguageModelError, match="is there and is no language model"):
            write_bundle(tmp_path / name, binary, WORDS, {}, "")
    assert (tmp_path / "notes" / "mine.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    check_place(tmp_path / "empty")


def test_what_a_user_put_into_the_folder_is_not_lost(folder: Path, binary: Path) -> None:
    (folder / TUNED_FILE).write_text("search:\n  beam_width: 7\n")
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(LanguageModelError, match=r"mine\.txt: is no part of .*; move it"):
        write_bundle(folder, binary, ["b"], {"name": "second"}, "")
    assert (folder / "mine.txt").read_text() == "mine"
    assert LanguageBundle.load(folder).tuned.search.beam_width == 7


def test_the_folder_that_one_is_in_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LanguageModelError, match="is the folder that you are in"):
        check_place(Path())


def test_a_stop_while_writing_leaves_nothing(
    folder: Path, binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfile", stop)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(folder, binary, ["b"], {"name": "second"}, "")
    assert LanguageBundle.load(folder).record["name"] == "first"
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == ["model"]


def test_a_full_disk_leaves_the_model_before(
    folder: Path, binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", fail)
    with pytest.raises(LanguageModelError, match=r"No space left on device.*free some space"):
        write_bundle(folder, binary, ["b"], {"name": "second"}, "")
    assert LanguageBundle.load(folder).record["name"] == "first"
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == ["model"]
