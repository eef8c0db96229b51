"""The training program as a user calls it, from recordings to a model."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from model.bundle import load_bundle
from model.commands.common import on_first_signal, signals_held_back
from model.commands.terminal import Terminal
from model.corpora.manifest import Utterance, read_manifest
from model.features import FeatureStatistics
from model.statistics import load_statistics, save_statistics
from model.training.checkpoint import checkpoints, newest_checkpoint
from model.training.log import read_log
from tests.model.corpus_folders import CLIPS
from train import main

TINY = [
    "network.kernels=[5]",
    "network.strides=[2]",
    "network.filters=8",
    "network.layers=1",
    "network.units=8",
    "training.batch_s=4",
    "training.bucket_s=[2]",
    "training.passes=2",
]


class Screen:
    """Runs the program and keeps what it shows."""

    def __init__(self, folder: Path, dev: Path) -> None:
        self.folder = folder
        self.dev = dev
        self.out = io.StringIO()
        self.log: io.StringIO = io.StringIO()

    def run(self, *arguments: str | Path) -> int:
        terminal = Terminal(Console(file=self.out, width=140), Console(file=self.log, width=140))
        return main([str(argument) for argument in arguments], terminal)

    def fit(self, manifest: Path, *more: str | Path) -> int:
        return self.run(*self._fit_arguments(manifest, *more))

    def start(self, manifest: Path, *more: str | Path) -> subprocess.Popen[bytes]:
        """Start a training in a process of its own, which shows nothing."""
        return subprocess.Popen(
            [sys.executable, "train.py", *map(str, self._fit_arguments(manifest, *more))],
            cwd=Path(__file__).resolve().parents[3],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _fit_arguments(self, manifest: Path, *more: str | Path) -> list[str | Path]:
        overrides = [part for value in TINY for part in ("--set", value)]
        return [
            *("fit", "--manifest", manifest, "--dev", self.dev, "--output", self.folder / "run"),
            *("--cache", self.folder / "cache", *overrides, *more),
        ]


@pytest.fixture
def screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dev_manifest: Path) -> Screen:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    return Screen(tmp_path, dev_manifest)


@pytest.fixture
def speech(tone_rows: Sequence[Utterance], tmp_path: Path) -> Path:
    """Return a folder in LibriSpeech's layout."""
    folder = tmp_path / "speech" / "7" / "70"
    folder.mkdir(parents=True)
    lines = []
    for number, row in enumerate(tone_rows):
        samples, rate = soundfile.read(row.audio)
        soundfile.write(folder / f"7-70-{number:04}.flac", samples, rate)
        lines.append(f"7-70-{number:04} {row.text.upper()}\n")
    (folder / "7-70.trans.txt").write_text("".join(lines))
    return tmp_path / "speech"


