"""The benchmarks of engines and weights, on a small network."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks import engines, weights
from model.bundle import load_bundle, save_bundle
from model.corpora.manifest import read_manifest
from model.errors import UsageError
from tests.model.engines.toys import toy_bundle

SPEECH = Path(__file__).parents[1] / "data" / "speech" / "manifest.jsonl"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_bundle(toy_bundle(), tmp_path / "toy")


def test_an_engine_is_measured_in_a_process_of_its_own(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "results" / "engines.md"
    arguments = ["--model", str(folder), "--engines", "onnx", "--rounds", "1"]
    assert engines.main([*arguments, "--output", str(output)]) == 0
    text = output.read_text()
    assert capsys.readouterr().out == text
    (row,) = re.findall(r"^\| onnx \| (.*) \|$", text, re.MULTILINE)
    assert len(row.split(" | ")) == len(engines.COLUMNS) - 1
    assert all(float(cell) > 0 for cell in row.split(" | ")[:4])
    assert "Load of the machine in the last minute: " in text


def test_a_model_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", str(tmp_path), "--manifest", str(SPEECH)]
    assert weights.main(arguments) == 2
    assert "weights.py: error: " in capsys.readouterr().err
    assert engines.main(arguments[:2]) == 2
    assert "engines.py: error: " in capsys.readouterr().err


def test_weights_of_8_bits_differ_by_half_a_step_at_most() -> None:
    bundle = toy_bundle()
    rounded, size = weights.with_int8(bundle)
    assert size > 0
    for name, values in bundle.weights.items():
        step = np.abs(values).reshape(-1, values.shape[-1]).max(axis=0) / 127
        difference = np.abs(rounded.weights[name] - values)
        assert (difference <= (0.501 * step if name.endswith("kernel") else 0)).all()


def test_recordings_are_drawn_always_alike() -> None:
    rows = read_manifest(SPEECH)
    one = weights.drawn(rows, {"librispeech": 3, "commonvoice": 2})
    assert one == weights.drawn(read_manifest(SPEECH), {"librispeech": 3, "commonvoice": 2})
    assert sorted(row.corpus for row in one) == ["commonvoice"] * 2 + ["librispeech"] * 3
    assert weights.drawn(rows, {}) == rows
    with pytest.raises(UsageError, match="--draw: no recording is of libri"):
        weights.drawn(rows, {"librispeech": 3, "libri": 2})


def test_all_kinds_of_weights_are_measured(folder: Path) -> None:
    bundle = load_bundle(folder)
    speech = weights.load(bundle, read_manifest(SPEECH)[:1])
    rows = weights.measure(bundle, folder, speech)
    assert [row.split(" | ")[0] for row in rows] == ["| float16", "| int8", "| int8 products"]
