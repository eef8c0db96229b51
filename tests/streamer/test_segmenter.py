from __future__ import annotations

import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.audio import AudioBlock
from streamer.segmenter import UtteranceSegmenter, quietest_place
from streamer.segments import SpeechAudio, SpeechEnded, SpeechStarted
from tests.streamer.scripted import (
    FRAME,
    SETTINGS,
    Part,
    ScriptedDetector,
    Utterance,
    audio,
    blocks,
    segmenter,
    utterances,
    whole_stream,
)


def run(parts: list[Part], sizes: list[int] | tuple[int, ...] = ()) -> list[Utterance]:
    tested = segmenter(*(part.script for part in parts))
    events = [event for block in blocks(parts, sizes) for event in tested.push(block)]
    return utterances([*events, *tested.flush()])


def drawn(script: str) -> str:
    """The script's frames, with the numbers of the utterances that they belong to."""
    frames = ["."] * len(script)
    for number, utterance in enumerate(run([Part(script)]), start=1):
        for frame in range(utterance.start // FRAME, utterance.end // FRAME):
            frames[frame] = str(number)
    return "".join(frames)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(
            "................",
            "................",
            id="silence starts nothing",
        ),
        pytest.param(
            "....ss.......ss...",
            "..................",
            id="clicks start nothing",
        ),
        pytest.param(
            ".....sss..........",
            "...1111111111.....",
            id="pre-roll before, hangover after",
        ),
        pytest.param(
            ".....s.s.s.........",
            "...111111111111....",
            id="broken speech counts from its first voiced frame",
        ),
        pytest.param(
            ".....s..s..s..s......",
            ".....................",
            id="voiced frames too thinly spread start nothing",
        ),
        pytest.param(
            ".....ssss....ssss........",
            "...1111111111111111111...",
            id="a pause shorter than the hangover goes on",
        ),
        pytest.param(
            ".ssss...........",
            "1111111111......",
            id="pre-roll stops at the start of the stream",
        ),
        pytest.param(
            "..ssss......ssss........",
            "111111111112222222222...",
            id="pre-roll stops at the end of the utterance before",
        ),
        pytest.param(
            "..ssss....s.............",
            "111111111111............",
            id="a lone click in the pause delays the end by itself only",
        ),
        pytest.param(
            "..ssss..s..s..s..s..s..s",
            "1111111111111111........",
            id="clicks without end do not keep an utterance open",
        ),
        pytest.param(
            "..ssss....sss.sss......",
            "1111111111111111111111.",
            id="speech that sets in late in the pause is not torn",
        ),
        pytest.param(
            "......ssss..",
            "....11111111",
            id="the end of the stream ends it",
        ),
    ],
)
def test_utterances_of_a_script(script: str, expected: str) -> None:
    assert drawn(script) == expected


def test_reasons_and_ends() -> None:
    parts = [Part("..ssss......ssss", leftover=7), Part("ssss", leftover=9, lost_before=1_000)]
    first, second, third = run(parts)
    gap_start = 16 * FRAME + 7
    gap_end = gap_start + 1_000
    assert (first.reason, first.end) == ("silence", 11 * FRAME)
    assert (second.reason, second.end) == ("gap", gap_start)
    assert (third.start, third.reason, third.end) == (gap_end, "end", gap_end + 4 * FRAME + 9)


def test_pre_roll_stops_at_a_gap() -> None:
    (utterance,) = run([Part("....."), Part(".ssss......", lost_before=50)])
    assert utterance.start == 5 * FRAME + 50


def test_voiced_frames_on_both_sides_of_a_gap_are_not_added_up() -> None:
    assert run([Part("...ss"), Part("ss........", lost_before=50)]) == []


def test_gap_tells_at_once_even_without_samples_and_resets_the_detector() -> None:
    detector = ScriptedDetector("..ssss")
    tested = UtteranceSegmenter(detector, SETTINGS)
    tested.push(AudioBlock(audio("..ssss"), 0))
    resets = detector.resets
    gap = AudioBlock(np.zeros(0, np.float32), 6 * FRAME + 400, lost_before=400)
    assert tested.push(gap) == [SpeechEnded(1, 6 * FRAME, "gap")]
    assert detector.resets == resets + 1


def test_stream_that_begins_with_lost_audio_keeps_its_indices() -> None:
    (utterance,) = run([Part("..ssss", lost_before=123)])
    assert (utterance.start, utterance.end) == (123, 123 + 6 * FRAME)


def test_audio_comes_as_it_is_pushed_in_one_piece_for_each_push() -> None:
    tested = segmenter("...sss" + "s" * 4)
    samples = audio("...sss" + "s" * 4)
    first = tested.push(AudioBlock(samples[: 6 * FRAME + 10], 0))
    second = tested.push(AudioBlock(samples[6 * FRAME + 10 :], 6 * FRAME + 10))
    assert [type(event) for event in first] == [SpeechStarted, SpeechAudio]
    assert [type(event) for event in second] == [SpeechAudio]
    assert len(second[0].samples) == 4 * FRAME


