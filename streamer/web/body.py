"""Bodies of requests, read strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from flask import request

from streamer.web.errors import BadRequest, TooLarge, Unprocessable, Unsupported

LARGEST_JSON = 2_000_000
"""Bytes of the largest JSON body that is read."""


def read_json(fields: Mapping[str, type], required: Sequence[str] = ()) -> dict[str, Any]:
    """Return the JSON object that the request at hand carries.

    Args:
        fields: As for :func:`read_object`.
        required: As for :func:`read_object`.

    Raises:
        Unsupported: If the request does not say that it carries JSON.
        TooLarge: If it carries too much.
        BadRequest: As :func:`read_object`.
        Unprocessable: As :func:`read_object`.
    """
    if request.mimetype != "application/json":
        raise Unsupported("the body must be JSON; send it with Content-Type: application/json")
    body = request.stream.read(LARGEST_JSON + 1)
    if len(body) > LARGEST_JSON:
        raise TooLarge(f"the body is larger than {LARGEST_JSON:,} bytes")
    return read_object(body, fields, required)


def read_object(
    body: str | bytes, fields: Mapping[str, type] | None = None, required: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the JSON object that a body holds.

    Args:
        body: The text, or its UTF-8 bytes.
        fields: The type of each field that it may have; None takes any.
        required: Fields that it must have.

    Raises:
        BadRequest: If it is not a JSON object.
        Unprocessable: If a field is unknown, missing or of another type.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body must be a JSON object: {error}") from error
    if not isinstance(found, dict):
        raise BadRequest("the body must be a JSON object, such as {}")
    for name in required:
        if name not in found:
            raise Unprocessable(f"{name}: is missing")
    if fields is not None:
        _check_fields(found, fields)
    return found


def _check_fields(found: dict[str, Any], fields: Mapping[str, type]) -> None:
    for name, value in found.items():
        if name not in fields:
            raise Unprocessable(f"{name[:40]!r} is no field; take one of {', '.join(fields)}")
        if type(value) is not fields[name] and (type(value), fields[name]) != (int, float):
            raise Unprocessable(f"{name}: must be of type {_NAMES[fields[name]]}")


_NAMES = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
