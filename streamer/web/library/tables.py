"""The tables of the library.

A recording has as many segments as utterances were heard in it.  What a segment says is
kept by revision: revision 0 is what the model read, and each correction adds rows for the
segments that it changed.  So a segment says, in revision n, what its row with the highest
revision up to n says.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = 1
"""Of the tables; raised when they change."""


class Table(DeclarativeBase):
    """Base of all tables."""


class AboutRow(Table):
    """The library itself, in one row.

    Attributes:
        id: Always 1.
        schema: As :data:`SCHEMA`.
        library: By which the database and the folder of the audio know each other.
    """

    __tablename__ = "about"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    schema: Mapped[int]
    library: Mapped[str] = mapped_column(String(32))


class RecordingRow(Table):
    """A recording.

    Attributes:
        id: 32 hexadecimal digits.
        created_us: When it was begun, microseconds since 1970 (UTC).
        title: What the user calls it; may be empty.
        folded_title: The same for searching, see :mod:`streamer.web.library.searching`.
        origin: Where it came from.
        model: Name of the model bundle that heard it.
        state: ``recording``, ``finished`` or ``interrupted``.
        samples: Length of its audio, once it is no longer being recorded.
        revision: Number of the newest revision.
        reviewed: Whether that one is what a user found right.
    """

    __tablename__ = "recordings"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    created_us: Mapped[int] = mapped_column(BigInteger)
    title: Mapped[str] = mapped_column(Text)
    folded_title: Mapped[str] = mapped_column(Text)
    origin: Mapped[str] = mapped_column(String(16))
    model: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16), index=True)
    samples: Mapped[int] = mapped_column(BigInteger, default=0)
    revision: Mapped[int] = mapped_column(default=0)
    reviewed: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (Index("recordings_by_age", "created_us", "id"),)


class RevisionRow(Table):
    """A state of a recording's transcript.

    Attributes:
        recording_id: Of the recording.
        number: From 0, the model's own.
        created_us: When it was made, microseconds since 1970 (UTC).
        kind: ``model``, ``correction`` or ``restore``.
        restored: The revision that a ``restore`` is equal to.
        reviewed: Whether a user found it right.
    """

    __tablename__ = "revisions"

    recording_id: Mapped[str] = mapped_column(
        ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    created_us: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(16))
    restored: Mapped[int | None]
    reviewed: Mapped[bool]


class SegmentRow(Table):
    """What an utterance of a recording says, from a revision on.

    Attributes:
        recording_id: Of the recording.
        position: Of the utterance in it, from 0.
        revision: The first revision that has this.
        current: Whether the newest revision has it.
        start_s: Where the utterance starts, seconds.
        end_s: Where it ends, seconds.
        text: What was said; may be empty.
        folded: The same for searching.
        words: Its words, each ``[word, start_s, end_s, confidence]``.
    """

    __tablename__ = "segments"

    recording_id: Mapped[str] = mapped_column(
        ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    current: Mapped[bool]
    start_s: Mapped[float]
    end_s: Mapped[float]
    text: Mapped[str] = mapped_column(Text)
    folded: Mapped[str] = mapped_column(Text)
    words: Mapped[list[Any]] = mapped_column(JSON)
