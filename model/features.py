"""Features of speech, the same code for training and for live audio.

Three kinds: log-mels; the logarithm of the power spectrum; and MFCC, the cosine
transform of log-mels (Davis and Mermelstein, 1980).

Frames start at sample 0 and never look past their own window: no centring, no
padding.  Frame ``i`` covers samples ``i * hop`` to ``i * hop + window - 1``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from scipy import fft as scipy_fft

from model.settings import Rule, at_least, between, check, one_of

LOG_FLOOR = 1e-6
"""Added to every power before the logarithm: for mels about -60 dB of a full-scale tone."""

Kind = Literal["log_mel", "spectrogram", "mfcc"]
KINDS: tuple[Kind, ...] = get_args(Kind)

LARGEST_FFT, MOST_MELS = 16_384, 1_024
"""Far more than speech needs; others would take any amount of memory."""

BLOCK_FRAMES = 256
"""Frames computed at a time: enough to be fast, few enough to stay in the cache."""

GROUPED_MELS = 16
"""Mel bands multiplied at a time, with only those bins of the FFT that they use."""


@dataclass(frozen=True)
class FeatureSettings:
    """How audio becomes features.

    Attributes:
        sample_rate: Hz.
        window: Samples in one analysis window.
        hop: Samples from one frame to the next.
        fft_size: Points of the FFT; the window is padded with zeros to it.
        mels: Mel bands.
        low_hz: Lower edge of the lowest mel band or bin of the spectrogram, Hz.
        high_hz: Upper edge of the highest mel band or bin of the spectrogram, Hz.
        kind: Logarithm of mel powers, logarithm of the power spectrum, or MFCC.
        coefficients: Cepstral coefficients of MFCC, counted from the one of order 0.
    """

    sample_rate: int = 16_000
    window: int = 400
    hop: int = 160
    fft_size: int = 512
    mels: int = 80
    low_hz: float = 20.0
    high_hz: float = 7_600.0
    kind: Kind = "log_mel"
    coefficients: int = 13

    def __post_init__(self) -> None:
        check(
            self,
            between(1, 768_000, "sample_rate"),
            at_least(1, "window", "coefficients"),
            Rule("must be 1 to window", ("hop",), lambda hop: 1 <= hop <= self.window),
            Rule(
                f"must be at least window, and at most {LARGEST_FFT}",
                ("fft_size",),
                lambda size: self.window <= size <= LARGEST_FFT,
            ),
            Rule(
                f"must be 1 to fft_size / 2, and at most {MOST_MELS}",
                ("mels",),
                lambda n: 1 <= n <= min(self.fft_size // 2, MOST_MELS),
            ),
            Rule(
                "must be 0 or more and below high_hz",
                ("low_hz",),
                lambda hz: 0 <= hz < self.high_hz,
            ),
            Rule(
                "must be at most sample_rate / 2",
                ("high_hz",),
                lambda hz: hz <= self.sample_rate / 2,
            ),
            one_of(KINDS, "kind"),
        )
        check(
            self,
            Rule(
                "must be at most mels where kind is mfcc",
                ("coefficients",),
                lambda n: self.kind != "mfcc" or n <= self.mels,
            ),
            Rule(
                "must leave a bin of the FFT above low_hz where kind is spectrogram",
                ("high_hz",),
                lambda hz: self.kind != "spectrogram" or self.size > 0,
            ),
        )

    @property
    def size(self) -> int:
        """Values in a frame."""
        sizes = {"log_mel": self.mels, "mfcc": self.coefficients}
        return sizes[self.kind] if self.kind in sizes else len(self.bins)

    @property
    def bins(self) -> range:
        """Bins of the FFT between ``low_hz`` and ``high_hz``; bin 0 is 0 Hz."""
        lowest = math.ceil(self.low_hz * self.fft_size / self.sample_rate)
        return range(lowest, math.floor(self.high_hz * self.fft_size / self.sample_rate) + 1)

    @property
    def frame_s(self) -> float:
        """Seconds from one frame to the next."""
        return self.hop / self.sample_rate

    def frames_in(self, samples: int) -> int:
        """Number of whole frames in ``samples`` samples."""
        return max(0, 1 + (samples - self.window) // self.hop)


class FeatureExtractor:
    """Compute features; immutable, shared by any number of streams."""

    def __init__(self, settings: FeatureSettings) -> None:
        self.settings = settings

    @cached_property
    def _window(self) -> np.ndarray:
        """A periodic Hann window; that of ``scipy.signal`` takes a second to import."""
        return np.hanning(self.settings.window + 1)[:-1].astype(np.float32)

    @cached_property
    def _filter_groups(self) -> list[tuple[slice, slice, np.ndarray]]:
        """Neighbouring mel filters: their bins, their mels, and weights (bins, mels)."""
        filters = mel_filters(self.settings).T
        groups = []
        for first in range(0, self.settings.mels, GROUPED_MELS):
            mels = slice(first, first + GROUPED_MELS)
            used = np.flatnonzero(filters[:, mels].any(axis=1))
            bins = slice(used[0], used[-1] + 1) if len(used) else slice(0, 0)
            groups.append((bins, mels, np.ascontiguousarray(filters[bins, mels])))
        return groups

    def extract(self, samples: np.ndarray) -> np.ndarray:
        """Return the features of a whole recording.

        Args:
            samples: float32 (n,), -1 to 1.

        Returns:
            float32 (frames, ``settings.size``); frames is 0 when shorter than one window.
        """
        settings = self.settings
        count = settings.frames_in(len(samples))
        features = np.empty((count, settings.size), np.float32)
        if count == 0:
            return features
        samples = np.ascontiguousarray(samples, np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(samples, settings.window)[
            :: settings.hop
        ]
        padded = np.zeros((min(count, BLOCK_FRAMES), settings.fft_size), np.float32)
        for start in range(0, count, BLOCK_FRAMES):
            block = windows[start : start + BLOCK_FRAMES]
            np.multiply(block, self._window, out=padded[: len(block), : settings.window])
            power = _power(padded[: len(block)])
            self._convert(power, features[start : start + BLOCK_FRAMES])
        return features

    def _convert(self, power: np.ndarray, features: np.ndarray) -> None:
        """Write the features of power spectra (frames, bins) into ``features``."""
        settings = self.settings
        match settings.kind:
            case "log_mel":
                self._write_log_mels(power, features)
            case "spectrogram":
                np.add(
                    power[:, settings.bins.start : settings.bins.stop],
                    np.float32(LOG_FLOOR),
                    out=features,
                )
                np.log(features, out=features)
            case "mfcc":
                log_mels = np.empty((len(power), settings.mels), np.float32)
                self._write_log_mels(power, log_mels)
                cepstra = scipy_fft.dct(log_mels, norm="ortho", overwrite_x=True)
                features[:] = cepstra[:, : settings.coefficients]

    def _write_log_mels(self, power: np.ndarray, log_mels: np.ndarray) -> None:
        for bins, mels, weights in self._filter_groups:
            np.matmul(power[:, bins], weights, out=log_mels[:, mels])
        log_mels += np.float32(LOG_FLOOR)
        np.log(log_mels, out=log_mels)

    def stream(self) -> FeatureStream:
        """Start a stream with its own state."""
        return FeatureStream(self)


class FeatureStream:
    """Turn audio that arrives in pieces into the frames of :meth:`FeatureExtractor.extract`.

    Owns the samples that do not fill a hop yet; at most one window of them.
    """

    def __init__(self, extractor: FeatureExtractor) -> None:
        self._extractor = extractor
        self._pending = np.zeros(0, np.float32)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Add samples (n,) and return the frames (frames, size) that they complete."""
        self._pending = np.concatenate([self._pending, samples.astype(np.float32, copy=False)])
        features = self._extractor.extract(self._pending)
        self._pending = self._pending[len(features) * self._extractor.settings.hop :]
        return features

    def flush(self) -> np.ndarray:
        """End the stream: drop the samples that fill no window, return no frames (0, size)."""
        self._pending = np.zeros(0, np.float32)
        return np.zeros((0, self._extractor.settings.size), np.float32)


