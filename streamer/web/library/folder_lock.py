"""One program at a time uses a library."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from streamer.web.library.errors import LibraryError
from streamer.web.private import make_private_file


def locked(path: Path) -> int:
    """Return the descriptor of a file that is locked until it is closed.

    Raises:
        LibraryError: If another program has it locked.
    """
    make_private_file(path)
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise LibraryError(
            f"{path.parent}: another program serves this library; "
            "end that one, or choose another folder with web.data"
        ) from error
    return descriptor


def check_locked(path: Path, descriptor: int) -> None:
    """See that a locked file is still in its place.

    Otherwise what is written into its folder is not where the database is.

    Raises:
        LibraryError: If it is not, as when the folder was removed or replaced.
    """
    try:
        there = os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        there = False
    if not there:
        raise LibraryError(
            f"{path.parent}: the folder was removed or replaced since this program opened it; "
            "start it again"
        )
