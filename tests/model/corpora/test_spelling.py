from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.alphabet import ENGLISH
from model.corpora.spelling import MONTHS, spell_out
from model.text import normalise_text


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            "Dr. Smith paid $5 in 1984.",
            "doctor smith paid five dollars in nineteen eighty four",
        ),
        ("No. 3", "number three"),
        ("No. 10 Downing St.", "number ten downing street"),
        ("No. I won't.", "no i won't"),
        ("10%", "ten percent"),
        ("the 21st", "the twenty first"),
        ("3.5", "three point five"),
        ("\N{POUND SIGN}10", "ten pounds"),
        ("\N{POUND SIGN}2.50 or $1.01", "two pounds and fifty pence or one dollar and one cent"),
        ("$5 and $6", "five dollars and six dollars"),
        ("$2.5 billion, $3bn", "two point five billion dollars three billion dollars"),
        ("1 km, 5 km", "one kilometer five kilometers"),
        ("1 mph, 60 mph", "one mile per hour sixty miles per hour"),
        ("5\N{CENT SIGN} a head", "five cents a head"),
        ("-5 at 20\N{DEGREE SIGN}C", "minus five at twenty degrees celsius"),
        ("rock & roll", "rock and roll"),
        ("\N{SECTION SIGN} 5", "section five"),
        ("#1", "number one"),
        ("Mr. and Mrs. Jones", "mister and missus jones"),
        ("Mr Jones, Dr Who", "mister jones doctor who"),
        ("Lt. Col. Blake vs. Gen. Lee", "lieutenant colonel blake versus general lee"),
        ("Ms. Max. ate a fig.", "ms max ate a fig"),
        ("In St. Louis", "in saint louis"),
        ("the U.S. at 5 p.m.", "the us at five pm"),
        ("in 2007", "in two thousand seven"),
        ("in the 1990s", "in the nineteen nineties"),
        ("the '80s", "the eighties"),
        ("1984-1990", "nineteen eighty four to nineteen ninety"),
        ("from 1812 to 1815", "from eighteen twelve to eighteen fifteen"),
        ("pp. 10-12", "pages ten to twelve"),
        ("call 555-0123", "call five five five zero one two three"),
        ("1-800-555-0123", "one eight zero zero five five five zero one two three"),
        ("Jan. 5, 2001", "january fifth two thousand one"),
        ("on 4 July 1776", "on the fourth of july seventeen seventy six"),
        ("the 25 Dec. party", "the twenty fifth of december party"),
        ("1,234,567", "one million two hundred thirty four thousand five hundred sixty seven"),
        ("1/2 a cup, 2 1/2 cups", "one half a cup two and a half cups"),
        ("24/7 and 50/50", "twenty four seven and fifty fifty"),
        ("at 5:30", "at five thirty"),
        ("6'2\"", "six foot two"),
        ("A4, B2B and mp3", "a four b two b and mp three"),
        ("007", "zero zero seven"),
    ],
)
def test_what_is_written_short_is_spelt_as_it_is_said(written: str, said: str) -> None:
    spelt = normalise_text(spell_out(written))
    assert spelt == said
    ENGLISH.encode(spelt)


@pytest.mark.parametrize(
    "text",
    [
        "It's a well-known caf\u00e9\N{EM DASH}isn't it?",
        "No! He said: 'st' or mr, doctor; (and) etcetera...",
        "I may march on Sun",
        "",
    ],
)
def test_a_text_without_short_forms_stays_as_it_is(text: str) -> None:
    assert spell_out(text) == text


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("me@example.com", "'@'"),
        ("C++", r"'\+'"),
        ("\N{SNOWMAN}", "'\N{SNOWMAN}'"),
        ("\N{CYRILLIC SMALL LETTER ZHE}", "'\N{CYRILLIC SMALL LETTER ZHE}'"),
    ],
)
def test_what_has_no_reading_stays_an_error_that_names_it(written: str, named: str) -> None:
    with pytest.raises(ValueError, match=f"cannot spell {named}"):
        normalise_text(spell_out(written))


@given(st.text(alphabet="".join(ENGLISH.symbols[1:])))
def test_what_the_model_writes_stays_as_it_is(text: str) -> None:
    assert spell_out(text) == text


@given(st.integers(0, 10**12))
def test_every_number_becomes_words(number: int) -> None:
    for written in (str(number), f"{number:,}", f"{number}%", f"${number}", f"-{number}"):
        spelt = normalise_text(spell_out(written))
        ENGLISH.encode(spelt)
        assert spelt == spell_out(spelt)
        assert spelt == " ".join(spelt.split()) != ""


@given(st.sampled_from(sorted(MONTHS)), st.integers(1, 31), st.integers(1100, 2099))
def test_every_date_becomes_words(month: str, day: int, year: int) -> None:
    spelt = [normalise_text(spell_out(f"{month}. {day}, {year}"))]
    spelt.append(normalise_text(spell_out(f"{day} {month} {year}")))
    assert all(MONTHS[month].lower() in text.split() for text in spelt)


SIGNS = string.ascii_letters + string.digits + string.punctuation + " \N{POUND SIGN}\N{EN DASH}"


@given(st.text(alphabet=SIGNS) | st.text())
def test_any_text_is_spelt_or_refused_with_its_symbols(text: str) -> None:
    try:
        spelt = normalise_text(spell_out(text))
    except ValueError as error:
        assert "cannot spell" in str(error)
        return
    ENGLISH.encode(spelt)


def test_a_number_without_end_stays_as_it_is() -> None:
    text = "It is " + "7" * 100_000
    assert spell_out(text) == text
