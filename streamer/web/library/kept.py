"""A recording on its way into the library."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from streamer.audio import AudioBlock
from streamer.events import FinalTranscript, Notice
from streamer.web.library.audio_files import KeptAudio, repair
from streamer.web.library.database import Database
from streamer.web.library.errors import LibraryError
from streamer.web.library.shelf import add_segment, has_text, segment_of
from streamer.web.library.tables import RecordingRow
from streamer.web.library.transcripts import Segment

_log = logging.getLogger(__name__)


class KeptRecording:
    """A recording that is being kept; made by :meth:`Library.begin`, used from any thread.

    What was pushed and added stays when the program is killed.  A disk that fills up ends
    the audio; the text goes on as long as the database takes it.

    Owns finals that the database has not taken yet.

    Args:
        id: Of the recording, whose row is there.
        path: Where its audio goes.
        database: Of the library.
        remove: Deletes the recording with this id.

    Raises:
        OSError: If the file of the audio cannot be made.
    """

    def __init__(
        self, id: str, path: Path, database: Database, remove: Callable[[str], None]
    ) -> None:
        self.id = id
        self._path = path
        self._database = database
        self._remove = remove
        self._audio = KeptAudio(path)
        self._untaken: list[Segment] = []
        self._taken = 0
        self._ended = False
        self._turn = threading.Lock()

    @property
    def ended(self) -> bool:
        """Whether nothing is kept any more: it was finished, discarded or deleted."""
        return self._ended

    def push(self, block: AudioBlock) -> list[Notice]:
        """Append audio, as :meth:`streamer.recorder.FileRecorder.push` does.

        Args:
            block: Its ``start`` counts from the beginning of the recording.

        Returns:
            A notice ``recording_stopped`` when the disk is full.
        """
        return self._audio.push(block)

    def add(self, final: FinalTranscript) -> None:
        """Append an utterance, committed when this returns.

        Args:
            final: Its times count from the beginning of the recording.

        Raises:
            LibraryError: If it could not be committed; the next call tries again.
        """
        with self._turn:
            if not self._ended:
                self._untaken.append(segment_of(final))
                self._commit()

    def finish(self) -> None:
        """Take no more, and mark the recording as finished; one that is empty goes.

        May be called again.  What cannot be written now is put right when the library is
        opened next.
        """
        if not self._conclude():
            self._remove(self.id)

    def discard(self) -> None:
        """Delete the recording; may be called again."""
        self._remove(self.id)

    def sync(self) -> None:
        """Have the disk keep the audio that was pushed."""
        self._audio.sync()

    def end(self) -> None:
        """Take no more, as the recording is about to be deleted."""
        with self._turn:
            self._ended = True
            self._audio.close()

    def _conclude(self) -> bool:
        """Return whether there is anything in the recording."""
        with self._turn:
            if self._ended:
                return True
            self._ended = True
            self._audio.close()
            try:
                self._commit()
                return self._mark(repair(self._path))
            except (LibraryError, OSError) as error:
                _log.error("recording %s is not finished: %s", self.id, error)
                return True

    def _commit(self) -> None:
        with self._database.writing() as session:
            for position, segment in enumerate(self._untaken, self._taken):
                add_segment(session, self.id, position, 0, segment)
        self._taken += len(self._untaken)
        self._untaken.clear()

    def _mark(self, samples: int) -> bool:
        with self._database.writing() as session:
            row = session.get(RecordingRow, self.id)
            if row is None:
                return True
            row.state, row.samples = "finished", samples
            return samples > 0 or has_text(session, self.id)
