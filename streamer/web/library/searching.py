"""Finding recordings by what they are called and what was said in them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from streamer.web.errors import BadRequest
from streamer.web.library.tables import RecordingRow, SegmentRow
from streamer.web.library.transcripts import Piece, Snippet
from streamer.writers import printable

BEFORE, AFTER = 60, 140
"""Characters of a snippet before what was found, and from there on."""

MOST_WORDS = 20
"""Words of a search that count."""

_CURSOR = re.compile(r"(\d{1,17})-([0-9a-f]{32})")


def folded(text: str) -> str:
    """Return a text for comparing without regard to case or the way that accents are encoded."""
    return unicodedata.normalize("NFC", text).casefold()


def searched_words(query: str) -> list[str]:
    """Return the different words of a search, folded."""
    return list(dict.fromkeys(folded(printable(query)).split()))[:MOST_WORDS]


def matching(words: Sequence[str], before: str) -> Select[RecordingRow]:
    """Return the query for recordings with all words in title or text, newest first.

    Args:
        words: As :func:`searched_words` returns them; none finds every recording.
        before: Cursor of the recording before the first one, or empty.

    Raises:
        BadRequest: If the cursor is none.
    """
    query = select(RecordingRow).order_by(RecordingRow.created_us.desc(), RecordingRow.id.desc())
    for word in words:
        query = query.where(or_(_contains(RecordingRow.folded_title, word), _said(word)))
    return query.where(_older_than(before)) if before else query


def cursor(row: RecordingRow) -> str:
    """Return the place of a recording in the order of their age."""
    return f"{row.created_us}-{row.id}"


def snippet(session: Session, recording: str, words: Sequence[str]) -> Snippet | None:
    """Return where the first of the words is said first, or None if only the title has them."""
    if not words:
        return None
    row = session.scalars(
        select(SegmentRow)
        .where(
            SegmentRow.recording_id == recording,
            SegmentRow.current,
            or_(*(_contains(SegmentRow.folded, word) for word in words)),
        )
        .order_by(SegmentRow.position)
        .limit(1)
    ).first()
    return None if row is None else Snippet(row.start_s, tuple(pieces(row.text, words)))


def pieces(text: str, words: Sequence[str]) -> list[Piece]:
    """Return some of a text around the first match, cut into what matches and what does not.

    Args:
        text: Has at least one of the words.
        words: Folded.
    """
    text = unicodedata.normalize("NFC", text)
    matches = _matches(text, words)
    first = matches.index(True)
    start, stop = max(0, first - BEFORE), first + AFTER
    found = [Piece("\N{HORIZONTAL ELLIPSIS}", False)] if start else []
    while start < min(stop, len(text)):
        end = start
        while end < min(stop, len(text)) and matches[end] == matches[start]:
            end += 1
        found.append(Piece(text[start:end], matches[start]))
        start = end
    if stop < len(text):
        found.append(Piece("\N{HORIZONTAL ELLIPSIS}", False))
    return found


def _contains(column: InstrumentedAttribute[str], word: str) -> ColumnElement[bool]:
    return column.contains(word, autoescape=True)


def _said(word: str) -> ColumnElement[bool]:
    return (
        select(SegmentRow.position)
        .where(
            SegmentRow.recording_id == RecordingRow.id,
            SegmentRow.current,
            _contains(SegmentRow.folded, word),
        )
        .exists()
    )


def _older_than(before: str) -> ColumnElement[bool]:
    place = _CURSOR.fullmatch(before)
    if place is None:
        raise BadRequest("before: is no place in the list; give the 'next' of the page before")
    created_us, recording = int(place[1]), place[2]
    return or_(
        RecordingRow.created_us < created_us,
        and_(RecordingRow.created_us == created_us, RecordingRow.id < recording),
    )


def _matches(text: str, words: Sequence[str]) -> list[bool]:
    """Return for each character whether it belongs to one of the words.

    Folding may make several characters of one, such as ss of a sharp s.
    """
    letters = [letter for character in text for letter in character.casefold()]
    origins = [place for place, character in enumerate(text) for _ in character.casefold()]
    whole = "".join(letters)
    matches = [False] * len(text)
    for word in words:
        at = whole.find(word)
        while at >= 0:
            for place in origins[at : at + len(word)]:
                matches[place] = True
            at = whole.find(word, at + len(word))
    return matches
