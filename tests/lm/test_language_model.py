"""Loading KenLM models of ours and of others, and what is asked of them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
from collections.abc import Callable
from pathlib import Path

import kenlm
import pytest

from lm.errors import LanguageModelError
from lm.language_model import LN_10, LanguageModel
from tests.lm.toys import ARPA, write_arpa


@pytest.fixture(scope="module")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_arpa(tmp_path_factory.mktemp("lm") / "tiny.arpa")


@pytest.fixture(scope="module")
def model(arpa: Path) -> LanguageModel:
    return LanguageModel.load(arpa)


def sentence(model: LanguageModel, text: str) -> float:
    """Return the natural logarithm of the probability of a sentence, with its end."""
    state, total = model.start(), 0.0
    for word in text.split():
        score, state = model.score(state, word)
        total += score
    return total + model.end_score(state)


@pytest.mark.parametrize("text", ["the cat sat", "hut the", "the dog", ""])
def test_words_score_as_kenlm_scores_the_sentence(
    model: LanguageModel, arpa: Path, text: str
) -> None:
    assert sentence(model, text) == pytest.approx(kenlm.Model(str(arpa)).score(text) * LN_10)


@pytest.mark.parametrize("text", ["the", "the cat", "cat sat", "the hut the cat sat", "dog"])
def test_a_sentence_ends_with_the_probability_that_kenlm_gives_its_end(
    model: LanguageModel, arpa: Path, text: str
) -> None:
    *_, (log_10, _, _) = kenlm.Model(str(arpa)).full_scores(text)
    assert model.sentence_end(text.split()) == pytest.approx(10**log_10)


def test_known_words_are_those_of_the_arpa_file(model: LanguageModel) -> None:
    assert model.words == ["cat", "hut", "sat", "the"]
    assert model.knows("cat") and not model.knows("dog")


@pytest.mark.parametrize("beginning", ["t", "th", "the", "them", "x", "", "h"])
def test_a_beginning_has_the_words_that_start_with_it(model: LanguageModel, beginning: str) -> None:
    span = model.everything
    for end in range(1, len(beginning) + 1):
        span = model.spell(span, beginning[:end])
    expected = [word for word in model.words if word.startswith(beginning)]
    assert model.words[span.low : span.high] == expected
    unigrams = {"cat": -1.2, "hut": -1.2, "sat": -1.2, "the": -1.0}
    best = max((unigrams[word] * LN_10 for word in expected), default=-math.inf)
    assert span.best == pytest.approx(best, rel=1e-5)


def test_an_upper_case_model_is_read_as_its_lower_case_twin(
    model: LanguageModel, tmp_path: Path
) -> None:
    upper = ARPA
    for word in ("the", "cat", "sat", "hut"):
        upper = upper.replace(word, word.upper())
    shouting = LanguageModel.load(write_arpa(tmp_path / "upper.arpa", upper))
    assert shouting.words == model.words
    assert shouting.knows("cat") and not shouting.knows("dog")
    for text in ("the cat sat", "the dog"):
        assert sentence(shouting, text) == pytest.approx(sentence(model, text))


def test_a_model_with_capitals_is_refused_by_name(tmp_path: Path) -> None:
    capitals = write_arpa(tmp_path / "capitals.arpa", ARPA.replace("the", "The"))
    with pytest.raises(LanguageModelError, match=r"capitals\.arpa: has words with capitals"):
        LanguageModel.load(capitals)


@pytest.mark.parametrize("other", ["cat", "the"])
def test_a_model_in_both_cases_is_refused_by_name(other: str, tmp_path: Path) -> None:
    both = write_arpa(tmp_path / "both.arpa", ARPA.replace(other, "I").replace("hut", "The"))
    with pytest.raises(LanguageModelError, match=r"both\.arpa: has words with capitals only"):
        LanguageModel.load(both)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_known_words_are_read_from_compressed_files(
    compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "tiny.arpa.packed"
    path.write_bytes(compress(ARPA.encode()))
    try:
        model = LanguageModel.load(path)
    except LanguageModelError as error:
        if "support was not compiled in" not in str(error):
            raise
        pytest.skip("KenLM was compiled without the library of this format")
    assert model.words == ["cat", "hut", "sat", "the"]


def test_a_list_of_another_model_is_refused_with_a_word_of_it(arpa: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("alpha\nbeta\nthe\n")
    with pytest.raises(LanguageModelError, match=r"words\.txt: does not belong .*'alpha'"):
        LanguageModel.load(arpa, words)


def test_a_list_may_begin_with_a_mark_of_its_encoding(arpa: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("cat\nthe\n", encoding="utf-8-sig")
    assert LanguageModel.load(arpa, words).words == ["cat", "the"]


def test_a_list_beside_the_model_says_which_words_are_known(arpa: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("THE\ncat\n")
    assert LanguageModel.load(arpa, words).words == ["cat", "the"]


def test_a_folder_holds_the_model_and_its_words(tmp_path: Path) -> None:
    write_arpa(tmp_path / "lm.binary")
    (tmp_path / "words.txt").write_text("cat\nthe\n")
    assert LanguageModel.load(tmp_path).words == ["cat", "the"]


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(LanguageModelError, match=r"none\.arpa: no such file"):
        LanguageModel.load(tmp_path / "none.arpa")
    with pytest.raises(LanguageModelError, match=r"lm\.binary: no such file"):
        LanguageModel.load(tmp_path)


def test_a_missing_list_of_words_is_named(arpa: Path, tmp_path: Path) -> None:
    with pytest.raises(LanguageModelError, match=r"list\.txt: no such file"):
        LanguageModel.load(arpa, tmp_path / "list.txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [("café".encode("latin-1"), "is not UTF-8 text"), (b"\n", "has no words")],
)
def test_an_unusable_list_of_words_is_named(
    arpa: Path, tmp_path: Path, content: bytes, message: str
) -> None:
    words = tmp_path / "words.txt"
    words.write_bytes(content)
    with pytest.raises(LanguageModelError, match=rf"words\.txt: {message}"):
        LanguageModel.load(arpa, words)


@pytest.mark.parametrize(
    "content",
    [
        b"this is no language model\n",
        b"",
        gzip.compress(b"this is no language model\n"),
        ARPA[: len(ARPA) // 2].encode(),
        b"mmap lm http://kheafield.com/code format version 5\n\x00" + bytes(20),
        bytes(range(256)) * 10,
    ],
    ids=["text", "empty", "gzip", "half", "binary", "bytes"],
)
def test_a_file_that_is_no_language_model_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "words.arpa"
    path.write_bytes(content)
    with pytest.raises(LanguageModelError, match=r"words\.arpa: cannot be loaded as an?") as caught:
        LanguageModel.load(path)
    assert ".cc:" not in str(caught.value)
