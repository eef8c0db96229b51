"""ARPA files: exact there and back, read alike by KenLM, and clear about what is wrong."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lm.building.arpa import read_arpa, write_arpa
from lm.building.ngrams import NGramModel, NGrams
from lm.errors import LanguageModelError
from tests.lm.building.toy_ngrams import (
    ARPA,
    every_row,
    in_kenlm,
    kenlm_log_prob,
    random_model,
    same,
)


@pytest.fixture
def arpa(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.arpa"
    path.write_text(ARPA)
    return path


def row(model: NGramModel, text: str) -> np.ndarray:
    return np.array([[model.numbers[word] for word in text.split()]])


def test_the_file_s_numbers_are_the_model_s(arpa: Path) -> None:
    model = read_arpa(arpa)
    assert model.words == ("</s>", "<s>", "<unk>", "blue", "red", "red's")
    assert model.counts == (6, 5, 2)
    assert model.log_probs(row(model, "<s> red blue")) == pytest.approx([-0.2])
    assert model.log_probs(row(model, "blue red blue")) == pytest.approx([-0.4])
    assert model.log_probs(row(model, "red blue red's")) == pytest.approx([-0.1 - 0.5 - 0.6])
    assert model.log_probs(row(model, "red's red")) == pytest.approx([-0.125 - 0.5])


def test_rows_are_the_words_of_the_n_grams(arpa: Path) -> None:
    model = read_arpa(arpa)
    spelled = {" ".join(model.words[number] for number in some) for some in model.rows(3)}
    assert spelled == {"<s> red blue", "red blue </s>"}
    assert model.find(model.rows(2)).tolist() == list(range(5))
    assert model.find(row(model, "blue blue")).tolist() == [-1]


@pytest.mark.parametrize("name", ["model.arpa", "model.arpa.gz", "new/folder/model.arpa"])
@pytest.mark.parametrize("order", [1, 2, 4])
def test_there_and_back_is_exact(tmp_path: Path, name: str, order: int) -> None:
    model = random_model(order, "a b c é", order)
    write_arpa(model, tmp_path / name)
    assert same(read_arpa(tmp_path / name), model)
    assert list((tmp_path / name).parent.iterdir()) == [tmp_path / name]


def test_kenlm_gives_what_the_model_gives(tmp_path: Path) -> None:
    model = random_model(5, order=4)
    other = in_kenlm(model, tmp_path / "model.arpa")
    for sentence in ("a b c a d e", "e e d never c b a", "d"):
        [rows] = model.windows([sentence], model.order)
        assert model.log_probs(rows).sum() == pytest.approx(other.score(sentence), abs=1e-4)
    assert kenlm_log_prob(other, ["<s>", "a"], "b") == pytest.approx(
        model.log_probs(row(model, "<s> a b"))[0], abs=1e-5
    )


def test_sections_longer_than_a_block_are_read_whole(
    arpa: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_arpa(arpa)
    monkeypatch.setattr("lm.building.arpa.LINES_AT_ONCE", 2)
    assert same(read_arpa(arpa), whole)
    write_arpa(whole, arpa)
    assert same(read_arpa(arpa), whole)


def test_comments_and_upper_case_unknown_words_are_read(arpa: Path) -> None:
    arpa.write_text("# made by a tool\n\n" + ARPA.replace("<unk>", "<UNK>"))
    assert read_arpa(arpa).unknown == read_arpa(arpa).words.index("<unk>")


def test_lacking_endings_are_added_without_changing_a_probability(arpa: Path) -> None:
    arpa.write_text(
        ARPA.replace("ngram 3=2", "ngram 3=3").replace(
            "-0.1\tred blue </s>", "-0.1\tred blue </s>\n-0.15\tred blue blue"
        )
    )
    model = read_arpa(arpa)
    assert model.counts == (6, 6, 3)
    assert all((endings >= 0).all() for endings in model.endings[1:])
    assert model.log_probs(row(model, "red blue blue")) == pytest.approx([-0.15])
    assert model.log_probs(row(model, "blue blue")) == pytest.approx([-0.5 - 0.7])
    assert model.log_probs(row(model, "blue blue red")) == pytest.approx([-0.5])


@pytest.mark.parametrize("seed", range(4))
def test_any_lacking_endings_are_added(tmp_path: Path, seed: int) -> None:
    lacking = without_some(random_model(seed, order=4), seed)
    assert any((endings < 0).any() for endings in lacking.endings[1:])
    write_arpa(lacking, tmp_path / "model.arpa")
    model = read_arpa(tmp_path / "model.arpa")
    assert all((endings >= 0).all() for endings in model.endings[1:])
    rows = every_row(lacking)[2].reshape(-1, 3)
    rows = np.concatenate([np.insert(rows, 0, word, axis=1) for word in range(len(model.words))])
    assert model.log_probs(rows) == pytest.approx(lacking.log_probs(rows), abs=1e-5)


def without_some(model: NGramModel, seed: int) -> NGramModel:
    """Return a model without some of the n-grams that are no histories."""
    random = np.random.default_rng(seed)
    orders = list(model.orders)
    for n in (2, 3):
        history, word = np.divmod(orders[n].keys, len(model.words))
        grams = orders[n - 1]
        keep = np.isin(np.arange(len(grams)), history) | (random.random(len(grams)) < 0.3)
        orders[n - 1] = NGrams(grams.keys[keep], grams.log_probs[keep], grams.back_offs[keep])
        keys = (np.cumsum(keep) - 1)[history] * len(model.words) + word
        orders[n] = replace(orders[n], keys=keys)
    return NGramModel(model.words, tuple(orders))


def test_rows_of_sentences_hold_the_words_before(arpa: Path) -> None:
    model = read_arpa(arpa)
    end, start, unknown, blue, red, _ = range(len(model.words))
    [rows] = model.windows(["red green", "blue"], 3)
    assert rows.tolist() == [
        [-1, start, red],
        [start, red, unknown],
        [red, unknown, end],
        [-1, start, blue],
        [start, blue, end],
    ]
    [single] = model.windows(["red"], 1)
    assert single.tolist() == [[red], [end]]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("\\data\\", "hello", "tiny.arpa:1: is no ARPA file: must begin with .*got 'hello'"),
        ("ngram 2=5", "ngram 3=5", "tiny.arpa:3: must be ngram 2=COUNT, got 'ngram 3=5'"),
        ("ngram 1=6", "ngram 1=0", "must give the number of words"),
        ("\\2-grams:", "\\3-grams:", r"tiny.arpa:14: must be \\2-grams:, got "),
        ("ngram 2=5", "ngram 2=6", "tiny.arpa:20: must be one of 6 2-grams as the header says"),
        ("ngram 2=5", "ngram 2=4", r"tiny.arpa:19: must be \\3-grams:, got .*blue red"),
        ("-0.4\tred blue\t-0.1", "-0.4\tred\t-0.1", "tiny.arpa:16: '-0.1' must be a 1-gram"),
        ("-0.4\tred blue\t-0.1", "-0.4\tred", "tiny.arpa:16: must be a probability, 2 words and"),
        ("-0.4\tred blue", "-0.4\tred green", "tiny.arpa:16: 'green' must be a 1-gram"),
        ("-0.4\tred blue", "0.4\tred blue", "tiny.arpa:16: must have logarithms at most 0"),
        ("-0.4\tred blue", "nan\tred blue", "tiny.arpa:16: must have logarithms at most 0"),
        ("-0.4\tred blue", "word\tred blue", "tiny.arpa:16: must have logarithms at most 0"),
        ("red blue </s>", "red's red red", "tiny.arpa:23: the history red's red must be a 2-gram"),
        ("-0.5\tblue red", "-0.5\tred blue", "tiny.arpa:19: red blue is given twice"),
        ("-0.7\tblue", "-0.7\tred", "tiny.arpa:12: 'red' is given twice"),
        ("\n\\end\\\n", "", "tiny.arpa:23: is cut off"),
        ("\n-0.1\tred blue </s>\n\n\\end\\\n", "", "tiny.arpa:22: is cut off"),
        ("\\end\\", "-1\tred", r"must be \\end\\, got"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(arpa: Path, old: str, new: str, problem: str) -> None:
    assert old in ARPA
    arpa.write_text(ARPA.replace(old, new, 1))
    with pytest.raises(LanguageModelError, match=problem):
        read_arpa(arpa)


def test_words_that_are_no_utf8_are_named(arpa: Path) -> None:
    arpa.write_bytes(ARPA.encode().replace(b"\tred's\t", b"\tr\xff\t"))
    with pytest.raises(LanguageModelError, match=r"tiny.arpa:11: .* is not UTF-8"):
        read_arpa(arpa)


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(LanguageModelError, match=r"none.arpa: cannot be read"):
        read_arpa(tmp_path / "none.arpa")
    path = tmp_path / "model.arpa.gz"
    path.write_text(ARPA)
    with pytest.raises(LanguageModelError, match=r"model.arpa.gz: cannot be read"):
        read_arpa(path)
    path.write_bytes(gzip.compress(ARPA.encode())[:-20])
    with pytest.raises(LanguageModelError, match=r"model.arpa.gz: is cut off"):
        read_arpa(path)


def test_what_cannot_be_written_is_said(arpa: Path) -> None:
    with pytest.raises(LanguageModelError, match="cannot be written"):
        write_arpa(read_arpa(arpa), arpa / "inside" / "model.arpa")
