"""JSON records that carry their own checksum, and values of JSON as settings want them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

Settings = TypeVar("Settings")

LARGEST_RECORD = 16 << 20
"""Bytes of the largest record that is read; those of bundles have some thousand."""

LARGEST_WHOLE = 2**63
"""Whole numbers below it are read, with either sign."""

LONGEST_SHOWN = 60
"""Characters of a wrong value that a message shows."""


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text says.

    Raises:
        ValueError: If it is no JSON, is no UTF-8, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def record_checksum(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical JSON of all but the checksum itself.

    Raises:
        ValueError: If a number in it is not finite, or it is nested too deeply.
    """
    content = {key: value for key, value in record.items() if key != "sha256"}
    try:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return hashlib.sha256(text.encode()).hexdigest()


def is_intact(record: Mapping[str, Any]) -> bool:
    """Return whether a record is what its checksum was made of."""
    try:
        return bool(record.get("sha256") == record_checksum(record))
    except ValueError:
        return False


def settings_from(kind: type[Settings], values: Any) -> Settings:
    """Return a dataclass from the plain values that ``dataclasses.asdict`` and JSON left of it.

    Raises:
        TypeError: If a field is unknown, or one without a default is missing.
        ValueError: If a value has another type than its field, or breaks a rule.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{kind.__name__}: must be an object, got {_shown(values)}")
    types = get_type_hints(kind)
    return kind(
        **{
            name: typed(types[name], value, name) if name in types else value
            for name, value in values.items()
        }
    )


def typed(kind: Any, value: Any, name: str) -> Any:
    """Return a value of JSON as a field's type has it; lists become tuples.

    Args:
        kind: ``bool``, ``int``, ``float``, ``str``, ``Any``, a ``Literal``, ``X | None``,
            ``tuple[X, ...]`` or a mapping of names to X.
        value: As JSON gave it.
        name: For the message.

    Raises:
        ValueError: If it is of another type.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any or (origin is Literal and value in arguments):
        return value
    if origin is UnionType:
        [inner] = [argument for argument in arguments if argument is not NoneType]
        return None if value is None else typed(inner, value, name)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(typed(arguments[0], item, name) for item in value)
    if origin not in (None, tuple, Literal) and isinstance(value, Mapping):
        return {key: typed(arguments[1], item, f"{name}.{key}") for key, item in value.items()}
    if kind is float and type(value) in (int, float):
        return _finite(value, name)
    if kind in (bool, int, str) and type(value) is kind:
        if kind is int and abs(value) >= LARGEST_WHOLE:
            raise ValueError(f"{name}: is too large a number")
        return value
    wanted = getattr(kind, "__name__", str(kind)) if origin is None else str(kind)
    raise ValueError(f"{name}: must be of type {wanted}, got {_shown(value)}")


def _finite(value: float, name: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name}: must be a finite number")
    return number


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."
