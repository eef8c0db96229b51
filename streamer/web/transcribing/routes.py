"""``POST /api/transcribe``: the bytes of an audio file in, its transcript out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any

from flask import Blueprint, Response, jsonify, request

from streamer.events import Status, StreamStarted, Summary
from streamer.web.decoding import ClientGone, DecodedUpload, limits_for
from streamer.web.desk import Seat
from streamer.web.errors import NothingKept
from streamer.web.program import data_folder
from streamer.web.services import Services, services
from streamer.web.transcribing.forms import MEDIA_TYPES, Wish, as_record, as_text
from streamer.web.transcribing.upload import has_gone, received
from streamer.web.transcribing.work import Emitted, Transcription
from streamer.writers import event_record

STATUS_EVERY_S = 0.5
"""Time between two lines that only tell how far the work is."""

NAME = "upload"
"""What a file without a title is called."""

blueprint = Blueprint("transcribing", __name__)


@blueprint.post("/api/transcribe")
def transcribe() -> Response:
    """Transcribe the file that is the request's body.

    Raises:
        CaptionerError: If it cannot be done.
    """
    wish = Wish.of(request.args, request.accept_mimetypes)
    parts = services()
    web = parts.settings.web
    if wish.keep and parts.private:
        raise NothingKept
    with ExitStack() as stack:
        seat, file = _seated(parts, stack)
        stack.enter_context(_leaving(seat))
        limits = limits_for(web.longest_s, parts.settings.audio.block_ms)
        source = DecodedUpload(file, wish.title or NAME, limits, has_gone(request))
        stack.enter_context(source)
        work = stack.enter_context(Transcription(parts, source, wish, seat))
        stack.enter_context(parts.metrics.following(seat.kind, work.accounts))
        if wish.form != "jsonl":
            return _whole(work, wish)
        response = Response(_lines(work), mimetype=MEDIA_TYPES["jsonl"])
        response.call_on_close(stack.pop_all().close)
        return response


def _seated(parts: Services, stack: ExitStack) -> tuple[Seat, IO[bytes]]:
    """Return a place at the desk and the file.

    A file comes before its place, so that slow clients keep no place from others; in memory,
    which has less room than a disk, it comes after, so that there are as many as places.
    """
    if parts.private:
        seat = stack.enter_context(parts.desk.seat("upload"))
        return seat, stack.enter_context(received(request, None))
    file = stack.enter_context(received(request, data_folder(parts.settings.web)))
    return stack.enter_context(parts.desk.seat("upload")), file


@contextmanager
def _leaving(seat: Seat) -> Iterator[None]:
    """Say why a seat was left, where the client went."""
    try:
        yield
    except ClientGone:
        seat.reason = "gone"
        raise


def _whole(work: Transcription, wish: Wish) -> Response:
    """Return the transcript of a whole file.

    Raises:
        WebError: If it could not be heard to its end.
    """
    events = list(work.events())
    trouble = work.trouble
    if trouble is not None:
        raise type(trouble)(f"{trouble}; {_remedy(work)}")
    if wish.form != "json":
        return Response(as_text(events, wish.form), mimetype=MEDIA_TYPES[wish.form])
    assert work.summary is not None
    record = as_record(events, work.model, work.summary.audio_s)
    return jsonify(record | _recording(work))


def _remedy(work: Transcription) -> str:
    """Return where that of a file stands which could be heard."""
    if work.recording is not None:
        return f"what was heard up to there is kept as recording {work.recording}"
    return "format=jsonl gives what can be heard up to there"


def _recording(work: Transcription) -> dict[str, Any]:
    return {} if work.recording is None else {"recording": work.recording}


def _lines(work: Transcription) -> Iterator[str]:
    """Yield the events as JSON Lines, as they come."""
    status_due_s = 0.0
    for event, emitted_s in work.events():
        if not isinstance(event, Status):
            yield json.dumps(_record(work, (event, emitted_s))) + "\n"
        elif emitted_s >= status_due_s:
            status_due_s = emitted_s + STATUS_EVERY_S
            yield json.dumps({"type": "status", "audio_s": round(event.audio_s, 3)}) + "\n"


def _record(work: Transcription, emitted: Emitted) -> dict[str, Any]:
    """Return the JSON object of an event, with what is known of the file."""
    record = event_record(*emitted)
    if isinstance(emitted[0], StreamStarted):
        duration_s = work.duration_s
        record["duration_s"] = None if duration_s is None else round(duration_s, 3)
    if isinstance(emitted[0], StreamStarted | Summary):
        record |= _recording(work)
    return record
