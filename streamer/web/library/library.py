"""The recordings that users keep."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
from sqlalchemy import func, select

from model.errors import UsageError
from model.files import check_folder
from streamer.web.errors import Conflict, NotFound, Unprocessable
from streamer.web.keeping import Origin
from streamer.web.library import shelf
from streamer.web.library.audio_files import WavSamples, sync_folder
from streamer.web.library.corrections import Aligner, Models
from streamer.web.library.database import Database
from streamer.web.library.errors import LibraryError, explained
from streamer.web.library.folder_lock import check_locked, locked
from streamer.web.library.kept import KeptRecording
from streamer.web.library.pictures import Kind, PictureCache
from streamer.web.library.recovery import pair, recover
from streamer.web.library.searching import folded
from streamer.web.library.tables import RecordingRow
from streamer.web.library.transcripts import (
    CorrectedRecording,
    Page,
    Recording,
    Revision,
    Segment,
    corrected_in,
)
from streamer.web.private import make_private_folder

LOCK = "lock"
"""File that is locked while a program uses the folder."""

SYNC_S = 2.0
"""Seconds after which the disk has the audio that was pushed."""

_log = logging.getLogger(__name__)


class Library:
    """Recordings with their transcripts and corrections, in a folder; used from any thread.

    Whatever a method wrote when it returned stays when the program is killed, and whatever
    it deleted is found in no file of the folder.  Only its owner can read the folder.

    Args:
        folder: Locked for this program.
        lock: Descriptor of the locked file.
        database: Of the folder.
    """

    def __init__(self, folder: Path, lock: int, database: Database) -> None:
        self._folder = folder
        self._audio = folder / "audio"
        self._lock = lock
        self._database = database
        self._going: dict[str, KeptRecording] = {}
        self._change = threading.Lock()
        self._pictures = PictureCache()
        self._listeners: list[Callable[[str], None]] = [self._pictures.forget]
        self._closing = threading.Event()
        self._syncer = threading.Thread(target=self._sync, name="library", daemon=True)
        self._syncer.start()

    @classmethod
    def open(cls, folder: Path, database: str = "") -> Library:
        """Open the library of a folder, or make one, and recover what a killed program left.

        Args:
            folder: Made if it is not there.
            database: SQLAlchemy's URL of its database; empty for SQLite in the folder.

        Raises:
            UsageError: If the URL is none.
            LibraryError: If another program uses the folder, if it cannot be written, or if
                the database cannot be used or does not belong to it.
        """
        with explained(folder):
            make_private_folder(folder)
            make_private_folder(folder / "audio")
            lock = locked(folder / LOCK)
            try:
                opened = Database.open(folder, database)
                try:
                    pair(opened, folder / "audio")
                    recover(opened, folder / "audio")
                except BaseException:
                    opened.close()
                    raise
            except BaseException:
                os.close(lock)
                raise
        return cls(folder, lock, opened)

    def begin(self, title: str, origin: Origin, model: str) -> KeptRecording:
        """Begin to keep a recording.

        Args:
            title: What the user calls it; may be empty.
            origin: Where it comes from.
            model: Name of the model bundle that hears it.

        Raises:
            LibraryError: If it cannot be kept, as when the disk is full.
        """
        check_locked(self._folder / LOCK, self._lock)
        id = uuid4().hex
        with self._database.writing() as session:
            shelf.add_recording(session, id, title, origin, model)
        try:
            with explained(self._folder):
                kept = KeptRecording(id, self._path(id), self._database, self._remove)
                sync_folder(self._audio)
        except LibraryError:
            self.delete(id)
            raise
        with self._change:
            self._going[id] = kept
        return kept

    def recordings(self, query: str = "", limit: int = 20, before: str = "") -> Page:
        """Return recordings, newest first, without their segments.

        Args:
            query: Words that must all occur in title or text, in any case; empty for all.
            limit: Most recordings on the page.
            before: ``next`` of the page before; empty for the first.

        Raises:
            BadRequest: If ``before`` is none.
        """
        with self._database.reading() as session:
            return shelf.read_page(session, query, limit, before, self._audio)

    def recording(self, id: str, revision: int | None = None) -> Recording:
        """Return a recording with its segments.

        Args:
            id: Of the recording.
            revision: Number of its revision; None for the newest.

        Raises:
            NotFound: If there is no such recording or revision.
        """
        with self._database.reading() as session:
            return shelf.read_recording(session, id, self._audio, revision)

    def revisions(self, id: str) -> list[Revision]:
        """Return the history of a recording, newest first.

        Raises:
            NotFound: If there is no such recording.
        """
        with self._database.reading() as session:
            return shelf.read_revisions(session, id)

    def rename(self, id: str, title: str) -> Recording:
        """Give a recording another title, and return it.

        Raises:
            NotFound: If there is no such recording.
        """
        with self._database.writing() as session:
            row = shelf.row_of(session, id)
            row.title = shelf.cleaned(title)
            row.folded_title = folded(row.title)
        return self.recording(id)

    def correct(self, id: str, base: int, texts: Sequence[str], models: Models) -> Recording:
        """Take what a user found to be right; return the recording with the new revision.

        Segments whose text stays keep their words; the others' words are looked for in the
        audio, see :class:`~streamer.web.library.corrections.Aligner`.

        Args:
            id: Of the recording.
            base: Number of the revision that was corrected.
            texts: For each segment what was said in it; empty where nothing was.
            models: Who has the model to look with.

        Raises:
            NotFound: If there is no such recording.
            Conflict: If it is still being recorded, or ``base`` is not the newest revision.
            Unprocessable: If there is not one text for each segment.
        """
        recording = self.recording(id)
        assert recording.segments is not None
        _check_newest(recording, base)
        if len(texts) != len(recording.segments):
            raise Unprocessable(
                f"segments: must be {len(recording.segments)} texts, one for each utterance, "
                f"got {len(texts)}"
            )
        changed = self._changed(recording, [shelf.cleaned(text) for text in texts], models)
        self._revise(id, base, changed, "correction", True)
        return self.recording(id)

    def restore(self, id: str, number: int) -> Recording:
        """Make a new revision equal to an old one; return the recording with it.

        It counts as reviewed if the old one did.

        Raises:
            NotFound: If there is no such recording or revision.
            Conflict: If it is still being recorded, or was corrected at the same moment.
        """
        newest = self.recording(id)
        _check_newest(newest, newest.revision)
        old = self.recording(id, number)
        assert old.segments is not None and newest.segments is not None
        pairs = enumerate(zip(old.segments, newest.segments, strict=True))
        changed = {position: then for position, (then, now) in pairs if then != now}
        self._revise(id, newest.revision, changed, "restore", old.reviewed, number)
        return self.recording(id)

    def delete(self, id: str) -> None:
        """Delete a recording with its history and its audio; one that goes on ends.

        Raises:
            NotFound: If there is no such recording.
            LibraryError: If something of it is left.
        """
        with self._change:
            kept = self._going.pop(id, None)
        if kept is not None:
            kept.end()
        try:
            self._remove_row(id)
        except LibraryError:
            # On a full disk this makes the room that the database needs.
            self._remove_audio(id)
            self._remove_row(id)
        self._remove_audio(id)
        try:
            for listener in self._listeners:
                listener(id)
        finally:
            self._database.forget_deleted()

    def audio(self, id: str) -> Path:
        """Return the file of a recording's audio, which may still grow.

        Raises:
            NotFound: If there is no such recording, or its audio is lost.
        """
        with self._database.reading() as session:
            shelf.row_of(session, id)
        path = self._path(id)
        if not path.exists():
            raise NotFound("this recording has no audio; only its text was kept")
        return path

    def picture(self, id: str, kind: Kind, width: int, height: int) -> bytes:
        """Return a picture of a recording as PNG; see :mod:`model.pictures`.

        Raises:
            NotFound: If there is no such recording, or its audio is lost.
        """
        with WavSamples(self.audio(id)) as samples:
            picture = self._pictures.draw(id, kind, samples, width, height)
        if id not in self.ids():
            self._pictures.forget(id)
        return picture

    def corrected(self) -> list[CorrectedRecording]:
        """Return the recordings whose newest transcript a user found right, oldest first."""
        with self._database.reading() as session:
            rows = session.scalars(
                select(RecordingRow)
                .where(RecordingRow.reviewed)
                .order_by(RecordingRow.created_us, RecordingRow.id)
            )
            ids = [row.id for row in rows if self._path(row.id).exists()]
            read = [shelf.read_recording(session, id, self._audio, None) for id in ids]
        return [corrected_in(recording, self._path(recording.id)) for recording in read]

    def ids(self) -> set[str]:
        """Return the ids of all recordings."""
        with self._database.reading() as session:
            return set(session.scalars(select(RecordingRow.id)))

    def count(self) -> int:
        """Return the number of recordings."""
        with self._database.reading() as session:
            return session.scalar(select(func.count()).select_from(RecordingRow)) or 0

    def check(self) -> None:
        """See that recordings can be kept.

        Raises:
            LibraryError: If they cannot.
        """
        check_locked(self._folder / LOCK, self._lock)
        try:
            check_folder(self._audio)
        except UsageError as error:
            raise LibraryError(str(error)) from error
        with self._database.writing() as session:
            session.execute(select(1))

    def on_delete(self, listener: Callable[[str], None]) -> None:
        """Call ``listener`` with the id of every recording that has been deleted."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Finish what is being kept, and let others use the folder; may be called again."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._syncer.join()
        for kept in self._recordings_going():
            kept.finish()
        self._database.close()
        os.close(self._lock)

    def _changed(
        self, recording: Recording, texts: Sequence[str], models: Models
    ) -> dict[int, Segment]:
        """Return the segments with another text, with the times of their words."""
        segments = recording.segments or ()
        places = [i for i, segment in enumerate(segments) if segment.text != texts[i]]
        if not places:
            return {}
        with self._samples(recording.id) as samples:
            aligner = Aligner(models.acoustic, samples, segments)
            return {place: aligner.corrected(place, texts[place]) for place in places}

    @contextmanager
    def _samples(self, id: str) -> Iterator[WavSamples | np.ndarray]:
        """Give the audio of a recording, none if it is lost."""
        try:
            samples = WavSamples(self._path(id))
        except NotFound:
            yield np.zeros(0, np.float32)
            return
        with samples:
            yield samples

    def _revise(
        self,
        id: str,
        base: int,
        changed: dict[int, Segment],
        kind: str,
        reviewed: bool,
        restored: int | None = None,
    ) -> None:
        with self._database.writing() as session:
            row = shelf.row_of(session, id)
            _check_newest(row, base)
            row.revision, row.reviewed = base + 1, reviewed
            revision = Revision(base + 1, shelf.now_us(), kind, restored, reviewed)
            shelf.add_revision(session, id, revision, changed)

    def _path(self, id: str) -> Path:
        return self._audio / f"{id}.wav"

    def _remove_row(self, id: str) -> None:
        with self._database.writing() as session:
            shelf.row_of(session, id)
            shelf.remove_recording(session, id)

    def _remove_audio(self, id: str) -> None:
        with explained(self._folder):
            self._path(id).unlink(missing_ok=True)
            sync_folder(self._audio)

    def _remove(self, id: str) -> None:
        """Delete a recording, if it is there still."""
        try:
            self.delete(id)
        except NotFound:
            return
        except LibraryError as error:
            _log.error("recording %s is not gone yet: %s", id, error)

    def _sync(self) -> None:
        """Have the disk keep the audio of what goes on, again and again."""
        while not self._closing.wait(SYNC_S):
            for kept in self._recordings_going():
                kept.sync()

    def _recordings_going(self) -> list[KeptRecording]:
        with self._change:
            self._going = {id: kept for id, kept in self._going.items() if not kept.ended}
            return list(self._going.values())


def _check_newest(recording: Recording | RecordingRow, base: int) -> None:
    """Refuse to correct what is not the newest revision of a recording that has ended."""
    if recording.state == "recording":
        raise Conflict("it is still being recorded; correct it when it has ended")
    if recording.revision != base:
        raise Conflict(
            f"base: revision {base} is not the newest one, that is {recording.revision}: somebody "
            "else corrected this recording; load it again and look at what was changed"
        )
