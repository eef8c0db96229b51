"""Rooms, noise and levels computed on features: other ones each time, at hardly any price.

What :mod:`model.variation.perturbation` does to the sound once, before its features are
computed, is here done to the powers in the features themselves, anew in every batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.signal import lfilter

from model.features import LOG_FLOOR, FeatureExtractor, FeatureSettings, mel_edges
from model.settings import between, check, span
from model.variation.noises import ACTIVE_DB, LOWEST_HZ, VOICES, random_piece

NOISE_S = 60.0
"""Seconds of white noise whose features are kept; every noise is cut out of them."""

SLOPES = (0.0, 2.0)
"""By how many powers of the frequency noise falls, from white (0) over pink to brown."""

COLOUR_DB = 4.0
"""Deviation of what a band of a noise departs by from its slope, smooth over the bands."""

SWELL_DB, SWELL_S = 4.0, 0.5
"""Deviation of the level of a noise over time, and seconds from one turn of it to the next."""

DIRECT_DB = (-6.0, 12.0)
"""Range of the ratio of direct sound to reverberation, dB."""


@dataclass(frozen=True)
class SurroundingsSettings:
    """How often features are changed as if the speech had been heard elsewhere; 0 for never.

    Each share is that of the utterances in a batch, drawn for itself.

    Attributes:
        room_share: In a room.
        reverberation_s: Range of the time in which its sound falls by 60 dB, seconds.
        noise_share: With steady noise of any colour.
        babble_share: With some of the other utterances.
        snr_db: Range of the ratio of speech to each of these, dB.
        level_share: Quieter, down to where the features' floor swallows it.
        level_db: Range of the change of level, dB.
    """

    room_share: float = 0.0
    reverberation_s: tuple[float, ...] = (0.1, 0.8)
    noise_share: float = 0.0
    babble_share: float = 0.0
    snr_db: tuple[float, ...] = (3.0, 25.0)
    level_share: float = 0.0
    level_db: tuple[float, ...] = (-40.0, 0.0)

    def __post_init__(self) -> None:
        check(
            self,
            between(0, 1, "room_share", "noise_share", "babble_share", "level_share"),
            span("reverberation_s", 0.05, 5),
            span("snr_db", -40, 100),
            span("level_db", -80, 40),
        )

    @property
    def any(self) -> bool:
        """Whether anything is changed at all."""
        shares = (self.room_share, self.noise_share, self.babble_share, self.level_share)
        return any(share > 0 for share in shares)


class Surroundings:
    """Change features of speech; immutable but for noise that is computed at first use.

    Args:
        settings: What is changed, and how often.
        features: Of which kind the features are; log-mels or a spectrogram.
    """

    def __init__(self, settings: SurroundingsSettings, features: FeatureSettings) -> None:
        self.settings = settings
        self._features = features
        self._widths, self._centres = _bands(features)

    def change(
        self,
        features: np.ndarray,
        random: np.random.Generator,
        voice: Callable[[np.random.Generator], np.ndarray],
    ) -> np.ndarray:
        """Return ``features`` as if heard in surroundings that ``random`` decides.

        Powers are added, as those of independent sounds are on average.

        Args:
            features: (frames, size), before any normalisation.
            random: Decides the changes.
            voice: Returns features (frames, size) of another utterance, for babble.

        Returns:
            (frames, size) of the same type; ``features`` itself where nothing is changed.
        """
        settings = self.settings
        in_room, noisy, babbling, quiet = random.random(4) < (
            settings.room_share,
            settings.noise_share,
            settings.babble_share,
            settings.level_share,
        )
        if len(features) == 0 or not (in_room or noisy or babbling or quiet):
            return features
        powers = _powers(features)
        if in_room:
            powers = self._reverberate(powers, random)
        speech = self._level(powers)
        if noisy:
            powers = powers + self._scaled(self._noise(len(powers), random), speech, random)
        if babbling:
            powers = powers + self._scaled(self._babble(len(powers), voice, random), speech, random)
        if quiet:
            powers = powers * _gain(_drawn(settings.level_db, random))
        return np.log(powers + np.float32(LOG_FLOOR)).astype(features.dtype, copy=False)

    @cached_property
    def _white(self) -> np.ndarray:
        """Powers of white noise, (frames, size): 1 on average, as uneven as those of any noise."""
        samples = round(NOISE_S * self._features.sample_rate)
        white = np.random.default_rng(0).normal(size=samples).astype(np.float32)
        powers = _powers(FeatureExtractor(self._features).extract(white))
        return powers / powers.mean(axis=0)

    def _level(self, powers: np.ndarray) -> float:
        """Return the power of a sound, its pauses left out; see :func:`active_power`."""
        totals = powers @ self._widths
        return float(totals[totals >= totals.max() * _gain(-ACTIVE_DB)].mean())

    def _scaled(self, powers: np.ndarray, speech: float, random: np.random.Generator) -> np.ndarray:
        """Return ``powers`` at a drawn ratio below the power ``speech``."""
        level = self._level(powers)
        gain = speech * _gain(-_drawn(self.settings.snr_db, random)) / level if level else 0.0
        return powers * np.float32(gain)

    def _noise(self, frames: int, random: np.random.Generator) -> np.ndarray:
        """Return powers of noise of a drawn colour that swells and falls, (frames, size)."""
        slope = _drawn(SLOPES, random)
        colour = np.maximum(self._centres, LOWEST_HZ) ** -slope
        colour *= _gain(COLOUR_DB * _wandering(len(colour), max(1, len(colour) // 8), random))
        turn = max(1, round(SWELL_S / self._features.frame_s))
        swell = _gain(random.uniform(0, SWELL_DB) * _wandering(frames, turn, random))
        return _piece(self._white, frames, random) * np.outer(swell, colour).astype(np.float32)

    def _babble(
        self,
        frames: int,
        voice: Callable[[np.random.Generator], np.ndarray],
        random: np.random.Generator,
    ) -> np.ndarray:
        """Return powers of some voices at the same level, (frames, size)."""
        mixed = np.zeros((frames, len(self._widths)), np.float32)
        for _ in range(int(random.integers(VOICES[0], VOICES[1] + 1))):
            powers = _powers(voice(random))
            level = self._level(powers) if len(powers) else 0.0
            if level:
                mixed += _piece(powers, frames, random) / np.float32(level)
        return mixed

    def _reverberate(self, powers: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return ``powers`` with a diffuse tail that falls exponentially (Polack, 1988)."""
        seconds = _drawn(self.settings.reverberation_s, random)
        kept = _gain(-60 * self._features.frame_s / seconds)
        direct = _gain(_drawn(DIRECT_DB, random))
        tail = lfilter([0, (1 - kept) / direct], [1, -kept], powers, axis=0)
        return powers + tail.astype(np.float32) * _piece(self._white, len(powers), random)


