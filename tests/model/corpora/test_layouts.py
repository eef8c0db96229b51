"""Corpora as they are unpacked, recognised without being told what they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.corpora.finding import CorpusOptions, EntryChecker, Findings, find_entries
from model.corpora.layouts import Kind, recognise
from model.errors import ManifestError
from tests.model.corpus_folders import (
    CLIP_HEADER,
    CLIPS,
    clips,
    common_voice,
    convert,
    librispeech,
    ljspeech,
    noise,
    write_lines,
)


def read(*sources: Path, options: CorpusOptions = CorpusOptions()) -> Findings:  # noqa: B008
    checker = EntryChecker(options)
    for source in sources:
        checker.check(find_entries(source, options)[1])
    return checker.findings


def problems(findings: Findings) -> list[tuple[Kind, str]]:
    return [(problem.kind, problem.place.rpartition("/")[2]) for problem in findings.problems]


def test_librispeech_is_read_with_all_its_subsets(tmp_path: Path) -> None:
    folder = librispeech(tmp_path / "LibriSpeech")
    assert recognise(folder) == ("librispeech", folder)
    findings = read(folder)
    assert findings.problems == []
    by_name = {row.audio.stem: row for row in findings.rows}
    for clip in clips()[:2]:
        row = by_name[clip.audio.stem]
        assert (row.text, row.speaker) == (clip.text, clip.audio.stem.split("-")[0])
        assert row.corpus == "LibriSpeech"
        assert row.duration == pytest.approx(clip.duration, abs=0.02)


def test_subsets_given_one_by_one_are_joined_under_their_names(tmp_path: Path) -> None:
    folder = librispeech(tmp_path / "LibriSpeech")
    findings = read(folder / "train-clean-5", folder / "dev-clean-2")
    assert [row.corpus for row in findings.rows] == ["train-clean-5", "dev-clean-2"]
    named = read(folder / "train-clean-5", options=CorpusOptions(corpus="books"))
    assert [row.corpus for row in named.rows] == ["books"]


def test_recordings_that_no_list_names_may_have_a_text_beside_them(tmp_path: Path) -> None:
    folder = librispeech(tmp_path)
    noise(folder / "yours" / "a.wav", 1)
    write_lines(folder / "yours" / "a.txt", ["Hello,", "you!"])
    assert read(folder).rows[-1].text == "hello you"
    listless = read(folder, options=CorpusOptions(layout="text"))
    assert [row.audio.name for row in listless.rows] == ["a.wav"]
    assert {kind for kind, _ in problems(listless)} == {Kind.TRANSCRIPT}


def test_a_table_of_common_voice_is_read(tmp_path: Path) -> None:
    folder = common_voice(tmp_path / "en")
    table = folder / "train.tsv"
    assert recognise(table) == recognise(folder, subset="train") == ("commonvoice", table)
    rows = read(table).rows
    assert [row.text for row in rows] == ["it's five kilometers away", "no doubt"]
    assert [row.audio for row in rows] == [
        folder / "clips" / f"common_voice_en_{name}.mp3" for name in ("one", "two")
    ]
    assert [row.accent for row in rows] == ["Indian", ""]
    assert {row.corpus for row in rows} == {"commonvoice"}
    one, two = (row.speaker for row in rows)
    [again] = read(folder, options=CorpusOptions(subset="dev")).rows
    assert one == again.speaker != two
    assert len(one) == 12


def test_one_table_of_several_has_to_be_chosen(tmp_path: Path) -> None:
    folder = common_voice(tmp_path)
    with pytest.raises(ManifestError, match=r"several subsets; choose .*--subset: dev, train$"):
        recognise(folder)
    with pytest.raises(ManifestError, match=r"no subset test; choose .*: dev, train$"):
        recognise(folder, subset="test")
    (folder / "dev.tsv").unlink()
    assert recognise(folder) == ("commonvoice", folder / "train.tsv")
    (folder / "train.tsv").unlink()
    with pytest.raises(ManifestError, match="holds no table"):
        recognise(folder)
    with pytest.raises(ManifestError, match="no subset train: it is read as text"):
        recognise(folder / "clips", subset="train")


def test_lines_of_common_voice_without_a_clip_are_told(tmp_path: Path) -> None:
    folder = common_voice(tmp_path)
    with (folder / "dev.tsv").open("a", encoding="utf-8") as file:
        file.write("ghi\nabc\tgone.mp3\tWords\n\n")
    findings = read(folder / "dev.tsv")
    assert problems(findings) == [(Kind.ROW, "dev.tsv:3"), (Kind.MISSING, "dev.tsv:4")]
    write_lines(folder / "dev.tsv", [CLIP_HEADER.replace("path", "clip"), "abc\ta.mp3\tWords"])
    with pytest.raises(ManifestError, match=r"dev\.tsv: lacks the columns path;"):
        read(folder / "dev.tsv")


def test_ljspeech_is_read(tmp_path: Path) -> None:
    folder = ljspeech(tmp_path / "LJSpeech-1.1")
    assert recognise(folder) == ("ljspeech", folder)
    assert recognise(folder / "metadata.csv")[0] == "ljspeech"
    for source in (folder, folder / "metadata.csv"):
        rows = read(source).rows
        assert [row.text for row in rows] == [
            "mister x paid five dollars",
            "in nineteen eighty four",
        ]
        assert {(row.speaker, row.corpus) for row in rows} == {("LJSpeech-1.1", "LJSpeech-1.1")}


def test_lines_of_ljspeech_of_another_form_are_told(tmp_path: Path) -> None:
    folder = ljspeech(tmp_path)
    write_lines(folder / "metadata.csv", ["file_name,text", "", "LJ9|words", "LJ001-0001|words"])
    assert problems(read(folder)) == [
        (Kind.ROW, "metadata.csv:1"),
        (Kind.MISSING, "metadata.csv:3"),
    ]


@pytest.mark.parametrize("suffix", [".flac", ".wav", ".ogg", ".mp3", ".FLAC"])
def test_recordings_of_every_format_are_read_as_they_are(tmp_path: Path, suffix: str) -> None:
    clip = clips()[3]
    path = convert(clip, tmp_path / f"a{suffix}")
    write_lines(tmp_path / "a.txt", [clip.text])
    [row] = read(tmp_path).rows
    assert (row.audio, row.text) == (path, clip.text)
    assert row.duration == pytest.approx(clip.duration, abs=0.1)


def test_manifests_are_joined_with_all_they_say(tmp_path: Path) -> None:
    rows = [
        {"audio": str(clips()[0].audio), "text": "as  it stands"},
        {"audio": str(clips()[1].audio), "text": "Spelt: 5!", "weight": 0.5, "source": "machine"},
        {"audio": str(clips()[2].audio), "text": "plain", "corpus": "c", "accent": "Scottish"},
    ]
    lines = [
        json.dumps({**row, "duration": clip.duration})
        for row, clip in zip(rows, clips(), strict=False)
    ]
    manifest = write_lines(tmp_path / "one.jsonl", lines)
    assert recognise(manifest) == ("manifest", manifest)
    read_rows = read(manifest, CLIPS).rows
    assert [row.text for row in read_rows[:3]] == ["as it stands", "spelt five", "plain"]
    assert [(row.weight, row.source, row.corpus, row.accent) for row in read_rows[:3]] == [
        (1.0, "", "", ""),
        (0.5, "machine", "", ""),
        (1.0, "", "c", "Scottish"),
    ]
    assert read_rows[3:] == clips()[3:]


def test_weight_and_source_are_set_for_all_rows_that_are_read() -> None:
    options = CorpusOptions(weight=0.25, source="synthetic", corpus="toys")
    rows = read(CLIPS, options=options).rows
    assert len(rows) == len(clips())
    assert {(row.weight, row.source, row.corpus) for row in rows} == {(0.25, "synthetic", "toys")}


def test_transcripts_that_are_not_utf8_are_told(tmp_path: Path) -> None:
    noise(tmp_path / "a.wav", 1)
    (tmp_path / "a.txt").write_bytes("caf\u00e9".encode("latin-1"))
    (tmp_path / "b.trans.txt").write_bytes(b"b \xff")
    findings = read(tmp_path)
    assert problems(findings) == [(Kind.TRANSCRIPT, "b.trans.txt"), (Kind.TRANSCRIPT, "a.txt")]
    assert all("save it as UTF-8" in problem.text for problem in findings.problems)
    (tmp_path / "clips.tsv").write_bytes(b"\xff")
    with pytest.raises(ManifestError, match=r"clips\.tsv: is not UTF-8"):
        read(tmp_path / "clips.tsv")


@pytest.mark.parametrize(
    ("name", "layout", "message"),
    [
        ("gone", "", "gone: no such folder or file"),
        ("empty", "", "empty: holds no recordings"),
        ("notes.doc", "", "is of no known layout; give a folder"),
        ("empty", "ljspeech", r"metadata\.csv: cannot be read as part of a corpus"),
        ("empty", "manifest", "empty: cannot be read as a manifest"),
        ("empty", "commonvoice", "empty: holds no table"),
        ("notes.doc", "text", r"notes\.doc: is no folder"),
    ],
)
def test_sources_without_a_corpus_are_refused(
    tmp_path: Path, name: str, layout: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    write_lines(tmp_path / "notes.doc", ["words"])
    with pytest.raises(ManifestError, match=message):
        find_entries(tmp_path / name, CorpusOptions(layout=layout))
