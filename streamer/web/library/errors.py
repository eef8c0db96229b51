"""What goes wrong with the library.

CaptionerError
└── LibraryError                the library cannot be opened, read or written
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.errors import CaptionerError


class LibraryError(CaptionerError):
    """The library cannot be opened, read or written; the message says why."""

    status = 503


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn what the operating system refuses into an error for the user."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise LibraryError(
            f"{error.filename or folder}: the library cannot be written ({reason}); "
            "free some space, or choose another folder with web.data"
        ) from error
