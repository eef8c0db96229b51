"""The library over HTTP; described in ``streamer/web/openapi/recordings.yaml``."""

from __future__ import annotations

import io

from flask import Blueprint, Response, jsonify, request, send_file
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.wsgi import wrap_file

from streamer.web.errors import BadRequest
from streamer.web.library import requests
from streamer.web.library.audio_files import WavSnapshot
from streamer.web.library.downloads import FORMATS, download
from streamer.web.library.pictures import Kind, picture_size
from streamer.web.services import services

blueprint = Blueprint("recordings", __name__, url_prefix="/api/recordings")


@blueprint.after_request
def keep_nowhere(response: Response) -> Response:
    """Let no browser keep on its disk what users may delete."""
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.get("")
def list_recordings() -> Response:
    """Return recordings, newest first."""
    return jsonify(services().library.recordings(*requests.listing()).plain())


@blueprint.get("/<id>")
def read_recording(id: str) -> Response:
    """Return a recording with its segments."""
    number = requests.wanted_revision()
    return jsonify(services().library.recording(requests.checked_id(id), number).plain())


@blueprint.patch("/<id>")
def rename_recording(id: str) -> Response:
    """Give a recording another title."""
    library = services().library
    library.recording(requests.checked_id(id))
    return jsonify(library.rename(id, requests.new_title()).plain())


@blueprint.delete("/<id>")
def delete_recording(id: str) -> tuple[str, int]:
    """Delete a recording with all that belongs to it."""
    services().library.delete(requests.checked_id(id))
    return "", 204


@blueprint.post("/<id>/corrections")
def correct_recording(id: str) -> Response:
    """Take a corrected transcript."""
    library, models = services().library, services().models
    library.recording(requests.checked_id(id))
    base, texts = requests.correction()
    return jsonify(library.correct(id, base, texts, models).plain())


@blueprint.get("/<id>/revisions")
def list_revisions(id: str) -> Response:
    """Return the history of a transcript, newest first."""
    revisions = services().library.revisions(requests.checked_id(id))
    return jsonify({"revisions": [revision.plain() for revision in revisions]})


@blueprint.post("/<id>/revisions/<int:number>/restore")
def restore_revision(id: str, number: int) -> Response:
    """Make an old revision the newest again."""
    return jsonify(services().library.restore(requests.checked_id(id), number).plain())


@blueprint.get("/<id>/audio")
def read_audio(id: str) -> Response:
    """Return the audio, or a range of it, as it is at this moment."""
    file = WavSnapshot(services().library.audio(requests.checked_id(id)))
    response = Response(
        wrap_file(request.environ, file, 1 << 16),  # type: ignore[arg-type]
        mimetype="audio/wav",
        direct_passthrough=True,
    )
    response.call_on_close(file.close)
    response.content_length = file.size
    response.set_etag(f"{id}-{file.size}")
    try:
        response.make_conditional(request, accept_ranges=True, complete_length=file.size)
    except RequestedRangeNotSatisfiable:
        response.close()
        raise
    return response


@blueprint.get("/<id>/waveform.png")
def draw_waveform(id: str) -> Response:
    """Return a picture of the waveform."""
    return _picture(id, "waveform")


@blueprint.get("/<id>/spectrogram.png")
def draw_spectrogram(id: str) -> Response:
    """Return a picture of the spectrogram."""
    return _picture(id, "spectrogram")


@blueprint.get("/<id>/transcript")
def download_transcript(id: str) -> Response:
    """Return the transcript as a file."""
    format = request.args.get("format", "txt")
    if format not in FORMATS:
        raise BadRequest(f"format: must be one of {', '.join(FORMATS)}, got {format[:20]!r}")
    number = requests.wanted_revision()
    file = download(services().library.recording(requests.checked_id(id), number), format)
    return send_file(
        io.BytesIO(file.content),
        mimetype=file.media_type,
        as_attachment=True,
        download_name=file.name,
        etag=False,
    )


def _picture(id: str, kind: Kind) -> Response:
    size = picture_size(request.args)
    picture = services().library.picture(requests.checked_id(id), kind, *size)
    return Response(picture, mimetype="image/png")
