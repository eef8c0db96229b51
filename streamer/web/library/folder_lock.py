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
