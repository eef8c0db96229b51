from __future__ import annotations

import json
import pickle
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.audio import read_audio
from model.errors import AudioFileError, SettingsError
from model.recipe import Recipe, recipe_from
from model.settings import RangeError, load_settings
from model.variation.noises import active_power
from model.variation.perturbation import Perturbation, PerturbationSettings, add_noise

RATE = 16_000
SPEECH = Path(__file__).parents[2] / "data" / "speech"
QUIET = PerturbationSettings(
    speeds=(1.0,),
    room_share=0,
    noise_share=0,
    level_db=(-6.0, -6.0),
    clipping_share=0,
    band_share=0,
    codec_share=0,
    rooms=4,
    reverberation_s=(0.15, 0.25),
)


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return read_audio(SPEECH / "1737-146161-0013.opus", RATE)


def write_noise(folder: Path, name: str = "hum.wav") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(0).normal(0, 0.1, RATE // 2)
    soundfile.write(folder / name, samples, RATE // 2)
    return str(folder)


def changes(settings: PerturbationSettings, samples: np.ndarray, count: int) -> list[str]:
    """Return all changes to some recordings in words."""
    told: list[str] = []
    for index in range(count):
        Perturbation(settings, 1).apply(samples, RATE, index, told.append)
    return told


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
@pytest.mark.parametrize("length", [300, 5000, 200_000])
def test_the_ratio_of_speech_to_noise_is_the_one_asked_for(
    speech: np.ndarray, snr_db: float, length: int
) -> None:
    noise = np.random.default_rng(1).normal(0, 3, length)
    noisy = add_noise(speech, noise, snr_db, np.random.default_rng(2))
    assert noisy.dtype == np.float32
    added = noisy.astype(float) - speech
    ratio = active_power(speech) / active_power(added)
    assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=0.01)


def test_pauses_around_speech_do_not_lower_the_noise(speech: np.ndarray) -> None:
    noise = np.random.default_rng(1).normal(0, 1, RATE)
    padded = np.pad(speech, 320 * 200)
    near, far = (
        add_noise(samples, noise, 10, np.random.default_rng(2)) - samples
        for samples in (speech, padded)
    )
    assert active_power(far) == pytest.approx(active_power(near), rel=0.05)


@pytest.mark.parametrize(
    ("samples", "noise"),
    [([0.0] * 400, [0.1] * 99), ([0.1] * 400, [0.0] * 9), ([0.1], []), ([], [1])],
)
def test_silence_stays_as_it_is(samples: list[float], noise: list[float]) -> None:
    given = np.array(samples, np.float32)
    noisy = add_noise(given, np.array(noise), 5, np.random.default_rng(0))
    np.testing.assert_array_equal(noisy, given)


def test_seed_and_index_decide_the_result(speech: np.ndarray, tmp_path: Path) -> None:
    settings = replace(
        PerturbationSettings(), noise=(write_noise(tmp_path),), rooms=3, reverberation_s=(0.15, 0.2)
    )
    perturbation = Perturbation(settings, 1)
    sent = pickle.loads(pickle.dumps(perturbation))
    for index in range(6):
        np.testing.assert_array_equal(
            perturbation.apply(speech, RATE, index), sent.apply(speech, RATE, index)
        )
    first = perturbation.apply(speech, RATE, 0)
    for other in (
        perturbation.apply(speech, RATE, 1),
        Perturbation(settings, 2).apply(speech, RATE, 0),
    ):
        assert len(first) != len(other) or not np.array_equal(first, other)


def test_every_change_keeps_to_full_scale_and_to_the_length(speech: np.ndarray) -> None:
    settings = replace(
        QUIET,
        room_share=1,
        noise_share=1,
        clipping_share=0.5,
        band_share=1,
        codec_share=1,
        snr_db=(0.0, 10.0),
        speech=(str(SPEECH),),
    )
    for index in range(8):
        changed = Perturbation(settings, 1).apply(speech, RATE, index)
        assert changed.dtype == np.float32
        assert changed.shape == speech.shape
        assert np.abs(changed).max() <= 1


def test_without_changes_the_recording_is_only_brought_to_its_level(speech: np.ndarray) -> None:
    changed = Perturbation(QUIET, 1).apply(speech, RATE, 0)
    np.testing.assert_allclose(changed, speech * 10 ** (-6 / 20) / np.abs(speech).max(), atol=1e-6)


def test_speed_changes_the_length(speech: np.ndarray) -> None:
    settings = replace(QUIET, speeds=(0.9, 1.0, 1.1))
    ratios = {
        round(len(speech) / len(Perturbation(settings, 1).apply(speech, RATE, index)), 3)
        for index in range(20)
    }
    assert ratios == {0.9, 1.0, 1.1}


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("room_share", "in room"),
        ("noise_share", "noise"),
        ("clipping_share", "cut off"),
        ("codec_share", "encoded"),
    ],
)
def test_shares_say_how_often(name: str, words: str, share: float) -> None:
    settings = replace(QUIET, **{name: share}, codecs=("mulaw",))
    told = changes(settings, np.ones(400, np.float32) * 0.1, 100)
    count = sum(words in change for change in told)
    assert abs(count - 100 * share) <= (15 if 0 < share < 1 else 0)


