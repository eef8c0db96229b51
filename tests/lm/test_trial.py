"""KenLM files without a checksum are tried by another process, which may crash."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import pytest

from lm.bundle import BINARY_FILE, write_bundle
from lm.errors import LanguageModelError
from lm.loading import check_model, load_tuned
from lm.trial import check_binary

FUZZ = Path(__file__).parents[1] / "fuzz"
SOUND = sorted((FUZZ / "language").glob("*.binary"))
CRASHING = sorted((FUZZ / "corpus/binary").iterdir())


@pytest.fixture
def words(tmp_path: Path) -> Path:
    (tmp_path / "words.txt").write_text("cat\nhut\nsat\nthe\n")
    return tmp_path / "words.txt"


@pytest.mark.parametrize("path", SOUND, ids=lambda path: path.stem)
def test_a_sound_file_is_loaded(path: Path, words: Path) -> None:
    check_binary(path)
    model, _ = load_tuned(path, words)
    assert model.knows("cat") and not model.knows("dog")


@pytest.mark.parametrize("path", CRASHING, ids=lambda path: path.name)
def test_a_file_that_has_made_kenlm_crash_does_no_more(path: Path, words: Path) -> None:
    # What KenLM does with it depends on how it was compiled.
    with suppress(LanguageModelError):
        model, _ = load_tuned(path, words)
        assert model.knows("cat") in (True, False)


def crash_always(module: str) -> list[str]:
    """Stand for a KenLM that crashes on every file."""
    return [sys.executable, "-c", "import os; os.kill(os.getpid(), 11)", module]


def test_a_file_that_makes_kenlm_crash_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lm.trial.python_command", crash_always)
    with pytest.raises(LanguageModelError, match=r"toy\.binary: makes KenLM fail \(SIGSEGV\); it"):
        load_tuned(FUZZ / "language/toy.binary")


def test_a_file_that_could_not_be_tried_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that makes KenLM ask for all memory there is."""
    monkeypatch.setattr(
        "lm.trial.python_command", lambda module: [sys.executable, "-c", "raise MemoryError"]
    )
    with pytest.raises(LanguageModelError, match=r"toy\.binary: could not be tried in 1024 MB"):
        load_tuned(FUZZ / "language/toy.binary")


def test_what_kenlm_refuses_by_itself_is_told_in_its_words(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.binary"
    damaged.write_bytes((FUZZ / "language/toy.binary").read_bytes()[:100])
    with pytest.raises(LanguageModelError) as caught:
        load_tuned(damaged)
    assert "could not be tried" not in str(caught.value)


def test_a_folder_without_a_record_is_tried_as_well(
    tmp_path: Path, words: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lm.binary").write_bytes((FUZZ / "language/toy.binary").read_bytes())
    check_model(tmp_path)
    monkeypatch.setattr("lm.trial.python_command", crash_always)
    with pytest.raises(LanguageModelError, match=r"lm\.binary: makes KenLM fail"):
        check_model(tmp_path)


def test_a_folder_of_ours_is_compared_with_its_checksum_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_bundle(
        tmp_path / "model", FUZZ / "language/toy.binary", ["cat", "hut", "sat", "the"], {}, ""
    ).folder
    monkeypatch.setattr("lm.trial.python_command", crash_always)
    model, _ = load_tuned(folder)
    assert model.knows("hut")
    content = (folder / BINARY_FILE).read_bytes()
    (folder / BINARY_FILE).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(LanguageModelError, match=r"lm\.binary: was changed or cut short"):
        load_tuned(folder)