def test_the_whole_way_from_recordings_to_a_model(
    screen: Screen, speech: Path, tmp_path: Path
) -> None:
    manifest, stats = tmp_path / "all.jsonl", tmp_path / "stats.npz"
    assert screen.run("manifest", speech, "--output", manifest) == 0
    assert [row.speaker for row in read_manifest(manifest)] == ["7"] * 12
    assert "12 recordings" in screen.log.getvalue()

    cache = ("--cache", tmp_path / "cache")
    assert screen.run("stats", manifest, "--output", stats, *cache) == 0
    assert load_statistics(stats).mean.shape == (80,)
    for part in ("speech", "percentile", "'a'"):
        assert part in screen.out.getvalue()

    assert screen.fit(manifest, "--stats", stats) == 0
    bundle = load_bundle(tmp_path / "run" / "bundle")
    assert bundle.name == "run"
    assert bundle.provenance.hours.keys() == {"speech"}
    assert "WER" in screen.log.getvalue()

    tuned = tmp_path / "tuned"
    tune = ("--init", tmp_path / "run" / "bundle", "--output", tuned, "--base", manifest)
    assert screen.fit(manifest, *tune) == 0
    assert load_bundle(tuned / "bundle").provenance.recipe["init"]["name"] == "run"
    assert "Fine-tuned from the model run, " in (tuned / "bundle" / "MODEL_CARD.md").read_text()
    assert read_log(tuned / "log.csv")["step"][0] == 0
    assert screen.fit(manifest, *tune, "--stats", stats) == 2
    assert "--stats: the model of --init brings its own" in screen.log.getvalue()

    report = tmp_path / "reports" / "report.json"
    evaluate = ("evaluate", "--bundle", tmp_path / "run" / "bundle", "--manifest", manifest)
    assert screen.run(*evaluate, "--output", report) == 0
    record = json.loads(report.read_text())
    assert record["overall"]["recordings"] == 12
    assert record["overall"] == record["corpora"]["speech"]
    assert record["overall"]["wer"] == pytest.approx(
        bundle.provenance.evaluation["dev_wer"], abs=0.2
    )
    assert screen.run(*evaluate, "--output", report.with_suffix(".md"), "--limit", "3") == 0
    assert "| overall | 3 |" in report.with_suffix(".md").read_text()

    exported = tmp_path / "models" / "tones"
    export = ("export", "--run", tmp_path / "run", "--output", exported)
    assert screen.run(*export, "--checkpoint", "newest") == 0
    assert load_bundle(exported).name == "tones"
    (tmp_path / "run" / "statistics.npz").unlink()
    notes = tmp_path / "notes.md"
    notes.write_text("Tones: CC0.\n")
    given = ("--stats", stats, "--manifest", manifest, "--name", "again", "--notes", notes)
    assert screen.run(*export, *given) == 0
    assert load_bundle(exported).name == "again"

    (exported / "LICENSE").write_text("")
    evaluate = ("evaluate", "--bundle", exported, "--manifest", manifest, "--limit", "3")
    assert screen.run(*evaluate, "--card") == 0
    card = (exported / "MODEL_CARD.md").read_text()
    for part in (
        "\nTones: CC0.\n",
        "| speech | 0.0 |",
        f"by `train.py {' '.join(map(str, evaluate))}`:\n\n| corpus | recordings |",
        "| overall | 3 |",
    ):
        assert part in card
    assert load_bundle(exported).provenance.report in card
    assert {path.name for path in exported.iterdir()} == {
        *("LICENSE", "MODEL_CARD.md", "bundle.json", "weights.npz")
    }
    assert screen.run(*export, *given) == 0
    assert "| overall | 3 |" in load_bundle(exported).provenance.report


class InterruptedLog(io.StringIO):
    """Sends this process a signal when the first evaluation is shown."""

    sent = False

    def write(self, text: str) -> int:
        if ": loss" in text and not self.sent:
            self.sent = True
            signal.raise_signal(signal.SIGTERM)
        return super().write(text)


def test_a_signal_saves_a_checkpoint_and_the_same_command_goes_on(
    screen: Screen, tone_manifest: Path
) -> None:
    screen.log = InterruptedLog()
    assert screen.fit(tone_manifest) == 1
    assert "stopped at step" in screen.log.getvalue()
    [checkpoint] = checkpoints(screen.folder / "run")
    assert not (screen.folder / "run" / "bundle").exists()
    assert screen.fit(tone_manifest) == 0
    [*_, last] = checkpoints(screen.folder / "run")
    first_step, last_step = (int(path.stem.split("-")[1]) for path in (checkpoint, last))
    assert last_step == 2 * first_step
    assert (screen.folder / "run" / "bundle").exists()


