"""Bring database and audio together again after the program was killed."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from streamer.web.library.audio_files import repair, sync_folder
from streamer.web.library.database import Database
from streamer.web.library.errors import LibraryError
from streamer.web.library.shelf import has_text, remove_recording
from streamer.web.library.tables import SCHEMA, AboutRow, RecordingRow
from streamer.web.private import write_private

IDENTITY = "library-id"
"""File in the folder of the audio that names the library which it belongs to."""

_AUDIO = re.compile(r"([0-9a-f]{32})\.wav")


def pair(database: Database, folder: Path) -> None:
    """See that a database and a folder of audio belong together.

    Otherwise the one would be emptied of what the other does not know.

    Args:
        database: Of the library.
        folder: Of its audio.

    Raises:
        LibraryError: If they do not, or cannot be written.
        OSError: If the folder cannot be written.
    """
    place = folder / IDENTITY
    here = place.read_text(encoding="ascii").strip() if place.exists() else None
    with database.writing() as session:
        about = session.get(AboutRow, 1)
        there = about.library if about else None
        in_use = _audio_ids(folder) | _row_ids(session)
        if in_use and (here is None or here != there):
            raise LibraryError(
                f"the audio in {folder} and the database of the library do not belong together; "
                "give the database and the folder (web.database and web.data) that were used "
                "before, or a new folder"
            )
        identity = here or there or uuid4().hex
        if here is None:
            write_private(place, identity.encode())
        if there is None:
            session.add(AboutRow(id=1, schema=SCHEMA, library=identity))
        elif about is not None:
            about.library = identity


def recover(database: Database, folder: Path) -> None:
    """Finish what a killed program left, and remove what it was about to delete.

    Recordings that were going on become ``interrupted``, with the audio and the text that
    they have; those with neither go.  Audio that belongs to no recording goes.

    Args:
        database: Of the library.
        folder: Of its audio.

    Raises:
        LibraryError: If the database cannot be used.
        OSError: If the audio cannot be written.
    """
    with database.writing() as session:
        for row in session.scalars(select(RecordingRow)).all():
            _recover(session, row, folder / f"{row.id}.wav")
        known = _row_ids(session)
    for id in _audio_ids(folder) - known:
        (folder / f"{id}.wav").unlink()
    sync_folder(folder)
    database.forget_deleted()


def _recover(session: Session, row: RecordingRow, audio: Path) -> None:
    if row.state != "recording" and audio.exists():
        return
    # Nothing that lies elsewhere is written, whatever was put in the place of the audio.
    there = audio.is_file() and not audio.is_symlink()
    row.samples = repair(audio) if there else 0
    row.state = "interrupted"
    if not row.samples and not has_text(session, row.id):
        remove_recording(session, row.id)


def _row_ids(session: Session) -> set[str]:
    return set(session.scalars(select(RecordingRow.id)))


def _audio_ids(folder: Path) -> set[str]:
    names = (_AUDIO.fullmatch(path.name) for path in folder.iterdir())
    return {name[1] for name in names if name}
