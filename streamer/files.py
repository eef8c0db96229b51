"""Files that the program makes."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

from model.errors import UsageError
from streamer.errors import OutputError

ROOM_BYTES = 1 << 20
"""What must be writable before a disk counts as having room again."""


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


def has_room(folder: Path) -> bool:
    """Return whether files can be written in a folder, found out by writing one."""
    try:
        with TemporaryFile(dir=folder, buffering=0) as file:
            return file.write(bytes(ROOM_BYTES)) == ROOM_BYTES
    except OSError:
        return False


def size_of(path: Path) -> int:
    """Return the bytes of a file; 0 if it is away, or its disk does not answer."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


class WholeTextFile:
    """A text file that takes every text whole or not at all, by one call of the system.

    So it holds all that was written when the program is killed, and a full disk cuts no
    text in two.  Behind what is written there may be a draft, which the next draft or text
    takes the place of, again by one call: a killed program leaves the one or the other.  A
    pipe or a device gets the texts as they come, and no drafts.

    Owns the open file.

    Args:
        path: The file; it must be new or empty, or a pipe or a device.

    Raises:
        UsageError: If it holds something, or there is no folder for it.
        OutputError: If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        require_new(path)
        self.name = str(path)
        try:
            self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise OutputError(
                f"{path}: cannot be written: {error.strerror or error}; choose another place"
            ) from error
        self._regular = stat.S_ISREG(os.fstat(self._handle).st_mode)
        self._draft = b""
        self.size = 0

    def write(self, text: str) -> None:
        """Add a text, in place of the draft.

        Raises:
            OSError: If it cannot be written; the file is then as it was.
        """
        data = text.encode()
        if self._regular:
            self._place(data)
        elif os.write(self._handle, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._draft = b""
        self.size += len(data)

    def draft(self, text: str) -> None:
        """Put a draft in place of the one before.

        Raises:
            OSError: If it cannot be written; the one before stays.
        """
        data = text.encode()
        if self._regular and data != self._draft:
            self._place(data)
            self._draft = data

    def close(self) -> None:
        """Close the file; may be called again."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def _place(self, data: bytes) -> None:
        """Write over the draft; line ends cover what is left of a longer one, until it is cut."""
        covering = data.ljust(len(self._draft), b"\n")
        try:
            if os.pwrite(self._handle, covering, self.size) < len(covering):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with suppress(OSError):
                os.pwrite(self._handle, self._draft, self.size)
                os.ftruncate(self._handle, self.size + len(self._draft))
            raise
        if len(covering) > len(data):
            os.ftruncate(self._handle, self.size + len(data))
