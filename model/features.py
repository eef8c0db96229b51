"""Log-mel features, the same code for training and for live audio.

Frames start at sample 0 and never look past their own window: no centring, no
padding.  Frame ``i`` covers samples ``i * hop`` to ``i * hop + window - 1``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import fft as scipy_fft
from scipy.signal.windows import hann

from model.settings import Rule, at_least, check

LOG_FLOOR = 1e-6
"""Added to every mel power before the logarithm: about -60 dB of a full-scale tone."""


@dataclass(frozen=True)
class FeatureSettings:
    """How audio becomes features.

    Attributes:
        sample_rate: Hz.
        window: Samples in one analysis window.
        hop: Samples from one frame to the next.
        fft_size: Points of the FFT; the window is padded with zeros to it.
        mels: Mel bands.
        low_hz: Lower edge of the lowest band, Hz.
        high_hz: Upper edge of the highest band, Hz.
    """

    sample_rate: int = 16_000
    window: int = 400
    hop: int = 160
    fft_size: int = 512
    mels: int = 80
    low_hz: float = 20.0
    high_hz: float = 7_600.0

    def __post_init__(self) -> None:
        check(
            self,
            at_least(1, "sample_rate", "window"),
            Rule("must be 1 to window", ("hop",), lambda hop: 1 <= hop <= self.window),
            Rule("must be at least window", ("fft_size",), lambda size: size >= self.window),
            Rule("must be 1 to fft_size / 2", ("mels",), lambda n: 1 <= n <= self.fft_size // 2),
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
        )

    @property
    def frame_s(self) -> float:
        """Seconds from one frame to the next."""
        return self.hop / self.sample_rate

    def frames_in(self, samples: int) -> int:
        """Number of whole frames in ``samples`` samples."""
        return max(0, 1 + (samples - self.window) // self.hop)


class FeatureExtractor:
    """Compute log-mel features; immutable, shared by any number of streams."""

    def __init__(self, settings: FeatureSettings) -> None:
        self.settings = settings

    @cached_property
    def _window(self) -> np.ndarray:
        return hann(self.settings.window, sym=False).astype(np.float32)

    @cached_property
    def _filters(self) -> np.ndarray:
        """Mel filters (bins, mels), transposed for frames (n, bins) @ filters."""
        return np.ascontiguousarray(mel_filters(self.settings).T)

    def extract(self, samples: np.ndarray) -> np.ndarray:
        """Return the features of a whole recording.

        Args:
            samples: float32 (n,), -1 to 1.

        Returns:
            float32 (frames, mels); frames is 0 when shorter than one window.
        """
        settings = self.settings
        if settings.frames_in(len(samples)) == 0:
            return np.zeros((0, settings.mels), np.float32)
        samples = np.ascontiguousarray(samples, np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(samples, settings.window)
        spectrum = scipy_fft.rfft(frames[:: settings.hop] * self._window, settings.fft_size)
        power = spectrum.real**2 + spectrum.imag**2
        return np.log(power @ self._filters + np.float32(LOG_FLOOR))

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
        """Add samples (n,) and return the frames (frames, mels) that they complete."""
        self._pending = np.concatenate([self._pending, samples.astype(np.float32, copy=False)])
        features = self._extractor.extract(self._pending)
        self._pending = self._pending[len(features) * self._extractor.settings.hop :]
        return features

    def flush(self) -> np.ndarray:
        """End the stream: drop the samples that fill no window, return no frames (0, mels)."""
        self._pending = np.zeros(0, np.float32)
        return np.zeros((0, self._extractor.settings.mels), np.float32)


@dataclass(frozen=True)
class FeatureStatistics:
    """Mean and deviation of the training features, and how they are applied.

    The mean that is removed is that of the utterance so far, drawn towards the
    training mean as if ``prior_frames`` frames of it had been heard before: a
    microphone's level and colour vanish within a second, and the first frames
    are already near their place.

    Attributes:
        mean: (mels,) mean over the training frames.
        deviation: (mels,) deviation of the frames from their utterance's mean.
        prior_frames: Weight of the training mean, in frames.
    """

    mean: np.ndarray
    deviation: np.ndarray
    prior_frames: float = 50.0

    def normalise(self, features: np.ndarray) -> np.ndarray:
        """Return float32 (frames, mels) of about zero mean and unit deviation."""
        total = features.sum(axis=0, dtype=np.float64) + self.prior_frames * self.mean
        mean = total / (len(features) + self.prior_frames)
        return ((features - mean) / self.deviation).astype(np.float32)


def mel_filters(settings: FeatureSettings) -> np.ndarray:
    """Return triangular mel filters of unit area, float32 (mels, fft_size / 2 + 1).

    The scale is Slaney's (Auditory Toolbox, 1998): linear below 1 kHz and
    logarithmic above, as in ``librosa.filters.mel``.
    """
    edges = _mel_to_hz(
        np.linspace(_hz_to_mel(settings.low_hz), _hz_to_mel(settings.high_hz), settings.mels + 2)
    )
    bins = np.fft.rfftfreq(settings.fft_size, 1 / settings.sample_rate)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    area = 2.0 / (edges[2:] - edges[:-2])
    return (np.maximum(0, np.minimum(rising, falling)) * area[:, None]).astype(np.float32)


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
