"""What the server answers to, by OpenAPI 3.1; each part of it is described in a file of its own."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent

BASE = "base.yaml"
"""What the whole is, and the components that the parts share."""


@cache
def description() -> dict[str, Any]:
    """Return the description of everything, put together from its parts.

    Raises:
        ValueError: If two parts describe a path, or a component, by the same name.
    """
    whole = _read(FOLDER / BASE)
    for path in sorted(FOLDER.glob("*.yaml")):
        if path.name != BASE:
            part = _read(path)
            _add(whole["paths"], part.get("paths", {}), path)
            for kind, components in part.get("components", {}).items():
                _add(whole["components"].setdefault(kind, {}), components, path)
    return whole


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def _add(names: dict[str, Any], more: dict[str, Any], path: Path) -> None:
    twice = names.keys() & more.keys()
    if twice:
        raise ValueError(f"{path}: describes {', '.join(sorted(twice))} a second time")
    names.update(more)
