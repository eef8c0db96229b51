"""Hotwords: how they are spelled, and what letters of them are worth."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm.errors import LanguageModelError
from lm.hotwords import Hotwords, Match, spell


def follow(hotwords: Hotwords, text: str) -> Match:
    """Return the match behind the letters and spaces of a text."""
    match = hotwords.begin()
    for letter in text:
        match = hotwords.advance(match, letter)
        if letter == " ":
            match = hotwords.begin(match)
    return match


def test_phrases_are_spelled_as_the_model_writes() -> None:
    hotwords = Hotwords.parse([("Ada Lovelace", 8.0), ("Café-Bar!", 2.5)])
    assert hotwords.weights == {"ada lovelace": 8.0, "cafe bar": 2.5}


@pytest.mark.parametrize("phrase", ["R2D2", "привет", "50%"])
def test_a_phrase_that_cannot_be_spelled_is_named(phrase: str) -> None:
    with pytest.raises(LanguageModelError, match=f"hotword {phrase}: cannot spell"):
        Hotwords.parse([(phrase, 1.0)])


@pytest.mark.parametrize("phrase", ["", "...", "'"])
def test_a_phrase_without_letters_is_named(phrase: str) -> None:
    with pytest.raises(LanguageModelError, match="has no letters"):
        spell(phrase)


def test_worth_grows_with_each_letter_to_the_whole_weight() -> None:
    hotwords = Hotwords({"ada": 6.0})
    assert [hotwords.worth(follow(hotwords, "ada"[:end])) for end in range(4)] == [0, 2, 4, 6]
    assert hotwords.completed(follow(hotwords, "ada")) == 6


def test_another_word_is_worth_nothing() -> None:
    hotwords = Hotwords({"ada": 6.0})
    assert follow(hotwords, "adx") == ()
    assert hotwords.worth(()) == hotwords.completed(()) == 0


def test_a_beginning_is_not_a_whole_phrase() -> None:
    hotwords = Hotwords({"ada lovelace": 6.0})
    assert hotwords.completed(follow(hotwords, "ada")) == 0
    assert hotwords.completed(follow(hotwords, "ada lovelace")) == 6


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("ada", True),
        ("ada lovelace", True),
        ("ad", False),
        ("ada love", False),
        ("lovelace", False),
    ],
)
def test_every_word_of_a_phrase_is_one_of_its_words(text: str, whole: bool) -> None:
    hotwords = Hotwords({"ada lovelace": 6.0})
    assert hotwords.has_word(follow(hotwords, text)) is whole


def test_a_phrase_may_begin_inside_another() -> None:
    hotwords = Hotwords({"new york": 3.0, "york": 2.0, "york city": 4.0})
    assert hotwords.completed(follow(hotwords, "new york")) == 5
    assert hotwords.completed(follow(hotwords, "new york city")) == 4


@given(
    st.dictionaries(
        st.text("ab ", min_size=1, max_size=6).map(str.strip).filter(bool), st.floats(0, 9)
    ),
    st.text("ab ", max_size=12),
)
def test_worth_is_the_best_share_of_a_phrase_that_the_text_ends_inside(
    weights: dict[str, float], text: str
) -> None:
    hotwords = Hotwords(weights)
    starts = [0, *(place + 1 for place, letter in enumerate(text) if letter == " ")]
    expected = max(
        (
            weight * len(text[start:]) / len(phrase)
            for start in starts
            for phrase, weight in weights.items()
            if phrase.startswith(text[start:])
        ),
        default=0.0,
    )
    assert hotwords.worth(follow(hotwords, text)) == pytest.approx(expected)
