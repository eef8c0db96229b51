"""Transcripts as files to take away."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from typing import Literal, get_args

from streamer.events import FinalTranscript
from streamer.web.library.transcripts import Recording, iso_time
from streamer.writers import new_writer

Format = Literal["srt", "vtt", "txt", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)

MEDIA_TYPES: dict[Format, str] = {
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "txt": "text/plain",
    "json": "application/json",
}

NAME_CHARACTERS = 100
"""Longest name of a file, without its ending."""

_UNFIT = re.compile(r'[\\/:*?"<>|\s]+')


@dataclass(frozen=True)
class Download:
    """A file.

    Attributes:
        name: Made from the recording's title, or else from its date; safe on any system.
        media_type: Without the encoding, which is UTF-8.
        content: Its bytes.
    """

    name: str
    media_type: str
    content: bytes


def download(recording: Recording, format: Format) -> Download:
    """Return the transcript of a recording, which has its segments, as a file."""
    text = _json(recording) if format == "json" else _written(recording, format)
    return Download(f"{_name(recording)}.{format}", MEDIA_TYPES[format], text.encode())


def _json(recording: Recording) -> str:
    return json.dumps(recording.plain(), ensure_ascii=False, indent=1) + "\n"


def _written(recording: Recording, format: Format) -> str:
    """Return a transcript as the writers of live captions write it."""
    content = io.StringIO()
    writer = new_writer(content, format)
    for number, segment in enumerate(recording.segments or (), 1):
        final = FinalTranscript(
            utterance=number,
            text=segment.text,
            words=segment.words,
            start_s=segment.start_s,
            end_s=segment.end_s,
            audio_s=segment.end_s,
            reason="silence",
        )
        writer.emit(final, segment.end_s)
    return content.getvalue()


def _name(recording: Recording) -> str:
    title = _UNFIT.sub(" ", recording.title).strip(". ")[:NAME_CHARACTERS].strip()
    return title or f"recording {iso_time(recording.created_us)[:16].replace(':', '.')}"
