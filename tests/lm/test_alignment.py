"""Forced alignment against the best of all paths."""

from __future__ import annotations

from itertools import groupby, product

import numpy as np
import pytest

from lm.alignment import align_beginning, align_whole
from model.alphabet import ENGLISH, Alphabet
from tests.lm.toys import path_of

FEW = Alphabet(("", "a", "b", " "))


def test_words_lie_where_they_were_said() -> None:
    spans = align_beginning(path_of("__tthe_ _cat_ sat"), ["the", "cat"], ENGLISH)
    assert spans == [(2, 6), (9, 12)]


def test_doubled_letters_need_a_blank_between() -> None:
    assert align_beginning(path_of("b_ee_e__"), ["bee"], ENGLISH) == [(0, 6)]


def test_words_without_frames_are_empty_at_the_end() -> None:
    assert align_beginning(path_of("the"), ["the", "cat"], ENGLISH) == [(0, 3), (3, 3)]
    spans = align_beginning(path_of("the c"), ["the", "cat", "sat"], ENGLISH)
    assert spans == [(0, 3), (4, 5), (5, 5)]
    assert align_beginning(path_of(""), ["the"], ENGLISH) == [(0, 0)]


def test_a_whole_utterance_is_its_words_and_nothing_else() -> None:
    frames = path_of("__tthe_ _cat__")
    assert align_whole(frames, ["the", "cat"], ENGLISH) == [(2, 6), (9, 12)]
    # What else is heard is taken for blanks.
    assert align_whole(frames, ["the"], ENGLISH) == [(2, 6)]
    assert align_whole(path_of("___cats"), ["cat"], ENGLISH) == [(3, 6)]
    assert align_whole(path_of("__b_ee_e"), ["bee"], ENGLISH) == [(2, 8)]


def test_words_of_a_whole_utterance_without_frames_are_empty() -> None:
    assert align_whole(path_of("the c"), ["the", "cat"], ENGLISH) == [(0, 3), (4, 5)]
    assert align_whole(path_of("th"), ["the", "cat"], ENGLISH) == [(0, 2), (2, 2)]
    assert align_whole(path_of(""), ["the"], ENGLISH) == [(0, 0)]
    assert align_whole(path_of("___"), [], ENGLISH) == []


def random_frames(seed: int) -> np.ndarray:
    """Return log-probabilities of six frames of the alphabet of few symbols."""
    logits = np.random.default_rng(seed).normal(0, 2, (6, FEW.size))
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("words", [["a"], ["ab"], ["aa"], ["b", "a"], ["aab"], ["a", "a"]])
def test_the_path_of_a_whole_utterance_is_the_best_of_all(seed: int, words: list[str]) -> None:
    log_probs, text = random_frames(seed), " ".join(words)
    paths = (
        path
        for path in product(range(FEW.size), repeat=6)
        if FEW.decode(label for label, _ in groupby(path) if label) == text
    )
    best = max(paths, key=lambda path: log_probs[range(6), path].sum())
    assert align_whole(log_probs.astype(np.float32), words, FEW) == word_spans(best, words)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("words", [["a"], ["ab"], ["aa"], ["b", "a"]])
def test_the_path_is_the_best_of_all(seed: int, words: list[str]) -> None:
    log_probs, text = random_frames(seed), " ".join(words)
    best, spans = -np.inf, []
    # The text is followed by whatever is likeliest, from any frame on.
    for count in range(len(text), 7):
        rest = log_probs[count:].max(axis=1).sum()
        for path in product(range(FEW.size), repeat=count):
            if FEW.decode(label for label, _ in groupby(path) if label) != text:
                continue
            score = rest + log_probs[range(count), path].sum()
            if score > best + 1e-9:
                best, spans = score, word_spans(path, words)
    found = align_beginning(log_probs.astype(np.float32), words, FEW)
    assert [span[0] for span in found] == [span[0] for span in spans]


def word_spans(path: tuple[int, ...], words: list[str]) -> list[tuple[int, int]]:
    """Return the frames of each word on a path through the symbols of a text."""
    spans: list[list[int]] = [[]]
    for frame, label in enumerate(path):
        if FEW.symbols[label] == " ":
            if spans[-1]:
                spans.append([])
        elif label:
            spans[-1].append(frame)
    return [(frames[0], frames[-1] + 1) for frames in spans[: len(words)]]
