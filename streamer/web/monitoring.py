"""What tools ask the server: whether it is well, its counts, and what it answers to."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from model.errors import CaptionerError
from streamer.web.metrics import CONTENT_TYPE
from streamer.web.openapi import description
from streamer.web.services import services

blueprint = Blueprint("monitoring", __name__)


@blueprint.get("/healthz")
def health() -> Response:
    """Say whether the server can do its work; nothing about whom it does it for."""
    parts = services()
    found = {"status": "ok", "model": parts.models.name, "live": parts.live.state}
    try:
        if parts.kept is not None:
            parts.kept.check()
    except CaptionerError:
        found["status"] = "the library cannot be written; see whether its disk is full"
    response = jsonify(found)
    response.status_code = 200 if found["status"] == "ok" else 503
    return response


@blueprint.get("/metrics")
def metrics() -> Response:
    """Give the counts in Prometheus's text format."""
    parts = services()
    desk = parts.desk
    recordings = parts.kept.count() if parts.kept is not None else 0
    text = parts.metrics.exposition(parts.models.name, desk.seats, desk.taken, recordings)
    return Response(text, content_type=CONTENT_TYPE)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Give the description of everything under ``/api/``, as OpenAPI 3.1 has it."""
    return jsonify(description())
