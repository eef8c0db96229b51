"""What is written of recordings, and read again, inside a session of the database."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from streamer.audio import SAMPLE_RATE
from streamer.events import FinalTranscript, Word
from streamer.web.errors import NotFound
from streamer.web.library.audio_files import samples_in
from streamer.web.library.searching import cursor, folded, matching, searched_words, snippet
from streamer.web.library.tables import RecordingRow, RevisionRow, SegmentRow
from streamer.web.library.transcripts import (
    OPENING,
    Page,
    Recording,
    Revision,
    Segment,
    joined,
)
from streamer.writers import printable

TITLE_CHARACTERS = 200
"""Longest title."""

OPENING_SEGMENTS = 100
"""Most segments that are looked at for how a transcript begins."""


def now_us() -> int:
    """Return the time, microseconds since 1970 (UTC)."""
    return time.time_ns() // 1000


def cleaned(text: str) -> str:
    """Return what a user typed as one line that is safe to show."""
    return printable(text).strip()


def segment_of(final: FinalTranscript) -> Segment:
    """Return the segment of a final transcript; no time is before the recording's start."""
    words = tuple(
        Word(
            printable(word.word),
            max(0.0, float(word.start_s)),
            max(0.0, float(word.end_s)),
            float(word.confidence),
        )
        for word in final.words
    )
    start_s, end_s = max(0.0, float(final.start_s)), max(0.0, float(final.end_s))
    return Segment(start_s, end_s, cleaned(final.text), words)


def add_recording(session: Session, id: str, title: str, origin: str, model: str) -> None:
    """Write a recording that begins, with an empty transcript."""
    title, created_us = cleaned(cleaned(title)[:TITLE_CHARACTERS]), now_us()
    session.add(
        RecordingRow(
            id=id,
            created_us=created_us,
            title=title,
            folded_title=folded(title),
            origin=origin,
            model=printable(model),
            state="recording",
        )
    )
    session.flush()
    add_revision(session, id, Revision(0, created_us, "model", None, False), {})


def add_revision(
    session: Session, id: str, revision: Revision, changed: Mapping[int, Segment]
) -> None:
    """Write a revision with the segments, by position, that it changes."""
    replaced = select(SegmentRow).where(SegmentRow.recording_id == id, SegmentRow.current)
    for row in session.scalars(replaced):
        row.current = row.position not in changed
    session.add(
        RevisionRow(
            recording_id=id,
            number=revision.number,
            created_us=revision.created_us,
            kind=revision.kind,
            restored=revision.restored,
            reviewed=revision.reviewed,
        )
    )
    for position, segment in changed.items():
        add_segment(session, id, position, revision.number, segment)


def add_segment(session: Session, id: str, position: int, revision: int, segment: Segment) -> None:
    """Write what a segment says from a revision on, until a later one says otherwise."""
    words = [[word.word, word.start_s, word.end_s, word.confidence] for word in segment.words]
    session.add(
        SegmentRow(
            recording_id=id,
            position=position,
            revision=revision,
            current=True,
            start_s=segment.start_s,
            end_s=segment.end_s,
            text=segment.text,
            folded=folded(segment.text),
            words=words,
        )
    )


def remove_recording(session: Session, id: str) -> None:
    """Delete a recording with its history."""
    for table in (SegmentRow, RevisionRow):
        session.execute(delete(table).where(table.recording_id == id))
    session.execute(delete(RecordingRow).where(RecordingRow.id == id))


def row_of(session: Session, id: str) -> RecordingRow:
    """Return the row of a recording.

    Raises:
        NotFound: If there is none.
    """
    row = session.get(RecordingRow, id)
    if row is None:
        raise NotFound("there is no such recording; it may have been deleted")
    return row


def revision_of(session: Session, id: str, number: int) -> RevisionRow:
    """Return the row of a revision.

    Raises:
        NotFound: If there is none.
    """
    row = session.get(RevisionRow, (id, number)) if number < 2**31 else None
    if row is None:
        raise NotFound(f"this recording has no revision {number}")
    return row