def test_each_kind_of_noise_that_there_is_is_as_likely(tmp_path: Path) -> None:
    settings = replace(
        QUIET, noise_share=1, noise=(write_noise(tmp_path),), speech=(write_noise(tmp_path),)
    )
    told = changes(settings, np.ones(400, np.float32) * 0.1, 150)
    kinds = Counter(change.split()[0] for change in told if "ratio" in change)
    assert kinds.keys() == {"recorded", "babble", "white", "pink", "brown"}
    assert 30 < kinds["recorded"] < 70
    assert 30 < kinds["babble"] < 70
    only_computed = changes(replace(QUIET, noise_share=1), np.ones(400, np.float32) * 0.1, 30)
    assert not any("recorded" in change or "babble" in change for change in only_computed)


@pytest.mark.parametrize("length", [0, 1, 319, 320, 401])
def test_recordings_of_next_to_nothing_can_be_changed(length: int) -> None:
    settings = replace(
        QUIET, speeds=(1.1,), room_share=1, noise_share=1, band_share=1, codec_share=1
    )
    samples = np.full(length, 0.1, np.float32)
    for index in range(4):
        changed = Perturbation(settings, 1).apply(samples, RATE, index)
        assert np.isfinite(changed).all()
        assert len(changed) == length or length >= 320


def test_the_key_follows_what_decides_the_result(tmp_path: Path) -> None:
    folder = write_noise(tmp_path / "one")
    settings = replace(PerturbationSettings(), noise=(folder,))
    key = Perturbation(settings, 1).key()
    assert key == Perturbation(replace(settings, views=3, share=0.1), 1, tmp_path).key()
    moved = (tmp_path / "one").rename(tmp_path / "two")
    assert key == Perturbation(replace(settings, noise=(str(moved),)), 1).key()
    settings = replace(settings, noise=(str(moved),))
    others = [
        Perturbation(settings, 2),
        Perturbation(replace(settings, snr_db=(0.0, 25.0)), 1),
        Perturbation(replace(settings, noise=()), 1),
        Perturbation(replace(settings, noise=(), speech=settings.noise), 1),
    ]
    keys = {other.key() for other in others} | {key}
    write_noise(moved, "another.wav")
    assert len(keys | {Perturbation(settings, 1).key()}) == 6


def test_prepared_rooms_give_the_same_sound(speech: np.ndarray, tmp_path: Path) -> None:
    settings = replace(QUIET, room_share=1, rooms=2)
    done: list[int] = []
    prepared = Perturbation(settings, 1, tmp_path)
    prepared.prepare(RATE, done.append)
    assert done == [1, 2]
    for index in range(3):
        np.testing.assert_array_equal(
            prepared.apply(speech, RATE, index),
            Perturbation(settings, 1).apply(speech, RATE, index),
        )
    Perturbation(QUIET, 1, tmp_path / "unused").prepare(RATE)
    assert not (tmp_path / "unused").exists()


def test_noises_that_cannot_be_used_are_named(speech: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"perturbation\.speech"):
        Perturbation(replace(QUIET, speech=(str(tmp_path),)), 1).check_noises()
    (tmp_path / "bad.wav").write_text("no sound")
    bad = Perturbation(replace(QUIET, noise_share=1, noise=(str(tmp_path),), computed=()), 1)
    with pytest.raises(AudioFileError, match=r"bad\.wav"):
        bad.prepare(RATE)
    with pytest.raises(AudioFileError, match=r"bad\.wav"):
        bad.apply(speech, RATE, 0)


@pytest.mark.parametrize(
    "values",
    [
        {"views": -1},
        {"share": 1.1},
        {"codec_share": -0.1},
        {"speeds": ()},
        {"speeds": (0.4,)},
        {"rooms": 0},
        {"reverberation_s": (0.05, 0.5)},
        {"reverberation_s": (0.5, 0.9)},
        {"snr_db": (10.0, 5.0)},
        {"snr_db": (10.0,)},
        {"level_db": (-10.0, 1.0)},
        {"clipping_db": (-1.0, 1.0)},
        {"cutoff_hz": (100.0, 3000.0)},
        {"codecs": ()},
        {"computed": ()},
    ],
)
def test_settings_out_of_their_ranges_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(RangeError, match=next(iter(values))):
        PerturbationSettings(**values)  # type: ignore[arg-type]


def test_a_recipe_holds_its_perturbation(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("perturbation: {views: 2, noise: [a, b], codecs: [gsm], snr_db: [0, 5]}\n")
    recipe = load_settings(Recipe, path)
    assert recipe.perturbation == PerturbationSettings(
        views=2, noise=("a", "b"), codecs=("gsm",), snr_db=(0, 5)
    )
    assert recipe_from(json.loads(json.dumps(asdict(recipe)))) == recipe
    old = asdict(Recipe())
    del old["perturbation"]
    assert recipe_from(old).perturbation.views == 0
