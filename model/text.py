"""One normaliser for every text that meets the model: transcripts, corpora, references."""

from __future__ import annotations

import re
import unicodedata

from model.alphabet import ENGLISH, Alphabet

_APOSTROPHES = str.maketrans(
    dict.fromkeys(
        "\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"
        "\N{SINGLE HIGH-REVERSED-9 QUOTATION MARK}\N{MODIFIER LETTER APOSTROPHE}"
        "\N{GRAVE ACCENT}\N{ACUTE ACCENT}\N{PRIME}",
        "'",
    )
)
SPOKEN_SIGNS = frozenset("%&@#§‰")
"""Punctuation to Unicode, but read aloud: leaving it out would change what is said."""


def normalise_text(text: str, alphabet: Alphabet = ENGLISH) -> str:
    """Return ``text`` as the model spells it, such as ``it's a well known cafe``.

    Lower case, accents stripped, curly apostrophes made straight, hyphens and
    dashes made spaces, all other punctuation dropped, single spaces.

    Args:
        text: Any Unicode text.
        alphabet: The symbols that may remain.

    Raises:
        ValueError: If symbols remain that the alphabet lacks, such as digits; the
            message names them.
    """
    letters = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES)).lower()
    letters = re.sub(r"\.{2,}", " ", letters).replace(".", "")
    words = "".join(map(_spell, letters)).split()
    normalised = " ".join(word for word in words if word.strip("'"))
    unknown = sorted(set(normalised) - set(alphabet.symbols))
    if unknown:
        raise ValueError(
            f"cannot spell {' '.join(map(repr, unknown))}: the model writes only letters, "
            "apostrophes and spaces; write numbers and signs out as they are spoken"
        )
    return normalised


def _spell(character: str) -> str:
    """Return what becomes of one character of decomposed lower-case text."""
    category = unicodedata.category(character)
    if category in ("Mn", "Cf"):
        return ""
    if category.startswith("P") and character not in SPOKEN_SIGNS and character != "'":
        return " "
    return character
