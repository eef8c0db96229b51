"""Sentences: where they end, how they are spelled, and which are left out."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm.building import sentences
from lm.building.sentences import SeenBefore, SharedRuns, sentences_of

WORDS = st.lists(st.sampled_from("abcd"), max_size=8)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("It rained. We stayed!", ["it rained", "we stayed"]),
        ('"Why?" said he. "No."', ["why said he", "no"]),
        ("Mr. Smith and J. R. Jones came.", ["mister smith and j r jones came"]),
        ("I paid $5 in 1984.", ["i paid five dollars in nineteen eighty four"]),
        ("yes. no. never", ["yes no never"]),
        ("A well-known caf\xe9\N{HORIZONTAL ELLIPSIS}", ["a well known cafe"]),
        ("  \n", []),
        ("* * *", []),
    ],
)
def test_a_line_becomes_sentences_as_they_are_spoken(line: str, expected: list[str]) -> None:
    assert list(sentences_of(line, Counter())) == expected


def test_sentences_that_cannot_be_spelled_are_counted_by_reason() -> None:
    dropped: Counter[str] = Counter()
    line = "Good day. A \u041f\u0440\u0438\u0432\u0435\u0442. Two \N{SNOWMAN}s. Fine."
    assert list(sentences_of(line, dropped)) == ["good day", "fine"]
    assert dropped == {"other script": 1, "figures or signs": 1}


@given(text=WORDS, test=WORDS, length=st.integers(2, 4))
def test_runs_are_found_as_by_comparing_each_with_each(
    text: list[str], test: list[str], length: int
) -> None:
    def runs(words: list[str]) -> list[list[str]]:
        return [words[start : start + length] for start in range(len(words) - length + 1)]

    shares = any(run in runs(test) for run in runs(text))
    assert SharedRuns([" ".join(test)], length).touches(text) == shares


def test_a_sentence_is_new_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "FILTER_BITS", 1 << 16)
    seen = SeenBefore()
    texts = [f"sentence {number}" for number in range(1000)]
    assert sum(map(seen.add, texts)) <= 2
    assert all(map(seen.add, texts))
