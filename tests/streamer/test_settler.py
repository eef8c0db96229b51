"""Which words are settled, and that settled words stay."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.events import Word
from streamer.settler import WordSettler


def words(text: str, word_s: float = 0.5) -> list[Word]:
    """Return the words of ``text``, each half a second long."""
    return [
        Word(word, place * word_s, (place + 1) * word_s, 1.0)
        for place, word in enumerate(text.split())
    ]


def update(settler: WordSettler, text: str, audio_s: float) -> tuple[str, str]:
    return settler.update(settler.fitted(words(text)), audio_s)


def test_words_settle_once_successive_partials_agree() -> None:
    settler = WordSettler(agreeing=2, lag_s=0.0)
    assert update(settler, "the cat", 1.0) == ("", "the cat")
    assert update(settler, "the hat sat", 1.5) == ("the", "hat sat")
    assert update(settler, "the hat sat", 1.75) == ("the hat sat", "")
    assert settler.texts == ("the", "hat", "sat")


def test_a_word_does_not_settle_before_its_lag_is_over() -> None:
    settler = WordSettler(agreeing=2, lag_s=0.6)
    update(settler, "the cat", 1.0)
    assert update(settler, "the cat", 1.25) == ("the", "cat")
    assert update(settler, "the cat", 1.65) == ("the cat", "")


def test_no_word_settles_where_the_utterance_may_still_be_cut() -> None:
    settler = WordSettler(agreeing=1, lag_s=0.0, until_s=1.2)
    assert update(settler, "the cat sat", 9.0) == ("the cat", "sat")


def test_a_settled_word_stays_when_later_partials_differ() -> None:
    settler = WordSettler(agreeing=2, lag_s=0.0)
    update(settler, "the cat", 1.0)
    assert update(settler, "the cat", 1.0) == ("the cat", "")
    assert update(settler, "a bat sat", 1.5) == ("the cat", "sat")
    assert update(settler, "", 1.5) == ("the cat", "")


def test_words_behind_the_settled_ones_do_not_reach_into_them() -> None:
    settler = WordSettler(agreeing=1, lag_s=0.0)
    update(settler, "the cat", 1.0)
    fitted = settler.fitted([Word("them", 0.2, 0.7, 1.0), Word("at", 0.8, 1.4, 0.5)])
    assert fitted == (*words("the cat"), Word("at", 1.0, 1.4, 0.5))


texts = st.lists(st.sampled_from(["a", "b", "c"]), max_size=6).map(" ".join)


@settings(deadline=None)
@given(st.lists(texts, max_size=12), st.integers(1, 4), st.floats(0, 2), st.floats(0, 4))
def test_settled_text_only_grows_and_is_shown_first(
    partials: list[str], agreeing: int, lag_s: float, until_s: float
) -> None:
    settler = WordSettler(agreeing, lag_s, until_s)
    before: list[str] = []
    for number, text in enumerate(partials):
        shown = settler.fitted(words(text))
        stable, tail = settler.update(shown, number * 0.5)
        assert stable.split()[: len(before)] == before
        before = stable.split()
        assert before == list(settler.texts)
        assert [*before, *tail.split()] == [word.word for word in shown]
        assert all(word.end_s <= until_s for word in shown[: len(before)])
        times = [time for word in shown for time in (word.start_s, word.end_s)]
        assert times == sorted(times)
