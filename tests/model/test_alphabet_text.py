from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.alphabet import ENGLISH, Alphabet
from model.text import normalise_text


@given(st.text(alphabet="".join(ENGLISH.symbols[1:])))
def test_decoding_gives_back_what_was_encoded(text: str) -> None:
    labels = ENGLISH.encode(text)
    assert all(0 < label < ENGLISH.size for label in labels)
    assert ENGLISH.decode(labels) == text


def test_blanks_vanish_and_repeats_stay() -> None:
    assert ENGLISH.decode([0, 1, 0, 1, 1]) == "aaa"


def test_unknown_characters_are_named() -> None:
    with pytest.raises(ValueError, match="'3' 'é'"):
        ENGLISH.encode("caf\N{LATIN SMALL LETTER E WITH ACUTE} 3")


@pytest.mark.parametrize(
    ("symbols", "rule"),
    [
        ((), "blank"),
        (("a", ""), "blank"),
        (("", "a", "a"), "once"),
        (("", "ab"), "one character"),
    ],
)
def test_impossible_alphabets_are_refused(symbols: tuple[str, ...], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Alphabet(symbols)


@pytest.mark.parametrize(
    ("written", "spelt"),
    [
        ("It\N{RIGHT SINGLE QUOTATION MARK}s  a\twell-known caf\u00e9.", "it's a well known cafe"),
        ("\N{LEFT DOUBLE QUOTATION MARK}No!\N{RIGHT DOUBLE QUOTATION MARK} he said", "no he said"),
        ("one\N{EM DASH}two \N{EN DASH} three", "one two three"),
        ("Wait... what\N{HORIZONTAL ELLIPSIS}now", "wait what now"),
        ("the U.S. and/or the U.K.", "the us and or the uk"),
        ("na\u0131ve".replace("\u0131", "i\u0308"), "naive"),
        ("\N{LATIN SMALL LIGATURE FI}ne", "fine"),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER A}b", "ab"),
        ("\N{MATHEMATICAL BOLD CAPITAL H}i", "hi"),
        ("soft\N{SOFT HYPHEN}ware \N{ZERO WIDTH SPACE}here", "software here"),
        ("rock ' roll", "rock roll"),
        ("  ", ""),
    ],
)
def test_text_is_spelt_as_the_model_writes(written: str, spelt: str) -> None:
    assert normalise_text(written) == spelt


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("room 23", "'2' '3'"),
        ("\N{GREEK SMALL LETTER ALPHA}", "'\N{GREEK SMALL LETTER ALPHA}'"),
        ("rock & roll", "'&'"),
        ("fifty %", "'%'"),
        ("$ five", r"'\$'"),
    ],
)
def test_what_cannot_be_spelt_is_named_with_a_remedy(written: str, named: str) -> None:
    with pytest.raises(ValueError, match=f"cannot spell {named}: .*write numbers"):
        normalise_text(written)


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    try:
        once = normalise_text(text)
    except ValueError:
        return
    assert normalise_text(once) == once
    ENGLISH.encode(once)
    assert once == " ".join(once.split())
