from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.corpora.manifest import (
    SHOWN_PROBLEMS,
    Utterance,
    hours_by_corpus,
    read_manifest,
    read_manifests,
    write_manifest,
)
from model.corpora.survey import size_table, survey
from model.errors import ManifestError

GOOD = {"audio": "a.wav", "text": "hello there", "duration": 1.5}


def write_lines(path: Path, *rows: object) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [
        Utterance(tmp_path / "clips" / "a.wav", "hello", 1.25, "ann", "talks", "machine"),
        Utterance(Path("/elsewhere/b.wav"), "it's", 2.0),
        Utterance(
            Path("/elsewhere/\N{LINE SEPARATOR}\udcff"), "a", 2.0, weight=0.5, accent="Irish"
        ),
    ]
    assert write_manifest(tmp_path / "m.jsonl", rows) == 3
    first = json.loads((tmp_path / "m.jsonl").read_text().splitlines()[0])
    assert first["audio"] == "clips/a.wav"
    assert read_manifest(tmp_path / "m.jsonl") == rows


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps(GOOD), encoding="utf-8-sig")
    assert read_manifest(path)[0].text == GOOD["text"]


def test_blank_lines_are_passed_over_and_files_joined(tmp_path: Path) -> None:
    one = write_lines(tmp_path / "one.jsonl", GOOD, "", GOOD)
    two = write_lines(tmp_path / "two.jsonl", {**GOOD, "text": "last"})
    assert [row.text for row in read_manifests([one, two])] == ["hello there"] * 2 + ["last"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "must be a JSON object"),
        ({"text": "a", "duration": 1}, "audio: is missing"),
        ({**GOOD, "text": 5}, "text: is missing or of the wrong type, got 5"),
        ({**GOOD, "text": "  "}, "text: must not be empty"),
        ({**GOOD, "text": "room 5"}, "symbols outside the alphabet: '5'"),
        ({**GOOD, "duration": 0}, "duration: must be above 0"),
        ({**GOOD, "duration": True}, "duration: is missing or of the wrong type"),
        ('{"audio": "a", "text": "a", "duration": NaN}', "duration: must be above 0"),
        ({**GOOD, "weight": 0}, "weight: must be a number above 0, at most 100, got 0"),
        ({**GOOD, "weight": "1"}, "weight: must be a number above 0"),
        ({**GOOD, "source": "guess"}, "source: must be machine or synthetic, or left out"),
        ({**GOOD, "audio": ""}, "audio: must name a file, got ''"),
        ({**GOOD, "audio": "a\0b"}, "audio: must name a file"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_unusable_rows_are_named_with_their_line(tmp_path: Path, row: object, message: str) -> None:
    path = write_lines(tmp_path / "m.jsonl", GOOD, row)
    with pytest.raises(ManifestError, match=rf"m\.jsonl:2: {message}"):
        read_manifest(path)


def test_all_problems_are_listed_up_to_a_limit(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "m.jsonl", *["{"] * (SHOWN_PROBLEMS + 3))
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == SHOWN_PROBLEMS + 2
    assert "3 more problems" in lines[-2]
    assert lines[-1].startswith(f"{SHOWN_PROBLEMS + 3} rows cannot be used; mend what is named")


def test_missing_empty_and_binary_manifests(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifest(tmp_path / "missing.jsonl")
    with pytest.raises(ManifestError, match="holds no rows"):
        read_manifest(write_lines(tmp_path / "empty.jsonl"))
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifest(tmp_path / "binary.jsonl")


def test_a_manifest_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ManifestError, match="cannot be written"):
        write_manifest(tmp_path / "file" / "m.jsonl", [])


def test_a_survey_counts_what_there_is() -> None:
    rows = [
        Utterance(Path("a"), "ab", 1800, "ann", "small"),
        Utterance(Path("b"), "a", 3600, "bob", "large", weight=0.5, accent="Irish"),
        Utterance(Path("c"), "a a", 3600, "eve", "large", "machine", weight=2),
        Utterance(Path("d"), "b", 3600, "eve", "large", "synthetic", accent="Irish"),
    ]
    found = survey(rows)
    assert hours_by_corpus(rows) == {"large": 3.0, "small": 0.5}
    columns, table = size_table(found.corpora)
    assert " ".join(columns) == (
        "corpus recordings hours weighted speakers accents machine synthetic"
    )
    assert table == [
        ("large", "3", "3.00", "3.50", "2", "1", "1", "1"),
        ("small", "1", "0.50", "0.50", "1", "0", "0", "0"),
    ]
    assert (found.durations[0], found.durations[-1]) == (1800, 3600)
    assert found.symbols == {"a": 4, "b": 2, " ": 1}


def test_columns_that_tell_nothing_are_left_out() -> None:
    rows = [Utterance(Path("a"), "ab", 1800, "ann"), Utterance(Path("b"), "a", 1800)]
    assert size_table(survey(rows).corpora) == (
        ("corpus", "recordings", "hours", "speakers"),
        [("unnamed", "2", "1.00", "1")],
    )
