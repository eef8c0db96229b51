"""Recordings are found by all their words, and the place is shown."""

from __future__ import annotations

from itertools import pairwise
from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.web.errors import BadRequest
from streamer.web.library.library import Library
from streamer.web.library.searching import folded, pieces, searched_words
from tests.streamer.web.library.shelves import Hears, keep

TALKS = {
    "Weather": ["it rains in Spain", "the sun is out"],
    "Sales 100%": ["we sold_out of STRASSE maps", ""],
    "Café": ["nothing to say"],
}
QUERIES = {
    "": {"Weather", "Sales 100%", "Café"},
    "rain": {"Weather"},
    "RAINS sun": {"Weather"},
    "sun rains weather": {"Weather"},
    "rains sold": set(),
    "%": {"Sales 100%"},
    "_": {"Sales 100%"},
    "\\": set(),
    "straße": {"Sales 100%"},
    "CAFE\N{COMBINING ACUTE ACCENT}": {"Café"},
    "cafe": set(),
    "S": {"Weather", "Sales 100%", "Café"},
    "'": set(),
    '"; --': set(),
}


def titles(library: Library, query: str) -> set[str]:
    return {recording.title for recording in library.recordings(query).recordings}


def test_all_words_must_occur_in_any_case(library: Library) -> None:
    for title, texts in TALKS.items():
        keep(library, texts, title)
    assert {query: titles(library, query) for query in QUERIES} == QUERIES


def test_only_the_newest_revision_is_searched(library: Library) -> None:
    id = keep(library, ["it pours in Spain", "always"])
    library.correct(id, 0, ["it rains in Spain", "always"], Hears())
    assert [len(library.recordings(q).recordings) for q in ("pours", "rains")] == [0, 1]
    library.restore(id, 0)
    assert [len(library.recordings(q).recordings) for q in ("pours", "rains")] == [1, 0]


def test_a_snippet_shows_where_it_was_said(library: Library) -> None:
    keep(library, ["a start", "it rained and rained " + "and rained " * 30], "Rain")
    [recording] = library.recordings("rain RAINED").recordings
    assert recording.snippet is not None
    assert recording.snippet.start_s == 1.0
    found = recording.snippet.pieces
    assert [(piece.text, piece.match) for piece in found[:4]] == [
        ("it ", False),
        ("rained", True),
        (" and ", False),
        ("rained", True),
    ]
    assert found[-1].text == "\N{HORIZONTAL ELLIPSIS}"
    [titled] = library.recordings("start").recordings
    assert titled.snippet is not None and titled.snippet.start_s == 0.0
    assert library.recordings().recordings[0].snippet is None


def test_a_match_in_the_title_alone_has_no_snippet(library: Library) -> None:
    keep(library, ["something else"], "Rain")
    assert library.recordings("rain").recordings[0].snippet is None


def test_a_list_shows_how_transcripts_begin(library: Library) -> None:
    keep(library, ["", "word " * 80, "more " * 80])
    [recording] = library.recordings().recordings
    assert len(recording.text) == 500
    assert recording.text.startswith("word word")
    assert "word more" in recording.text


@pytest.mark.parametrize("before", ["x", "1-2", f"{'9' * 18}-{'a' * 32}", f"1-{'A' * 32}"])
def test_a_place_that_is_none_is_refused(library: Library, before: str) -> None:
    with pytest.raises(BadRequest, match="no place in the list"):
        library.recordings(before=before)


LETTERS = st.text("aAbßSsİé\u0301 ", max_size=300)


@settings(deadline=None, max_examples=200)
@given(LETTERS, LETTERS)
def test_matches_are_what_was_searched_for(text: str, query: str) -> None:
    words = [word for word in searched_words(query) if word in folded(text)]
    if not words:
        return
    found = [piece for piece in pieces(text, words) if piece.text != "\N{HORIZONTAL ELLIPSIS}"]
    assert "".join(piece.text for piece in found) in normalize("NFC", text)
    assert any(piece.match for piece in found)
    assert all(piece.text for piece in found)
    for one, next_one in pairwise(found):
        assert one.match != next_one.match
    for piece in found[:-1]:
        if piece.match:
            assert any(word in folded(piece.text) for word in words)


def test_a_match_far_behind_is_shown_with_what_follows() -> None:
    found = pieces("x" * 500 + " needle " + "y" * 20, ["needle"])
    assert [piece.text for piece in found if piece.match] == ["needle"]
    assert found[-1].text == " " + "y" * 20
