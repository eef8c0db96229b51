"""Sounds without a voice in them, computed: noises, hum, tones and clatter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from typing_extensions import Self

from model.variation.noises import Colour, coloured_noise
from streamer.audio import SAMPLE_RATE, AudioBlock

PIECE_S = 10.0
"""Length of the pieces that a sound is computed in; a noise is another one in each."""

BLOCK = 512

SCALE_HZ = tuple(220.0 * 2 ** (step / 12) for step in (0, 2, 4, 5, 7, 9, 11, 12, 14, 16))
"""Tones of a major scale from the small a on."""

Maker = Callable[[int, int, np.random.Generator], np.ndarray]
"""From the first sample's number, how many samples, and chance to float32 (n,) of unit power."""


@dataclass(frozen=True)
class Sound:
    """A sound that goes on for ever.

    Attributes:
        name: What it is.
        level_db: Its level, dB of full scale; minus infinity for silence.
        make: Computes a stretch of it.
    """

    name: str
    level_db: float
    make: Maker

    def pieces(self, seconds: float, seed: int = 0) -> Iterator[np.ndarray]:
        """Yield float32 (n,) that last ``seconds`` in all, the same ones for the same seed."""
        total, piece = round(seconds * SAMPLE_RATE), round(PIECE_S * SAMPLE_RATE)
        for number, start in enumerate(range(0, total, piece)):
            random = np.random.default_rng((seed, number))
            samples = self.make(start, min(piece, total - start), random)
            yield (samples * 10 ** (self.level_db / 20)).astype(np.float32)


def silence(start: int, length: int, random: np.random.Generator) -> np.ndarray:
    """Return digital silence."""
    return np.zeros(length)


def noise(colour: Colour) -> Maker:
    """Return what makes noise of a colour."""
    return lambda start, length, random: coloured_noise(colour, length, SAMPLE_RATE, random)


def hum(start: int, length: int, random: np.random.Generator) -> np.ndarray:
    """Return the hum of the mains: 50 Hz with harmonics that fall by 6 dB each."""
    time = np.arange(start, start + length) / SAMPLE_RATE
    parts = [0.5**n * np.sin(2 * np.pi * 50 * (n + 1) * time) for n in range(8)]
    return np.sum(parts, axis=0) / np.sqrt(sum(0.25**n for n in range(8)) / 2)


def whistle(start: int, length: int, random: np.random.Generator) -> np.ndarray:
    """Return a tone of 1 kHz."""
    time = np.arange(start, start + length) / SAMPLE_RATE
    return np.sqrt(2) * np.sin(2 * np.pi * 1_000 * time)


def melody(start: int, length: int, random: np.random.Generator) -> np.ndarray:
    """Return plucked tones of a scale, four a second, with harmonics that die away."""
    tune = np.zeros(length)
    for begin in range(0, length, SAMPLE_RATE // 4):
        _add_tone(tune[begin : begin + SAMPLE_RATE // 2], random.choice(SCALE_HZ))
    return _unit(tune)


def chords(start: int, length: int, random: np.random.Generator) -> np.ndarray:
    """Return held chords of three tones, one a second."""
    tune = np.zeros(length)
    for begin in range(0, length, SAMPLE_RATE):
        for hz in random.choice(SCALE_HZ, 3, replace=False):
            _add_tone(tune[begin : begin + SAMPLE_RATE], hz, lasting_s=2.0)
    return _unit(tune)


def clatter(start: int, length: int, random: np.random.Generator) -> np.ndarray:
    """Return the clicks of a keyboard: bursts of noise of some milliseconds, about six a second."""
    clicks = np.zeros(length)
    begins = np.cumsum(random.exponential(SAMPLE_RATE / 6, 12 * length // SAMPLE_RATE + 1))
    for begin in begins[begins < length].astype(int):
        room = min(round(random.uniform(0.005, 0.03) * SAMPLE_RATE), length - begin)
        fading = np.exp(-5 * np.arange(room) / max(1, room))
        clicks[begin : begin + room] += random.normal(size=room) * fading
    return _unit(clicks)


def _add_tone(place: np.ndarray, hz: float, lasting_s: float = 0.15) -> None:
    time = np.arange(len(place)) / SAMPLE_RATE
    fading = np.minimum(1, time / 0.005) * np.exp(-time / lasting_s)
    for harmonic in range(1, 6):
        place += fading * np.sin(2 * np.pi * hz * harmonic * time) / harmonic


def _unit(samples: np.ndarray) -> np.ndarray:
    power = np.mean(np.square(samples))
    return samples / np.sqrt(power) if power else samples


SOUNDS = (
    Sound("digital silence", -np.inf, silence),
    *(
        Sound(f"{colour} noise", level_db, noise(colour))
        for colour in ("white", "pink", "brown")
        for level_db in (-70.0, -50.0, -30.0)
    ),
    Sound("mains hum", -30.0, hum),
    Sound("whistle", -30.0, whistle),
    Sound("melody", -25.0, melody),
    Sound("chords", -25.0, chords),
    Sound("keyboard clatter", -35.0, clatter),
)
"""Each lasts as long as is asked for; levels are those of a quiet room to a loud engine."""


class SoundSource:
    """A sound as an audio source; see ``streamer.audio.AudioSource``.

    Args:
        sound: What is heard.
        seconds: For how long.
        seed: Of the chance in it.
    """

    lossless = True

    def __init__(self, sound: Sound, seconds: float, seed: int = 0) -> None:
        self.name = sound.name
        self._pieces = sound.pieces(seconds, seed)
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __iter__(self) -> Iterator[AudioBlock]:
        position = 0
        for piece in self._pieces:
            for start in range(0, len(piece), BLOCK):
                if self._stopped:
                    return
                yield AudioBlock(piece[start : start + BLOCK], position + start)
            position += len(piece)

    def stop(self) -> None:
        """End the iteration soon."""
        self._stopped = True