def rows_at(session: Session, id: str, revision: int) -> dict[int, SegmentRow]:
    """Return the rows of the segments, by position, that a revision has."""
    rows = session.scalars(
        select(SegmentRow)
        .where(SegmentRow.recording_id == id, SegmentRow.revision <= revision)
        .order_by(SegmentRow.position, SegmentRow.revision)
    )
    return {row.position: row for row in rows}


def segment_in(row: SegmentRow) -> Segment:
    """Return the segment of a row."""
    words = tuple(Word(*word) for word in row.words)
    return Segment(row.start_s, row.end_s, row.text, words)


def read_recording(session: Session, id: str, folder: Path, number: int | None) -> Recording:
    """Return a recording with a revision of its transcript; None for the newest.

    Raises:
        NotFound: If there is none.
    """
    row = row_of(session, id)
    revision = revision_of(session, id, row.revision if number is None else number)
    rows = rows_at(session, id, revision.number)
    segments = tuple(segment_in(segment) for segment in rows.values())
    return replace(
        _described(row, folder),
        reviewed=revision.reviewed,
        revision=revision.number,
        text=joined(segments),
        segments=segments,
    )


def read_page(session: Session, query: str, limit: int, before: str, folder: Path) -> Page:
    """Return recordings that a search finds, newest first.

    Raises:
        BadRequest: If ``before`` is no place in the list.
    """
    words = searched_words(query)
    rows = list(session.scalars(matching(words, before).limit(limit + 1)))
    shown = rows[:limit]
    following = cursor(shown[-1]) if len(rows) > limit else None
    return Page(tuple(_listed(session, row, words, folder) for row in shown), following)


def read_revisions(session: Session, id: str) -> list[Revision]:
    """Return the history of a recording, newest first.

    Raises:
        NotFound: If there is no such recording.
    """
    row_of(session, id)
    rows = session.scalars(
        select(RevisionRow)
        .where(RevisionRow.recording_id == id)
        .order_by(RevisionRow.number.desc())
    )
    return [
        Revision(row.number, row.created_us, row.kind, row.restored, row.reviewed) for row in rows
    ]


def has_text(session: Session, id: str) -> bool:
    """Return whether anything was understood in a recording."""
    said = select(SegmentRow.position).where(
        SegmentRow.recording_id == id, SegmentRow.current, SegmentRow.text != ""
    )
    return session.scalars(said.limit(1)).first() is not None


def _listed(session: Session, row: RecordingRow, words: Sequence[str], folder: Path) -> Recording:
    text, found = _opening(session, row.id), snippet(session, row.id, words)
    return replace(_described(row, folder), text=text, snippet=found)


def _described(row: RecordingRow, folder: Path) -> Recording:
    """Return what a recording's row says of it, without its text."""
    return Recording(
        id=row.id,
        title=row.title,
        origin=row.origin,
        model=row.model,
        created_us=row.created_us,
        duration_s=_duration_s(row, folder),
        state=row.state,
        reviewed=row.reviewed,
        revision=row.revision,
        text="",
    )


def _opening(session: Session, id: str) -> str:
    """Return how a transcript begins."""
    texts = session.scalars(
        select(SegmentRow.text)
        .where(SegmentRow.recording_id == id, SegmentRow.current, SegmentRow.text != "")
        .order_by(SegmentRow.position)
        .limit(OPENING_SEGMENTS)
    )
    opening = ""
    for text in texts:
        opening = f"{opening} {text}".strip()
        if len(opening) >= OPENING:
            break
    return opening[:OPENING]


def _duration_s(row: RecordingRow, folder: Path) -> float:
    """Return the length of the audio, also while it is being recorded."""
    if row.state != "recording":
        return row.samples / SAMPLE_RATE
    try:
        return samples_in((folder / f"{row.id}.wav").stat().st_size) / SAMPLE_RATE
    except OSError:
        return 0.0
