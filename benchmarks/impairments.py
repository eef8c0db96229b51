"""What happens to speech on its way to a recogniser: noise, rooms, telephones, wrong levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from model.corpora.manifest import Utterance
from model.errors import UsageError
from model.evaluation.assessment import seed_of
from model.variation.channels import TELEPHONE_HZ, encode, set_peak, telephone_band
from model.variation.noises import VOICES, active_blocks, babble, coloured_noise
from model.variation.perturbation import add_noise
from model.variation.rooms import draw_places, reverberate, room_response

SNRS_DB = (20, 10, 5)
"""Ratios of speech to noise, dB; see :func:`model.variation.perturbation.add_noise`."""

DISTANCE_M = (2.0, 3.0)
"""Least and greatest distance between voice and microphone in a room, metres."""

PLACES = 4
"""Pairs of places of voice and microphone in each room."""

QUIET_DB = -40.0
"""Peak of quiet speech, dB of full scale."""

STEPS = 1 << 15
"""Steps of 16-bit sound from 0 to full scale."""

CLIPPED_SHARE = 0.1
"""Share of the samples of speech, pauses left out, that are beyond full scale."""


@dataclass(frozen=True)
class Speech:
    """A recording and what may sound beside it.

    Attributes:
        row: The recording.
        samples: float32 (n,), -1 to 1.
        sample_rate: Hz.
        others: Recordings of other speakers.
    """

    row: Utterance
    samples: np.ndarray
    sample_rate: int
    others: Sequence[Path] = ()


Change = Callable[[Speech, np.random.Generator], np.ndarray]
"""From a recording and chance to float32 (n,)."""


@dataclass(frozen=True)
class Impairment:
    """One way in which speech becomes harder to recognise.

    Attributes:
        name: What it is called.
        kind: Those of a kind draw alike: the same noise at every level.
        about: What it does, in words.
        change: Does it.
    """

    name: str
    kind: str
    about: str
    change: Change

    def apply(self, speech: Speech, seed: int) -> np.ndarray:
        """Return the recording so changed, float32 (n,); always the same for a seed.

        Raises:
            AudioFileError: If another recording, which is to sound with it, cannot be read.
            UsageError: If there is none.
        """
        parts = [seed, seed_of(speech.row), *self.kind.encode()]
        return self.change(speech, np.random.default_rng(parts))


@dataclass(frozen=True)
class Room:
    """A room without furniture whose walls all absorb alike.

    Attributes:
        sides: Length, width and height, metres.
        sabine_s: Time in which its sound falls by 60 dB by Sabine's formula, seconds; what
            the simulation has is longer in large rooms.
        rt60_s: That time as it is measured of the simulation, seconds.
    """

    sides: tuple[float, float, float]
    sabine_s: float
    rt60_s: float


ROOMS = (Room((4.2, 3.4, 2.5), 0.3, 0.3), Room((7.0, 5.2, 3.0), 0.6, 0.7))
"""An office and a meeting room."""


def others_of(row: Utterance, rows: Sequence[Utterance]) -> list[Path]:
    """Return the recordings of ``rows`` that somebody else speaks than ``row``."""

    def is_another(other: Utterance) -> bool:
        same = (other.corpus, other.speaker) == (row.corpus, row.speaker)
        return other.audio != row.audio and not (same and row.speaker)

    return [other.audio for other in rows if is_another(other)]


def clean(speech: Speech, random: np.random.Generator) -> np.ndarray:
    """Return a recording as it is."""
    return speech.samples


def pink_noise(snr_db: float) -> Change:
    """Return what adds computed pink noise."""

    def change(speech: Speech, random: np.random.Generator) -> np.ndarray:
        noise = coloured_noise("pink", len(speech.samples), speech.sample_rate, random)
        return add_noise(speech.samples, noise, snr_db, random)

    return change


def babble_noise(snr_db: float) -> Change:
    """Return what adds the voices of others."""

    def change(speech: Speech, random: np.random.Generator) -> np.ndarray:
        if not speech.others:
            raise UsageError(
                f"{speech.row.audio}: nobody else speaks in the manifest, and babble is made of "
                "others' recordings; add some, or leave babble out with --only"
            )
        noise = babble(speech.others, len(speech.samples), speech.sample_rate, random)
        return add_noise(speech.samples, noise, snr_db, random)

    return change


def in_room(room: Room) -> Change:
    """Return what puts a voice into a room, at one of ``PLACES`` pairs of places."""

    def change(speech: Speech, random: np.random.Generator) -> np.ndarray:
        place = int(random.integers(PLACES))
        return reverberate(speech.samples, response(room, place, speech.sample_rate))

    return change


@lru_cache(maxsize=len(ROOMS) * PLACES)
def response(room: Room, place: int, sample_rate: int) -> np.ndarray:
    """Return the impulse response of a room, float32 (n,), for a pair of places by number."""
    sides = np.array(room.sides)
    places = draw_places(sides, np.random.default_rng(place), DISTANCE_M)
    return room_response(sides, room.sabine_s, places, sample_rate)


def telephone(speech: Speech, random: np.random.Generator) -> np.ndarray:
    """Return a recording as it comes over a telephone line."""
    band = telephone_band(speech.samples, speech.sample_rate)
    return encode(band, speech.sample_rate, "mulaw", random)


def quiet(speech: Speech, random: np.random.Generator) -> np.ndarray:
    """Return a recording at ``QUIET_DB`` in the steps of 16 bits that are left there."""
    return np.round(set_peak(speech.samples, QUIET_DB) * STEPS) / np.float32(STEPS)


def clipped(speech: Speech, random: np.random.Generator) -> np.ndarray:
    """Return a recording so loud that ``CLIPPED_SHARE`` of its speech is cut off."""
    levels = np.abs(active_blocks(speech.samples))
    ceiling = float(np.quantile(levels, 1 - CLIPPED_SHARE)) if levels.size else 0.0
    if not ceiling:
        return speech.samples
    return np.clip(speech.samples / np.float32(ceiling), -1, 1)


def _at_all_levels(kind: str, about: str, change: Callable[[float], Change]) -> list[Impairment]:
    return [
        Impairment(f"{kind}, {snr_db} dB", kind, about, change(float(snr_db))) for snr_db in SNRS_DB
    ]


def _room(room: Room) -> Impairment:
    name = f"room, RT60 {room.rt60_s:g} s"
    sides = " x ".join(f"{side:g}" for side in room.sides)
    distance = " to ".join(f"{metres:g}" for metres in DISTANCE_M)
    about = (
        f"simulated by image sources, {sides} m, {room.sabine_s:g} s by Sabine's formula, "
        f"voice and microphone {distance} m apart at {PLACES} pairs of places"
    )
    return Impairment(name, name, about, in_room(room))


CLEAN = Impairment("clean", "clean", "the recordings as they are", clean)

IMPAIRMENTS = (
    CLEAN,
    *_at_all_levels("pink noise", "computed; the same noise at every level", pink_noise),
    *_at_all_levels(
        "babble",
        f"{VOICES[0]} to {VOICES[1]} recordings of other speakers of the manifest at once, "
        "equally loud; the same at every level",
        babble_noise,
    ),
    *map(_room, ROOMS),
    Impairment(
        "telephone",
        "telephone",
        f"{TELEPHONE_HZ[0]:g} to {TELEPHONE_HZ[1]:g} Hz, 8 kHz, mu-law",
        telephone,
    ),
    Impairment(
        "quiet", "quiet", f"peak at {QUIET_DB:g} dB of full scale, rounded to 16 bits", quiet
    ),
    Impairment(
        "clipped",
        "clipped",
        f"so loud that {100 * CLIPPED_SHARE:.0f} % of the samples of speech are cut off",
        clipped,
    ),
)
"""What the recordings are read with, in the order of the tables."""
