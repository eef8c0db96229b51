"""What goes wrong with the library.

CaptionerError
└── LibraryError                the library cannot be opened, read or written
"""

from __future__ import annotations

from model.errors import CaptionerError


class LibraryError(CaptionerError):
    """The library cannot be opened, read or written; the message says why."""

    status = 503
