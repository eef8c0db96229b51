from __future__ import annotations

import re
import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamer.segmenter import UtteranceSegmenter, longest_run, quietest_place
from streamer.segments import (
    Evidence,
    LookDue,
    SpeechEnded,
    SpeechFrames,
    SpeechStarted,
)
from streamer.settings import EndpointSettings
from tests.streamer.scripted import (
    COVERED,
    FRAME,
    LOOK_MS,
    SETTINGS,
    Part,
    Utterance,
    listened,
    run,
)


def utterances(script: str, sighted: bool = True) -> list[Utterance]:
    return run([Part(script)], sighted=sighted).utterances


def drawn(script: str, sighted: bool = True) -> str:
    """The script's frames, with the numbers of the utterances that they belong to."""
    frames = ["."] * len(script)
    for number, utterance in enumerate(utterances(script, sighted), start=1):
        for frame in range(utterance.start // FRAME, min(len(script), utterance.end // FRAME)):
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
            "...11111111.......",
            id="pre-roll before, the pause but for the next pre-roll after",
        ),
        pytest.param(
            ".....s.s.s..........",
            "...1111111111.......",
            id="broken speech counts from its first voiced frame",
        ),
        pytest.param(
            ".....s..s..s..s......",
            ".....................",
            id="voiced frames too thinly spread start nothing",
        ),
        pytest.param(
            ".....ssss....ssss........",
            "...11111111111111111.....",
            id="a pause within a sentence goes on",
        ),
        pytest.param(
            ".....ssse....ssss........",
            "...1111111.222222222.....",
            id="the same pause behind a finished sentence ends it",
        ),
        pytest.param(
            ".ssss...........",
            "11111111........",
            id="pre-roll stops at the start of the stream",
        ),
        pytest.param(
            "..ssss.....ssss........",
            "111111111222222222.....",
            id="pre-roll reaches back to the end of the utterance before",
        ),
        pytest.param(
            "..ssss....n.............",
            "1111111111..............",
            id="a lone click in the pause delays the end by itself only",
        ),
        pytest.param(
            "..ssss..n..n..n..n..n..n",
            "11111111111.............",
            id="clicks without end do not keep an utterance open",
        ),
        pytest.param(
            "..ssss....sss.sss......",
            "11111111111111111111...",
            id="speech that sets in late in the pause is not torn",
        ),
        pytest.param(
            "......ssss..",
            "....11111111",
            id="the end of the stream ends it",
        ),
        pytest.param(
            "..sssswww...........",
            "111111111111........",
            id="soft speech that only the network hears is no pause",
        ),
        pytest.param(
            "..sssswwwwwwwwwwwwww",
            "11111111111111......",
            id="but does not keep an utterance open for ever",
        ),
        pytest.param(
            "..ssssnnnnnnn.......",
            "11111111111.........",
            id="blanks alone end an utterance in noise",
        ),
        pytest.param(
            "..nnnn......",
            "1111111.....",
            id="where nothing was heard a short pause is enough",
        ),
    ],
)
def test_utterances_of_a_script(script: str, expected: str) -> None:
    assert drawn(script) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param("..ssse..........", "111111111.......", id="no sentence ends"),
        pytest.param("..sssswww.......", "111111111.......", id="no soft speech is heard"),
        pytest.param("..nnn...........", "11111111........", id="noise is speech"),
    ],
)
def test_without_evidence_voice_activity_decides_alone(script: str, expected: str) -> None:
    assert drawn(script, sighted=False) == expected


