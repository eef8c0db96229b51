"""Files that the program makes."""

from __future__ import annotations

from pathlib import Path

from model.errors import UsageError


def require_new(path: Path) -> None:
    """Check that writing ``path`` destroys nothing: it is new, empty, a pipe or a device.

    Raises:
        UsageError: If it is a file that holds something.
    """
    if path.is_file() and path.stat().st_size:
        raise UsageError(
            f"{path}: holds something already; give another name, or move the file away"
        )