def test_a_training_killed_at_any_moment_ends_with_the_weights_of_one_that_was_not(
    screen: Screen, tone_manifest: Path, tmp_path: Path
) -> None:
    values = ("passes=4", "batch_s=1", "average=0.9", "checkpoint_minutes=1e-5")
    more = [part for value in values for part in ("--set", f"training.{value}")]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = screen.start(tone_manifest, *more, "--output", killed)
    while not checkpoints(killed) and process.poll() is None:
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.3))
    process.kill()
    process.wait()
    for folder in (killed, whole):
        assert screen.fit(tone_manifest, *more, "--output", folder) == 0
    ours, theirs = (newest_checkpoint(folder, pytest.fail) for folder in (killed, whole))
    assert ours is not None
    assert theirs is not None
    assert ours.progress.step == theirs.progress.step
    for (name, mine), yours in zip(ours.arrays.items(), theirs.arrays.values(), strict=True):
        # TensorFlow compiles for the shapes in the order that it meets them, which rounds anew.
        np.testing.assert_allclose(mine, yours, rtol=1e-3, atol=1e-6, err_msg=name)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT interrupt this process, which shells prevent for what runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_training_with_jax_keeps_the_talk_of_libraries_off_the_terminal(
    tone_manifest: Path, dev_manifest: Path, tmp_path: Path
) -> None:
    overrides = [part for value in TINY for part in ("--set", value)]
    files = ("--manifest", tone_manifest, "--dev", dev_manifest, "--output", tmp_path / "run")
    done = subprocess.run(
        [sys.executable, "train.py", "fit", *files, "--cache", tmp_path / "cache", *overrides],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    for foreign in ("absl", "oneDNN", "cuda", "WARNING"):
        assert foreign not in done.stderr
    versions = load_bundle(tmp_path / "run" / "bundle").provenance.versions
    assert {"jax", "tensorflow"} & versions.keys() == {"jax"}


@pytest.mark.usefixtures("interruptible")
def test_only_the_first_signal_is_caught() -> None:
    calls: list[str] = []
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), on_first_signal(lambda: calls.append("stop")):
        signal.raise_signal(signal.SIGINT)
        assert calls == ["stop"]
        assert signal.getsignal(signal.SIGTERM) is before
        signal.raise_signal(signal.SIGINT)
    assert calls == ["stop"]


@pytest.mark.usefixtures("interruptible")
def test_a_signal_that_a_library_would_lose_ends_the_program_afterwards() -> None:
    held = []
    with pytest.raises(KeyboardInterrupt), signals_held_back():
        signal.raise_signal(signal.SIGINT)
        held.append("on")
    assert held == ["on"]
    with signals_held_back():
        pass


def test_bad_recordings_stop_the_manifest_unless_they_are_skipped(
    screen: Screen, speech: Path, tmp_path: Path
) -> None:
    (speech / "7" / "70" / "extra.wav").write_text("no sound")
    (speech / "7" / "70" / "extra.txt").write_text("words")
    with (speech / "7" / "70" / "7-70.trans.txt").open("a") as file:
        file.write("7-70-0099 GONE\n")
    output = tmp_path / "m.jsonl"
    assert screen.run("manifest", speech, "--output", output) == 2
    assert not output.exists()
    for part in ("7-70.trans.txt:13: ", "extra.wav: not readable", "2 problems (", "--skip-bad"):
        assert part in screen.log.getvalue()
    assert screen.run("manifest", speech, "--output", output, "--skip-bad") == 0
    assert "12 recordings" in screen.log.getvalue()
    assert "2 left out" in screen.log.getvalue()


def test_statistics_of_other_features_are_refused_before_training(
    screen: Screen, tone_manifest: Path, tmp_path: Path
) -> None:
    stats = tmp_path / "stats.npz"
    save_statistics(stats, FeatureStatistics(np.zeros(40, np.float32), np.zeros(40, np.float32)))
    assert screen.fit(tone_manifest, "--stats", stats) == 2
    for part in ("stats.npz: the mean and the deviation must have 80 values", "above 0", "stats"):
        assert part in screen.log.getvalue()
    assert not (screen.folder / "run").exists()


