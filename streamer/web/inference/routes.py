"""The page of test recordings, where each error of the model can be heard and seen."""

from __future__ import annotations

import mimetypes
from typing import Any

from flask import Blueprint, Response, current_app, render_template, request, send_file

from model.audio import read_audio
from streamer.audio import SAMPLE_RATE
from streamer.web.inference.reading import TestSet
from streamer.web.learning.learning import test_manifest
from streamer.web.library.pictures import Kind, draw, picture_size
from streamer.web.services import services

blueprint = Blueprint("inference", __name__)

EXTENSION = "captioner_test_set"
MEDIA_TYPES = {".opus": "audio/ogg", ".ogg": "audio/ogg", ".flac": "audio/flac"}


@blueprint.get("/inference")
def page() -> str:
    """The page."""
    return render_template("inference.html")


@blueprint.get("/api/inference")
def clips() -> dict[str, Any]:
    """The test recordings."""
    return {"model": services().models.name, "clips": _test_set().clips()}


@blueprint.get("/api/inference/<clip>")
def reading(clip: str) -> dict[str, Any]:
    """What was said in a recording, and what the model in use reads."""
    return _test_set().read(clip, services().models)


@blueprint.get("/api/inference/<clip>/audio")
def audio(clip: str) -> Response:
    """The recording, or a range of it."""
    path = _test_set().row(clip).audio
    known = MEDIA_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    return send_file(path, mimetype=known or "application/octet-stream", conditional=True)


@blueprint.get("/api/inference/<clip>/waveform.png")
def waveform(clip: str) -> Response:
    """A picture of the waveform."""
    return _picture(clip, "waveform")


@blueprint.get("/api/inference/<clip>/spectrogram.png")
def spectrogram(clip: str) -> Response:
    """A picture of the spectrogram."""
    return _picture(clip, "spectrogram")


def _picture(clip: str, kind: Kind) -> Response:
    size = picture_size(request.args)
    samples = read_audio(_test_set().row(clip).audio, SAMPLE_RATE)
    return Response(draw(kind, samples, *size), mimetype="image/png")


def _test_set() -> TestSet:
    """Return the test recordings of the application, read when they are first asked for."""
    found: TestSet | None = current_app.extensions.get(EXTENSION)
    if found is None:
        manifest = test_manifest(services().settings.learning)
        found = current_app.extensions[EXTENSION] = TestSet(manifest)
    return found
