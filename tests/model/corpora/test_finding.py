"""What is wrong with the rows of a corpus is told for every row, and nothing else is left out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from model.corpora.finding import CorpusOptions, EntryChecker, Findings
from model.corpora.layouts import Entry, Kind, Problem
from model.corpora.manifest import Utterance
from tests.model.corpus_folders import clips, convert, noise


def check(
    rows: Sequence[Utterance], dev: Sequence[Utterance] = (), whole: bool = False
) -> Findings:
    checker = EntryChecker(CorpusOptions(whole=whole), dev)
    checker.check([Entry(f"m:{number}", row) for number, row in enumerate(rows, 1)])
    return checker.findings


def found(findings: Findings) -> list[tuple[Kind, str]]:
    return [(problem.kind, problem.place) for problem in findings.problems]


def test_good_rows_pass_unchanged() -> None:
    findings = check(clips())
    assert findings.rows == clips()
    assert (findings.problems, findings.left_out, findings.count()) == ([], 0, "")


def test_progress_tells_of_every_entry() -> None:
    done: list[int] = []
    entries = [Entry("m:1", clips()[0]), Problem(Kind.ROW, "m:2", "is bad")]
    EntryChecker(CorpusOptions()).check(entries, done.append)
    assert done == [1, 2]


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", Kind.TRANSCRIPT, "has no words; write what is said"),
        (" ?! ", Kind.TRANSCRIPT, "has no words"),
        ("me@home", Kind.SYMBOLS, "cannot spell '@'"),
        ("@ and " * 50, Kind.SYMBOLS, "or take the row out"),
        ("words " * 100, Kind.TOO_LONG, "needs 599 frames of the network"),
    ],
)
def test_transcripts_that_cannot_be_learnt_are_told(
    tmp_path: Path, text: str, kind: Kind, message: str
) -> None:
    row = Utterance(noise(tmp_path / "a.wav", 1), text, 0.0)
    [problem] = check([row]).problems
    assert (problem.kind, problem.place) == (kind, "m:1")
    assert message in problem.text


def test_equal_letters_need_a_frame_between_them(tmp_path: Path) -> None:
    # 1 s gives 98 feature frames, 25 frames of the network.
    audio = noise(tmp_path / "a.wav", 1)
    assert check([Utterance(audio, "ab" * 12 + "a", 0.0)]).problems == []
    [problem] = check([Utterance(audio, "ab" * 12 + "b", 0.0)]).problems
    assert problem.kind == Kind.TOO_LONG
    assert "needs 26 frames" in problem.text
    assert "1.00 s of audio give 25" in problem.text


def cut_short(path: Path) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def test_recordings_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "bytes.wav").touch()
    (tmp_path / "folder.wav").mkdir()
    soundfile.write(tmp_path / "silent.wav", [], 16_000)
    cut_short(convert(clips()[0], tmp_path / "cut.flac"))
    names = ("text.wav", "bytes.wav", "folder.wav", "silent.wav", "cut.flac", "gone.wav")
    findings = check([Utterance(tmp_path / name, "words", 0.0) for name in names])
    assert [problem.kind for problem in findings.problems] == [Kind.DAMAGED] * 5 + [Kind.MISSING]
    assert findings.rows == []
    for name, problem in zip(names, findings.problems, strict=True):
        assert str(tmp_path / name) in problem.text
        assert problem.text.endswith("or take the row out")
    assert findings.count() == "missing recordings: 1, unreadable recordings: 5"


def test_damage_inside_is_found_where_all_is_decoded(tmp_path: Path) -> None:
    path = convert(clips()[0], tmp_path / "a.flac")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    path.write_bytes(content)
    row = Utterance(path, "words", 0.0)
    assert check([row]).problems == []
    assert found(check([row], whole=True)) == [(Kind.DAMAGED, "m:1")]
    assert check(clips()[:2], whole=True).rows == clips()[:2]


@pytest.mark.parametrize(
    ("seconds", "given", "right"),
    [(2, 2.09, True), (2, 1.91, True), (2, 2.2, False), (20, 20.39, True), (20, 19.5, False)],
)
def test_a_duration_may_differ_a_little(
    tmp_path: Path, seconds: float, given: float, right: bool
) -> None:
    row = Utterance(noise(tmp_path / "a.wav", seconds), "words", given)
    findings = check([row])
    assert findings.rows == ([row] if right else [])
    if not right:
        [problem] = findings.problems
        assert problem.kind == Kind.DURATION
        assert f"given as {given:.2f} s" in problem.text
        assert f"lasts {seconds:.2f} s" in problem.text


def test_the_same_recording_is_found_by_any_path_and_as_a_copy(tmp_path: Path) -> None:
    first = noise(tmp_path / "a.wav", 1)
    (tmp_path / "deep").mkdir()
    symbolic, hard, copy = (tmp_path / "deep" / f"{name}.wav" for name in "bcd")
    symbolic.symlink_to(first)
    os.link(first, hard)
    copy.write_bytes(first.read_bytes())
    other = noise(tmp_path / "e.wav", 1, seed=2)
    paths = [first, first, tmp_path / "deep" / ".." / "a.wav", symbolic, hard, copy, other]
    findings = check([Utterance(path, "words", 0.0) for path in paths])
    assert [row.audio for row in findings.rows] == [first, other]
    assert found(findings) == [(Kind.REPEATED, f"m:{number}") for number in range(2, 7)]
    assert all("the recording of m:1 once more" in p.text for p in findings.problems)


def test_a_recording_whose_first_row_is_bad_may_be_given_once_more(tmp_path: Path) -> None:
    audio = noise(tmp_path / "a.wav", 1)
    findings = check([Utterance(audio, "@", 0.0), Utterance(audio, "words", 0.0)])
    assert [row.text for row in findings.rows] == ["words"]
    assert found(findings) == [(Kind.SYMBOLS, "m:1")]


def test_every_problem_of_a_row_is_told_and_the_row_counted_once(tmp_path: Path) -> None:
    rows = [Utterance(tmp_path / "gone.wav", "@", 1.0), clips()[0]]
    findings = check([*rows, replace(clips()[0], text="#!@", duration=60.0)])
    assert found(findings) == [
        (Kind.SYMBOLS, "m:1"),
        (Kind.MISSING, "m:1"),
        (Kind.SYMBOLS, "m:3"),
        (Kind.DURATION, "m:3"),
        (Kind.REPEATED, "m:3"),
    ]
    assert findings.left_out == 2
    assert findings.rows == [clips()[0]]


def test_recordings_and_speakers_of_dev_are_kept_out(tmp_path: Path) -> None:
    copy = tmp_path / "copy.opus"
    copy.write_bytes(clips()[0].audio.read_bytes())
    rows = [
        Utterance(copy, "words", 0.0),
        Utterance(noise(tmp_path / "a.wav", 1), "words", 0.0, "ann", "talks"),
        Utterance(noise(tmp_path / "b.wav", 1, 1), "words", 0.0, "ann", "calls"),
        Utterance(noise(tmp_path / "c.wav", 1, 2), "words", 0.0, "", "talks"),
    ]
    dev = [
        clips()[0],
        Utterance(tmp_path / "gone.wav", "words", 1.0, "ann", "talks"),
        Utterance(tmp_path / "gone.wav", "words", 1.0, "", "talks"),
    ]
    findings = check(rows, dev)
    assert found(findings) == [(Kind.IN_DEV, "m:1"), (Kind.IN_DEV, "m:2")]
    assert str(clips()[0].audio) in findings.problems[0].text
    assert "speaker talks ann" in findings.problems[1].text
    assert [row.corpus for row in findings.rows] == ["calls", "talks"]


def test_problems_name_their_place_first() -> None:
    assert str(Problem(Kind.ROW, "m.tsv:3", "is bad")) == "m.tsv:3: is bad"
