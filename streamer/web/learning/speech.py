"""The corrected speech of the library: its clips, what is held out, and its export."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from model.bundle import ModelBundle
from streamer.web.errors import Conflict
from streamer.web.learning.clips import CorrectedRecording
from streamer.web.learning.corpus import CutCache, CutRecording, write_corpus, zipped
from streamer.web.learning.registry import LearningError, Registry

EXPORT_PREFIX = "export-"


class CorrectedLibrary(Protocol):
    """What is needed of the library."""

    def corrected(self) -> Sequence[CorrectedRecording]:
        """Return the recordings that their user corrected or confirmed."""
        ...

    def ids(self) -> set[str]:
        """Return the ids of all recordings."""
        ...

    def on_delete(self, listener: Callable[[str], None], /) -> None:
        """Call ``listener`` with the id of every recording that has been deleted."""
        ...


@dataclass(frozen=True)
class Export:
    """A ZIP archive of a folder, in pieces; whoever asked for it closes it.

    Attributes:
        folder: Deleted when it is closed.
    """

    folder: Path

    def __iter__(self) -> Iterator[bytes]:
        return zipped(self.folder)

    def close(self) -> None:
        """Delete what was written for it."""
        shutil.rmtree(self.folder, ignore_errors=True)


class CorrectedSpeech:
    """What there is to learn from; may be used from any thread.

    Args:
        library: Has the recordings.
        bundle: Gives the model in use, which tells what can be learned.
        registry: Remembers what each recording is used for.
        folder: For exports, while they are sent.
    """

    def __init__(
        self,
        library: CorrectedLibrary,
        bundle: Callable[[], ModelBundle],
        registry: Registry,
        folder: Path,
    ) -> None:
        self._library = library
        self._bundle = bundle
        self._registry = registry
        self._folder = folder
        self._cutting = threading.Lock()
        self._cuts = CutCache()
        self._read_at = float("-inf")
        self._material: list[CutRecording] = []

    def material(self, oldest_s: float = 0.0) -> list[CutRecording]:
        """Return the corrected recordings, each with its side and its clips.

        Args:
            oldest_s: For how long what was read need not be read anew.
        """
        with self._cutting:
            if time.monotonic() - self._read_at >= oldest_s:
                self._material = self._read()
                self._read_at = time.monotonic()
            return self._material

    def recordings(self) -> set[str]:
        """Return the ids of all recordings of the library."""
        return self._library.ids()

    def lacking(self, material: Sequence[CutRecording]) -> str:
        """Return what is missing for a training, as a sentence; "" where nothing is."""
        found = [one for one in material if one.cut.clips]
        lacking = {"train", "held_out"} - {one.side for one in found}
        if not found:
            return "Correct or confirm two recordings in the library first."
        if len(found) == 1:
            return "Correct or confirm one more recording: one to learn from, one to judge by."
        if "held_out" in lacking:
            return "All corrected recordings have been learned from; correct another to judge by."
        if "train" in lacking:
            return "All corrected recordings are held out to judge by; correct another to learn."
        return ""

    def export(self) -> Export:
        """Return the clips and manifests as a ZIP archive; all of it is written before.

        Raises:
            Conflict: If there is nothing to export, or a recording is deleted meanwhile.
            AudioFileError: If a recording cannot be read.
            LearningError: If it cannot be written.
        """
        material = [one for one in self.material() if one.cut.clips]
        if not material:
            raise Conflict("there is nothing to export; correct or confirm a recording first")
        export = Export(self._folder / f"{EXPORT_PREFIX}{uuid4().hex}")
        try:
            write_corpus(material, export.folder)
            if not {one.recording.id for one in material} <= self.recordings():
                raise Conflict("a recording was deleted meanwhile; export the others once more")
        except BaseException as error:
            export.close()
            if isinstance(error, OSError):
                raise LearningError(
                    f"the export cannot be written ({error.strerror or error}); make room, and "
                    "try again"
                ) from error
            raise
        return export

    def forget(self) -> None:
        """Let go of what was read, and of exports: one that is being sent breaks off."""
        self._read_at = float("-inf")
        for folder in self._folder.glob(f"{EXPORT_PREFIX}*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _read(self) -> list[CutRecording]:
        recordings = self._library.corrected()
        cuts = self._cuts.cut(recordings, self._bundle())
        # One without a clip can neither teach nor judge; corrected again, it may.
        sides = self._registry.sides(one.id for one in recordings if cuts[one.id].clips)
        # One may have been deleted while it was cut, after it was forgotten.
        present = self.recordings()
        for gone in set(cuts) - present:
            self._registry.forget(gone)
        return [
            CutRecording(one, sides.get(one.id, "train"), cuts[one.id])
            for one in recordings
            if one.id in present
        ]