def test_names_with_brackets_and_braces_are_shown_as_they_are(
    screen: Screen, tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    folder = tmp_path / "a{b}[bold]"
    folder.mkdir()
    (folder / "[x].wav").write_bytes(tone_rows[0].audio.read_bytes())
    (folder / "[x].txt").write_text("Ab!")
    manifest = tmp_path / "m.jsonl"
    assert screen.run("manifest", folder, "--output", manifest) == 0
    assert "a{b}[bold] " in screen.log.getvalue()
    assert screen.run("stats", manifest) == 0
    assert "a{b}[bold] " in screen.out.getvalue()


Arguments = Callable[[Path, Path], list[str | Path]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda tmp, m: ["manifest", tmp / "gone", "--output", tmp / "m.jsonl"], "gone: no such"),
        (lambda tmp, m: ["stats", tmp / "gone"], "gone: cannot be read as a manifest"),
        (
            lambda tmp, m: ["stats", m, "--set", "features.mel=4"],
            "features.mel: is unknown; did you mean mels?",
        ),
        (
            lambda tmp, m: ["stats", m, "--set", "network.features=40"],
            "--set network.features=40: network: its features must be 80",
        ),
        (
            lambda tmp, m: ["evaluate", "--bundle", tmp / "gone", "--manifest", m],
            "gone: no such folder; give a model bundle",
        ),
        (
            lambda tmp, m: [
                "evaluate",
                "--bundle",
                tmp,
                "--manifest",
                m,
                "--output",
                tmp / "r.txt",
            ],
            "--output: must end in .json or .md",
        ),
        (
            lambda tmp, m: ["stats", m, "--output", m],
            "--output: must end in .npz, got",
        ),
        (
            lambda tmp, m: ["manifest", m, "--output", tmp / "19-198.trans.txt"],
            "--output: must end in .jsonl, got",
        ),
        (
            lambda tmp, m: ["manifest", m, "--output", m],
            "manifest.jsonl: is also to be read; give another place",
        ),
        (
            lambda tmp, m: ["manifest", CLIPS, "--dev", m, "--output", m],
            "manifest.jsonl: is also to be read; give another place",
        ),
        (
            lambda tmp, m: ["export", "--run", tmp, "--output", tmp / "model"],
            "holds no checkpoint",
        ),
        (
            lambda tmp, m: ["fit", "--manifest", m, "--dev", tmp / "gone", "--output", tmp / "run"],
            "gone: cannot be read as a manifest",
        ),
        (
            lambda tmp, m: ["fit", "--manifest", m, "--dev", m, "--output", tmp / "run"],
            "12 recordings to learn from are in --dev as well",
        ),
    ],
)
def test_bad_input_is_explained_without_a_traceback(
    screen: Screen, tone_manifest: Path, tmp_path: Path, arguments: Arguments, message: str
) -> None:
    assert screen.run(*arguments(tmp_path, tone_manifest)) == 2
    shown = screen.log.getvalue()
    assert "train.py: error: " in shown
    assert message in shown
    assert "Traceback" not in shown


def test_too_large_sizes_are_told(screen: Screen) -> None:
    clip = CLIPS.parent / "669-129074-0001.opus"
    assert screen.run("features", clip, "--set", f"features.fft_size={10**11}") == 2
    assert "features.fft_size: must be at least window, and at most" in screen.log.getvalue()


def test_too_little_memory_is_told(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    def extract(*_: object) -> None:
        raise MemoryError("9 TiB")

    monkeypatch.setattr("model.features.FeatureExtractor.extract", extract)
    assert screen.run("features", CLIPS.parent / "669-129074-0001.opus") == 1
    assert "train.py: error: there is too little memory (9 TiB)" in screen.log.getvalue()


def test_the_folder_of_a_training_is_checked_before_the_features(
    screen: Screen, tone_manifest: Path
) -> None:
    (screen.folder / "run").write_text("mine")
    assert screen.fit(tone_manifest) == 2
    assert "run: cannot be written (Not a directory)" in screen.log.getvalue()
    assert not (screen.folder / "cache").exists()


@pytest.mark.parametrize("backend", ["torch", "abacus"])
def test_an_unknown_backend_is_named(
    screen: Screen, tone_manifest: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    evaluate = ("evaluate", "--bundle", screen.folder, "--manifest", tone_manifest)
    for exit_code in (screen.fit(tone_manifest), screen.run(*evaluate)):
        assert exit_code == 2
    named = f"KERAS_BACKEND: must be tensorflow or jax, got {backend}"
    assert screen.log.getvalue().count(named) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["fit"],
        ["manifest"],
        ["evaluate", "--bundle", "b", "--manifest", "m", "--limit", "0"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: train.py" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", ["manifest", "stats", "features", "perturb", "fit", "evaluate", "export"]
)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"usage: train.py {command}" in capsys.readouterr().out
