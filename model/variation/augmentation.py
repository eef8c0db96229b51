"""Changes to features that leave their transcript true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.settings import at_least, between, check


@dataclass(frozen=True)
class AugmentationSettings:
    """How strongly training features are varied; zeros switch a change off.

    Changes of what surrounds the speech are those of
    :class:`model.variation.surroundings.SurroundingsSettings`, changes to the sound itself
    those of :class:`model.variation.perturbation.PerturbationSettings`.

    Attributes:
        tempo: Largest relative change of speed; 0.1 draws factors from 0.9 to 1.1.
        vocal_tract: Largest relative stretch of the mel axis (vocal tract length
            perturbation; Jaitly and Hinton, 2013).
        band_masks: Masks over mel bands (SpecAugment; Park et al., 2019).
        band_mask_size: Largest mask, in bands.
        time_masks_per_s: Masks over time for each second of speech.
        time_mask_s: Largest mask, seconds.
        masks_from: Share of the training after which masks are used.
        masks_full: Share of the training after which masks have their full size; they
            grow to it from ``masks_from`` on, and have it at once where that is later.
    """

    tempo: float = 0.06
    vocal_tract: float = 0.06
    band_masks: int = 0
    band_mask_size: int = 12
    time_masks_per_s: float = 0.0
    time_mask_s: float = 0.12
    masks_from: float = 0.5
    masks_full: float = 0.5

    def __post_init__(self) -> None:
        check(
            self,
            between(0, 0.5, "tempo", "vocal_tract"),
            at_least(0, "band_masks", "band_mask_size", "time_masks_per_s", "time_mask_s"),
            between(0, 1, "masks_from", "masks_full"),
        )

    def mask_strength(self, share: float) -> float:
        """Return the share of their full size that masks have when ``share`` is trained."""
        if share < self.masks_from:
            return 0.0
        if share >= self.masks_full:
            return 1.0
        return (share - self.masks_from) / (self.masks_full - self.masks_from)


def change_tempo(features: np.ndarray, frames: int) -> np.ndarray:
    """Return ``features`` (n, mels) stretched linearly in time to (frames, mels)."""
    if frames == len(features) or len(features) < 2:
        return features
    return _interpolate(features, np.linspace(0, len(features) - 1, frames))


def stretch_bands(features: np.ndarray, factor: float) -> np.ndarray:
    """Return ``features`` (frames, mels) with band ``i`` read at ``i * factor``."""
    bands = features.shape[1]
    positions = np.minimum(np.arange(bands) * factor, bands - 1)
    return _interpolate(features.T, positions).T


def mask_features(
    features: np.ndarray,
    settings: AugmentationSettings,
    frame_s: float,
    random: np.random.Generator,
    strength: float = 1.0,
) -> np.ndarray:
    """Return normalised ``features`` (frames, mels) with stretches set to 0, the mean.

    The number of masks over time follows the length, as in adaptive SpecAugment (Park et
    al., 2020), in a Poisson draw; ``strength``, 0 to 1, scales the largest size of all.
    """
    masked = features.copy()
    frames, bands = features.shape
    widest = round(strength * settings.band_mask_size)
    for _ in range(settings.band_masks):
        size = int(random.integers(0, min(widest, bands) + 1))
        start = int(random.integers(0, bands - size + 1))
        masked[:, start : start + size] = 0
    longest = round(strength * settings.time_mask_s / frame_s)
    for _ in range(int(random.poisson(frames * frame_s * settings.time_masks_per_s))):
        size = int(random.integers(0, min(longest, frames) + 1))
        start = int(random.integers(0, frames - size + 1))
        masked[start : start + size] = 0
    return masked


def _interpolate(rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return ``rows`` read at fractional ``positions`` along the first axis."""
    below = np.minimum(positions.astype(int), len(rows) - 2)
    share = (positions - below).astype(np.float32)[:, None]
    return rows[below] * (1 - share) + rows[below + 1] * share
