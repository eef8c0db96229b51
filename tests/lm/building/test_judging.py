"""Perplexity against its definition, on a model small enough to reckon by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from lm.building.judging import judge, open_model

ARPA = """\\data\\
ngram 1=5
ngram 2=2

\\1-grams:
-99\t<s>\t-0.5
-1.0\t</s>
-2.0\t<unk>
-0.5\tthe\t-0.25
-0.75\tcat

\\2-grams:
-0.125\t<s> the
-0.25\tthe cat

\\end\\
"""


def test_perplexity_is_that_of_known_words_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "tiny.arpa"
    path.write_text(ARPA)
    found = judge(open_model(path), ["the cat", "the dog"])
    # Known: "the", "cat" and the end; then "the" and the end after the unknown word.
    score = (-0.125 - 0.25 - 1.0) + (-0.125 - 1.0)
    assert (found.sentences, found.words, found.unknown) == (2, 4, 1)
    assert found.unknown_share == 0.25
    assert found.perplexity == pytest.approx(10 ** (-score / 5), rel=1e-5)
    assert math.isnan(judge(open_model(path), []).perplexity)
