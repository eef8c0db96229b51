"""Tell speech from other sound, one short frame at a time."""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

import numpy as np

from streamer.audio import SAMPLE_RATE

_INT16_SCALE = 32_768

BAND_EDGES_HZ = (200, 700, 1_400, 2_800, 7_000)
"""Edges of the bands in which noise is tracked; hum and rumble lie below the lowest."""

NOISE_WINDOW_S = 3.0
"""Time in which speech pauses somewhere in every band; noise that rises is known after it."""

NOISE_PARTS = 6
"""Parts of that window that are forgotten one by one."""

LEARNING_S = 1.0
"""Time after a start in which nothing is taken for noise yet: it may be speech."""

NOISE_SMOOTHING_S = 0.13
"""Time constant with which powers are smoothed before their minimum is taken."""

SOUND_S = 0.08
"""Time over which the powers that are compared with the noise are averaged."""

QUIETEST = 10**-7.5
"""Power in a band that is always quiet: -75 dB of full scale."""


class SpeechDetector(Protocol):
    """Decides frame by frame whether somebody speaks.

    It may remember what it heard, so each stream needs one of its own.
    """

    @property
    def frame(self) -> int:
        """Samples in a frame."""
        ...

    def is_speech(self, frame: np.ndarray) -> bool:
        """Tell whether a frame, float32 (frame,) of -1 to 1, holds speech.

        Frames are given in the order of the stream, without holes.
        """
        ...

    def reset(self) -> None:
        """Forget what was heard: the next frame does not follow on the last one."""
        ...


class WebRtcDetector:
    """The voice activity detector of WebRTC.

    Args:
        aggressiveness: 0 to 3; the higher, the more is taken for noise.
        frame_ms: Length of a frame, milliseconds: 10, 20 or 30.
    """

    def __init__(self, aggressiveness: int, frame_ms: int) -> None:
        self._aggressiveness = aggressiveness
        self._frame = SAMPLE_RATE * frame_ms // 1_000
        self.reset()

    @property
    def frame(self) -> int:
        """Samples in a frame."""
        return self._frame

    def is_speech(self, frame: np.ndarray) -> bool:
        """Tell whether a frame, float32 (frame,), holds speech; louder than 1 is clipped."""
        scaled = np.clip(frame * _INT16_SCALE, -_INT16_SCALE, _INT16_SCALE - 1)
        return bool(self._vad.is_speech(scaled.astype(np.int16).tobytes(), SAMPLE_RATE))

    def reset(self) -> None:
        """Start anew, with no noise level learnt."""
        import webrtcvad

        self._vad = webrtcvad.Vad(self._aggressiveness)


class AboveNoiseDetector:
    """Another detector's speech, where it stands out of the noise that goes on.

    The noise in some bands is the minimum of the smoothed power of the last seconds
    (Martin, Noise power spectral density estimation based on optimal smoothing and
    minimum statistics, 2001, without its correction of the bias: the margin holds it).
    A frame stands out when it is ``margin_db`` above the noise in any of the bands.  So
    sound that goes on for long, however loud, is not taken for speech; voices are.

    Owns the other detector, and the powers of the last frames.

    Args:
        detector: Used for this stream only.
        margin_db: How far speech must stand out of the noise, dB.
    """

    def __init__(self, detector: SpeechDetector, margin_db: float) -> None:
        self._detector = detector
        self._margin = 10 ** (margin_db / 10)
        frames_a_second = SAMPLE_RATE / detector.frame
        self._newest = 1 - math.exp(-1 / (NOISE_SMOOTHING_S * frames_a_second))
        self._part = max(1, round(NOISE_WINDOW_S * frames_a_second / NOISE_PARTS))
        self._learning = round(LEARNING_S * frames_a_second)
        self._averaged = max(1, round(SOUND_S * frames_a_second))
        self._window = np.hanning(detector.frame + 1)[:-1].astype(np.float32)
        self._bands = _band_weights(self._window)
        self.reset()

    @property
    def frame(self) -> int:
        """Samples in a frame."""
        return self._detector.frame

    def is_speech(self, frame: np.ndarray) -> bool:
        """Tell whether a frame, float32 (frame,), holds speech that stands out."""
        speech = self._detector.is_speech(frame)
        power = np.square(np.abs(np.fft.rfft(frame * self._window))) @ self._bands
        self._recent.append(power)
        self._track(power)
        sound = np.mean(self._recent, axis=0)
        return speech and bool((sound > self._margin * self._noise()).any())

    def reset(self) -> None:
        """Start anew, with no noise known."""
        self._detector.reset()
        self._heard = 0
        self._smooth = np.zeros(self._bands.shape[1])
        self._recent: deque[np.ndarray] = deque(maxlen=self._averaged)
        self._minima: deque[np.ndarray] = deque(maxlen=NOISE_PARTS)

    def _track(self, power: np.ndarray) -> None:
        self._heard += 1
        # A mean of all powers until there are enough of them, so that none weighs too much.
        weight = max(1 / self._heard, self._newest)
        self._smooth = self._smooth + weight * (power - self._smooth)
        if self._heard * self._newest < 1:
            return
        if not self._minima or self._heard % self._part == 0:
            self._minima.append(self._smooth)
        self._minima[-1] = np.minimum(self._minima[-1], self._smooth)

    def _noise(self) -> np.ndarray:
        """Return the power of the noise in each band, (bands,)."""
        learning = self._heard <= self._learning
        quiet = np.full(self._bands.shape[1], QUIETEST)
        return quiet if learning else np.maximum(quiet, np.min(self._minima, axis=0))


def _band_weights(window: np.ndarray) -> np.ndarray:
    """Return what makes the power in each band of a windowed frame's power spectrum.

    Returns:
        float64 (bins, bands); a full-scale sine in a band has a power of one half.
    """
    hz = np.fft.rfftfreq(len(window), 1 / SAMPLE_RATE)[:, None]
    inside = (hz >= BAND_EDGES_HZ[:-1]) & (hz < BAND_EDGES_HZ[1:])
    return inside * (2 / (len(window) * np.sum(np.square(window, dtype=np.float64))))
