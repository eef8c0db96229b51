"""Decoders: the greedy one against its definition, the beam with a real KenLM file."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm.decoder import BeamDecoder, GreedyDecoder
from lm.errors import LanguageModelError
from model.alphabet import ENGLISH

ARPA = """\\data\\
ngram 1=7
ngram 2=6

\\1-grams:
-99\t<s>\t-0.3
-1.5\t</s>
-2.5\t<unk>
-1.0\tthe\t-0.3
-1.2\tcat\t-0.3
-1.2\tsat\t-0.3
-1.2\thut\t-0.3

\\2-grams:
-0.2\t<s> the
-0.2\tthe cat
-0.2\tcat sat
-2.5\tthe sat
-0.3\tthe hut
-0.2\tsat </s>

\\end\\
"""


def path_of(symbols: str, sure: float = 0.9) -> np.ndarray:
    """Return log-probabilities whose best path is ``symbols``; ``_`` is the blank."""
    probs = np.full((len(symbols), ENGLISH.size), (1 - sure) / (ENGLISH.size - 1))
    for frame, symbol in enumerate(symbols):
        probs[frame, 0 if symbol == "_" else ENGLISH.encode(symbol)[0]] = sure
    return np.log(probs).astype(np.float32)


@pytest.fixture
def arpa(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.arpa"
    path.write_text(ARPA)
    return path


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


@pytest.mark.parametrize("decoder", ["greedy", "beam"])
def test_an_empty_utterance_has_no_words(decoder: str, arpa: Path) -> None:
    chosen = GreedyDecoder(ENGLISH) if decoder == "greedy" else BeamDecoder(ENGLISH, arpa)
    assert chosen.decode(np.zeros((0, ENGLISH.size), np.float32)).words == ()


def test_the_language_model_decides_between_alike_words(arpa: Path) -> None:
    log_probs = np.log(np.exp(path_of("the_ cut_ sat_", 0.6)))
    frame = 6
    assert GreedyDecoder(ENGLISH).decode(log_probs).text == "the cut sat"
    probs = np.exp(log_probs)
    probs[frame, ENGLISH.encode("a")[0]] = 0.3
    log_probs = np.log(probs / probs.sum(axis=1, keepdims=True))
    assert GreedyDecoder(ENGLISH).decode(log_probs).text == "the cut sat"
    assert BeamDecoder(ENGLISH, arpa).decode(log_probs).text == "the cat sat"


def test_beam_words_carry_frames_and_confidence(arpa: Path) -> None:
    words = BeamDecoder(ENGLISH, arpa).decode(path_of("_the_ _cat__")).words
    assert [word.text for word in words] == ["the", "cat"]
    assert words[0].start_frame <= 1 < words[0].end_frame <= words[1].start_frame
    assert all(word.confidence == pytest.approx(0.9, abs=0.01) for word in words)


def test_hotwords_are_preferred(arpa: Path) -> None:
    probs = np.exp(path_of("the_ sat_", 0.9))
    probs[5, ENGLISH.encode("m")[0]] = 0.4
    log_probs = np.log(probs / probs.sum(axis=1, keepdims=True))
    assert BeamDecoder(ENGLISH, arpa).decode(log_probs).text == "the sat"
    for hotword in ("mat", "Mat"):
        boosted = BeamDecoder(ENGLISH, arpa, hotwords=[hotword], hotword_weight=20.0)
        assert boosted.decode(log_probs).text == "the mat"


def test_a_hotword_that_cannot_be_spelled_is_named(arpa: Path) -> None:
    with pytest.raises(LanguageModelError, match="hotwords R2D2: cannot spell '2'"):
        BeamDecoder(ENGLISH, arpa, hotwords=["R2D2"])


def test_a_missing_language_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(LanguageModelError, match=r"none\.arpa: no such file"):
        BeamDecoder(ENGLISH, tmp_path / "none.arpa")


def test_a_list_of_words_in_another_encoding_is_named(arpa: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_bytes("café".encode("latin-1"))
    with pytest.raises(LanguageModelError, match=r"words\.txt: is not UTF-8 text"):
        BeamDecoder(ENGLISH, arpa, words)


def test_a_file_that_is_no_language_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "words.arpa"
    path.write_text("this is no language model\n")
    with pytest.raises(LanguageModelError, match=r"words\.arpa: cannot be loaded"):
        BeamDecoder(ENGLISH, path)
