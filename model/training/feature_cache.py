"""Features of a whole manifest, computed once and kept on disk.

The cache is a folder of shards, each some hours of speech: ``KEY.frames.npy`` with
the frames of its recordings one after the other, and ``KEY.ends.npy``, written last.
The key of a shard is made of the settings and the content of its recordings, so that
a copied folder of audio finds its cache again, and a manifest that grew keeps most of
its shards.  A computation that is interrupted goes on after its last whole shard.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import numpy as np

from model.corpora.manifest import Utterance, list_problems
from model.errors import ManifestError, TrainingError
from model.features import FeatureSettings, FeatureStatistics
from model.training.extraction import AudioPerturbation, Extraction, extract_all

FORMAT = 2
"""Raised whenever the content of a cache changes its meaning."""

MINIMUM_DEVIATION = 1e-2
"""Keeps a band that never changes, such as one above a telephone's range, from exploding."""

SHARD_BYTES = 256 * 2**20
"""Most that a shard holds, as far as the manifest's durations are true."""

PIECE_BYTES = 4096
"""Of a recording's start, middle and end, which are read to tell it from others."""

STALE_S = 3600.0
"""Time after which an unfinished file that nobody writes to was left by a broken run."""


@dataclass(frozen=True)
class FeatureShard:
    """The features of some utterances, one after the other.

    Attributes:
        frames: float16 (total frames, size), mapped from disk.
        ends: int64 (utterances,) end of each utterance in ``frames``.
    """

    frames: np.ndarray
    ends: np.ndarray

    def utterance(self, index: int) -> np.ndarray:
        """Return float32 (frames, size) of one utterance."""
        start = self.ends[index - 1] if index else 0
        return np.asarray(self.frames[start : self.ends[index]], np.float32)


@dataclass(frozen=True)
class CachedFeatures:
    """The features of many utterances: a view over shards that reads what is asked for.

    Attributes:
        shards: In the order of the utterances.
        size: Values in a frame.
    """

    shards: tuple[FeatureShard, ...]
    size: int

    def __len__(self) -> int:
        return int(self._last[-1]) if self.shards else 0

    @property
    def frame_count(self) -> int:
        """Frames of all utterances."""
        return sum(len(shard.frames) for shard in self.shards)

    def lengths(self) -> np.ndarray:
        """Return the number of frames of each utterance, int64 (utterances,)."""
        lengths = [np.diff(shard.ends, prepend=0) for shard in self.shards]
        return np.concatenate([np.zeros(0, np.int64), *lengths])

    def utterance(self, index: int) -> np.ndarray:
        """Return float32 (frames, size) of one utterance."""
        number = int(np.searchsorted(self._last, index, side="right"))
        first = self._last[number - 1] if number else 0
        return self.shards[number].utterance(int(index - first))

    def statistics(self, prior_frames: float = FeatureStatistics.prior_frames) -> FeatureStatistics:
        """Return the statistics of all utterances; see :class:`FeatureStatistics`."""
        total, squares = np.zeros(self.size), np.zeros(self.size)
        for index in range(len(self)):
            features = self.utterance(index).astype(np.float64)
            total += features.sum(axis=0)
            if len(features):
                squares += ((features - features.mean(axis=0)) ** 2).sum(axis=0)
        count = max(1, self.frame_count)
        deviation = np.maximum(np.sqrt(squares / count), MINIMUM_DEVIATION)
        return FeatureStatistics(
            (total / count).astype(np.float32), deviation.astype(np.float32), prior_frames
        )

    @cached_property
    def _last(self) -> np.ndarray:
        """Number of utterances up to the end of each shard."""
        return np.cumsum([len(shard.ends) for shard in self.shards])


