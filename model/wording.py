"""Wording that messages and reports share."""

from __future__ import annotations


def counted(count: int, name: str) -> str:
    """Return a count with what it counts, such as ``1 layer`` or ``3 layers``."""
    return f"{count} {name}" if count == 1 else f"{count} {name}s"
