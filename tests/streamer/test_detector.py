from __future__ import annotations

import numpy as np
import pytest

from streamer.audio import SAMPLE_RATE
from streamer.detector import WebRtcDetector


def vowel(seconds: float) -> np.ndarray:
    """Harmonics of a wavering voice under the formants of an open vowel, in syllables."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    rng = np.random.default_rng(0)
    phase = 2 * np.pi * np.cumsum(120 + 10 * np.sin(2 * np.pi * 3 * time)) / SAMPLE_RATE
    harmonics = np.arange(1, 30)
    formants = sum(
        np.exp(-(((120 * harmonics - centre) / 150) ** 2)) for centre in (700, 1_200, 2_500)
    )
    voice = np.sin(np.outer(phase, harmonics)) @ (formants + 0.02)
    syllables = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * time)
    breath = 1 + 0.3 * rng.standard_normal(len(time))
    return (0.1 * voice * syllables * breath).astype(np.float32)


def voiced_share(detector: WebRtcDetector, samples: np.ndarray) -> float:
    starts = range(0, len(samples) - detector.frame + 1, detector.frame)
    return float(np.mean([detector.is_speech(samples[i : i + detector.frame]) for i in starts]))


@pytest.mark.parametrize("frame_ms", [10, 20, 30])
@pytest.mark.parametrize("aggressiveness", [0, 1, 2, 3])
def test_voice_is_speech_and_silence_is_not(aggressiveness: int, frame_ms: int) -> None:
    detector = WebRtcDetector(aggressiveness, frame_ms)
    assert detector.frame == 16 * frame_ms
    assert voiced_share(detector, np.zeros(SAMPLE_RATE, np.float32)) == 0
    assert voiced_share(detector, vowel(2.0)) > 0.9


def test_too_loud_audio_is_clipped_and_not_wrapped_round() -> None:
    loud = 20 * vowel(1.0)
    clipped = np.clip(loud, -1, 1)
    detector, reference = WebRtcDetector(3, 20), WebRtcDetector(3, 20)
    assert voiced_share(detector, loud) == voiced_share(reference, clipped) > 0.5


def test_reset_forgets_what_was_heard() -> None:
    samples = np.concatenate([vowel(1.0), np.zeros(SAMPLE_RATE // 4, np.float32), vowel(0.2)])
    frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    detector = WebRtcDetector(2, 20)
    first = [detector.is_speech(frame) for frame in frames]
    detector.reset()
    assert [detector.is_speech(frame) for frame in frames] == first
