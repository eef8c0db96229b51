"""The comparison of machines, on records made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.machines import (
    CONFIDENCE_TOLERANCE,
    LOG_PROB_TOLERANCE,
    TIME_TOLERANCE,
    Record,
    compare,
    load,
    main,
    save,
)
from model.errors import UsageError


def final(text: str = "good day", start_s: float = 1.0, confidence: float = 0.9) -> dict[str, Any]:
    words = [
        {"word": word, "start_s": start_s + place, "end_s": start_s + 1, "confidence": confidence}
        for place, word in enumerate(text.split())
    ]
    return {"text": text, "words": words}


def a_record(shift: float = 0.0, *finals: dict[str, Any]) -> Record:
    values = np.log(np.full((5, 4), 0.25, np.float32)) + np.float32(shift)
    return Record({"a.opus": values}, finals or (final(),), {"processor": "abacus"})


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = a_record()
    save(record, tmp_path / "a.npz")
    again = load(tmp_path / "a.npz")
    assert compare(record, again)["alike"]
    assert (again.captions, again.machine) == (list(record.captions), record.machine)


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        (a_record(LOG_PROB_TOLERANCE * 0.9), True),
        (a_record(LOG_PROB_TOLERANCE * 1.1), False),
        (a_record(0, final(start_s=1.0 + TIME_TOLERANCE * 0.9)), True),
        (a_record(0, final(start_s=1.0 + TIME_TOLERANCE * 1.1)), False),
        (a_record(0, final(confidence=0.9 - CONFIDENCE_TOLERANCE * 0.9)), True),
        (a_record(0, final(confidence=0.9 - CONFIDENCE_TOLERANCE * 1.1)), False),
        (a_record(0, final("good night")), False),
        (a_record(0, final(), final()), False),
        (replace(a_record(), log_probs={"a.opus": np.zeros((4, 4), np.float32)}), False),
    ],
)
def test_differences_within_the_tolerances_are_none(
    other: Record, alike: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, record in (("a", a_record()), ("b", other)):
        save(record, tmp_path / f"{name}.npz")
    paths = [str(tmp_path / name) for name in ("a.npz", "b.npz", "found.json")]
    assert main(["compare", *paths[:2], "--output", paths[2]]) == (0 if alike else 1)
    assert json.loads(Path(paths[2]).read_text())["alike"] is alike
    assert ("differ by too much" not in capsys.readouterr().out) is alike


def test_words_that_differ_are_kept() -> None:
    found = compare(a_record(), a_record(0, final("good night")))
    assert found["captions"]["differing"] == [("good day", "good night")]


def test_records_of_other_recordings_are_refused() -> None:
    with pytest.raises(UsageError, match="are of other recordings"):
        compare(a_record(), replace(a_record(), log_probs={}))


def test_what_is_no_record_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.npz").write_text("nothing")
    assert main(["compare", str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]) == 2
    assert "a.npz: is no record of machines.py" in capsys.readouterr().err
