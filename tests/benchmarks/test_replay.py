"""The benchmark as a whole, on a few recordings with the shipped models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import replay as program
from benchmarks.live import playing
from benchmarks.live.command import ReplayOptions, compare, replay
from benchmarks.live.figures import repeatable
from benchmarks.live.options import changed_settings
from benchmarks.live.playing import Player
from benchmarks.live.program import ProgramFailed, measure_program
from benchmarks.live.tapes import single_tape
from model.commands.terminal import Terminal
from model.corpora.manifest import read_manifest, write_manifest
from streamer.app import build_stream, load_model
from streamer.audio import AudioSource
from streamer.events import FinalTranscript
from streamer.replay import WavReplaySource
from streamer.runner import ThreadedRunner, run_inline
from streamer.settings import LiveSettings
from tests.benchmarks.events import Kept

SPEECH = Path(__file__).parents[1] / "data" / "speech" / "manifest.jsonl"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a manifest of three short recordings of two corpora."""
    path = tmp_path_factory.mktemp("manifest") / "three.jsonl"
    rows = read_manifest(SPEECH)
    write_manifest(path, [rows[5], rows[9], rows[10]])
    return path


def quiet() -> Terminal:
    return Terminal(Console(file=StringIO()), Console(file=StringIO()))


def without_clocks(path: Path) -> Any:
    return repeatable(json.loads(path.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def runs(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the figures of two runs of the same."""
    outputs = [tmp_path_factory.mktemp(name) / "run.json" for name in ("first", "second")]
    for output in outputs:
        replay(ReplayOptions(manifest, output, session=True, starts=0), quiet())
    return outputs


def test_two_runs_give_the_same_figures_but_for_clocks(runs: list[Path]) -> None:
    first, second = map(without_clocks, runs)
    assert first == second
    assert first["recordings"]["all"]["words"] > 0
    assert first["recordings"]["all"]["lost_samples"] == 0
    assert first["session"]["all"]["lost_samples"] == 0
    assert set(first["session"]["corpora"]) == {"librispeech", "commonvoice"}


def test_two_runs_give_the_same_log_byte_for_byte(runs: list[Path]) -> None:
    first, second = (run.with_suffix(".log.jsonl").read_bytes() for run in runs)
    assert first == second
    events = [json.loads(line) for line in first.splitlines()]
    assert [event["source"] for event in events if event["type"] == "start"] == [
        "7312-92432-0009.opus",
        "common_voice_en_17369372.opus",
        "common_voice_en_178693.opus",
        "session",
    ]
    figures = without_clocks(runs[0])
    partials = sum(event["type"] == "partial" for event in events)
    parts = (figures[part]["all"] for part in ("recordings", "session"))
    assert partials == sum(part["partials"] for part in parts)


def test_table_and_picture_lie_beside_the_figures(runs: list[Path]) -> None:
    assert "| all |" in runs[0].with_suffix(".md").read_text(encoding="utf-8")
    assert runs[0].with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_runs_are_shown_side_by_side(runs: list[Path], tmp_path: Path) -> None:
    terminal = quiet()
    compare(runs, tmp_path / "both.json", terminal)
    table = (tmp_path / "both.md").read_text(encoding="utf-8")
    assert table.startswith(f"| Measure | {runs[0]} | {runs[1]} |")
    assert "session: flicker (UPWR)" in table
    assert (tmp_path / "both.png").exists()


def test_measuring_changes_nothing(manifest: Path, tmp_path: Path) -> None:
    settings, row = LiveSettings(), read_manifest(manifest)[2]
    acoustic, kept = load_model(settings.model), Kept()
    with WavReplaySource([row.audio], "max", settings.audio.block_ms) as source:
        run_inline(source, build_stream(settings, acoustic), kept)
    player = Player(settings, acoustic, "max")
    found = player.play(single_tape(row, None, tmp_path))
    assert [told.event for told in found.told] == kept.events
    assert {"listening", "network_partials", "network_finals", "decoder_finals"} <= set(
        found.spent_s
    )
    live = Player(settings, acoustic, "real").play(single_tape(row, None, tmp_path))
    late_s = [
        told.wall_s - told.event.audio_s
        for told in live.told
        if isinstance(told.event, FinalTranscript)
    ]
    # Of a live stream nothing is told before it was heard, and the fast replay of it agrees.
    assert late_s and min(late_s) > -0.1
    fast = [told for told in found.told if isinstance(told.event, FinalTranscript)]
    assert len(fast) == len(late_s)


def test_audio_may_be_lost_at_the_pace_of_speech(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources: list[AudioSource] = []

    class Watched(ThreadedRunner):
        def __init__(self, source: AudioSource, *rest: Any) -> None:
            sources.append(source)
            super().__init__(source, *rest)

    monkeypatch.setattr(playing, "ThreadedRunner", Watched)
    settings, row = LiveSettings(), read_manifest(manifest)[2]
    play = Player(settings, load_model(settings.model), "real").play(
        single_tape(row, None, tmp_path)
    )
    assert [source.lossless for source in sources] == [False]
    # The ring holds more than the whole recording.
    assert play.summary.lost_s == 0


def test_the_program_is_measured(manifest: Path) -> None:
    recording = read_manifest(manifest)[2].audio
    found = measure_program(ReplayOptions(manifest).program(recording), 1)
    assert 0 < found["startup_wall_s"] <= found["whole_wall_s"]
    assert found["memory_peak_mb"] > 10


def test_a_program_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed, match=r"missing\.wav: no such file.*--starts 0"):
        measure_program(["--wav", str(tmp_path / "missing.wav")], 1)


def test_settings_are_told_wherever_they_come_from(manifest: Path, tmp_path: Path) -> None:
    config = tmp_path / "live.yaml"
    config.write_text("partials: {every_ms: 480}\n", encoding="utf-8")
    options = ReplayOptions(
        manifest, config=config, engine="onnx", overrides=["endpoint.pause_ms=900"]
    )
    found = changed_settings(options.settings())
    assert sorted(found) == ["endpoint.pause_ms=900", "engine=onnx", "partials.every_ms=480"]
    assert changed_settings(LiveSettings()) == []


def refused(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the command line says to a wrong request."""
    assert program.main([str(argument) for argument in arguments]) == 2
    return " ".join(capsys.readouterr().err.split())


def test_wrong_requests_are_refused_before_any_work(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(*arguments: object) -> str:
        return refused([str(argument) for argument in arguments], capsys)

    missing = tmp_path / "missing" / "out.json"
    assert "there is no folder" in say("--manifest", manifest, "--json", missing)
    assert "end it with .json" in say("--manifest", manifest, "--json", tmp_path / "out.md")
    assert "cannot be read as a manifest" in say("--manifest", tmp_path / "no.jsonl")
    assert "nothing: is unknown" in say("--manifest", manifest, "--set", "nothing=1")
    gone = tmp_path / "gone.jsonl"
    gone.write_text('{"audio": "gone.wav", "text": "a", "duration": 1}\n', encoding="utf-8")
    assert "gone.wav: no such file" in say("--manifest", gone)
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    assert "no figures of replay.py" in say("--compare", tmp_path / "other.json")
    assert "cannot be compared: No such file" in say("--compare", tmp_path / "none.json")
    figures, folder = tmp_path / "other.json", tmp_path / "folder.json"
    folder.mkdir()
    assert "is also to be read" in say("--compare", figures, "--json", figures)
    assert "is a folder" in say("--manifest", manifest, "--json", folder)
    assert "no such folder" in say("--manifest", manifest, "--model", tmp_path / "gone")
