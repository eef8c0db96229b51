"""The benchmark of windows, on a small network, and what it compares."""

from __future__ import annotations

import itertools
import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks import windows as program
from benchmarks.live.anchoring import (
    Compared,
    WindowOptions,
    measure_windows,
    read_growing,
    total_variation,
)
from benchmarks.live.figures import repeatable
from model.acoustic import AcousticModel, Reading, Windows
from model.bundle import save_bundle
from model.commands.terminal import Terminal
from model.corpora.manifest import read_manifest, write_manifest
from tests.model.engines.toys import noise, toy_bundle

SPEECH = Path(__file__).parents[1] / "data" / "speech" / "manifest.jsonl"
GREEDY = ("decoder.kind=greedy",)


def quiet() -> Terminal:
    return Terminal(Console(file=StringIO()), Console(file=StringIO()))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a manifest of two short recordings."""
    path = tmp_path_factory.mktemp("manifest") / "two.jsonl"
    rows = read_manifest(SPEECH)
    write_manifest(path, [rows[5], rows[9]])
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bundle(toy_bundle(), tmp_path_factory.mktemp("bundle") / "toy")


@pytest.fixture(scope="module")
def model(folder: Path) -> AcousticModel:
    return AcousticModel.load(folder)


def test_total_variation_is_half_the_sum_of_differences() -> None:
    first = np.log([[0.5, 0.3, 0.2], [1.0, 1e-30, 1e-30]])
    second = np.log([[0.2, 0.3, 0.5], [1e-30, 1e-30, 1.0]])
    assert total_variation(first, second) == pytest.approx([0.3, 1.0])
    assert total_variation(first, first) == pytest.approx([0.0, 0.0])


def test_frozen_frames_alone_are_compared() -> None:
    compared = Compared()
    whole = np.log(np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5]]))
    ours = np.log(np.array([[0.8, 0.2], [0.3, 0.7], [0.1, 0.9]]))
    compared.add(Reading(ours, 2), whole)
    assert (compared.same, compared.frozen, compared.frames) == (1, 2, 3)
    assert compared.distance == pytest.approx(0.1 + 0.3)


def test_a_look_is_timed_at_its_places_and_at_the_end(model: AcousticModel) -> None:
    features = noise(np.array([95]))[0]
    clock = itertools.count().__next__
    reading, looks_s = read_growing(model, features, Windows(5, 5), 20, clock)
    assert looks_s == [1] * 5
    assert 0 < reading.frozen <= len(reading.log_probs) - 5


def test_looks_do_not_change_what_is_frozen(model: AcousticModel) -> None:
    features = noise(np.array([120]))[0]
    often, seldom = (read_growing(model, features, Windows(6, 4), look)[0] for look in (7, 40))
    assert often.frozen == seldom.frozen > 0
    # How far a look reads never matters to frames that were frozen at an earlier place.
    np.testing.assert_allclose(
        often.log_probs[: often.frozen], seldom.log_probs[: seldom.frozen], atol=1e-5
    )


def test_without_windows_a_growing_utterance_is_read_as_a_whole(model: AcousticModel) -> None:
    features = noise(np.array([90]))[0]
    reading, _ = read_growing(model, features, None, 30)
    np.testing.assert_array_equal(reading.log_probs, model.log_probs(features))


def test_figures_are_those_of_two_runs_and_are_written(
    manifest: Path, folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "windows.json"
    options = WindowOptions(
        manifest, output, model=folder, overrides=GREEDY, every_ms=(500,), after_ms=(400, 60_000)
    )
    record = measure_windows(options, quiet())
    again = measure_windows(options, quiet())
    assert repeatable(record) == repeatable(again) == repeatable(json.loads(output.read_bytes()))
    close, never = record["pairs"]
    assert 0 < close["distance"] < 1
    assert 0 < close["frozen"] < 1
    assert close["rtf"] > 0
    # What must follow never does: nothing is frozen, and the reading is the whole one.
    assert (never["frozen"], never["distance"], never["same"]) == (0, None, None)
    assert never["relative"] == 0
    assert never["errors"] == record["whole"]["errors"]
    table = output.with_suffix(".md").read_text(encoding="utf-8")
    assert "| 500 | 400 | " in table
    assert "| 500 | 60000 | 0.0 | - | - | " in table


def test_a_network_that_cannot_be_read_in_windows_is_refused(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lstm = save_bundle(toy_bundle("lstm"), tmp_path / "lstm")
    arguments = ["--manifest", str(manifest), "--model", str(lstm)]
    assert program.main(arguments) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "windows.py: error: lstm: cannot be read in windows by the engine onnx" in said


def test_wrong_requests_are_refused_before_any_work(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["--manifest", str(tmp_path / "no.jsonl")]) == 2
    assert "cannot be read as a manifest" in " ".join(capsys.readouterr().err.split())
    output = str(tmp_path / "missing" / "out.json")
    assert program.main(["--manifest", str(manifest), "--json", output]) == 2
    assert "there is no folder" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(SystemExit):
        program.main(["--manifest", str(manifest), "--after-ms", "soon"])
    assert "must be a number from 0 to 10000, got soon" in capsys.readouterr().err
