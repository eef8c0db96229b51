"""``train.py evaluate`` as a user calls it, with a model of random weights on real speech."""

from __future__ import annotations

import io
import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

import model.evaluation.assessment
from model.alphabet import ENGLISH
from model.audio import read_audio
from model.bundle import ModelBundle, load_bundle, save_bundle, save_report, weight_shapes
from model.commands.common import save_model
from model.commands.terminal import Terminal
from model.corpora.manifest import Utterance, read_manifest, write_manifest
from model.features import FeatureSettings, FeatureStatistics
from model.recipe import NetworkSettings
from tests.lm.toys import write_arpa
from train import main

MANIFEST = Path(__file__).resolve().parents[2] / "data/speech/manifest.jsonl"
NETWORK = NetworkSettings(kernels=(3,), strides=(4,), filters=4, layers=1, units=4)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    weights = {
        name: random.normal(0, 1, shape).astype(np.float32)
        for name, shape in weight_shapes(NETWORK).items()
    }
    size = NETWORK.features
    statistics = FeatureStatistics(np.full(size, -9, np.float32), np.full(size, 3, np.float32))
    toy = ModelBundle("toy", ENGLISH, FeatureSettings(), statistics, NETWORK, weights)
    return save_bundle(toy, tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let SIGINT interrupt this process, which shells prevent for what runs in the background."""
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def evaluate(*arguments: str | Path) -> tuple[int, str, str]:
    """Return the exit code, and what was shown on the terminal and as notices."""
    out, log = io.StringIO(), io.StringIO()
    terminal = Terminal(Console(file=out, width=80), Console(file=log, width=140))
    code = main(["evaluate", *map(str, arguments)], terminal)
    return code, out.getvalue(), log.getvalue()


def test_a_report_stays_where_the_same_model_is_saved_again(bundle: Path, tmp_path: Path) -> None:
    toy = load_bundle(bundle)
    save_model(toy, tmp_path / "model")
    save_report(load_bundle(tmp_path / "model"), tmp_path / "model", "2 % errors")
    save_model(toy, tmp_path / "model")
    assert load_bundle(tmp_path / "model").provenance.report == "2 % errors"
    weights = {name: array + 1 for name, array in toy.weights.items()}
    save_model(replace(toy, weights=weights), tmp_path / "model")
    assert load_bundle(tmp_path / "model").provenance.report == ""


def test_a_folder_gets_everything_and_the_same_each_time(bundle: Path, tmp_path: Path) -> None:
    arguments = ("--bundle", bundle, "--manifest", MANIFEST, "--limit", "3", "--noise", "10", "0")
    folders = [tmp_path / "deep" / name for name in ("one", "two")]
    for folder in folders:
        code, shown, log = evaluate(*arguments, "--output", folder)
        assert code == 0, log
    for part in ("librispeech", "commonvoice", "overall", "no noise", "10 dB", "0 dB", "95 %"):
        assert part in shown
    assert "…" not in shown
    names = sorted(path.name for path in folders[0].iterdir())
    assert names == [
        *("character_confusions.png", "report.json", "report.md", "wer_by_corpus.png"),
        *("wer_by_length.png", "wer_by_noise.png", "wer_by_speaker.png"),
    ]
    for name in names:
        one, other = (_without_timing(folder / name) for folder in folders)
        assert one == other, name
    record = json.loads((folders[0] / "report.json").read_text(encoding="utf-8"))
    assert (record["readings"], record["readings_planned"]) == (18, 18)
    assert record["command"].endswith("--limit 3 --noise 10 0 --noise-kind pink")
    assert [level["snr_db"] for level in record["noise"]["levels"]] == [10, 0]
    assert record["utterances"][0]["audio"].endswith("669-129074-0001.opus")


def _without_timing(path: Path) -> bytes:
    if path.suffix == ".json":
        record = json.loads(path.read_bytes())
        assert record.pop("timing")["real_time_factor"] > 0
        return json.dumps(record).encode()
    lines = path.read_bytes().splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(b"Real-time factor"))


def test_noise_may_come_from_recordings_and_go_into_the_card(bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "toy")
    noise = tmp_path / "noise"
    noise.mkdir()
    shutil.copy(MANIFEST.parent / "669-129074-0024.opus", noise / "voice.opus")
    code, _, log = evaluate(
        *("--bundle", copy, "--manifest", MANIFEST, "--limit", "1", "--card"),
        *("--noise", "5", "--noise-folder", noise),
    )
    assert code == 0, log
    card = (copy / "MODEL_CARD.md").read_text(encoding="utf-8")
    for part in ("| overall | 2 |", "### By speaker", "| 5 dB | 2 |", "of 1 recording in"):
        assert part in card
    assert load_bundle(copy).provenance.report in card


def test_a_signal_ends_it_with_what_was_read(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(bundle, tmp_path / "toy")
    before = (copy / "MODEL_CARD.md").read_bytes()
    read: list[Path] = []

    def interrupted(path: Path, rate: int) -> np.ndarray:
        read.append(path)
        if len(read) == 3:
            signal.raise_signal(signal.SIGINT)
        return read_audio(path, rate)

    monkeypatch.setattr(model.evaluation.assessment, "read_audio", interrupted)
    output = tmp_path / "report.json"
    code, shown, log = evaluate(
        "--bundle", copy, "--manifest", MANIFEST, "--output", output, "--card"
    )
    assert code == 1
    assert "overall" in shown
    for part in ("stopping after this recording", "3 of 12 readings were done", "left as it was"):
        assert part in log
    assert json.loads(output.read_bytes())["overall"]["recordings"] == 3
    assert (copy / "MODEL_CARD.md").read_bytes() == before


def damaged_manifest(folder: Path) -> Path:
    """Return a manifest of two recordings, the first of which breaks off."""
    rows = read_manifest(MANIFEST)[:2]
    damaged = folder / "damaged.flac"
    soundfile.write(damaged, read_audio(rows[0].audio, 16_000), 16_000)
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    lost = Utterance(damaged, rows[0].text, rows[0].duration, corpus="lost")
    write_manifest(folder / "m.jsonl", [lost, rows[1]])
    return folder / "m.jsonl"


def test_a_damaged_recording_fails_it_after_the_others_are_reported(
    bundle: Path, tmp_path: Path
) -> None:
    manifest, output = damaged_manifest(tmp_path), tmp_path / "report.md"
    code, _, log = evaluate("--bundle", bundle, "--manifest", manifest, "--output", output)
    assert code == 2
    assert "1 recording cannot be used" in log and "damaged.flac: damaged" in log
    assert "1 of 2 readings" in output.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--output", "{tmp}/r.txt"], "--output: must end in .json or .md, or be a folder"),
        (["--output", "{tmp}/file/deep/r.md"], "r.md: cannot be written (Not a directory)"),
        (["--output", "{tmp}/file"], "file: cannot be written (Not a directory)"),
        (["--noise-folder", "{tmp}"], "--noise-folder: needs levels too; give --noise 20 10 5 0"),
        (["--noise", "5", "--noise-folder", "{tmp}"], "is no folder with recordings"),
        (["--manifest", "{tmp}/gone.jsonl"], "2 recordings cannot be used; mend or remove"),
        (["--bundle", "{tmp}/gone"], "gone: no such folder; give a model bundle"),
    ],
)
def test_bad_input_is_explained_before_the_work(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], message: str
) -> None:
    (tmp_path / "file").touch()
    gone = [Utterance(tmp_path / name, "a", 1.0) for name in ("x.wav", "y.wav")]
    write_manifest(tmp_path / "gone.jsonl", gone)
    monkeypatch.setattr(model.evaluation.assessment.Assessor, "assess", pytest.fail)
    arguments = [part.format(tmp=tmp_path) for part in more]
    code, _, log = evaluate("--bundle", bundle, "--manifest", MANIFEST, *arguments)
    assert code == 2
    assert message in log
    assert "Traceback" not in log


@pytest.mark.parametrize("level", ["loud", "nan", "101"])
def test_a_level_that_is_none_is_refused(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", "--bundle", "b", "--manifest", "m", "--noise", level])
    assert caught.value.code == 2
    assert "must be a number from -50 to 100" in capsys.readouterr().err


def test_a_language_model_reads_only_words_that_it_knows(bundle: Path, tmp_path: Path) -> None:
    language_model = write_arpa(tmp_path / "tiny.arpa")
    code, shown, log = evaluate(
        *("--bundle", bundle, "--manifest", MANIFEST, "--limit", "1"),
        *("--language-model", language_model, "--output", tmp_path / "report.json"),
    )
    assert code == 0, log
    assert "beam search with" in shown
    record = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert f"--language-model {language_model}" in record["command"]
    missing = tmp_path / "none.arpa"
    code, _, log = evaluate("--bundle", bundle, "--manifest", MANIFEST, "--language-model", missing)
    assert (code, "none.arpa: no such file" in log) == (2, True)
