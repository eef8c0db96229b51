"""The learn page and its interface for programs."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, render_template

from streamer.web.body import read_json
from streamer.web.errors import NotFound, NothingKept
from streamer.web.learning.learning import Learning
from streamer.web.learning.overview import models_record, overview
from streamer.web.learning.registry import NAME, SHIPPED
from streamer.web.services import services

blueprint = Blueprint("learning", __name__)

EXPORT_NAME = "corrections.zip"


@blueprint.get("/learn")
def page() -> str:
    """The page where the model learns.

    Raises:
        NothingKept: If nothing may be kept.
    """
    if services().private:
        raise NothingKept
    return render_template("learn.html")


@blueprint.get("/api/learning")
def show() -> dict[str, Any]:
    """What there is to learn from, the training and the models."""
    return overview(_learning())


@blueprint.get("/api/learning/export")
def export() -> Response:
    """The corrected speech as clips with manifests, zipped."""
    return Response(
        _learning().speech.export(),
        mimetype="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{EXPORT_NAME}"'},
    )


@blueprint.post("/api/learning/train")
def train() -> tuple[dict[str, Any], int]:
    """Begin a training."""
    body = read_json({"minutes": float}, ["minutes"])
    _learning().train(body["minutes"])
    return overview(_learning()), 202


@blueprint.post("/api/learning/resume")
def resume() -> tuple[dict[str, Any], int]:
    """Go on with a training that was stopped or interrupted."""
    _learning().resume()
    return overview(_learning()), 202


@blueprint.post("/api/learning/stop")
def stop() -> tuple[dict[str, Any], int]:
    """Ask a training to end; what it has learned is judged."""
    _learning().stop()
    return overview(_learning()), 202


@blueprint.delete("/api/learning/job")
def throw_away() -> tuple[str, int]:
    """Delete a training that does not run."""
    _learning().throw_away()
    return "", 204


@blueprint.post("/api/learning/models/<name>/use")
def use(name: str) -> dict[str, Any]:
    """Let captions be made by a model."""
    _learning().use(_known_form(name, SHIPPED))
    return models_record(_learning())


@blueprint.post("/api/learning/rollback")
def roll_back() -> dict[str, Any]:
    """Let captions be made by the model of before."""
    _learning().roll_back()
    return models_record(_learning())


@blueprint.delete("/api/learning/models/<name>")
def delete_model(name: str) -> tuple[str, int]:
    """Delete a learned model."""
    _learning().delete_model(_known_form(name))
    return "", 204


def _learning() -> Learning:
    return services().learning


def _known_form(name: str, *others: str) -> str:
    """Return a name that a model may have; raises NotFound for what is none."""
    if NAME.fullmatch(name) or name in others:
        return name
    raise NotFound("there is no model of that name; the learn page lists those that there are")
