"""Which words are settled, and that settled words stay."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.events import Word
from streamer.settler import WordSettler


def words(text: str, word_s: float = 0.5) -> list[Word]:
    """Return the words of ``text``, each half a second long."""
    return [
        Word(word, place * word_s, (place + 1) * word_s, 1.0)
        for place, word in enumerate(text.split())
    ]


def test_words_settle_once_successive_partials_agree() -> None:
    settler = WordSettler(agreeing=2, lag_s=0.0)
    assert settler.update(words("the cat"), 1.0) == ("", "the cat")
    assert settler.update(words("the hat sat"), 1.5) == ("the", "hat sat")
    assert settler.update(words("the hat sat"), 1.75) == ("the hat sat", "")


def test_a_word_does_not_settle_before_its_lag_is_over() -> None:
    settler = WordSettler(agreeing=2, lag_s=0.6)
    settler.update(words("the cat"), 1.0)
    assert settler.update(words("the cat"), 1.25) == ("the", "cat")
    assert settler.update(words("the cat"), 1.65) == ("the cat", "")


def test_a_settled_word_stays_when_later_partials_differ() -> None:
    settler = WordSettler(agreeing=2, lag_s=0.0)
    settler.update(words("the cat"), 1.0)
    assert settler.update(words("the cat"), 1.0) == ("the cat", "")
    assert settler.update(words("a bat sat"), 1.5) == ("the cat", "sat")


texts = st.lists(st.sampled_from(["a", "b", "c"]), max_size=6).map(" ".join)


@given(st.lists(texts, max_size=12), st.integers(1, 4), st.floats(0, 2))
def test_settled_text_only_grows(partials: list[str], agreeing: int, lag_s: float) -> None:
    settler = WordSettler(agreeing, lag_s)
    before: list[str] = []
    for number, text in enumerate(partials):
        stable, _ = settler.update(words(text), number * 0.5)
        assert stable.split()[: len(before)] == before
        before = stable.split()
