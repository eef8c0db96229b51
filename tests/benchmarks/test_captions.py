"""What is counted of the texts that an utterance was shown as."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.live.captions import (
    Flicker,
    captions_of,
    flicker,
    kept_places,
    settled_at,
    shown_at,
    standing_since,
    words_lost,
)
from model.evaluation.rates import align_words
from streamer.events import AudioGap, Event, Notice
from tests.benchmarks.events import caption, final, partial, told

TEXTS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=5)


@pytest.mark.parametrize(
    ("earlier", "later", "lost"),
    [
        ("", "the cat", 0),
        ("the cat", "the cat sat", 0),
        ("the cat", "the hat", 1),
        ("the cat sat", "the sat", 1),
        ("the cat", "the", 1),
        ("the cat", "oh the cat", 0),
        ("a b c", "x y z", 3),
        ("the cat", "", 2),
    ],
)
def test_words_changed_or_withdrawn_are_counted(earlier: str, later: str, lost: int) -> None:
    assert words_lost(earlier.split(), later.split()) == lost


def test_a_word_that_comes_in_before_moves_the_others_only() -> None:
    assert kept_places(["the", "cat"], ["oh", "the", "cat"]) == [-1, 0, 1]
    assert kept_places(["the", "cat", "sat"], ["the", "sat", "on"]) == [0, 2, -1]
    assert kept_places(["the", "cat"], ["the", "hat"]) == [0, -1]
    assert kept_places([], ["the"]) == [-1]
    assert kept_places(["the"], []) == []


@given(TEXTS, TEXTS)
def test_kept_words_are_the_same_in_the_same_order(earlier: list[str], later: list[str]) -> None:
    places = kept_places(earlier, later)
    assert len(places) == len(later)
    kept = [place for place in places if place >= 0]
    assert kept == sorted(set(kept))
    assert [earlier[place] for place in kept] == [
        word for word, place in zip(later, places, strict=True) if place >= 0
    ]


@given(TEXTS, TEXTS)
def test_words_pair_by_the_fewest_edits_and_then_the_most_kept(
    earlier: list[str], later: list[str]
) -> None:
    kept = sum(place >= 0 for place in kept_places(earlier, later))
    assert (edits_of(earlier, later), -kept) == best_alignment(tuple(earlier), tuple(later))


def edits_of(earlier: list[str], later: list[str]) -> int:
    """Return the fewest edits, by jiwer."""
    if not earlier or not later:
        return len(earlier) + len(later)
    pairs = align_words(" ".join(earlier), " ".join(later))
    return sum(before != after for before, after in pairs)


@cache
def best_alignment(earlier: tuple[str, ...], later: tuple[str, ...]) -> tuple[int, int]:
    """Return the fewest edits and, of those alignments, minus the most words kept."""
    if not earlier or not later:
        return len(earlier) + len(later), 0
    same = earlier[0] == later[0]
    edits, kept = best_alignment(earlier[1:], later[1:])
    choices = [(edits + (not same), kept - same)]
    for one, other in ((earlier[1:], later), (earlier, later[1:])):
        edits, kept = best_alignment(one, other)
        choices.append((edits + 1, kept))
    return min(choices)


@given(TEXTS)
def test_the_same_text_again_loses_nothing(text: list[str]) -> None:
    assert kept_places(text, text) == list(range(len(text)))


def test_words_stand_since_the_text_from_which_they_stay() -> None:
    texts = ["the", "the cap", "the cat", "the cat sat"]
    assert standing_since([text.split() for text in texts]) == [0, 2, 3]


def test_a_word_that_leaves_and_comes_back_stands_since_it_came_back() -> None:
    assert standing_since([["the", "cat"], ["the"], ["the", "cat"], ["the", "cat"]]) == [0, 2]


def test_a_word_moved_by_another_stands_as_before() -> None:
    assert standing_since([["the", "cat"], ["oh", "the", "cat"]]) == [1, 0, 0]


def test_words_are_shown_with_the_text_that_they_first_stand_in() -> None:
    shown = list(shown_at(caption("the", "the cap", "the cat sat")))
    assert [stream_s for stream_s, _ in shown] == [1.0, 3.0, 3.0]
    assert [told.wall_s for _, told in shown] == [1.1, 3.1, 3.1]


def test_a_final_without_partials_shows_its_words_itself() -> None:
    assert [stream_s for stream_s, _ in shown_at(caption("the cat"))] == [1.0, 1.0]


def test_an_empty_final_withdraws_what_was_shown() -> None:
    empty = caption("the", "the cat", "")
    assert flicker(empty) == Flicker(2, 2, 1)
    assert list(shown_at(empty)) == []
    assert settled_at(empty) == ([], 0)


def test_what_changes_is_counted_by_text_and_for_the_final() -> None:
    assert flicker(caption("the cap", "the cat", "the cat sap", "a cat sat")) == Flicker(3, 2, 2)
    assert flicker(caption("the", "the cat")) == Flicker(0, 0, 0)
    assert flicker(caption("the cat")) == Flicker()
    assert flicker(caption("")) == Flicker()


def test_flicker_adds_up() -> None:
    assert Flicker(1, 2, 3) + Flicker(10, 20, 30) == Flicker(11, 22, 33)


def test_words_settle_with_the_partial_that_says_so_or_with_the_final() -> None:
    found = caption("the cap", "the | cat", "the cat | sat", "the cat sat on")
    assert settled_at(found) == ([2.0, 3.0, 4.0, 4.0], 2)


def test_utterances_are_told_apart_by_their_numbers_whatever_comes_between() -> None:
    events: list[Event] = [
        partial("one", 1.0, 1),
        AudioGap(1.0, 0.5),
        final("one", 2.0, 1),
        Notice("hotwords", "read again"),
        partial("two", 3.0, 2),
        partial("two or", 3.5, 2),
        final("two or", 4.0, 2),
        final("", 5.0, 3),
    ]
    captions = captions_of(map(told, events))
    assert [one.texts for one in captions] == [
        [["one"], ["one"]],
        [["two"], ["two", "or"], ["two", "or"]],
        [[]],
    ]
