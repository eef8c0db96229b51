from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cosine

from model.alphabet import ENGLISH
from model.evaluation.rates import (
    ErrorRates,
    align_characters,
    align_words,
    cosine_similarity,
    error_rates,
    greedy_labels,
    greedy_text,
    ranked,
)

words = st.lists(st.sampled_from(["a", "bc", "cab"]), min_size=1, max_size=6).map(" ".join)


def distance(reference: list[str], hypothesis: list[str]) -> int:
    """Return the Levenshtein distance, by its definition."""
    row = list(range(len(hypothesis) + 1))
    for i, wanted in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, read in enumerate(hypothesis, 1):
            step = min(row[j] + 1, row[j - 1] + 1, diagonal + (wanted != read))
            diagonal, row[j] = row[j], step
    return row[-1]


def test_each_kind_of_error_is_counted() -> None:
    rates = error_rates(["the cat sat on the mat"], ["a cat sat the mat today"])
    assert (rates.words, rates.substitutions, rates.deletions, rates.insertions) == (6, 1, 1, 1)
    assert rates.wer == pytest.approx(0.5)
    assert rates.word_errors == 3


@given(st.lists(st.tuples(words, words), min_size=1, max_size=4))
def test_errors_are_edit_distances(pairs: list[tuple[str, str]]) -> None:
    rates = error_rates(*map(list, zip(*pairs, strict=True)))
    by_word = sum(distance(r.split(), h.split()) for r, h in pairs)
    assert rates.substitutions + rates.deletions + rates.insertions == by_word
    assert rates.character_errors == sum(distance(list(r), list(h)) for r, h in pairs)
    assert rates.words == sum(len(r.split()) for r, _ in pairs)


def test_corpora_add_up() -> None:
    one, other = error_rates(["a b"], ["a"]), error_rates(["c"], ["d e"])
    assert one + other == error_rates(["a b", "c"], ["a", "d e"])
    assert sum([one, other], ErrorRates()) == one + other


def test_silence_is_all_deletions_and_nothing_is_no_error() -> None:
    rates = error_rates(["two words"], [""])
    assert (rates.wer, rates.cer, rates.deletions) == (1.0, 1.0, 2)
    assert error_rates([], []).wer == 0


def test_lists_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 references, but 1 hypotheses"):
        error_rates(["a", "b"], ["a"])


@given(words, words)
def test_the_cosine_is_that_of_count_vectors(reference: str, hypothesis: str) -> None:
    vectors = [
        [text.split().count(word) for word in ("a", "bc", "cab")]
        for text in (reference, hypothesis)
    ]
    expected = 1 - cosine(*vectors)
    assert cosine_similarity([reference], [hypothesis]) == pytest.approx(expected, abs=1e-12)


def test_the_cosine_knows_no_order_and_joins_texts() -> None:
    assert cosine_similarity(["a b", "b c"], ["c b", "b a"]) == 1
    assert cosine_similarity(["a b"], ["c"]) == 0
    assert cosine_similarity(["a a b"], ["a b b"]) == pytest.approx(4 / 5)
    assert cosine_similarity(["a"], [""]) == 0
    assert cosine_similarity([""], [""]) == 1


def test_words_are_paired_with_what_stands_in_their_place() -> None:
    assert align_words("the cat sat on it", "a cat on it now") == [
        ("the", "a"),
        ("cat", "cat"),
        ("sat", ""),
        ("on", "on"),
        ("it", "it"),
        ("", "now"),
    ]
    assert align_characters("a b", "ab") == [("a", "a"), (" ", ""), ("b", "b")]
    assert align_words("two words", "") == [("two", ""), ("words", "")]


@given(words, words)
def test_an_alignment_holds_both_texts_and_as_many_errors_as_needed(
    reference: str, hypothesis: str
) -> None:
    for align, parts in ((align_words, str.split), (align_characters, list)):
        pairs = align(reference, hypothesis)
        assert [wanted for wanted, _ in pairs if wanted] == parts(reference)
        assert [read for _, read in pairs if read] == parts(hypothesis)
        errors = sum(wanted != read for wanted, read in pairs)
        assert errors == distance(parts(reference), parts(hypothesis))


def test_frequent_confusions_come_first_and_equals_by_the_alphabet() -> None:
    counts = Counter({("b", "c"): 1, ("a", "b"): 1, ("x", "y"): 3})
    assert ranked(counts) == [(("x", "y"), 3), (("a", "b"), 1), (("b", "c"), 1)]


@given(st.lists(st.integers(0, 4), max_size=20))
def test_greedy_reading_joins_repeats_then_drops_blanks(path: list[int]) -> None:
    scores = np.eye(5)[path].reshape(-1, 5)
    joined = [label for i, label in enumerate(path) if i == 0 or path[i - 1] != label]
    assert list(greedy_labels(scores)) == [label for label in joined if label]


def test_greedy_text_has_single_spaces_and_no_edges() -> None:
    path = [*ENGLISH.encode(" a"), 0, *ENGLISH.encode("a "), 0, *ENGLISH.encode(" b ")]
    assert greedy_text(np.eye(ENGLISH.size)[path], ENGLISH) == "aa b"
