"""Recordings and their transcripts as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from streamer.events import Word

OPENING = 500
"""Characters of a transcript that are told of each recording in a list."""


@dataclass(frozen=True)
class Segment:
    """What an utterance says.

    Attributes:
        start_s: Where it starts, seconds from the beginning of the recording.
        end_s: Where it ends.
        text: What was said, as the model or the user spells it; may be empty.
        words: Its words with their times.
    """

    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...]

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it, times rounded to 1 ms."""
        return {
            "start_s": round(self.start_s, 3),
            "end_s": round(self.end_s, 3),
            "text": self.text,
            "words": [
                {
                    "word": word.word,
                    "start_s": round(word.start_s, 3),
                    "end_s": round(word.end_s, 3),
                    "confidence": round(word.confidence, 3),
                }
                for word in self.words
            ],
        }


@dataclass(frozen=True)
class Piece:
    """A stretch of a snippet; ``match`` tells whether it is what was searched for."""

    text: str
    match: bool


@dataclass(frozen=True)
class Snippet:
    """Where a search found something.

    Attributes:
        start_s: Where the utterance starts, seconds.
        pieces: Some of its text.
    """

    start_s: float
    pieces: tuple[Piece, ...]

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        pieces = [{"text": piece.text, "match": piece.match} for piece in self.pieces]
        return {"start_s": round(self.start_s, 3), "pieces": pieces}


@dataclass(frozen=True)
class Recording:
    """A recording with one revision of its transcript.

    Attributes:
        id: 32 hexadecimal digits.
        title: What the user calls it; may be empty.
        origin: Where it came from.
        model: Name of the model bundle that heard it.
        created_us: When it was begun, microseconds since 1970 (UTC).
        duration_s: Length of its audio, seconds.
        state: ``recording``, ``finished`` or ``interrupted``.
        reviewed: Whether a user found this revision right.
        revision: Its number; 0 is the model's own.
        text: All that was said; of a recording in a list only the first :data:`OPENING`
            characters.
        segments: Its utterances; None in a list.
        snippet: Where a search found something in its text.
    """

    id: str
    title: str
    origin: str
    model: str
    created_us: int
    duration_s: float
    state: str
    reviewed: bool
    revision: int
    text: str
    segments: tuple[Segment, ...] | None = None
    snippet: Snippet | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        record: dict[str, Any] = {
            "id": self.id,
            "title": self.title,
            "origin": self.origin,
            "model": self.model,
            "created": iso_time(self.created_us),
            "duration_s": round(self.duration_s, 3),
            "state": self.state,
            "reviewed": self.reviewed,
            "revision": self.revision,
            "text": self.text,
        }
        if self.segments is None:
            return record | {"snippet": self.snippet.plain() if self.snippet else None}
        return record | {"segments": [segment.plain() for segment in self.segments]}


@dataclass(frozen=True)
class Page:
    """Some recordings, newest first.

    Attributes:
        recordings: Without their segments.
        next: Where the next page begins; None after the last one.
    """

    recordings: tuple[Recording, ...]
    next: str | None

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        recordings = [recording.plain() for recording in self.recordings]
        return {"recordings": recordings, "next": self.next}


@dataclass(frozen=True)
class Revision:
    """A state of a transcript; see :class:`streamer.web.library.tables.RevisionRow`."""

    number: int
    created_us: int
    kind: str
    restored: int | None
    reviewed: bool

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "number": self.number,
            "created": iso_time(self.created_us),
            "kind": self.kind,
            "restored": self.restored,
            "reviewed": self.reviewed,
        }


@dataclass(frozen=True)
class CorrectedSegment:
    """What was said in an utterance, as a user wrote it.

    Attributes:
        start_s: Where it starts, seconds.
        end_s: Where it ends.
        text: May be empty: nothing was said.
    """

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class CorrectedRecording:
    """A recording whose transcript a user found right.

    Attributes:
        id: 32 hexadecimal digits.
        title: May be empty.
        audio: WAV file, 16 kHz, mono.
        segments: All that is in it.
    """

    id: str
    title: str
    audio: Path
    segments: tuple[CorrectedSegment, ...]


def corrected_in(recording: Recording, audio: Path) -> CorrectedRecording:
    """Return what a recording, which has its segments, says, with the file of its audio."""
    segments = tuple(
        CorrectedSegment(segment.start_s, segment.end_s, segment.text)
        for segment in recording.segments or ()
    )
    return CorrectedRecording(recording.id, recording.title, audio, segments)


def joined(segments: Sequence[Segment]) -> str:
    """Return all that was said as one text."""
    return " ".join(segment.text for segment in segments if segment.text)


def iso_time(created_us: int) -> str:
    """Return microseconds since 1970 (UTC) as ISO 8601 has them."""
    moment = datetime.fromtimestamp(created_us / 1e6, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
