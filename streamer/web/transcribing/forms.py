"""What a client wants of its file, and the forms that a transcript has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any, Literal, cast, get_args

from werkzeug.datastructures import MIMEAccept, MultiDict

from streamer.events import Event, FinalTranscript, Notice
from streamer.web.errors import BadRequest, NotAcceptable
from streamer.web.library.shelf import TITLE_CHARACTERS
from streamer.writers import event_record, new_writer, printable

Form = Literal["json", "srt", "vtt", "txt", "jsonl"]

MEDIA_TYPES: dict[Form, str] = {
    "json": "application/json",
    "srt": "application/x-subrip",
    "txt": "text/plain",
    "vtt": "text/vtt",
    "jsonl": "application/jsonl",
}
"""By which a client may ask for a form; the first one is meant by ``*/*``."""

SEGMENT_FIELDS = ("start_s", "end_s", "text", "words")

LONGEST_SHOWN = 40


@dataclass(frozen=True)
class Wish:
    """What a client wants of its file.

    Attributes:
        form: Of the transcript.
        keep: Whether the recording is to be kept.
        title: Of the recording then.
    """

    form: Form
    keep: bool = False
    title: str = ""

    @classmethod
    def of(cls, query: MultiDict[str, str], accept: MIMEAccept) -> Wish:
        """Read it from a request; the query wins over what the header accepts.

        Raises:
            BadRequest: If a value of the query cannot be used.
            NotAcceptable: If the header accepts none of the forms.
        """
        title = printable(query.get("title", "")).strip()
        if len(title) > TITLE_CHARACTERS:
            raise BadRequest(f"title: must have at most {TITLE_CHARACTERS} characters")
        keep = query.get("keep", "false")
        if keep not in ("true", "false"):
            raise BadRequest(f"keep: must be true or false, got {_shown(keep)}")
        return cls(_form(query, accept), keep == "true", title)


def _form(query: MultiDict[str, str], accept: MIMEAccept) -> Form:
    if "format" in query:
        if query["format"] not in get_args(Form):
            choices = ", ".join(get_args(Form))
            raise BadRequest(f"format: must be one of {choices}, got {_shown(query['format'])}")
        return cast(Form, query["format"])
    if not accept:
        return "json"
    found = accept.best_match(list(MEDIA_TYPES.values()))
    if found is None:
        raise NotAcceptable(f"a transcript can be {', '.join(MEDIA_TYPES.values())}; accept one")
    return next(form for form, media_type in MEDIA_TYPES.items() if media_type == found)


def _shown(value: str) -> str:
    return repr(printable(value)[:LONGEST_SHOWN])


def as_text(events: Sequence[tuple[Event, float]], form: Form) -> str:
    """Return events as a file of captions, as ``--output`` writes it."""
    text = StringIO()
    writer = new_writer(text, form)
    for event, emitted_s in events:
        writer.emit(event, emitted_s)
    return text.getvalue()


def as_record(
    events: Sequence[tuple[Event, float]], model: str, duration_s: float
) -> dict[str, Any]:
    """Return a transcript as one JSON object.

    Args:
        events: Of the whole stream.
        model: Name of the model that heard it.
        duration_s: Length of the audio, seconds.
    """
    finals = [
        {name: record[name] for name in SEGMENT_FIELDS}
        for event, emitted_s in events
        if isinstance(event, FinalTranscript) and event.text
        for record in [event_record(event, emitted_s)]
    ]
    return {
        "text": " ".join(final["text"] for final in finals),
        "words": [word for final in finals for word in final["words"]],
        "finals": finals,
        "notices": [event.text for event, _ in events if isinstance(event, Notice)],
        "model": printable(model),
        "duration_s": round(duration_s, 3),
    }