def test_noise_without_a_letter_is_given_up_again_and_again() -> None:
    found = utterances("n" * 40)
    assert len(found) == 5
    assert {utterance.frames for utterance in found[:-1]} == {SETTINGS.nothing_ms // 100}
    assert all(after.start == before.end for before, after in pairwise(found))


def test_speech_that_sets_in_while_noise_is_given_up_is_whole_in_the_next() -> None:
    first, second = utterances("n" * 10 + "s" * 8 + ".....")
    assert (first.frames, first.end) == (10, 8 * FRAME)
    assert second.start == first.end


def test_reasons_ends_and_what_had_to_be_heard() -> None:
    first, second, third = run(
        [Part("..ssss.......ssss"), Part("ssss", lost_before=2 * FRAME)]
    ).utterances
    gap_start = 17 * FRAME
    assert (first.reason, first.frames) == ("silence", 11)
    assert (first.end, first.heard) == (9 * FRAME, 11 * FRAME + COVERED)
    assert (second.reason, second.end, second.heard) == ("gap", *[gap_start + COVERED] * 2)
    assert (third.start, third.reason) == (19 * FRAME, "end")
    assert third.end == third.heard == 23 * FRAME + COVERED
    assert third.frames == 4


def test_pre_roll_stops_at_a_gap() -> None:
    (utterance,) = run([Part("....."), Part(".ssss......", lost_before=FRAME)]).utterances
    assert utterance.start == 6 * FRAME


def test_voiced_frames_on_both_sides_of_a_gap_are_not_added_up() -> None:
    assert run([Part("...ss"), Part("ss........", lost_before=FRAME)]).utterances == []


def test_frames_that_do_not_follow_are_a_gap_though_nobody_said_so() -> None:
    segmenter = UtteranceSegmenter(SETTINGS, FRAME, LOOK_MS)
    segmenter.push(listened("..ssss"))
    segmenter.push(listened("ssss", 9 * FRAME))
    events = []
    while (event := segmenter.step()) is not None:
        events.append(event)
    ended = [event for event in events if isinstance(event, SpeechEnded)]
    assert [(event.reason, event.frames) for event in ended] == [("gap", 6)]
    assert SpeechStarted(2, 9 * FRAME) in events


def test_frames_come_as_they_are_pushed_in_one_piece_until_a_look() -> None:
    segmenter = UtteranceSegmenter(SETTINGS, FRAME, LOOK_MS)
    segmenter.push(listened("..sss"))
    assert segmenter.step() == SpeechStarted(1, 0)
    first = segmenter.step()
    assert isinstance(first, SpeechFrames)
    assert (first.features[:, 0].tolist(), first.end) == ([0, 1, 2, 3, 4], 5 * FRAME + COVERED)
    assert segmenter.step() is None
    segmenter.push(listened("ssss", 5 * FRAME))
    kinds = [type(segmenter.step()) for _ in range(4)]
    assert kinds == [SpeechFrames, LookDue, SpeechFrames, type(None)]


def test_closing_twice_tells_once_and_the_stream_may_go_on() -> None:
    ear = run([Part("..ssss")])
    ear.close("end")
    assert len(ear.utterances) == 1
    ear.push(listened("ssss", 6 * FRAME))
    assert ear.utterances[1].start == 6 * FRAME


def test_looks_come_regularly_and_where_a_rule_may_begin_to_hold() -> None:
    (utterance,) = utterances("s" * 10 + "......")
    regular, places = [4, 8, 12], [10 + 3, 10 + 5]
    assert utterance.looks == sorted([*regular, *places])


def test_long_utterance_is_cut_in_the_middle_of_its_longest_pause() -> None:
    script = "s" * 22 + "...." + "q" + "s" * 20
    first, second = utterances(script)
    assert (first.reason, first.frames) == ("longest", 24)
    assert first.end == second.start == 24 * FRAME
    assert first.heard == 30 * FRAME + COVERED
    assert second.reason == "end"


def test_without_a_pause_it_is_cut_where_it_is_quietest() -> None:
    first, second = utterances("s" * 23 + "q" + "s" * 20)
    assert first.reason == "longest"
    assert first.end == second.start == 23 * FRAME


def test_cut_gives_what_lies_behind_it_to_the_next_utterance_again() -> None:
    first, second = utterances("s" * 23 + "q" + "s" * 20)
    assert first.features.tolist() == list(range(30))
    assert second.features.tolist() == list(range(23, 44))


def test_pause_is_counted_across_a_cut() -> None:
    first, second = utterances("s" * 27 + "........")
    assert (first.reason, first.end) == ("longest", second.start)
    assert (second.reason, second.heard) == ("silence", 31 * FRAME + COVERED)


def test_speech_without_end_is_cut_again_and_again() -> None:
    found = utterances("s" * 100)
    assert all(len(utterance.features) <= 30 for utterance in found)
    assert [utterance.reason for utterance in found[:-1]] == ["longest"] * (len(found) - 1)
    assert found[0].start == 0
    assert found[-1].end == 100 * FRAME + COVERED


def test_evidence_of_more_frames_than_there_are_is_cut_short() -> None:
    segmenter = UtteranceSegmenter(replace(SETTINGS, nothing_ms=500), FRAME, LOOK_MS)
    segmenter.push(listened("nnnn"))
    while not isinstance(segmenter.step(), LookDue):
        pass
    segmenter.tell(Evidence(np.ones(100, bool)))
    assert segmenter.step() is None


@pytest.mark.parametrize(
    ("marked", "run"),
    [
        ("", (0, 0)),
        ("...", (0, 0)),
        ("###", (0, 3)),
        (".##.###.#", (4, 7)),
        ("##.##", (3, 5)),
    ],
)
def test_longest_run(marked: str, run: tuple[int, int]) -> None:
    assert longest_run(np.array([character == "#" for character in marked], bool)) == run


def test_of_equally_quiet_places_the_last_is_taken() -> None:
    power = np.ones(100, np.float32)
    power[20:30] = power[60:70] = 0
    assert quietest_place(power, 10) == 65


def test_short_search_for_the_cut_is_one_place() -> None:
    assert quietest_place(np.ones(4, np.float32), 10) == 2
    assert quietest_place(np.zeros(0, np.float32), 10) == 0


@pytest.mark.parametrize("character", [".", "s", "n"])
def test_memory_does_not_grow(character: str) -> None:
    segmenter = UtteranceSegmenter(EndpointSettings(), 160, 250)
    script = character * 50

    def hear(pushes: range) -> None:
        for number in pushes:
            segmenter.push(replace(listened(script), start=number * len(script) * 160))
            while segmenter.step() is not None:
                pass

    hear(range(100))
    tracemalloc.start()
    hear(range(100, 200))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 100_000


def scripts(characters: str = "sssqwen...") -> st.SearchStrategy[str]:
    runs = st.tuples(st.sampled_from(characters), st.integers(1, 12))
    return st.lists(runs, min_size=1, max_size=12).map(
        lambda found: "".join(character * count for character, count in found)
    )


def streams(characters: str = "sssqwen...") -> st.SearchStrategy[list[Part]]:
    parts = st.builds(Part, scripts(characters), st.integers(1, 5).map(lambda n: n * FRAME))
    return st.lists(parts, min_size=1, max_size=3).map(
        lambda parts: [replace(parts[0], lost_before=0), *parts[1:]]
    )


SIZES = st.lists(st.integers(1, 8), max_size=60)


def told(one: Utterance) -> tuple[object, ...]:
    """All that must not depend on how the stream is split."""
    return (
        one.start,
        one.end,
        one.reason,
        one.frames,
        one.heard,
        one.looks,
        one.features.tolist(),
    )


@settings(max_examples=60, deadline=None)
@given(streams(), SIZES, st.booleans(), st.integers(0, 3))
def test_any_split_into_pushes_gives_the_same(
    parts: list[Part], sizes: list[int], sighted: bool, behind: int
) -> None:
    whole = run(parts, sighted=sighted, behind=behind)
    split = run(parts, sizes, sighted=sighted, behind=behind)
    assert [told(one) for one in split.utterances] == [told(one) for one in whole.utterances]


@settings(max_examples=60, deadline=None)
@given(streams(), st.booleans())
def test_frames_are_those_of_the_stream_and_ends_are_in_order(
    parts: list[Part], sighted: bool
) -> None:
    previous_end = 0
    for one in run(parts, sighted=sighted).utterances:
        first = one.start // FRAME
        given_out = len(one.features)
        assert one.features.tolist() == list(range(first, first + given_out))
        assert one.ends[-1] == one.heard == one.start + given_out * FRAME + COVERED
        assert one.frames == given_out or one.reason == "longest"
        assert previous_end <= max(one.start, one.start + COVERED)
        assert one.start < one.end <= one.heard
        assert one.start + one.frames * FRAME >= one.end - COVERED
        previous_end = one.end if one.reason not in ("gap", "end") else one.end - COVERED


@settings(max_examples=60, deadline=None)
@given(streams("sssqe...w"), st.booleans())
def test_no_voiced_stretch_of_some_length_is_lost(parts: list[Part], sighted: bool) -> None:
    kept = np.zeros(sum(len(p.script) + p.lost_before // FRAME for p in parts), bool)
    for one in run(parts, sighted=sighted).utterances:
        kept[one.start // FRAME : one.end // FRAME] = True
    position = 0
    for part in parts:
        position += part.lost_before // FRAME
        for stretch in re.finditer("[sqe]{3,}", part.script):
            assert kept[position + stretch.start() : position + stretch.end()].all()
        position += len(part.script)


@st.composite
def endpoint_settings(draw: st.DrawFn) -> EndpointSettings:
    """Return settings of whole frames, the odd ones too."""
    tenths = st.integers(1, 20).map(lambda count: 100 * count)
    finished, pause, held = sorted(draw(st.tuples(tenths, tenths, tenths)))
    return EndpointSettings(
        pre_roll_ms=draw(tenths),
        minimum_speech_ms=draw(tenths),
        finished_ms=finished,
        sentence_end=draw(st.sampled_from([0.0, 0.5, 1.0])),
        pause_ms=pause,
        held_ms=held,
        blanks_ms=draw(tenths),
        nothing_ms=draw(tenths),
        longest_s=draw(st.sampled_from([2.0, 3.0])),
        cut_search_s=draw(st.sampled_from([0.1, 1.0, 1.9])),
    )


@example([Part("n" * 30)], replace(SETTINGS, nothing_ms=100, pre_roll_ms=2_000), True)
@settings(max_examples=60, deadline=None)
@given(streams(), endpoint_settings(), st.booleans())
def test_whatever_is_set_utterances_have_some_length_and_follow_each_other(
    parts: list[Part], chosen: EndpointSettings, sighted: bool
) -> None:
    previous_end = 0
    for one in run(parts, settings=chosen, sighted=sighted).utterances:
        assert max(one.start, previous_end) < one.end <= one.heard
        assert 0 < one.frames <= len(one.features)
        previous_end = one.end


@settings(max_examples=60, deadline=None)
@given(streams("sssn.."), st.integers(0, 3))
def test_no_utterance_outlives_its_limits(parts: list[Part], behind: int) -> None:
    for one in run(parts, behind=behind).utterances:
        assert len(one.features) <= 30
        script = "".join(" " * (p.lost_before // FRAME) + p.script for p in parts)
        heard = script[one.start // FRAME :][: len(one.features)]
        blanks = len(heard) - len(heard.rstrip("n."))
        has_letters = blanks < len(heard)
        assert blanks <= (7 if has_letters else 10) + behind + 4 or one.reason == "longest"
