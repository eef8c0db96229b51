"""Perturbed speech as a user hears it and as a training uses it."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from model.audio import read_audio
from model.bundle import load_bundle
from model.commands.perturb import perturbed_features
from model.commands.terminal import Terminal
from model.corpora.manifest import Utterance
from model.errors import AudioFileError
from model.features import FeatureExtractor
from model.recipe import Recipe
from model.variation.perturbation import Perturbation, PerturbationSettings
from train import main

SPEECH = Path(__file__).parents[2] / "data" / "speech" / "1737-146161-0013.opus"
FEW_ROOMS = PerturbationSettings(views=2, rooms=2, reverberation_s=(0.15, 0.2))


def run(*arguments: str | Path) -> tuple[int, str]:
    """Run the program; return its exit code and what it said."""
    log = io.StringIO()
    terminal = Terminal(Console(file=io.StringIO()), Console(file=log, width=200))
    return main([str(argument) for argument in arguments], terminal), log.getvalue()


def recipe_with(settings: PerturbationSettings) -> Recipe:
    return dataclasses.replace(Recipe(), perturbation=settings)


def quiet_terminal() -> Terminal:
    return Terminal(Console(file=io.StringIO()), Console(file=io.StringIO()))


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_perturbed_recording_can_be_heard(tmp_path: Path, suffix: str) -> None:
    output = tmp_path / "new" / f"changed{suffix}"
    speeds = ("--set", "perturbation.speeds=[1.1]")
    code, said = run("perturb", SPEECH, "--output", output, "--seed", "2", *speeds)
    assert code == 0
    assert "1.1 times as fast" in said
    assert "its peak at" in said
    samples, rate = soundfile.read(output)
    assert rate == 16_000
    assert len(samples) == pytest.approx(len(read_audio(SPEECH, rate)) / 1.1, abs=2)


def test_a_seed_decides_what_is_heard(tmp_path: Path) -> None:
    heard = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "3")):
        run("perturb", SPEECH, "--output", tmp_path / f"{name}.wav", "--seed", seed)
        heard.append((tmp_path / f"{name}.wav").read_bytes())
    assert heard[0] == heard[1] != heard[2]


@pytest.mark.parametrize(
    ("audio", "output", "more", "words"),
    [
        ("speech.wav", "out.mp3", (), "must end in .wav or .flac"),
        ("speech.wav", "speech.wav", (), "is also to be read"),
        ("none.wav", "out.wav", (), "no such file"),
        ("speech.wav", "speech.wav/out.wav", (), "cannot be written"),
        ("speech.wav", "out.wav", ("perturbation.noise=[nowhere]",), "is no folder with record"),
        ("speech.wav", "out.wav", ("perturbation.speed=[1]",), "did you mean speeds"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_remedy(
    tmp_path: Path, audio: str, output: str, more: Sequence[str], words: str
) -> None:
    soundfile.write(tmp_path / "speech.wav", np.full(2000, 0.1), 16_000)
    before = (tmp_path / "speech.wav").read_bytes()
    overrides = [part for value in more for part in ("--set", value)]
    code, said = run("perturb", tmp_path / audio, "--output", tmp_path / output, *overrides)
    assert code == 2
    assert words in said
    assert [path.name for path in tmp_path.iterdir()] == ["speech.wav"]
    assert (tmp_path / "speech.wav").read_bytes() == before


def test_views_hold_the_features_of_perturbed_recordings(
    tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    recipe = recipe_with(FEW_ROOMS)
    views = perturbed_features(tone_rows, recipe, tmp_path, quiet_terminal())
    assert len(views) == 2
    for number, view in enumerate(views, 1):
        perturbation = Perturbation(FEW_ROOMS, number)
        for index, row in enumerate(tone_rows):
            samples = perturbation.apply(read_audio(row.audio, 16_000), 16_000, index)
            expected = FeatureExtractor(recipe.features).extract(samples)
            np.testing.assert_allclose(view.utterance(index), expected, atol=0.01)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    perturbed_features(tone_rows, recipe, tmp_path, quiet_terminal())
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_without_views_nothing_is_computed(tone_rows: Sequence[Utterance], tmp_path: Path) -> None:
    assert perturbed_features(tone_rows, Recipe(), tmp_path / "cache", quiet_terminal()) == []
    assert not (tmp_path / "cache").exists()


def test_a_noise_that_is_no_audio_is_named_before_any_work(
    tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / "bad.ogg").write_text("no sound")
    settings = dataclasses.replace(FEW_ROOMS, noise=(str(tmp_path / "noise"),))
    with pytest.raises(AudioFileError, match=r"bad\.ogg"):
        perturbed_features(tone_rows, recipe_with(settings), tmp_path / "cache", quiet_terminal())
    assert not (tmp_path / "cache").exists()


def test_a_training_uses_perturbed_copies(
    tone_manifest: Path, dev_manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    values = (
        *("perturbation.views=1", "perturbation.share=1", "perturbation.room_share=0"),
        *("network.kernels=[5]", "network.strides=[2]", "network.filters=8", "network.layers=1"),
        *("network.units=8", "training.batch_s=4", "training.bucket_s=[2]", "training.passes=1"),
    )
    code, said = run(
        *("fit", "--manifest", tone_manifest, "--dev", dev_manifest),
        *("--output", tmp_path / "run", "--cache", tmp_path / "cache"),
        *(part for value in values for part in ("--set", value)),
    )
    assert code == 0, said
    recipe = load_bundle(tmp_path / "run" / "bundle").provenance.recipe
    assert recipe["perturbation"]["views"] == 1
    assert len(list((tmp_path / "cache").glob("*.ends.npy"))) == 3