def cached_features(
    rows: Sequence[Utterance],
    settings: FeatureSettings,
    folder: str | Path,
    progress: Callable[[int], None] = lambda done: None,
    workers: int | None = None,
    perturbation: AudioPerturbation | None = None,
) -> CachedFeatures:
    """Return the features of ``rows``, from ``folder`` where it has them.

    Args:
        rows: Utterances whose audio is read when the cache lacks them.
        settings: Part of the cache's key, as is the content of each recording.
        folder: Where caches are kept; made when missing.
        progress: Called with the number of utterances done.
        workers: Processes that compute; all processors when None.
        perturbation: Changes each recording before its features are computed.

    Raises:
        ManifestError: If audio is missing or unreadable, every such row named.
        TrainingError: If the cache cannot be written, or a process of it was ended.
    """
    folder = Path(folder)
    extraction = Extraction(settings, perturbation)
    shards = _plan(rows, extraction, folder)
    try:
        missing = [shard for shard in shards if shard.load() is None]
        done = len(rows) - sum(len(shard.rows) for shard in missing)
        if done or not rows:
            progress(done)
        if missing:
            _compute(missing, rows, extraction, progress, done, workers)
        loaded = [shard.load() for shard in shards]
    except OSError as error:
        raise TrainingError(
            f"{folder}: the feature cache cannot be written or read ({error.strerror or error}); "
            "free some space or choose another folder with --cache; whole shards are kept"
        ) from error
    except BrokenProcessPool as error:
        raise TrainingError(
            "a process that computed features was ended, by a lack of memory or by hand; "
            f"start again: the whole shards in {folder} are kept"
        ) from error
    if damaged := [shard for shard, is_loaded in zip(shards, loaded, strict=True) if not is_loaded]:
        raise TrainingError(
            f"{damaged[0].frames_path}: is damaged as soon as it is written; check the disk, "
            "or choose another folder with --cache"
        )
    return CachedFeatures(tuple(shard for shard in loaded if shard), settings.size)


@dataclass(frozen=True)
class _ShardFiles:
    """Where a shard is, or will be.

    Attributes:
        stem: Path of its files without their suffixes.
        rows: Its utterances among all.
        size: Values in a frame.
    """

    stem: Path
    rows: range
    size: int

    @property
    def frames_path(self) -> Path:
        return self.stem.with_name(f"{self.stem.name}.frames.npy")

    @property
    def ends_path(self) -> Path:
        return self.stem.with_name(f"{self.stem.name}.ends.npy")

    def load(self) -> FeatureShard | None:
        """Return the shard, mapped from disk; None where it is missing or damaged."""
        try:
            ends = np.load(self.ends_path, allow_pickle=False)
            frames = np.load(self.frames_path, mmap_mode="r", allow_pickle=False)
            fits = len(ends) == len(self.rows) and frames.shape == (ends[-1], self.size)
        except (EOFError, FileNotFoundError, IndexError, TypeError, ValueError):
            return None
        return FeatureShard(frames, ends) if fits and frames.dtype == np.float16 else None

    def write(self, results: Iterable[np.ndarray | str]) -> list[str]:
        """Write the features of each utterance; return what is wrong instead, if anything."""
        with _new_file(self.frames_path) as file:
            lengths, problems = _write_frames(file, results, self.size)
            if problems:
                return problems
            _put_in_place(file, self.frames_path)
        with _new_file(self.ends_path) as file:
            np.save(file, np.cumsum(lengths, dtype=np.int64))
            _put_in_place(file, self.ends_path)
        return []


def _plan(rows: Sequence[Utterance], extraction: Extraction, folder: Path) -> list[_ShardFiles]:
    """Cut the rows into shards, and name each by what decides its content."""
    identities = recording_identities(rows)
    settings, shards = extraction.settings, []
    for part in _cut(rows, identities, settings):
        # What a perturbation does depends on an utterance's place among all.
        place = part.start if extraction.perturbation else 0
        key = json.dumps([FORMAT, asdict(settings), extraction.perturbation_key(), place])
        digest = hashlib.sha256(key.encode())
        digest.update(b"".join(identities[part.start : part.stop]))
        shards.append(_ShardFiles(folder / digest.hexdigest()[:16], part, settings.size))
    return shards