@dataclass(frozen=True)
class FeatureStatistics:
    """Mean and deviation of the training features, and how they are applied.

    The mean that is removed is that of the utterance so far, drawn towards the
    training mean as if ``prior_frames`` frames of it had been heard before: a
    microphone's level and colour vanish within a second, and the first frames
    are already near their place.

    Attributes:
        mean: (size,) mean over the training frames.
        deviation: (size,) deviation of the frames from their utterance's mean.
        prior_frames: Weight of the training mean, in frames.
    """

    mean: np.ndarray
    deviation: np.ndarray
    prior_frames: float = 50.0

    def normalise(self, features: np.ndarray, heard: np.ndarray | None = None) -> np.ndarray:
        """Return float32 (frames, size) of about zero mean and unit deviation.

        Args:
            features: (frames, size).
            heard: The utterance so far, if ``features`` are a part of it only.
        """
        heard = features if heard is None else heard
        total = heard.sum(axis=0, dtype=np.float64) + self.prior_frames * self.mean
        mean = total / (len(heard) + self.prior_frames)
        return ((features - mean) / self.deviation).astype(np.float32)


def _power(frames: np.ndarray) -> np.ndarray:
    """Return the power spectra, float32 (n, fft_size / 2 + 1), of frames (n, fft_size)."""
    parts = scipy_fft.rfft(frames).view(np.float32)
    np.multiply(parts, parts, out=parts)
    return parts[:, 0::2] + parts[:, 1::2]


def mel_filters(settings: FeatureSettings) -> np.ndarray:
    """Return triangular mel filters of unit area, float32 (mels, fft_size / 2 + 1).

    The scale is Slaney's (Auditory Toolbox, 1998): linear below 1 kHz and
    logarithmic above, as in ``librosa.filters.mel``.
    """
    edges = mel_edges(settings)
    bins = np.fft.rfftfreq(settings.fft_size, 1 / settings.sample_rate)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    area = 2.0 / (edges[2:] - edges[:-2])
    return (np.maximum(0, np.minimum(rising, falling)) * area[:, None]).astype(np.float32)


def mel_edges(settings: FeatureSettings) -> np.ndarray:
    """Return the lower edge, centre and upper edge of each mel band in Hz, float64 (mels + 2,).

    Band ``i`` rises from value ``i`` to ``i + 1`` and falls to ``i + 2``.
    """
    low, high = _hz_to_mel(settings.low_hz), _hz_to_mel(settings.high_hz)
    return _mel_to_hz(np.linspace(low, high, settings.mels + 2))


_LINEAR_HZ_PER_MEL = 200 / 3
_LOG_START_HZ = 1_000.0
_LOG_START_MEL = _LOG_START_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    if hz < _LOG_START_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return float(_LOG_START_MEL + np.log(hz / _LOG_START_HZ) / _LOG_STEP)


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    linear = mel * _LINEAR_HZ_PER_MEL
    return np.where(
        mel < _LOG_START_MEL,
        linear,
        _LOG_START_HZ * np.exp(_LOG_STEP * (mel - _LOG_START_MEL)),
    )
