"""Spell out what corpora write short: numbers, sums of money, units, signs and abbreviations.

The library normt2s reads them aloud; what stands here is what it leaves open: words
that it lacks or that are better said as they are written, and digits of which it
does not tell the kind, such as spans of years and telephone numbers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

from normt2s import Normalizer

from model.text import SPOKEN_SIGNS

ABBREVIATIONS = {
    **{"Lt.": "lieutenant", "Col.": "colonel", "Capt.": "captain", "Sgt.": "sergeant"},
    **{"Gen.": "general", "Maj.": "major", "Cpl.": "corporal", "Adm.": "admiral"},
    **{"Gov.": "governor", "Sen.": "senator", "Rev.": "reverend", "Hon.": "honorable"},
    **{"Mt.": "mount", "Ft.": "fort", "Ave.": "avenue", "Blvd.": "boulevard", "Rd.": "road"},
    **{"Co.": "company", "Corp.": "corporation", "Bros.": "brothers", "Esq.": "esquire"},
}
"""Beyond those of the library."""

SAID_AS_WRITTEN = (
    *("fig.", "eq.", "sec.", "ch.", "max.", "avg.", "Fig.", "Eq.", "Sec.", "Ch.", "Max.", "Avg."),
    *("Ms.", "et al.", "Et al.", "a.k.a.", "A.k.a.", "U.S.", "U.K."),
)
"""Abbreviations of the library that are, or may be, whole words or letters to be said."""

UNITS = {
    "mph": ("mile per hour", "miles per hour"),
    "rpm": ("revolution per minute", "revolutions per minute"),
    "fps": ("frame per second", "frames per second"),
    "\N{CENT SIGN}": ("cent", "cents"),
}
"""Symbols that stand after a number: the words for one, and for several."""

MONTHS = {
    **{"Jan": "January", "Feb": "February", "Mar": "March", "Apr": "April", "Jun": "June"},
    **{"Jul": "July", "Aug": "August", "Sep": "September", "Sept": "September"},
    **{"Oct": "October", "Nov": "November", "Dec": "December"},
}
AMOUNTS = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "bn": "billion"}
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_YEAR = r"(?:1[1-9]\d\d|20\d\d)"
_DASH = r"\s?[-\N{EN DASH}]\s?"
_CURRENCIES = "$\N{POUND SIGN}\N{EURO SIGN}"
_FULL_MONTHS = (*MONTHS.values(), "May")
_TITLES = r"\b(Mr|Mrs|Dr|Prof|St)\b(?!\.)(?=\s+[A-Z])"


LONG_NUMBER = r"\d{41}"
"""Nobody reads these aloud, and spelling them takes time with the square of their length."""


def spell_out(text: str) -> str:
    """Return ``text`` with all that it writes short spelt as it is read aloud.

    "Dr. Smith paid $5 in 1984." becomes "Doctor Smith paid five dollars in nineteen
    eighty-four."  A text without digits, signs and abbreviations stays as it is, and so
    does a sign that has no reading, or a text with a number of more than forty digits.
    What may be read in several ways gets the most usual one.
    """
    if not _has_short_forms(text) or re.search(LONG_NUMBER, text):
        return text
    for pattern, replacement in RULES.items():
        text = re.sub(pattern, replacement, text)
    text = _normalizer().normalize(text)
    if re.search(r"\d", text):
        text = _normalizer().normalize(_apart(text))
    return re.sub(r"\b([ap]) m\b", r"\1m", text)


def _has_short_forms(text: str) -> bool:
    signs = (c in SPOKEN_SIGNS or unicodedata.category(c)[0] in "SN" for c in text)
    return any(signs) or _abbreviation().search(text) is not None


def _apart(text: str) -> str:
    """Return ``text`` with letters and digits of one word apart, as in "A4" and "mp3"."""
    return re.sub(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])", " ", text)


@cache
def _normalizer() -> Normalizer:
    # Plain text holds no formulas: two sums in dollars would be taken for one.
    normalizer = Normalizer("en", latex="keep")
    for short in SAID_AS_WRITTEN:
        normalizer.lexicon.remove("abbreviations", short)
    for short, word in ABBREVIATIONS.items():
        normalizer.add_abbreviation(short, word)
    for symbol, (one, several) in UNITS.items():
        normalizer.add_unit(symbol, one, several)
    normalizer.add_symbol("\N{SECTION SIGN}", "section")
    return normalizer


@cache
def _abbreviation() -> re.Pattern[str]:
    """Return what finds an abbreviation that the library or the rules below know."""
    known = sorted(_normalizer().lexicon.abbreviations, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, known))})|\bSt\.|{_TITLES}")


def _year(digits: str) -> str:
    return str(_normalizer().lang.year(int(digits)))


def _decade(digits: str) -> str:
    return str(_normalizer().lang.decade(int(digits)))


def _ordinal(digits: str) -> str:
    return str(_normalizer().lang.ordinal(int(digits)))


def _one_by_one(found: re.Match[str]) -> str:
    return " ".join(DIGITS[int(digit)] for digit in found[0] if digit.isdecimal())


RULES: dict[str, str | Callable[[re.Match[str]], str]] = {
    _TITLES: r"\1.",
    r"\bSt\.(?=\s+[A-Z])": "Saint",
    r"\bSt\.": "Street",
    r"\b[Nn]os?\.\s*(?=\d)": "number ",
    r"\b50/50\b": "fifty fifty",
    r"\b(\d+)\s+1/2\b": "\\1\N{VULGAR FRACTION ONE HALF}",
    rf"([{_CURRENCIES}]\d[\d.,]*) ?({'|'.join(AMOUNTS)})\b": (
        lambda found: f"{found[1]} {AMOUNTS[found[2]]}"
    ),
    rf"\b({'|'.join(MONTHS)})\b\.?(?=\s+\d)": lambda found: MONTHS[found[1]],
    rf"(?<!\d )\b(?:the )?(\d\d?) ({'|'.join(MONTHS)}|{'|'.join(_FULL_MONTHS)})\b\.?": (
        lambda found: f"the {_ordinal(found[1])} of {MONTHS.get(found[2], found[2])}"
    ),
    r"(?<![\w.,])'?(\d0|1[1-9]\d0|20\d0)'?s\b": lambda found: _decade(found[1]),
    rf"\b({_YEAR}){_DASH}({_YEAR})\b": lambda found: f"{_year(found[1])} to {_year(found[2])}",
    rf"\b({_YEAR}) (and|to) ({_YEAR})\b": (
        lambda found: f"{_year(found[1])} {found[2]} {_year(found[3])}"
    ),
    r"(?<![\d-])(?:\d-)?(?:\d{3}-)?\d{3}-\d{4}(?![\d-])": _one_by_one,
    rf"(?<![\d-])(\d{{1,3}}){_DASH}(\d{{1,3}})(?![\d-])": r"\1 to \2",
    r"(\d+)['\N{PRIME}]\s?(\d+)(?:[\"\N{DOUBLE PRIME}]|'')": r"\1 foot \2",
}
"""What is replaced, in this order, before the library reads the rest."""
