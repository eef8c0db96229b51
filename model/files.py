"""Writing files so that a full disk or a kill leaves no half of one."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def write_whole(path: Path, content: bytes | memoryview, temporary: str = "") -> None:
    """Write a file in place of the one before, whole or not at all.

    Args:
        path: The file.
        content: All of it.
        temporary: Name that it has in the same folder until it is whole.

    Raises:
        OSError: If it cannot be written; the file before stays.
    """
    partial = path.with_name(temporary or f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def append_whole(path: Path, content: bytes) -> None:
    """Add to the end of a file, all of ``content`` or nothing.

    Raises:
        OSError: If it cannot be written; the file stays as it was.
    """
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        try:
            if file.write(content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            file.truncate(before)
            raise
