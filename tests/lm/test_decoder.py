"""The greedy decoder against its definition."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm.decoder import GreedyDecoder
from model.alphabet import ENGLISH
from tests.lm.toys import path_of


def test_greedy_joins_repeats_and_drops_blanks() -> None:
    hypothesis = GreedyDecoder(ENGLISH).decode(path_of("__hh_e_lll_lo__  _w_ee"))
    assert hypothesis.text == "hello we"


def test_greedy_words_carry_their_frames() -> None:
    first, second = GreedyDecoder(ENGLISH).decode(path_of("__aab_ _cc_")).words
    assert (first.text, first.start_frame, first.end_frame) == ("ab", 2, 5)
    assert (second.text, second.start_frame, second.end_frame) == ("c", 8, 10)


def test_greedy_confidence_is_the_mean_probability_of_the_symbols() -> None:
    log_probs = np.concatenate([path_of("a", 0.9), path_of("b", 0.5)])
    (word,) = GreedyDecoder(ENGLISH).decode(log_probs).words
    assert word.confidence == pytest.approx(0.7, abs=1e-4)


@given(st.text(alphabet="_abc '", max_size=40))
def test_greedy_text_is_the_collapsed_path(symbols: str) -> None:
    expected = "".join(key for key, _ in groupby(symbols) if key != "_")
    assert GreedyDecoder(ENGLISH).decode(path_of(symbols)).text == " ".join(expected.split())


@given(st.text(alphabet="_abc '", max_size=40))
def test_greedy_words_lie_in_order_within_the_utterance(symbols: str) -> None:
    words = GreedyDecoder(ENGLISH).decode(path_of(symbols)).words
    places = [frame for word in words for frame in (word.start_frame, word.end_frame)]
    assert places == sorted(places)
    assert all(0 <= place <= len(symbols) for place in places)
    assert all(0 <= word.confidence <= 1 for word in words)


def test_an_empty_utterance_has_no_words() -> None:
    decoder = GreedyDecoder(ENGLISH)
    assert decoder.decode(np.zeros((0, ENGLISH.size), np.float32)).words == ()
    assert decoder.session().best().words == ()


@given(st.text(alphabet="_abc '", max_size=40), st.integers(0, 40))
def test_a_session_reads_what_was_pushed_and_the_tail(symbols: str, cut: int) -> None:
    decoder = GreedyDecoder(ENGLISH)
    session = decoder.session()
    log_probs = path_of(symbols)
    session.push(log_probs[:cut])
    assert session.best(log_probs[cut:]) == decoder.decode(log_probs)
    assert session.best() == decoder.decode(log_probs[:cut])
