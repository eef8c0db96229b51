"""What is asked of the library over HTTP, checked strictly."""

from __future__ import annotations

import re

from flask import request

from streamer.web.body import read_json
from streamer.web.errors import BadRequest, NotFound, Unprocessable
from streamer.web.library.shelf import TITLE_CHARACTERS

SEGMENT_CHARACTERS = 10_000
"""Longest text of a segment."""

MOST_SEGMENTS = 20_000
QUERY_CHARACTERS = 200
MOST_LISTED, USUALLY_LISTED = 100, 20

_ID = re.compile("[0-9a-f]{32}")


def checked_id(id: str) -> str:
    """Return the id of a recording.

    Raises:
        NotFound: If no recording can have it.
    """
    if not _ID.fullmatch(id):
        raise NotFound("there is no such recording: an id is 32 hexadecimal digits")
    return id


def listing() -> tuple[str, int, str]:
    """Return the search words, the number of recordings and the place that a list begins at.

    Raises:
        BadRequest: If one of them cannot be.
    """
    query = request.args.get("q", "")
    if len(query) > QUERY_CHARACTERS:
        raise BadRequest(
            f"q: must have {QUERY_CHARACTERS} characters at most, got {len(query)}; "
            "search for fewer words"
        )
    limit = _number("limit", USUALLY_LISTED, range(1, MOST_LISTED + 1))
    assert limit is not None
    return query, limit, request.args.get("before", "")


def wanted_revision() -> int | None:
    """Return the revision that is asked for; None for the newest.

    Raises:
        BadRequest: If it is no number.
    """
    return _number("revision", None, range(10**9))


def new_title() -> str:
    """Return the title in the body.

    Raises:
        WebError: If the body is not as it should be.
    """
    title: str = read_json({"title": str}, ["title"])["title"]
    if len(title) > TITLE_CHARACTERS:
        raise Unprocessable(f"title: must be a text of {TITLE_CHARACTERS} characters at most")
    return title


def correction() -> tuple[int, list[str]]:
    """Return the revision that was corrected and the texts, from the body.

    Raises:
        WebError: If the body is not as it should be.
    """
    body = read_json({"base": int, "segments": list}, ["base", "segments"])
    base, segments = body["base"], body["segments"]
    if base < 0:
        raise Unprocessable("base: must be the number of the revision that was corrected")
    if len(segments) > MOST_SEGMENTS:
        raise Unprocessable(f"segments: must be {MOST_SEGMENTS} texts at most")
    for place, text in enumerate(segments):
        if not isinstance(text, str) or len(text) > SEGMENT_CHARACTERS:
            raise Unprocessable(
                f"segments[{place}]: must be a text of {SEGMENT_CHARACTERS} characters at most"
            )
    return base, segments


def _number(name: str, usual: int | None, allowed: range) -> int | None:
    text = request.args.get(name)
    if text is None:
        return usual
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    if number not in allowed:
        raise BadRequest(
            f"{name}: must be a whole number from {allowed.start} to {allowed.stop - 1}, "
            f"got {text[:20]!r}"
        )
    return number