def _cut(
    rows: Sequence[Utterance], identities: Sequence[bytes], settings: FeatureSettings
) -> list[range]:
    """Return which rows make each shard.

    A shard ends where it is full, and also where a recording's content says so: about
    twice in the length of a full one.  Thus rows that are added or left out change the
    shards next to them only.
    """
    full_s = SHARD_BYTES / (2 * settings.size) * settings.frame_s
    ends, held_s = [0], 0.0
    for index, (row, identity) in enumerate(zip(rows, identities, strict=True)):
        if held_s + row.duration > full_s and index > ends[-1]:
            ends.append(index)
            held_s = 0.0
        held_s += row.duration
        if int.from_bytes(identity[:8], "big") / 2**64 < 2 * row.duration / full_s:
            ends.append(index + 1)
            held_s = 0.0
    if ends[-1] < len(rows):
        ends.append(len(rows))
    return [range(start, end) for start, end in pairwise(ends)]


def recording_identities(rows: Sequence[Utterance]) -> list[bytes]:
    """Return what tells each recording from others, wherever it is and however it is called.

    Raises:
        ManifestError: If recordings are missing or cannot be opened, all of them named.
    """
    # Threads wait for a slow disk together.
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(_identity, [row.audio for row in rows]))
    if problems := [identity for identity in found if isinstance(identity, str)]:
        raise ManifestError(list_problems(problems))
    return [identity for identity in found if isinstance(identity, bytes)]


def _identity(path: Path) -> bytes | str:
    """Return a digest of a file's size, start, middle and end, or what is wrong with it."""
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.sha256(str(size).encode())
            for start in sorted({max(0, share * (size - PIECE_BYTES) // 2) for share in range(3)}):
                file.seek(start)
                digest.update(file.read(PIECE_BYTES))
    except FileNotFoundError:
        return f"{path}: the manifest names it, but there is no such file"
    except OSError as error:
        return f"{path}: the manifest names it, but it cannot be read ({error.strerror or error})"
    return digest.digest()


def _compute(
    missing: Sequence[_ShardFiles],
    rows: Sequence[Utterance],
    extraction: Extraction,
    progress: Callable[[int], None],
    done: int,
    workers: int | None,
) -> None:
    """Write the shards that are missing; every recording that is wrong is named."""
    folder = missing[0].stem.parent
    folder.mkdir(parents=True, exist_ok=True)
    _delete_stale(folder)
    jobs = [(rows[index].audio, index) for shard in missing for index in shard.rows]
    problems: list[str] = []
    with closing(extract_all(jobs, extraction, workers)) as results:
        counted = _counted(results, progress, done)
        for shard in missing:
            problems += shard.write(islice(counted, len(shard.rows)))
    if problems:
        raise ManifestError(list_problems(problems))


def _counted(
    results: Iterable[np.ndarray | str], progress: Callable[[int], None], done: int
) -> Iterator[np.ndarray | str]:
    for number, features in enumerate(results, done + 1):
        progress(number)
        yield features


def _write_frames(
    file: BinaryIO, results: Iterable[np.ndarray | str], size: int
) -> tuple[list[int], list[str]]:
    """Write an NPY file of frames; return the length of each utterance, and what is wrong."""
    lengths: list[int] = []
    problems: list[str] = []
    _write_header(file, (0, size))
    for features in results:
        if isinstance(features, str):
            problems.append(features)
        elif not problems:
            file.write(features.tobytes())
            lengths.append(len(features))
    file.seek(0)
    _write_header(file, (sum(lengths), size))
    return lengths, problems


def _write_header(file: BinaryIO, shape: tuple[int, int]) -> None:
    """Write the header of a float16 NPY file; NumPy gives all lengths the same room."""
    header = {"descr": "<f2", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that no other process has, beside ``path``; gone afterwards unless put there."""
    temporary = path.with_name(f"{path.name}.{uuid4().hex}.partial")
    try:
        with temporary.open("xb") as file:
            yield file
    finally:
        temporary.unlink(missing_ok=True)


def _put_in_place(file: BinaryIO, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    os.replace(file.name, path)


def _delete_stale(folder: Path) -> None:
    """Delete the unfinished files of runs that were ended by force."""
    for path in folder.glob("*.partial"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > STALE_S:
                path.unlink()
