"""Files and folders that only their owner can read, whatever the umask."""

from __future__ import annotations

import os
from pathlib import Path

from model.files import write_whole

FOLDER_MODE, FILE_MODE = 0o700, 0o600


def make_private_folder(path: Path) -> None:
    """Make a folder for its owner only, and those that it is in; one that is there is closed.

    Raises:
        OSError: If it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=FOLDER_MODE, exist_ok=True)
    path.chmod(FOLDER_MODE)


def make_private_file(path: Path) -> None:
    """Make an empty file for its owner only; one that is there is closed to others.

    Raises:
        OSError: If it cannot be made.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, FILE_MODE))
    path.chmod(FILE_MODE)


def write_private(path: Path, content: bytes) -> None:
    """Write a file for its owner only, whole or not at all; see :func:`write_whole`.

    Raises:
        OSError: If it cannot be written; the file before stays.
    """
    temporary = path.with_name(f".{path.name}.partial")
    # Made first, so that it is never open to others, not for a moment either.
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE))
    temporary.chmod(FILE_MODE)
    write_whole(path, content, temporary.name)


def make_private(folder: Path) -> None:
    """Close a folder and everything in it to all but its owner.

    Raises:
        OSError: If that cannot be done.
    """
    folder.chmod(FOLDER_MODE)
    for place, folders, files in os.walk(folder):
        for name in folders:
            (Path(place) / name).chmod(FOLDER_MODE)
        for name in files:
            (Path(place) / name).chmod(FILE_MODE)
