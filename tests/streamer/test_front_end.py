from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.features import FeatureExtractor, FeatureSettings
from streamer.audio import AudioBlock
from streamer.events import AudioGap
from streamer.front_end import (
    FrontEndItem,
    SpeechFrontEnd,
    UtteranceEnded,
    UtteranceFeatures,
)
from streamer.segments import SpeechStarted
from tests.streamer.scripted import FRAME, Part, audio, blocks, segmenter, whole_stream

EXTRACTOR = FeatureExtractor(FeatureSettings())


@dataclass
class Heard:
    """What the items say about one utterance."""

    start: int
    features: list[np.ndarray] = field(default_factory=list)
    ended: UtteranceEnded | None = None

    def frames(self) -> np.ndarray:
        return np.concatenate([*self.features, np.zeros((0, 80), np.float32)])


def run(parts: list[Part], sizes: list[int]) -> list[FrontEndItem]:
    front_end = SpeechFrontEnd(segmenter(*(part.script for part in parts)), EXTRACTOR)
    items = [item for block in blocks(parts, sizes) for item in front_end.push(block)]
    return [*items, *front_end.flush()]


def utterances(items: list[FrontEndItem]) -> list[Heard]:
    found: list[Heard] = []
    for item in items:
        if isinstance(item, SpeechStarted):
            found.append(Heard(item.start))
        elif isinstance(item, UtteranceFeatures):
            assert item.utterance == len(found)
            found[-1].features.append(item.features)
        elif isinstance(item, UtteranceEnded):
            assert item.utterance == len(found)
            found[-1].ended = item
    return found


PARTS = [
    Part("...ssss........ssss" + "s" * 60, leftover=77),
    Part("sssss.......", leftover=5, lost_before=3_200),
]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 2 * FRAME), max_size=200))
def test_features_are_those_of_the_whole_utterance_for_any_chunking(sizes: list[int]) -> None:
    stream = whole_stream(PARTS)
    found = utterances(run(PARTS, sizes))
    reasons = ["silence", "longest", "longest", "gap", "silence"]
    assert [one.ended.reason for one in found] == reasons
    for one in found:
        expected = EXTRACTOR.extract(stream[one.start : one.ended.end])
        assert one.ended.frames == len(expected)
        np.testing.assert_allclose(one.frames()[: one.ended.frames], expected, atol=1e-5)
        given_out = EXTRACTOR.extract(stream[one.start : one.ended.heard])
        np.testing.assert_allclose(one.frames(), given_out, atol=1e-5)


def test_forced_cut_takes_frames_back_and_tells_how_far_it_heard() -> None:
    script = "ss" + "s" * 20 + "q" + "s" * 20
    first, second = utterances(run([Part(script)], []))
    assert first.ended.reason == "longest"
    assert first.ended.end == second.start == 22 * FRAME + FRAME // 2
    assert first.ended.heard == 30 * FRAME
    assert first.ended.frames < len(first.frames())


def test_features_tell_where_their_audio_ends() -> None:
    items = run([Part("...sssssss")], [5 * FRAME, FRAME + 10, FRAME, FRAME])
    ends = [item.end for item in items if isinstance(item, UtteranceFeatures)]
    assert ends == [6 * FRAME, 7 * FRAME, 8 * FRAME, 10 * FRAME]


def test_gap_stands_between_what_it_ends_and_what_follows() -> None:
    items = run([Part("..ssss"), Part("ssss", lost_before=1_600)], [])
    kinds = [type(item) for item in items]
    told = [SpeechStarted, UtteranceFeatures, UtteranceEnded]
    assert kinds == [*told, AudioGap, *told]
    assert items[2].reason == "gap"
    assert items[3] == AudioGap(start_s=0.6, lost_s=0.1)


def test_gap_in_silence_is_told() -> None:
    items = run([Part("...."), Part("....", lost_before=800)], [])
    assert items == [AudioGap(start_s=0.4, lost_s=0.05)]


def test_audio_too_short_for_a_frame_gives_an_utterance_without_features() -> None:
    long_windows = FeatureExtractor(FeatureSettings(window=16_000, hop=8_000, fft_size=16_384))
    front_end = SpeechFrontEnd(segmenter("..ssss"), long_windows)
    items = [*front_end.push(AudioBlock(audio("..ssss"), 0)), *front_end.flush()]
    assert [type(item) for item in items] == [SpeechStarted, UtteranceEnded]
    assert items[-1].frames == 0
