"""The corrected recordings as a corpus: which clips there are, and their files and manifests."""

from __future__ import annotations

import shutil
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.bundle import ModelBundle
from model.corpora.manifest import Utterance, write_manifest
from streamer.web.learning.clips import (
    CorrectedRecording,
    Cut,
    Cutter,
    Reason,
    length_of,
    write_clips,
)
from streamer.web.learning.holding_out import Side
from streamer.web.private import make_private, make_private_folder

CLIPS_FOLDER = "clips"
MANIFESTS: dict[Side, str] = {"train": "train.jsonl", "held_out": "dev.jsonl"}
"""The file of each side; one without a clip has none."""

ABOUT_FILE = "README.txt"
ABOUT = """\
Recordings and their corrected transcripts, from the library of Live Captioner.

clips/       one file a segment: FLAC, 16 kHz, mono, 16 bits
train.jsonl  the clips to learn from
dev.jsonl    the clips of recordings that are held out, to judge by

  python train.py stats train.jsonl
  python train.py fit --init models/default --manifest train.jsonl --dev dev.jsonl \\
      --output runs/mine
"""

PIECE_BYTES = 1 << 16


@dataclass(frozen=True)
class CutRecording:
    """A corrected recording, cut into clips.

    Attributes:
        recording: As the library has it.
        side: What it is used for.
        cut: Its clips.
    """

    recording: CorrectedRecording
    side: Side
    cut: Cut

    @property
    def words(self) -> int:
        """Words in the texts of the clips."""
        return sum(len(clip.text.split()) for clip in self.cut.clips)

    @property
    def seconds(self) -> float:
        """Length of the clips."""
        return sum(clip.duration_s for clip in self.cut.clips)


class CutCache:
    """Cuts recordings into clips, those that are as they were only once; not thread-safe."""

    def __init__(self) -> None:
        self._bundle: ModelBundle | None = None
        self._cuts: dict[str, tuple[CorrectedRecording, int, Cut]] = {}

    def cut(self, recordings: Iterable[CorrectedRecording], bundle: ModelBundle) -> dict[str, Cut]:
        """Return the cut of each recording by its id.

        Args:
            recordings: All that there are; what is known of others is forgotten.
            bundle: The model that is to learn from them.
        """
        if bundle is not self._bundle:
            self._cuts, self._bundle = {}, bundle
        cutter, cuts = Cutter(bundle), {}
        for recording in recordings:
            length = length_of(recording.audio)
            before = self._cuts.get(recording.id)
            if before is None or before[:2] != (recording, length):
                before = (recording, length, cutter.cut(recording))
            cuts[recording.id] = before
        self._cuts = cuts
        return {name: cut for name, (_, _, cut) in cuts.items()}


def left_out(recordings: Iterable[CutRecording]) -> Counter[Reason]:
    """Return how many segments are left out, by reason."""
    return sum((one.cut.left_out for one in recordings), Counter[Reason]())


def write_corpus(recordings: Sequence[CutRecording], folder: Path) -> dict[Side, int]:
    """Write the clips of recordings with a manifest for each side; for their owner only.

    Args:
        recordings: What to write.
        folder: Made; one that is there is replaced.

    Returns:
        The number of clips of each side that has any.

    Raises:
        AudioFileError: If a recording cannot be read.
        ManifestError: If a manifest cannot be written.
        OSError: If a clip cannot be written.
    """
    shutil.rmtree(folder, ignore_errors=True)
    make_private_folder(folder)
    make_private_folder(folder / CLIPS_FOLDER)
    written: dict[Side, int] = {}
    for side, name in MANIFESTS.items():
        rows: list[Utterance] = []
        for one in recordings:
            if one.side == side and one.cut.clips:
                rows += write_clips(one.recording.audio, one.cut.clips, folder / CLIPS_FOLDER)
        if rows:
            written[side] = write_manifest(folder / name, rows)
    (folder / ABOUT_FILE).write_text(ABOUT, encoding="utf-8")
    make_private(folder)
    return written


def zipped(folder: Path) -> Iterator[bytes]:
    """Yield a ZIP archive of a folder's files, a piece at a time."""
    out = _Pieces()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo.from_file(path, str(path.relative_to(folder)))
            entry.external_attr = 0o600 << 16
            with path.open("rb") as source, archive.open(entry, "w") as target:
                while piece := source.read(PIECE_BYTES):
                    target.write(piece)
                    yield out.taken()
    yield out.taken()


class _Pieces:
    """A stream that is written to and read from its start; it cannot seek."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """There is nothing to close."""

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
