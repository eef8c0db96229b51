from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.features import FeatureExtractor, FeatureSettings
from streamer.audio import AudioBlock
from streamer.events import AudioGap
from streamer.listening import Ended, Listened, Listener, ListenerItem

EXTRACTOR = FeatureExtractor(FeatureSettings())
OTHER_HOP = FeatureExtractor(FeatureSettings(window=512, hop=200))


class LoudDetector:
    """Calls a frame speech that is loud, and counts how often it was reset."""

    def __init__(self, frame: int = 320) -> None:
        self.frame = frame
        self.resets = 0

    def is_speech(self, frame: np.ndarray) -> bool:
        assert frame.shape == (self.frame,)
        return bool(np.abs(frame).max() > 0.1)

    def reset(self) -> None:
        self.resets += 1


def sound(script: str) -> np.ndarray:
    """A second of noise for 50 characters: ``s`` loud, ``.`` faint."""
    levels = np.repeat([0.3 if character == "s" else 0.001 for character in script], 320)
    noise = np.random.default_rng(0).uniform(0.5, 1, len(levels))
    return (levels * noise).astype(np.float32)


def blocks(samples: np.ndarray, sizes: Iterable[int], start: int = 0) -> list[AudioBlock]:
    found, remaining = [], iter(sizes)
    while len(samples):
        size = next(remaining, len(samples))
        found.append(AudioBlock(samples[:size], start))
        start, samples = start + size, samples[size:]
    return found


def hear(
    samples: np.ndarray,
    sizes: Iterable[int] = (),
    extractor: FeatureExtractor = EXTRACTOR,
    frame: int = 320,
) -> list[ListenerItem]:
    listener = Listener(LoudDetector(frame), extractor)
    items = [item for block in blocks(samples, sizes) for item in listener.push(block)]
    return [*items, *listener.flush()]


def joined(items: list[ListenerItem], hop: int = 160) -> Listened:
    """All frames in one, which must follow each other."""
    found = [item for item in items if isinstance(item, Listened)]
    for before, after in pairwise(found):
        assert after.start == before.start + len(before.features) * hop
    return Listened(
        found[0].start,
        np.concatenate([one.features for one in found]),
        np.concatenate([one.voiced for one in found]),
        np.concatenate([one.power for one in found]),
        found[-1].end,
    )


SCRIPT = "....ssssss......sss.s.s.s" * 2
SIZES = st.lists(st.integers(1, 1_500), max_size=60)


@settings(max_examples=20, deadline=None)
@given(SIZES, st.sampled_from([160, 320, 480]), st.sampled_from([EXTRACTOR, OTHER_HOP]))
def test_any_split_into_blocks_gives_the_frames_of_the_whole(
    sizes: list[int], frame: int, extractor: FeatureExtractor
) -> None:
    samples = np.concatenate([sound(SCRIPT), sound(".")[:77]])
    hop, window = extractor.settings.hop, extractor.settings.window
    whole = joined(hear(samples, (), extractor, frame), hop)
    split = joined(hear(samples, sizes, extractor, frame), hop)
    expected = extractor.extract(samples)
    np.testing.assert_allclose(split.features, expected, atol=1e-5)
    assert split.voiced.tolist() == whole.voiced.tolist()
    np.testing.assert_allclose(split.power, whole.power, rtol=1e-5)
    assert len(split.voiced) == len(split.power) == len(expected)
    assert split.end == (len(expected) - 1) * hop + window


@pytest.mark.parametrize("frame", [160, 320, 480])
def test_hop_is_voiced_as_the_frame_that_its_middle_lies_in(frame: int) -> None:
    samples = sound(SCRIPT)
    heard = joined(hear(samples, (), EXTRACTOR, frame))
    detector = LoudDetector(frame)
    for hop, voiced in enumerate(heard.voiced[:-3]):
        judged = (hop * 160 + 80) // frame
        assert voiced == detector.is_speech(samples[judged * frame : (judged + 1) * frame])


def test_power_is_the_mean_square_of_each_hop() -> None:
    samples = sound(SCRIPT)
    heard = joined(hear(samples))
    hops = samples[: len(heard.power) * 160].reshape(-1, 160)
    np.testing.assert_allclose(heard.power, (hops**2).mean(axis=1), rtol=1e-5)


def test_frames_tell_how_far_their_audio_reaches() -> None:
    listener = Listener(LoudDetector(), EXTRACTOR)
    assert listener.push(AudioBlock(np.zeros(399, np.float32), 0)) == []
    (first,) = listener.push(AudioBlock(np.zeros(1, np.float32), 399))
    assert (first.start, len(first.features), first.end) == (0, 1, 400)
    (second,) = listener.push(AudioBlock(np.zeros(330, np.float32), 400))
    assert (second.start, len(second.features), second.end) == (160, 2, 720)


def test_gap_stands_between_what_it_ends_and_what_follows() -> None:
    detector = LoudDetector()
    listener = Listener(detector, EXTRACTOR)
    (before,) = listener.push(AudioBlock(sound("ssss"), 0))
    resets = detector.resets
    gap, after = listener.push(AudioBlock(sound("ssss"), 2_080, lost_before=800))
    assert gap == AudioGap(start_s=0.08, lost_s=0.05)
    assert (before.start, after.start) == (0, 2_080)
    assert detector.resets == resets + 1
    np.testing.assert_allclose(after.features, EXTRACTOR.extract(sound("ssss")), atol=1e-5)


def test_gap_tells_at_once_even_without_samples() -> None:
    listener = Listener(LoudDetector(), EXTRACTOR)
    gap = AudioBlock(np.zeros(0, np.float32), 1_600, lost_before=1_600)
    assert listener.push(gap) == [AudioGap(start_s=0.0, lost_s=0.1)]
    (heard,) = listener.push(AudioBlock(sound("ss"), 1_600))
    assert heard.start == 1_600


def test_frames_that_wait_for_the_detector_are_given_at_the_end_unvoiced() -> None:
    listener = Listener(LoudDetector(480), EXTRACTOR)
    (heard,) = listener.push(AudioBlock(sound("sss")[:900], 0))
    rest, ended = listener.flush("gap")
    assert len(heard.features) == 3
    assert (rest.start, rest.voiced.tolist()) == (480, [False])
    assert ended == Ended("gap")


def test_stream_may_go_on_behind_a_flush() -> None:
    listener = Listener(LoudDetector(), EXTRACTOR)
    listener.push(AudioBlock(sound("ssss"), 0))
    assert listener.flush() == [Ended("end")]
    (heard,) = listener.push(AudioBlock(sound("ssss"), 1_280))
    assert heard.start == 1_280


def test_audio_too_short_for_a_frame_gives_none() -> None:
    assert hear(sound("s")) == [Ended("end")]
