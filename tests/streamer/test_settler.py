"""Which words are shown and settled, and that settled words stay."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.events import Word
from streamer.settings import PartialSettings
from streamer.settler import WordSettler
from streamer.stability import WordStability


def words(text: str, word_s: float = 0.5, confidence: float = 1.0) -> list[Word]:
    """Return the words of ``text``, each half a second long."""
    return [
        Word(word, place * word_s, (place + 1) * word_s, confidence)
        for place, word in enumerate(text.split())
    ]


def settler(
    agreeing: int = 2, lag_s: float = 0.0, until_s: float = math.inf, late_s: float = 10.0
) -> WordSettler:
    """Return a settler that shows every word."""
    return WordSettler(
        PartialSettings(
            settle_after=agreeing,
            settle_lag_ms=round(lag_s * 1000),
            settle_late_ms=round(late_s * 1000),
            stability=0.0,
        ),
        until_s,
    )


def update(settler: WordSettler, text: str, audio_s: float) -> tuple[str, str]:
    return settler.update(settler.fitted(words(text)), audio_s)


def test_words_settle_once_successive_partials_agree() -> None:
    words_of = settler()
    assert update(words_of, "the cat", 1.0) == ("", "the cat")
    assert update(words_of, "the hat sat", 1.5) == ("the", "hat sat")
    assert update(words_of, "the hat sat", 1.75) == ("the hat", "sat")
    assert words_of.texts == ("the", "hat")


def test_the_last_word_does_not_settle_however_long_it_stands() -> None:
    words_of = settler(1)
    assert update(words_of, "seventeen thro", 60.0) == ("seventeen", "thro")
    assert update(words_of, "seventeen throw", 61.0) == ("seventeen", "throw")


def test_a_word_does_not_settle_before_its_lag_is_over() -> None:
    words_of = settler(lag_s=0.6)
    update(words_of, "the cat sat", 1.0)
    assert update(words_of, "the cat sat", 1.25) == ("the", "cat sat")
    assert update(words_of, "the cat sat", 1.65) == ("the cat", "sat")


def test_no_word_settles_where_the_utterance_may_still_be_cut() -> None:
    words_of = settler(1, until_s=1.2)
    assert update(words_of, "the cat sat", 9.0) == ("the cat", "sat")


def test_a_settled_word_stays_when_later_partials_differ() -> None:
    words_of = settler()
    update(words_of, "the cat sat", 1.0)
    assert update(words_of, "the cat sat", 1.0) == ("the cat", "sat")
    assert update(words_of, "a bat sat", 1.5) == ("the cat", "sat")
    assert update(words_of, "", 1.5) == ("the cat", "")


def test_words_behind_the_settled_ones_do_not_reach_into_them() -> None:
    words_of = settler(1)
    update(words_of, "the cat sat", 1.0)
    fitted = words_of.fitted([Word("them", 0.2, 0.7, 1.0), Word("at", 0.8, 1.4, 0.5)])
    assert fitted == (*words("the cat"), Word("at", 1.0, 1.4, 0.5))


def test_a_word_that_the_decoder_doubts_settles_later() -> None:
    words_of = settler(lag_s=0.5, late_s=1.5)
    doubted = words("the cat sat", confidence=0.2)
    words_of.update(doubted, 1.0)
    assert words_of.update(doubted, 1.9) == ("", "the cat sat")
    assert words_of.update(doubted, 2.0) == ("the", "cat sat")
    assert words_of.update(doubted, 2.5) == ("the cat", "sat")


def test_a_word_that_the_decoder_doubts_never_settles_before_one_that_is_sure() -> None:
    words_of = settler(1, lag_s=1.0, late_s=0.2)
    assert words_of.update(words("the cat", confidence=0.2), 1.4) == ("", "the cat")
    assert words_of.update(words("the cat", confidence=0.2), 1.5) == ("the", "cat")


CONFIDENCE_ALONE = WordStability(0.0, 1.0, 0.0, 0.0, 0.0, 0.0)


def test_words_are_shown_up_to_the_first_that_will_probably_not_stay() -> None:
    words_of = WordSettler(
        PartialSettings(settle_lag_ms=1400, stability=0.6), stability=CONFIDENCE_ALONE
    )
    sure, doubted = words("the cat sat", confidence=0.7), words("the cat sat", confidence=0.5)
    assert words_of.update([sure[0], doubted[1], sure[2]], 1.5) == ("", "the")
    assert words_of.update(sure, 1.6) == ("", "the cat sat")


def test_a_word_is_shown_once_it_has_stood_in_its_place_for_long_enough() -> None:
    age_alone = WordStability(0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    words_of = WordSettler(
        PartialSettings(settle_lag_ms=1400, stability=1 / (1 + math.exp(-0.3))), stability=age_alone
    )
    assert words_of.update(words("the cat"), 1.0) == ("", "")
    assert words_of.update(words("the hat"), 1.2) == ("", "")
    assert words_of.update(words("the hat"), 1.4) == ("", "the")
    assert words_of.update(words("the hat"), 1.6) == ("", "the hat")


def test_a_word_that_is_shown_stays_on_the_screen_while_it_is_read() -> None:
    words_of = WordSettler(
        PartialSettings(settle_lag_ms=1400, stability=0.6), stability=CONFIDENCE_ALONE
    )
    sure, doubted = words("the cat sat", confidence=0.7), words("the cat sat", confidence=0.1)
    words_of.update(sure[:2], 1.0)
    assert words_of.update(doubted, 1.2) == ("", "the cat")
    assert words_of.update([doubted[0], *words("a hat")[1:]], 1.4) == ("", "the hat")
    assert words_of.update(doubted, 1.6) == ("", "the")


def test_what_was_read_is_known_without_its_last_word() -> None:
    words_of = settler()
    assert words_of.read == ()
    update(words_of, "the cat sa", 1.5)
    assert words_of.read == ("the", "cat")


texts = st.lists(st.sampled_from(["a", "b", "c"]), max_size=6).map(" ".join)


@settings(deadline=None)
@given(st.lists(texts, max_size=12), st.integers(1, 4), st.floats(0, 2), st.floats(0, 4))
def test_settled_text_only_grows_and_is_shown_first(
    partials: list[str], agreeing: int, lag_s: float, until_s: float
) -> None:
    words_of = settler(agreeing, lag_s, until_s)
    before: list[str] = []
    for number, text in enumerate(partials):
        shown = words_of.fitted(words(text))
        stable, tail = words_of.update(shown, number * 0.5)
        assert stable.split()[: len(before)] == before
        before = stable.split()
        assert before == list(words_of.texts)
        assert [*before, *tail.split()] == [word.word for word in shown]
        assert all(word.end_s <= until_s for word in shown[: len(before)])
        times = [time for word in shown for time in (word.start_s, word.end_s)]
        assert times == sorted(times)