def _piece(frames: np.ndarray, length: int, random: np.random.Generator) -> np.ndarray:
    """Return ``length`` successive rows of ``frames`` (n, size), as :func:`random_piece` does."""
    return frames[random_piece(np.arange(len(frames)), length, random)]


def _bands(features: FeatureSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return the width and the centre of each band, Hz: float32 and float64 (size,)."""
    if features.kind == "log_mel":
        edges = mel_edges(features)
        return ((edges[2:] - edges[:-2]) / 2).astype(np.float32), edges[1:-1]
    spacing = features.sample_rate / features.fft_size
    centres = spacing * np.arange(features.bins.start, features.bins.stop)
    return np.full(len(centres), spacing, np.float32), centres


def _powers(features: np.ndarray) -> np.ndarray:
    """Return the powers of which ``features`` are the logarithm, float32, none negative."""
    return np.maximum(np.exp(features.astype(np.float32)) - np.float32(LOG_FLOOR), 0)


def _drawn(bounds: tuple[float, ...], random: np.random.Generator) -> float:
    """Return a value between two."""
    lowest, highest = bounds
    return float(random.uniform(lowest, highest))


def _gain(decibels: Any) -> Any:
    """Return the ratio of powers of a number or an array of decibels."""
    return 10 ** (decibels / 10)


def _wandering(length: int, turn: int, random: np.random.Generator) -> np.ndarray:
    """Return a line (length,) through normal values ``turn`` places apart, interpolated."""
    count = length // turn + 2
    return np.interp(np.arange(length) / turn, np.arange(count), random.normal(size=count))
