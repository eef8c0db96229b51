"""The models, the engines and the speed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from streamer.doctor.recognition import (
    check_engines,
    check_language_model,
    check_model,
    check_speed,
    judge_speed,
)
from streamer.settings import DecoderSettings, LiveSettings
from tests.streamer.doctor.machines import only

ROOT = Path(__file__).parents[3]
CLIP = ROOT / "tests/data/speech/common_voice_en_17369372.opus"


def changed(path: Path) -> None:
    """Change one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def with_language_model(path: Path | None) -> LiveSettings:
    return LiveSettings(decoder=DecoderSettings(language_model=path))


def test_the_shipped_models_are_whole() -> None:
    model, language = only(check_model(LiveSettings())), only(check_language_model(LiveSettings()))
    assert (model.status, language.status) == ("ok", "ok")
    assert model.figures["name"] in model.text


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda folder: changed(folder / "weights.npz"), "weights.npz"),
        (lambda folder: changed(folder / "bundle.json"), "bundle.json"),
        (lambda folder: (folder / "weights.npz").unlink(), "weights.npz"),
        (shutil.rmtree, "no such folder"),
    ],
)
def test_a_damaged_model_is_a_failure_with_a_remedy(
    tmp_path: Path, damage: Callable[[Path], None], named: str
) -> None:
    folder = shutil.copytree(ROOT / "models/default", tmp_path / "model")
    damage(folder)
    finding = only(check_model(LiveSettings(model=folder)))
    assert (finding.status, named in finding.text) == ("failure", True)
    assert finding.remedy


def test_a_damaged_language_model_is_found_to_the_last_byte(tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / "models/language", tmp_path / "language")
    changed(folder / "lm.binary")
    finding = only(check_language_model(with_language_model(folder)))
    assert (finding.status, "lm.binary" in finding.text) == ("failure", True)


def test_other_language_models_are_told_without_a_checksum(tmp_path: Path) -> None:
    arpa = tmp_path / "words.arpa"
    arpa.write_text("\\data\\")
    assert only(check_language_model(with_language_model(arpa))).status == "ok"
    missing = only(check_language_model(with_language_model(tmp_path / "none.arpa")))
    assert missing.status == "failure"
    assert only(check_language_model(with_language_model(None))).status == "absent"


def test_an_engine_that_cannot_run_fails_only_where_it_is_chosen() -> None:
    def unusable(engine: str) -> str:
        return "" if engine == "onnx" else f"{engine} lacks a library; install it"

    assert only(check_engines(LiveSettings(), unusable)).status == "ok"
    finding = only(check_engines(replace(LiveSettings(), engine="litert"), unusable))
    assert (finding.status, finding.remedy) == ("failure", "install it")
    assert "litert lacks a library" in finding.text
    assert finding.figures["unusable"]["tensorflow"] == "tensorflow lacks a library; install it"


@pytest.mark.parametrize(
    ("factor", "status"), [(0.07, "ok"), (0.5, "ok"), (0.7, "warning"), (1.4, "failure")]
)
def test_a_speed_is_judged(factor: float, status: str) -> None:
    finding = judge_speed(factor, 1.0, 200)
    assert (finding.status, bool(finding.remedy)) == (status, status != "ok")
    assert f"{1 / factor:.1f} times" in finding.text


def test_the_speed_is_that_of_the_live_path() -> None:
    finding = only(check_speed(LiveSettings(), CLIP))
    assert finding.check == "speed"
    assert 0 < finding.figures["real_time_factor"] < 100
    assert finding.figures["memory_mb"] > 50


def test_a_speed_that_cannot_be_tried_is_told(tmp_path: Path) -> None:
    assert only(check_speed(LiveSettings(), tmp_path / "none.flac")).status == "absent"
    broken = LiveSettings(model=tmp_path)
    assert only(check_speed(broken, CLIP)).status == "failure"
