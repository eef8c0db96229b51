from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.corpora import find_utterances
from model.errors import ManifestError
from model.manifest import (
    SHOWN_PROBLEMS,
    Utterance,
    hours_by_corpus,
    read_manifest,
    read_manifests,
    write_manifest,
)
from model.survey import survey

GOOD = {"audio": "a.wav", "text": "hello there", "duration": 1.5}


def write_lines(path: Path, *rows: object) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def recording(path: Path, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(round(16_000 * seconds)), 16_000)
    return path


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [
        Utterance(tmp_path / "clips" / "a.wav", "hello", 1.25, "ann", "talks", "machine"),
        Utterance(Path("/elsewhere/b.wav"), "it's", 2.0),
    ]
    assert write_manifest(tmp_path / "m.jsonl", rows) == 2
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
    assert len(lines) == SHOWN_PROBLEMS + 1
    assert "3 more problems" in lines[-1]


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


def test_librispeech_folders_are_found(tmp_path: Path) -> None:
    chapter = tmp_path / "clean" / "19" / "198"
    recording(chapter / "19-198-0000.flac")
    recording(chapter / "19-198-0001.flac", 1.0)
    write_lines(
        chapter / "19-198.trans.txt", "19-198-0000 NORTHANGER ABBEY", "19-198-0001 IT'S LATE"
    )
    findings = find_utterances(tmp_path / "clean")
    assert findings.problems == []
    assert [(row.text, row.speaker, row.corpus) for row in findings.rows] == [
        ("northanger abbey", "19", "clean"),
        ("it's late", "19", "clean"),
    ]
    assert [row.duration for row in findings.rows] == pytest.approx([0.5, 1.0])


def test_recordings_with_a_text_beside_them_are_found(tmp_path: Path) -> None:
    recording(tmp_path / "b.wav")
    recording(tmp_path / "deep" / "a.ogg")
    write_lines(tmp_path / "b.txt", "Well\N{EM DASH}hello!")
    write_lines(tmp_path / "deep" / "a.txt", "Good-bye")
    rows = find_utterances(tmp_path, "mine").rows
    assert [(row.audio.name, row.text, row.corpus) for row in rows] == [
        ("b.wav", "well hello", "mine"),
        ("a.ogg", "good bye", "mine"),
    ]


def test_every_problem_is_reported_with_its_place(tmp_path: Path) -> None:
    recording(tmp_path / "1-1.flac")
    recording(tmp_path / "1-2.flac")
    recording(tmp_path / "alone.wav")
    recording(tmp_path / "silent.wav", 0)
    recording(tmp_path / "unsaid.wav")
    (tmp_path / "broken.wav").write_text("no sound")
    write_lines(tmp_path / "1.trans.txt", "1-1 room 5", "", "1-2 fine", "1-3 gone", "1-3")
    for name in ("silent", "broken"):
        write_lines(tmp_path / f"{name}.txt", "words")
    write_lines(tmp_path / "unsaid.txt", " ")
    findings = find_utterances(tmp_path)
    assert [row.text for row in findings.rows] == ["fine"]
    expected = [
        "1.trans.txt:1: cannot spell '5'",
        "1.trans.txt:4: there is no recording 1-3",
        "1.trans.txt:5: there is no recording 1-3",
        "alone.wav: has no transcript; write it to alone.txt",
        "broken.wav: not readable as",
        "silent.wav: holds no samples",
        "unsaid.txt: is empty",
    ]
    assert len(findings.problems) == len(expected)
    for problem, part in zip(findings.problems, expected, strict=True):
        assert f"{tmp_path}/{part}" in problem


def test_folders_without_recordings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="holds no recordings"):
        find_utterances(tmp_path)
    with pytest.raises(ManifestError, match="no such folder"):
        find_utterances(tmp_path / "missing")


def test_a_survey_counts_what_there_is() -> None:
    rows = [
        Utterance(Path("a"), "ab", 1800, "ann", "small"),
        Utterance(Path("b"), "a", 3600, "bob", "large"),
        Utterance(Path("c"), "a a", 3600, "eve", "large", "machine"),
    ]
    found = survey(rows)
    assert hours_by_corpus(rows) == {"large": 2.0, "small": 0.5}
    assert [(c.corpus, c.utterances, c.hours, c.speakers, c.machine) for c in found.corpora] == [
        ("large", 2, 2.0, 2, 1),
        ("small", 1, 0.5, 1, 0),
    ]
    assert (found.durations[0], found.durations[-1]) == (1800, 3600)
    assert found.symbols == {"a": 4, "b": 1, " ": 1}
