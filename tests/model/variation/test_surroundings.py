from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.audio import read_audio
from model.features import LOG_FLOOR, FeatureExtractor, FeatureSettings, FeatureStatistics
from model.recipe import Recipe, recipe_from
from model.settings import RangeError
from model.training.batches import Corpus
from model.training.feature_cache import CachedFeatures, FeatureShard
from model.variation.augmentation import AugmentationSettings
from model.variation.surroundings import Surroundings, SurroundingsSettings

RATE = 16_000
SPEECH = Path(__file__).parents[2] / "data" / "speech"
LOG_MELS = FeatureSettings()
SPECTROGRAM = FeatureSettings(kind="spectrogram")
KINDS = pytest.mark.parametrize("features", [LOG_MELS, SPECTROGRAM], ids=lambda kind: kind.kind)


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return read_audio(SPEECH / "1737-146161-0013.opus", RATE)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def nobody(random: np.random.Generator) -> np.ndarray:
    raise AssertionError("no voice is wanted")


def powers(features: np.ndarray) -> np.ndarray:
    return np.exp(features.astype(np.float64)) - LOG_FLOOR


def changed(
    sound: np.ndarray, features: FeatureSettings, seed: int = 0, **values: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return features of a sound, and the same in other surroundings."""
    before = FeatureExtractor(features).extract(sound)
    surroundings = Surroundings(SurroundingsSettings(**values), features)
    return before, surroundings.change(before, seeded(seed), nobody)


def speech_level_db(spectra: np.ndarray) -> float:
    """Return the level of spectra whose bins are of equal width, pauses left out."""
    totals = spectra.sum(axis=1)
    return 10 * np.log10(totals[totals >= totals.max() / 1000].mean())


@KINDS
@pytest.mark.parametrize("level_db", [-40.0, -6.0, 0.0])
def test_quieter_is_what_quieter_sound_gives(
    speech: np.ndarray, features: FeatureSettings, level_db: float
) -> None:
    _, quiet = changed(speech, features, level_share=1.0, level_db=(level_db, level_db))
    wanted = FeatureExtractor(features).extract(speech * np.float32(10 ** (level_db / 20)))
    np.testing.assert_allclose(quiet, wanted, atol=0.02)


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 25.0])
@pytest.mark.parametrize("seed", range(3))
def test_noise_is_as_loud_as_asked_for(speech: np.ndarray, snr_db: float, seed: int) -> None:
    clean, noisy = changed(speech, SPECTROGRAM, seed, noise_share=1.0, snr_db=(snr_db, snr_db))
    noise = powers(noisy) - powers(clean)
    ratio = speech_level_db(powers(clean)) - speech_level_db(noise)
    assert ratio == pytest.approx(snr_db, abs=0.2)


@KINDS
def test_noise_is_as_uneven_as_that_of_sound(features: FeatureSettings) -> None:
    silence = np.zeros(20 * RATE, np.float32)
    silence[:400] = 1e-3  # what the noise is measured by
    _, noisy = changed(silence, features, 3, noise_share=1.0, snr_db=(-30.0, -30.0))
    hiss = FeatureExtractor(features).extract(seeded(5).normal(0, 0.1, 20 * RATE))
    for lag in (1, 3):  # neighbouring frames overlap, the others hardly do
        found, wanted = (np.diff(x[10:, 10:70][::lag], axis=0).std() for x in (noisy, hiss))
        assert found == pytest.approx(wanted, rel=0.05)


def test_noises_differ_in_colour() -> None:
    tone = np.sin(np.arange(RATE) * 0.3).astype(np.float32)
    tilts = []
    for seed in range(30):
        _, noisy = changed(tone, LOG_MELS, seed, noise_share=1.0, snr_db=(-20.0, -20.0))
        tilts.append(float(noisy[:, 5:15].mean() - noisy[:, 60:].mean()))
    assert min(tilts) < 1 and max(tilts) > 4


@pytest.mark.parametrize("reverberation_s", [0.2, 0.6])
def test_a_room_falls_by_60_db_in_its_time(reverberation_s: float) -> None:
    burst = np.zeros(2 * RATE, np.float32)
    burst[:RATE] = seeded(2).normal(0, 0.5, RATE)
    slopes = []
    for seed in range(10):
        times = (reverberation_s, reverberation_s)
        _, heard = changed(burst, LOG_MELS, seed, room_share=1.0, reverberation_s=times)
        tail = powers(heard)[102 : 102 + round(40 * reverberation_s)]
        tail = 10 * np.log10(tail.mean(axis=1))
        slopes.append(np.polyfit(np.arange(len(tail)) * 0.01, tail, 1)[0])
    assert np.mean(slopes) == pytest.approx(-60 / reverberation_s, rel=0.05)


def test_a_room_takes_nothing_away(speech: np.ndarray) -> None:
    dry, wet = changed(speech, LOG_MELS, room_share=1.0)
    assert np.all(wet >= dry - 1e-3)
    assert (wet - dry).mean() > 0.1


def test_babble_is_made_of_other_voices(speech: np.ndarray) -> None:
    extractor = FeatureExtractor(SPECTROGRAM)
    clean = extractor.extract(speech)
    tone = extractor.extract(np.sin(np.arange(3 * RATE) * 2 * np.pi / 16).astype(np.float32))
    settings = SurroundingsSettings(babble_share=1.0, snr_db=(10.0, 10.0))
    noisy = Surroundings(settings, SPECTROGRAM).change(clean, seeded(), lambda random: tone)
    added = powers(noisy) - powers(clean)
    [loudest] = np.flatnonzero(added.mean(axis=0) == added.mean(axis=0).max())
    assert SPECTROGRAM.bins[loudest] * RATE / SPECTROGRAM.fft_size == 1000
    assert speech_level_db(powers(clean)) - speech_level_db(added) == pytest.approx(10, abs=0.2)


def test_voices_that_say_nothing_are_no_babble(speech: np.ndarray) -> None:
    clean = FeatureExtractor(LOG_MELS).extract(speech)
    empty, silent = np.zeros((0, 80), np.float32), np.full((50, 80), np.log(LOG_FLOOR), np.float32)
    surroundings = Surroundings(SurroundingsSettings(babble_share=1.0), LOG_MELS)
    for voice in (empty, silent):
        noisy = surroundings.change(clean, seeded(), lambda random, voice=voice: voice)
        np.testing.assert_allclose(noisy, clean, atol=1e-3)


@KINDS
@pytest.mark.parametrize("samples", [0, 400, 5 * RATE])
def test_silence_stays_finite(features: FeatureSettings, samples: int) -> None:
    everything = {f"{kind}_share": 1.0 for kind in ("room", "noise", "babble", "level")}
    silence = FeatureExtractor(features).extract(np.zeros(samples, np.float32))
    surroundings = Surroundings(SurroundingsSettings(**everything), features)
    after = surroundings.change(silence, seeded(), lambda random: silence)
    assert after.shape == silence.shape and after.dtype == silence.dtype
    assert np.isfinite(after).all()


def test_shares_are_how_often(speech: np.ndarray) -> None:
    before = FeatureExtractor(LOG_MELS).extract(speech[:RATE])
    surroundings = Surroundings(SurroundingsSettings(noise_share=0.3), LOG_MELS)
    random = seeded()
    unchanged = [surroundings.change(before, random, nobody) is before for _ in range(1000)]
    assert 0.65 < np.mean(unchanged) < 0.75


def corpus(settings: SurroundingsSettings) -> Corpus:
    lengths = [60, 60, 58]
    frames = seeded().normal(-5, 2, (sum(lengths), 80)).astype(np.float16)
    return Corpus(
        CachedFeatures((FeatureShard(frames, np.cumsum(lengths, dtype=np.int64)),), 80),
        [[1], [2], [3]],
        FeatureStatistics(np.zeros(80, np.float32), np.ones(80, np.float32), prior_frames=1e12),
        stride=4,
        batch_frames=180,
        bucket_frames=(60,),
        frame_s=0.01,
        surroundings=Surroundings(settings, LOG_MELS),
    )


def test_a_batch_is_heard_in_surroundings_unless_it_is_to_judge() -> None:
    data = corpus(SurroundingsSettings(noise_share=1.0, babble_share=1.0, room_share=1.0))
    plain = corpus(SurroundingsSettings())
    [planned] = data.plan(np.ones(3, int), seeded())
    augmentation = AugmentationSettings(vocal_tract=0)
    clean = plain.assemble(planned, augmentation, 0, seeded(4)).features
    judged = data.assemble(planned, None, 0, seeded(4)).features
    np.testing.assert_array_equal(judged, clean)
    whole, first, rest = (
        data.assemble(planned, augmentation, 0, seeded(4), part).features
        for part in (slice(None), slice(0, 1), slice(1, None))
    )
    assert np.abs(whole - clean).max() > 0.1
    np.testing.assert_array_equal(np.concatenate([first, rest]), whole)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"noise_share": 1.5}, "noise_share: must be 0 to 1"),
        ({"snr_db": (10.0, 5.0)}, "snr_db: must be a lowest and a highest value"),
        ({"reverberation_s": (0.0, 0.5)}, "reverberation_s: must be a lowest and a highest value"),
        ({"level_db": (-20.0,)}, "level_db: must be a lowest and a highest value"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, Any], rule: str) -> None:
    with pytest.raises(RangeError, match=rule):
        SurroundingsSettings(**values)


def test_cepstra_have_no_surroundings() -> None:
    augmentation = AugmentationSettings(vocal_tract=0)
    recipe = Recipe(features=FeatureSettings(kind="mfcc"), augmentation=augmentation)
    with pytest.raises(RangeError, match="its shares must be 0 where"):
        replace(recipe, surroundings=SurroundingsSettings(noise_share=0.1))


def test_a_recipe_of_before_has_none() -> None:
    values = asdict(Recipe())
    del values["surroundings"]
    assert recipe_from(values) == Recipe()
