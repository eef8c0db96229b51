"""``train.py manifest`` as a user calls it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from model.commands.terminal import Terminal
from model.corpora.manifest import read_manifest, write_manifest
from tests.model.corpus_folders import (
    CLIPS,
    clips,
    common_voice,
    convert,
    librispeech,
    ljspeech,
    noise,
    write_lines,
)
from train import main


class Screen:
    def __init__(self) -> None:
        self.log = io.StringIO()
        self._terminal = Terminal(Console(file=io.StringIO()), Console(file=self.log, width=200))

    def run(self, *arguments: str | Path) -> int:
        self.log.truncate(self.log.seek(0))
        return main(list(map(str, arguments)), self._terminal)

    def manifest(self, *arguments: str | Path) -> int:
        return self.run("manifest", *arguments)


@pytest.fixture
def screen() -> Screen:
    return Screen()


def test_corpora_of_all_layouts_make_one_manifest(screen: Screen, tmp_path: Path) -> None:
    convert(clips()[3], tmp_path / "mine" / "a.ogg")
    write_lines(tmp_path / "mine" / "a.txt", ["Words!"])
    sources = {
        librispeech(tmp_path / "books"): "librispeech",
        common_voice(tmp_path / "en") / "train.tsv": "commonvoice",
        ljspeech(tmp_path / "waves"): "ljspeech",
        tmp_path / "mine": "text",
        CLIPS: "manifest",
    }
    output = tmp_path / "made" / "all.jsonl"
    assert screen.manifest(*sources, "--output", output) == 0
    for source, layout in sources.items():
        assert f"{source}: read as {layout}\n" in screen.log.getvalue()
    rows = read_manifest(output)
    assert len(rows) == 7 + len(clips())
    assert f"{output}: {len(rows)} recordings, " in screen.log.getvalue()
    assert {row.corpus for row in rows} == {
        *("books", "commonvoice", "waves", "mine"),
        *(clip.corpus for clip in clips()),
    }
    again = tmp_path / "made" / "again.jsonl"
    assert screen.manifest(output, "--output", again) == 0
    assert again.read_bytes() == output.read_bytes()


def test_options_decide_what_rows_say(screen: Screen, tmp_path: Path) -> None:
    folder, output = common_voice(tmp_path / "en"), tmp_path / "m.jsonl"
    options = ("--subset", "train", "--weight", "0.5", "--source", "machine", "--corpus", "voices")
    assert screen.manifest(folder, *options, "--check-audio", "--output", output) == 0
    rows = read_manifest(output)
    assert [(row.weight, row.source, row.corpus) for row in rows] == [
        (0.5, "machine", "voices")
    ] * 2
    assert screen.manifest(folder / "train.tsv", "--layout", "text", "--output", output) == 2
    assert "is no folder" in screen.log.getvalue()


def test_every_problem_is_told_and_counted_and_rows_are_left_out_on_demand(
    screen: Screen, tmp_path: Path
) -> None:
    folder, output = ljspeech(tmp_path / "waves"), tmp_path / "m.jsonl"
    table = folder / "metadata.csv"
    lines = [*table.read_text().splitlines(), "LJ001-0001|Again.", "LJ9|Gone.", "LJ8|@", "odd"]
    write_lines(table, lines)
    assert screen.manifest(folder, "--output", output) == 2
    assert not output.exists()
    shown = screen.log.getvalue()
    for part in (
        f"error: {output}: not written:\n",
        f"\n{table}:3: ",
        f"\n{table}:4: {folder}/wavs/LJ9.wav: no such file; put it there or take the row out\n",
        f"\n{table}:5: cannot spell '@'",
        f"\n{table}:5: {folder}/wavs/LJ8.wav: no such file",
        f"\n{table}:6: must be id|text|normalised text",
        "\n5 problems (unusable lines: 1, transcripts that cannot be spelt: 1, "
        "missing recordings: 2, recordings given twice: 1); mend them, or give --skip-bad",
    ):
        assert part in shown
    assert screen.manifest(folder, "--output", output, "--skip-bad") == 0
    assert len(read_manifest(output)) == 2
    for part in ("5 problems (", f"{output}: 2 recordings, ", ", 4 left out\n"):
        assert part in screen.log.getvalue()


def test_speakers_of_dev_are_problems(screen: Screen, tmp_path: Path) -> None:
    dev, rest = tmp_path / "dev.jsonl", tmp_path / "rest.jsonl"
    write_manifest(dev, clips()[:1])
    speaker = clips()[0].speaker
    assert screen.manifest(CLIPS, "--output", rest, "--dev", dev) == 2
    same = [clip for clip in clips() if clip.speaker == speaker]
    assert f"(recordings or speakers of the dev set: {len(same)})" in screen.log.getvalue()
    assert screen.manifest(CLIPS, "--output", rest, "--dev", dev, "--skip-bad") == 0
    assert read_manifest(rest) == [clip for clip in clips() if clip.speaker != speaker]


def test_nothing_is_written_where_nothing_is_usable(screen: Screen, tmp_path: Path) -> None:
    noise(tmp_path / "corpus" / "a.wav", 1)
    output = tmp_path / "m.jsonl"
    assert screen.manifest(tmp_path / "corpus", "--output", output, "--skip-bad") == 2
    assert "m.jsonl: not written: there is no usable recording" in screen.log.getvalue()
    assert not output.exists()


def test_a_transcript_that_cannot_be_read_is_one_problem(screen: Screen, tmp_path: Path) -> None:
    for name in "ab":
        convert(clips()[3], tmp_path / "mine" / f"{name}.wav")
    noise(tmp_path / "mine" / "b.wav", 1)
    write_lines(tmp_path / "mine" / "a.txt", ["Words!"])
    (tmp_path / "mine" / "b.txt").mkdir()
    output = tmp_path / "m.jsonl"
    assert screen.manifest(tmp_path / "mine", "--output", output, "--skip-bad") == 0
    shown = screen.log.getvalue()
    for part in ("b.txt: cannot be read (Is a directory)", "\n1 problem (", ": 1 recording, "):
        assert part in shown


def test_names_that_no_file_can_have_are_told(screen: Screen, tmp_path: Path) -> None:
    rows = [{"audio": name, "text": "a", "duration": 1} for name in ("y" * 5000, "\ud800.wav")]
    write_lines(tmp_path / "odd.jsonl", [json.dumps(row) for row in rows])
    assert screen.manifest(tmp_path / "odd.jsonl", "--output", tmp_path / "m.jsonl") == 2
    shown = screen.log.getvalue()
    for part in ("odd.jsonl:1: ", "File name too long", "odd.jsonl:2: audio: must name a file"):
        assert part in shown


@pytest.mark.parametrize("weight", ["0", "-1", "101", "nan", "much"])
def test_weights_out_of_range_are_wrong_usage(
    weight: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["manifest", "folder", "--output", "m.jsonl", f"--weight={weight}"])
    assert caught.value.code == 2
    assert "must be a number above 0, at most 100" in capsys.readouterr().err
