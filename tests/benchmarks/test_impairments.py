"""What impairments do to sound, each by a measure of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.impairments import (
    CLEAN,
    CLIPPED_SHARE,
    IMPAIRMENTS,
    QUIET_DB,
    ROOMS,
    SNRS_DB,
    STEPS,
    Impairment,
    Room,
    Speech,
    others_of,
    response,
)
from model.audio import read_audio
from model.corpora.manifest import Utterance, read_manifest
from model.errors import UsageError
from model.variation.noises import active_blocks, active_power
from model.variation.rooms import LEAD

RATE = 16_000
ROWS = read_manifest(Path(__file__).parents[1] / "data" / "speech" / "manifest.jsonl")
DRAWN = ("pink noise", "babble", "room")
"""Beginnings of the names of those that leave something to chance."""


@pytest.fixture(scope="module")
def speech() -> Speech:
    row = ROWS[10]
    return Speech(row, read_audio(row.audio, RATE), RATE, others_of(row, ROWS))


def named(name: str) -> Impairment:
    return next(one for one in IMPAIRMENTS if one.name == name)


def tone(hz: float, speech: Speech) -> Speech:
    time = np.arange(RATE) / RATE
    return replace(speech, samples=(0.3 * np.sin(2 * np.pi * hz * time)).astype(np.float32))


@pytest.mark.parametrize("impairment", IMPAIRMENTS, ids=lambda one: one.name)
def test_the_same_seed_gives_the_same_sound(impairment: Impairment, speech: Speech) -> None:
    before = speech.samples.copy()
    heard = impairment.apply(speech, seed=1)
    assert heard.dtype == np.float32
    assert heard.shape == speech.samples.shape
    assert np.isfinite(heard).all()
    np.testing.assert_array_equal(heard, impairment.apply(speech, seed=1))
    np.testing.assert_array_equal(speech.samples, before)
    assert np.array_equal(heard, speech.samples) == (impairment is CLEAN)


@pytest.mark.parametrize("impairment", IMPAIRMENTS, ids=lambda one: one.name)
def test_chance_comes_from_the_seed_and_the_recording(
    impairment: Impairment, speech: Speech
) -> None:
    other = replace(speech, row=replace(speech.row, text="another"))
    heard = [impairment.apply(speech, seed) for seed in range(1, 7)]
    alike = {sound.tobytes() for sound in (*heard, impairment.apply(other, 1))}
    assert (len(alike) > 1) == impairment.name.startswith(DRAWN)


@pytest.mark.parametrize("kind", ["pink noise", "babble"])
def test_noise_has_its_level_and_is_the_same_at_every_level(kind: str, speech: Speech) -> None:
    clean = speech.samples.astype(np.float64)
    added = [named(f"{kind}, {snr_db} dB").apply(speech, 1) - clean for snr_db in SNRS_DB]
    for snr_db, noise in zip(SNRS_DB, added, strict=True):
        ratio = active_power(speech.samples) / active_power(noise)
        assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=0.05)
        np.testing.assert_allclose(noise / np.std(noise), added[-1] / np.std(added[-1]), atol=1e-3)


def test_babble_is_made_of_other_speakers() -> None:
    row = ROWS[0]
    others = others_of(row, ROWS)
    assert others
    speakers = {other.speaker for other in ROWS if other.audio in others}
    assert row.speaker not in speakers
    assert speakers == {other.speaker for other in ROWS} - {row.speaker}
    unknown = [Utterance(Path(name), "a", 1.0) for name in ("one.wav", "two.wav")]
    assert others_of(unknown[0], unknown) == [Path("two.wav")]


def test_babble_without_others_is_refused(speech: Speech) -> None:
    with pytest.raises(UsageError, match="nobody else speaks in the manifest"):
        named("babble, 5 dB").apply(replace(speech, others=[]), 1)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: f"{room.rt60_s} s")
def test_rooms_reverberate_as_long_as_they_say(room: Room) -> None:
    from pyroomacoustics.experimental import measure_rt60

    for place in range(2):
        found = response(room, place, RATE)
        assert measure_rt60(found, fs=RATE, decay_db=20) == pytest.approx(room.rt60_s, rel=0.15)
        direct = int(np.argmax(np.abs(found) > 0.3 * np.abs(found).max()))
        assert abs(direct - LEAD) <= 2


@pytest.mark.parametrize(("hz", "passes"), [(60, False), (1000, True), (3000, True), (6000, False)])
def test_a_telephone_passes_its_band(hz: float, passes: bool, speech: Speech) -> None:
    sound = tone(hz, speech)
    heard = named("telephone").apply(sound, 1)[RATE // 4 :]
    gain_db = 10 * np.log10(np.mean(heard**2) / np.mean(sound.samples**2))
    assert gain_db == pytest.approx(0, abs=1) if passes else gain_db < -30


def test_quiet_speech_has_its_peak_and_whole_steps(speech: Speech) -> None:
    heard = named("quiet").apply(speech, 1).astype(np.float64)
    assert 20 * np.log10(np.abs(heard).max()) == pytest.approx(QUIET_DB, abs=0.05)
    np.testing.assert_array_equal(heard * STEPS, np.round(heard * STEPS))
    silent = replace(speech, samples=np.zeros(1000, np.float32))
    np.testing.assert_array_equal(named("quiet").apply(silent, 1), silent.samples)


def test_so_much_of_the_speech_is_clipped_whatever_its_pauses(speech: Speech) -> None:
    pause = np.zeros(3 * RATE, np.float32)
    for samples in (speech.samples, np.concatenate([speech.samples, pause])):
        heard = named("clipped").apply(replace(speech, samples=samples), 1)
        assert np.abs(heard).max() == 1
        of_speech = len(active_blocks(samples).ravel())
        assert np.sum(np.abs(heard) >= 1) / of_speech == pytest.approx(CLIPPED_SHARE, abs=0.01)
    silent = replace(speech, samples=pause)
    np.testing.assert_array_equal(named("clipped").apply(silent, 1), pause)
