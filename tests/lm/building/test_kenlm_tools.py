"""KenLM's programs: found, run, and shown where they fail."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lm.building.kenlm_tools import estimate, find_tool, pack
from lm.building.pruning import TrieFormat
from lm.building.recipe import NGramSettings
from lm.errors import LanguageModelError


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder in which programs are found, after those of the system."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return folder


def add_program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def run_counter(folder: Path) -> bool:
    return estimate(folder / "text", folder / "words", folder / "arpa", NGramSettings(), folder)


def test_a_missing_program_tells_how_to_make_it(programs: Path) -> None:
    with pytest.raises(LanguageModelError, match=r"surely-missing: .*make kenlm-tools"):
        find_tool("surely-missing")


def test_the_program_beside_python_is_taken(programs: Path) -> None:
    add_program(programs, "lmplz", "exit 0")
    assert find_tool("lmplz") == str(programs / "lmplz")


def test_settings_reach_the_counter(programs: Path) -> None:
    add_program(programs, "lmplz", f'echo "$@" >{programs}/said')
    assert not run_counter(programs)
    said = (programs / "said").read_text()
    for option in ("--order 4", "--prune 0 0 1", "--memory 30%", f"--text {programs}/text"):
        assert option in said


def test_text_without_rare_words_gets_fixed_discounts(programs: Path) -> None:
    add_program(
        programs,
        "lmplz",
        'case "$*" in *fallback*) ;; *) echo BadDiscountException >&2; exit 1; esac',
    )
    assert run_counter(programs)


def test_the_last_lines_of_a_failure_are_shown(programs: Path) -> None:
    add_program(programs, "build_binary", "seq 1 20 | sed 's/^/line /' >&2; echo ---- >&2; exit 3")
    with pytest.raises(LanguageModelError) as caught:
        pack(programs / "arpa", programs / "binary", TrieFormat(), programs)
    message = str(caught.value)
    assert "build_binary: failed (exit code 3)" in message
    assert "line 20" in message and "line 14" not in message


def test_a_full_disk_is_told(programs: Path) -> None:
    add_program(programs, "lmplz", "echo 'write: No space left on device' >&2; exit 1")
    with pytest.raises(LanguageModelError, match=r"lmplz: .*disk is full.*--work"):
        run_counter(programs)
