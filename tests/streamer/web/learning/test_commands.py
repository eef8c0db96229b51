from __future__ import annotations

import fcntl
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.corpora.manifest import write_manifest
from streamer.settings import LearningSettings
from streamer.web.learning.commands import CommandFailed, Counting, TrainCommand
from tests.model.conftest import write_recording

PATIENCE_S = 240.0
"""Time after which what does not happen never will."""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.jsonl"
    write_manifest(path, [write_recording(tmp_path / f"{text}.wav", text) for text in ("ab", "ba")])
    return path


def command(folder: Path, *arguments: str | Path) -> TrainCommand:
    places = (folder / "lock", folder / "compiled")
    return TrainCommand(arguments, LearningSettings(niceness=1), *places)


def test_a_command_tells_how_far_it_is_and_what_it_has_to_say(
    tmp_path: Path, manifest: Path
) -> None:
    counts: list[Counting] = []
    said: list[str] = []
    output = tmp_path / "statistics.npz"
    arguments = ("stats", manifest, "--output", output, "--cache", tmp_path / "cache")
    assert command(tmp_path, *arguments).run(counts.append, said.append)
    assert (counts[0], counts[-1]) == (Counting("features", 0, 2), Counting("features", 2, 2))
    assert any("mean and deviation" in text for text in said)
    assert output.stat().st_mode & 0o077 == 0


def test_its_error_is_in_its_own_words(tmp_path: Path) -> None:
    missing = tmp_path / "missing.jsonl"
    with pytest.raises(CommandFailed, match=r"^\S*missing\.jsonl: cannot be read as a manifest"):
        command(tmp_path, "stats", missing).run()


def test_a_wrong_command_line_is_shown(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"^argument COMMAND: invalid choice: 'unlearn'"):
        command(tmp_path, "unlearn").run()


def test_one_that_was_stopped_before_it_began_does_not_run(tmp_path: Path) -> None:
    stopped = command(tmp_path, "unlearn")
    stopped.stop()
    assert not stopped.run()


@pytest.fixture
def interrupts_ignored() -> Iterator[None]:
    """As for a server that a script started in the background; commands inherit it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts_ignored")
@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.1, 0.5])
def test_one_that_is_stopped_at_once_ends(
    tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch, after_s: float
) -> None:
    started = threading.Event()
    start = TrainCommand._start

    def told(self: TrainCommand) -> subprocess.Popen[str]:
        process = start(self)
        threading.Timer(after_s, started.set).start()
        return process

    monkeypatch.setattr(TrainCommand, "_start", told)
    output = tmp_path / "run"
    dev = tmp_path / "dev.jsonl"
    write_manifest(dev, [write_recording(tmp_path / "dev.wav", "bab")])
    arguments = ("--manifest", manifest, "--dev", dev, "--output", output)
    endless = command(tmp_path, "fit", *arguments, "--set", "training.minutes=60")
    ended: list[bool] = []
    thread = threading.Thread(target=lambda: ended.append(endless.run()))
    thread.start()
    assert started.wait(PATIENCE_S)
    endless.stop()
    thread.join(PATIENCE_S)
    assert ended == [False]


def test_two_commands_do_not_work_in_one_place(tmp_path: Path, manifest: Path) -> None:

    with (tmp_path / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CommandFailed, match="still ending; try again"):
            command(tmp_path, "stats", manifest).run()
