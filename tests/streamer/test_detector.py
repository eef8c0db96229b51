from __future__ import annotations

import numpy as np
import pytest

from model.variation.noises import Colour, coloured_noise
from streamer.audio import SAMPLE_RATE
from streamer.detector import AboveNoiseDetector, SpeechDetector, WebRtcDetector


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


class AlwaysSpeech:
    """Takes everything for speech."""

    frame = 320

    def __init__(self) -> None:
        self.resets = 0

    def is_speech(self, frame: np.ndarray) -> bool:
        return True

    def reset(self) -> None:
        self.resets += 1


def decisions(detector: SpeechDetector, samples: np.ndarray) -> np.ndarray:
    whole = len(samples) // detector.frame * detector.frame
    return np.array([detector.is_speech(f) for f in samples[:whole].reshape(-1, detector.frame)])


def noise(colour: Colour, level_db: float, seconds: float) -> np.ndarray:
    random = np.random.default_rng(1)
    samples = coloured_noise(colour, round(seconds * SAMPLE_RATE), SAMPLE_RATE, random)
    return (samples * 10 ** (level_db / 20)).astype(np.float32)


def voice(level_db: float, seconds: float) -> np.ndarray:
    samples = vowel(seconds)
    level = 10 ** (level_db / 20) / np.sqrt(np.mean(samples**2))
    return (samples * level).astype(np.float32)


@pytest.mark.parametrize("frame_ms", [10, 20, 30])
@pytest.mark.parametrize("colour", ["white", "pink", "brown"])
def test_noise_that_goes_on_is_no_speech_though_webrtc_says_so(
    colour: Colour, frame_ms: int
) -> None:
    samples = noise(colour, -30, 8.0)
    alone = WebRtcDetector(2, frame_ms)
    both = AboveNoiseDetector(WebRtcDetector(2, frame_ms), 4.0)
    assert both.frame == alone.frame
    settled = 4_000 // frame_ms
    assert decisions(both, samples)[settled:].mean() < 0.08
    if colour != "white" and frame_ms > 10:
        assert decisions(alone, samples)[settled:].mean() > 0.8


def test_hum_and_tones_that_go_on_are_no_speech() -> None:
    time = np.arange(6 * SAMPLE_RATE) / SAMPLE_RATE
    for hz in (50, 440, 1_000):
        tone = (0.1 * np.sin(2 * np.pi * hz * time)).astype(np.float32)
        assert decisions(AboveNoiseDetector(AlwaysSpeech(), 4.0), tone)[150:].mean() < 0.01


@pytest.mark.parametrize("level_db", [-20, -40, -60])
def test_voice_in_a_quiet_room_counts_from_its_first_frame(level_db: float) -> None:
    detector = AboveNoiseDetector(AlwaysSpeech(), 4.0)
    assert decisions(detector, voice(level_db, 1.0))[:5].all()
    quiet = noise("pink", level_db - 40, 4.0)
    detector.reset()
    heard = decisions(detector, np.concatenate([quiet, voice(level_db, 1.0), quiet]))
    assert heard[100:195].mean() < 0.08
    assert heard[200:250].mean() > 0.8
    assert heard[260:].mean() < 0.08


def test_voice_stands_out_of_loud_noise() -> None:
    samples = noise("pink", -30, 12.0)
    spoken = np.zeros(600, bool)
    for second in (5, 7, 9):
        place = slice(second * SAMPLE_RATE, second * SAMPLE_RATE + SAMPLE_RATE // 2)
        samples[place] += voice(-25, 0.5)
        spoken[second * 50 : second * 50 + 25] = True
    heard = decisions(AboveNoiseDetector(AlwaysSpeech(), 4.0), samples)[200:]
    assert heard[spoken[200:]].mean() > 0.9
    assert heard[~spoken[200:]].mean() < 0.1


def test_noise_that_rises_is_known_within_seconds() -> None:
    samples = np.concatenate([noise("pink", -60, 4.0), noise("pink", -30, 6.0)])
    heard = decisions(AboveNoiseDetector(AlwaysSpeech(), 4.0), samples)
    assert heard[205:230].all()
    assert heard[380:].mean() < 0.08


def test_noise_that_falls_is_known_at_once() -> None:
    samples = np.concatenate([noise("pink", -30, 4.0), noise("pink", -60, 1.0), voice(-45, 1.0)])
    heard = decisions(AboveNoiseDetector(AlwaysSpeech(), 4.0), samples)
    assert heard[252:].all()


def test_silence_holds_nothing_whatever_the_other_detector_says() -> None:
    detector = AboveNoiseDetector(AlwaysSpeech(), 4.0)
    assert not decisions(detector, np.zeros(2 * SAMPLE_RATE, np.float32)).any()


def test_reset_forgets_the_noise_as_well() -> None:
    inner = AlwaysSpeech()
    detector = AboveNoiseDetector(inner, 4.0)
    samples = noise("pink", -30, 5.0)
    first = decisions(detector, samples)
    resets = inner.resets
    detector.reset()
    assert inner.resets == resets + 1
    assert decisions(detector, samples).tolist() == first.tolist()
