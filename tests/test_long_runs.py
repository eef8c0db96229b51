"""The program as a service runs it: files in parts, a log, and kills at any moment."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from benchmarks.kill import Totals, Trial, kill, markdown, trials
from model.audio import read_audio
from run_live import main

REPOSITORY = Path(__file__).resolve().parent.parent
SPEECH = REPOSITORY / "tests/data/speech"
CLIP = SPEECH / "669-129074-0011.opus"
SHORT_CLIP = SPEECH / "common_voice_en_17369372.opus"
READY_S = 120
"""Longest wait for a started program; it is only reached when a test fails."""


def run(*arguments: str | Path) -> int:
    return main([str(part) for part in arguments])


def test_a_service_that_starts_again_finds_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert (
            run(
                *("--wav", CLIP, "--speed", "max", "--rotate", "day"),
                *("--output", tmp_path / "talk.srt", "--record", tmp_path / "talk.flac"),
                *("--log", tmp_path / "live.log"),
            )
            == 0
        )
    said = capsys.readouterr().out
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 5
    assert all(re.fullmatch(r"talk-\d{8}T\d{6}(-2)?\.(srt|flac)|live\.log", name) for name in names)
    for path in tmp_path.glob("*.flac"):
        assert soundfile.info(path).frames == len(read_audio(CLIP, 16_000))
    log = (tmp_path / "live.log").read_text()
    assert log.count("INFO stream ends: ") == 2
    words = {word for word in said.split() if len(word) > 5}
    assert words and not {word for word in words if word in log}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rotate", "weekly", "--output", "a.srt"], "--rotate: must be day, hour, or a size"),
        (["--rotate", "day"], "--rotate: has no use without files"),
        (["--rotate", "day", "--output", "nowhere/a.srt"], "there is no folder nowhere"),
        (["--rotate", "day", "--output", "a.doc"], "no caption format 'doc'"),
        (["--rotate", "day", "--record", "a.mp3"], "must end in .flac or .wav"),
        (["--log", "nowhere/live.log"], "there is no folder nowhere"),
        (["--set", "rotation.every=never"], "must be day, hour, a size such as 100MB"),
    ],
)
def test_wrong_use_is_named(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("--wav", SHORT_CLIP, "--speed", "max", *arguments) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def service(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The program at work, with its output in parts and a log."""
    command = [
        sys.executable,
        "run_live.py",
        "--wav",
        SHORT_CLIP,
        "--wav",
        SHORT_CLIP,
        "--format",
        "jsonl",
    ]
    command += ["--output", tmp_path / "talk.txt", "--rotate", "day", "--log", tmp_path / "log"]
    with subprocess.Popen(
        [str(part) for part in command],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def test_a_hangup_begins_new_files_and_ends_nothing(
    service: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert service.stdout is not None
    for line in service.stdout:
        if '"final"' in line:
            break
    (tmp_path / "log").rename(tmp_path / "log.old")
    service.send_signal(signal.SIGHUP)
    out, _ = service.communicate(timeout=READY_S)
    assert service.returncode == 0
    assert '"summary"' in out
    assert len(list(tmp_path.glob("talk-*.txt"))) == 2
    assert "stream starts" in (tmp_path / "log.old").read_text()
    assert "log opened anew" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    "trial",
    [
        Trial("max", rotate=True, recording="flac", after_s=0.2, finals=3),
        Trial("max", rotate=False, recording="wav", after_s=0.5, finals=1),
        Trial("real", rotate=True, recording="wav", after_s=0.1, hangups=(0.05,), finals=1),
    ],
)
def test_a_kill_loses_nothing_that_was_shown(trial: Trial, tmp_path: Path) -> None:
    outcome = kill(trial, tmp_path)
    assert outcome.problems == ()
    assert outcome.finals >= trial.finals
    assert outcome.parts >= (2 if trial.rotate and trial.finals > 1 else 1)
    totals = Totals()
    totals.add(trial, outcome)
    assert "nothing that was shown is lost" in markdown(totals)


def test_moments_are_the_same_for_the_same_seed() -> None:
    drawn = list(trials(40, 1))
    assert drawn == list(trials(40, 1)) != list(trials(40, 2))
    assert sum(trial.rotate for trial in drawn) == 20
    assert sum(trial.speed == "real" for trial in drawn) == 20
    assert all(at <= trial.after_s for trial in drawn for at in trial.hangups)
