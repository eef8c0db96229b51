"""Files that the program makes."""

from __future__ import annotations

from pathlib import Path

from model.errors import UsageError


def require_new(path: Path) -> None:
    """Check that ``path`` can be made and that writing it destroys nothing.

    It must be new, empty, a pipe or a device, in a folder that exists.

    Raises:
        UsageError: If it is not.
    """
    try:
        in_folder = path.parent.is_dir()
        used = path.is_file() and path.stat().st_size > 0
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror or error}; choose another place or name"
        ) from error
    if not in_folder:
        raise UsageError(f"{path}: there is no folder {path.parent}; make it first")
    if used:
        raise UsageError(
            f"{path}: holds something already; give another name, or move the file away"
        )
