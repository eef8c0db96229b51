"""Writing files so that a full disk or a kill leaves no half of one."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO
from uuid import uuid4

from model.errors import UsageError


def write_whole(path: Path, content: bytes | memoryview, temporary: str = "") -> None:
    """Write a file in place of the one before, whole or not at all.

    A device or a pipe, which nothing may take the place of, is written as it is.

    Args:
        path: The file.
        content: All of it.
        temporary: Name that it has in the same folder until it is whole.

    Raises:
        OSError: If it cannot be written; the file before stays.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        path.write_bytes(content)
        return
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


def write_output(
    path: Path, content: bytes | memoryview, kind: type[UsageError] = UsageError
) -> None:
    """Write a file that was asked for, as :func:`write_whole` does; make its folder.

    Args:
        path: The file.
        content: All of it.
        kind: Of the error.

    Raises:
        UsageError: If it cannot be written.
    """
    try:
        make_folder(path.parent)
        write_whole(path, content, f"{path.name}.{uuid4().hex}.partial")
    except OSError as error:
        raise unwritable(path, error, kind) from error


def check_folder(folder: Path) -> None:
    """Make a folder, and find out before the work whether files can be written in it.

    Raises:
        UsageError: If they cannot.
    """
    try:
        make_folder(folder)
        with TemporaryFile(dir=folder) as file:
            file.write(b"\0")
    except OSError as error:
        raise unwritable(folder, error) from error


def unwritable(path: Path, error: OSError, kind: type[UsageError] = UsageError) -> UsageError:
    """Return the error of something that was asked for and cannot be written."""
    return kind(
        f"{path}: cannot be written ({error.strerror or error}); "
        "free some space or give another place"
    )


def make_folder(path: Path) -> None:
    """Make a folder and those that it is in, where they are not there yet.

    Raises:
        OSError: If it cannot be made; NotADirectoryError if something else is there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from error


def cache_home() -> Path:
    """Return the folder in which programs keep what they can make again for their user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def private_folder(path: Path) -> None:
    """Make a folder that nobody but its owner, this user, can use.

    Raises:
        OSError: If it cannot be made; PermissionError if it belongs to another user.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid != os.geteuid():
        text = "it belongs to another user, who could change what runs here"
        raise PermissionError(errno.EPERM, text, str(path))
    path.chmod(0o700)


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


def replace_folder(new: Path, folder: Path) -> None:
    """Put a folder in the place of another, which goes only when the new one is there.

    Args:
        new: The folder, in the same folder as the other.
        folder: Its place, where nothing needs to be.

    Raises:
        OSError: If it cannot be put there; what was there before stays.
    """
    if not folder.exists():
        new.rename(folder)
        return
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    try:
        new.rename(folder)
    except BaseException:
        if not folder.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: If it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def read_file(path: Path, most: int) -> bytes:
    """Return the content of a file that others may have written.

    A pipe, which might never end, a device and what is too large are refused.

    Args:
        path: The file.
        most: Bytes that it may have.

    Raises:
        OSError: If it cannot be read, is no regular file, or is larger; ``strerror`` says it.
    """
    with open(path, "rb", opener=_open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return read_at_most(file, most)


def _open_at_once(path: str, flags: int) -> int:
    """Open a file, and do not wait for the writer of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def read_at_most(file: BinaryIO, most: int) -> bytes:
    """Return what is left of an open file.

    Raises:
        OSError: If it is more than ``most`` bytes, or cannot be read.
    """
    content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most:,} bytes")
    return content
