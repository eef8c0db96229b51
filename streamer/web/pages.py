"""The pages themselves: empty frames that their scripts fill by way of the interface."""

from __future__ import annotations

from flask import Blueprint, render_template

from streamer.web.errors import NothingKept
from streamer.web.services import services

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def live() -> str:
    """Captions of the machine's microphone."""
    return render_template("live.html", low_confidence=_low_confidence())


@blueprint.get("/record")
def record() -> str:
    """Captions of the browser's microphone, and of a file."""
    web = services().settings.web
    return render_template(
        "record.html",
        low_confidence=_low_confidence(),
        upload_mb=web.upload_mb,
        remembered_s=web.remembered_s,
    )


@blueprint.get("/library")
def library() -> str:
    """The list of what was kept.

    Raises:
        NothingKept: If nothing may be kept.
    """
    if services().private:
        raise NothingKept
    return render_template("library.html")


@blueprint.get("/library/<id>")
def recording(id: str) -> str:
    """A recording with its transcript, to hear and to correct.

    Raises:
        NotFound: If there is none of that name.
    """
    services().library.recording(id)
    return render_template("recording.html", id=id, low_confidence=_low_confidence())


def _low_confidence() -> float:
    return services().settings.display.low_confidence