def test_flush_twice_tells_once_and_the_stream_may_go_on() -> None:
    tested = segmenter("..ssss", "ssss")
    assert utterances([*tested.push(AudioBlock(audio("..ssss"), 0)), *tested.flush()])
    assert tested.flush() == []
    later = [*tested.push(AudioBlock(audio("ssss"), 6 * FRAME)), *tested.flush()]
    assert later[0] == SpeechStarted(2, 6 * FRAME)


def test_long_utterance_is_cut_in_the_middle_of_its_quietest_place() -> None:
    script = "..q" + "s" * 20 + "q" + "s" * 20
    first, second = run([Part(script)])
    assert (first.start, first.reason) == (0, "longest")
    assert first.end == second.start == 23 * FRAME + FRAME // 2
    assert second.reason == "end"


def test_cut_gives_what_lies_behind_it_to_the_next_utterance_again() -> None:
    script = "..q" + "s" * 20 + "q" + "s" * 20
    first, second = run([Part(script)])
    stream = audio(script)
    assert len(first.samples) == 30 * FRAME
    np.testing.assert_array_equal(first.samples, stream[: 30 * FRAME])
    np.testing.assert_array_equal(second.samples, stream[second.start :])


def test_pause_is_counted_across_a_cut() -> None:
    first, second = run([Part("sssss" + "s" * 22 + "........")])
    assert first.end == second.start
    assert (second.end, second.reason) == (32 * FRAME, "silence")


def test_speech_without_end_is_cut_again_and_again() -> None:
    found = run([Part("s" * 100)])
    assert all(len(utterance.samples) <= 30 * FRAME for utterance in found)
    assert [utterance.reason for utterance in found[:-1]] == ["longest"] * (len(found) - 1)
    assert found[0].start == 0
    assert found[-1].end == 100 * FRAME


def test_of_equally_quiet_places_the_last_is_taken() -> None:
    samples = np.ones(10 * FRAME, np.float32)
    samples[2 * FRAME : 3 * FRAME] = samples[6 * FRAME : 7 * FRAME] = 0
    assert quietest_place(samples) == 6 * FRAME + FRAME // 2


def test_short_search_for_the_cut_is_one_place() -> None:
    assert quietest_place(np.ones(100, np.float32)) == 50
    assert quietest_place(np.zeros(0, np.float32)) == 0


@pytest.mark.parametrize("character", [".", "s"])
def test_memory_does_not_grow(character: str) -> None:
    script = character * 600
    tested = segmenter(script, settings=replace(SETTINGS, longest_s=60.0))
    stream = audio(script)
    tracemalloc.start()
    for start in range(0, len(stream), 800):
        tested.push(AudioBlock(stream[start : start + 800], start))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    two_seconds = 2 * 16_000 * stream.itemsize
    assert kept < two_seconds


def scripts(characters: str = "sssq..") -> st.SearchStrategy[str]:
    runs = st.tuples(st.sampled_from(characters), st.integers(1, 12))
    return st.lists(runs, min_size=1, max_size=10).map(
        lambda found: "".join(character * count for character, count in found)
    )


PARTS = st.lists(
    st.builds(Part, scripts(), st.integers(0, FRAME - 1), st.integers(1, 5_000)),
    min_size=1,
    max_size=3,
).map(lambda parts: [replace(parts[0], lost_before=0), *parts[1:]])
SIZES = st.lists(st.integers(1, 3 * FRAME), max_size=150)


@settings(max_examples=60, deadline=None)
@given(PARTS, SIZES)
def test_any_split_into_blocks_gives_the_same(parts: list[Part], sizes: list[int]) -> None:
    whole, split = run(parts), run(parts, sizes)
    assert [(one.start, one.end, one.reason) for one in split] == [
        (one.start, one.end, one.reason) for one in whole
    ]
    for one, other in zip(split, whole, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)


@settings(max_examples=60, deadline=None)
@given(PARTS)
def test_audio_is_that_of_the_stream_and_only_cuts_repeat_it(parts: list[Part]) -> None:
    stream = whole_stream(parts)
    previous_end = 0
    for utterance in run(parts):
        heard = utterance.start + len(utterance.samples)
        assert np.array_equal(utterance.samples, stream[utterance.start : heard])
        assert previous_end <= utterance.start < utterance.end <= heard
        assert utterance.end == heard or utterance.reason == "longest"
        previous_end = utterance.end


@settings(max_examples=60, deadline=None)
@given(PARTS)
def test_no_voiced_stretch_of_some_length_is_lost(parts: list[Part]) -> None:
    kept = np.zeros(len(whole_stream(parts)), bool)
    for utterance in run(parts):
        kept[utterance.start : utterance.end] = True
    position = 0
    for part in parts:
        position += part.lost_before
        for stretch in re.finditer("[sq]{3,}", part.script):
            assert kept[position + stretch.start() * FRAME : position + stretch.end() * FRAME].all()
        position += len(part.script) * FRAME + part.leftover
