"""The Flask application: routes put together, errors answered, requests counted."""

from __future__ import annotations

import logging
import time
from importlib import import_module

from flask import Flask, Response, g, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from wsproto.utilities import RemoteProtocolError

from model.errors import CaptionerError, UsageError
from streamer.web.access import Access, guard
from streamer.web.errors import RETRY_AFTER_S, Busy
from streamer.web.services import EXTENSION, Services

PARTS = (
    "streamer.web.pages",
    "streamer.web.streaming",
    "streamer.web.library.routes",
    "streamer.web.transcribing.routes",
    "streamer.web.learning.routes",
    "streamer.web.inference.routes",
    "streamer.web.monitoring",
)
"""Modules with a ``blueprint`` each."""

PING_S = 20.0
"""Seconds between two looks whether a WebSocket's client is still there."""

LARGEST_MESSAGE = 1_000_000
"""Bytes of the largest message that a WebSocket takes."""

log = logging.getLogger(__name__)


def create_app(parts: Services, access: Access) -> Flask:
    """Return the application.

    Args:
        parts: What it works with.
        access: Whom it answers.
    """
    app = Flask("streamer.web")
    app.extensions[EXTENSION] = parts
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config["MAX_CONTENT_LENGTH"] = parts.settings.web.upload_mb * 1_000_000
    app.config["SOCK_SERVER_OPTIONS"] = {
        "ping_interval": PING_S,
        "max_message_size": LARGEST_MESSAGE,
        "receive_bytes": 65_536,
    }
    app.context_processor(lambda: {"private": parts.private})
    app.before_request(_start_clock)
    guard(app, access)
    for name in PARTS:
        app.register_blueprint(import_module(name).blueprint)
    app.register_error_handler(CaptionerError, _answer_known)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(RemoteProtocolError, _answer_handshake)
    app.register_error_handler(ConnectionError, _answer_gone)
    app.register_error_handler(Exception, _answer_unknown)
    app.after_request(lambda response: _count(parts, response))
    return app


def _start_clock() -> None:
    g.began = time.monotonic()


def _count(parts: Services, response: Response) -> Response:
    route = request.url_rule.rule if request.url_rule else "unknown"
    seconds = time.monotonic() - g.get("began", time.monotonic())
    parts.metrics.request(route, request.method, response.status_code, seconds)
    return response


def _answer_known(error: CaptionerError) -> ResponseReturnValue:
    status = getattr(error, "status", 400 if isinstance(error, UsageError) else 500)
    response = _answer(status, str(error))
    if isinstance(error, Busy):
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _answer_handshake(error: Exception) -> ResponseReturnValue:
    return _answer(400, f"this is no WebSocket's handshake: {error}")


def _answer_gone(error: Exception) -> ResponseReturnValue:
    return _answer(400, "the client has gone")


def _answer_http(error: HTTPException) -> ResponseReturnValue:
    if error.code is None or error.code < 400:
        return error.get_response()
    response = _answer(error.code, error.description or error.name)
    if error.code == 405 and (allowed := getattr(error, "valid_methods", None)):
        response.headers["Allow"] = ", ".join(allowed)
    return response


def _answer_unknown(error: Exception) -> ResponseReturnValue:
    log.exception("%s %s failed", request.method, request.path, exc_info=error)
    return _answer(500, "the server failed to answer this; what it said of it is in its log")


def _answer(status: int, message: str) -> Response:
    if request.path.startswith("/api/") or not request.accept_mimetypes.accept_html:
        response = jsonify(error=message)
    else:
        response = Response(render_template("error.html", status=status, message=message))
    response.status_code = status
    return response
