"""Features of a whole manifest, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO

import numpy as np

from model.audio import read_audio
from model.errors import AudioFileError, ManifestError, TrainingError
from model.features import FeatureExtractor, FeatureSettings, FeatureStatistics
from model.manifest import Utterance, list_problems

FORMAT = 1
"""Raised whenever the content of a cache changes its meaning."""

MINIMUM_DEVIATION = 1e-2
"""Keeps a band that never changes, such as one above a telephone's range, from exploding."""

POOLED_ROWS = 64
"""From this many recordings on, several processes are worth starting."""


@dataclass(frozen=True)
class CachedFeatures:
    """The features of many utterances, one after the other.

    Attributes:
        frames: float16 (total frames, mels), mapped from disk.
        ends: int64 (utterances,) end of each utterance in ``frames``.
    """

    frames: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.ends)

    def lengths(self) -> np.ndarray:
        """Return the number of frames of each utterance, int64 (utterances,)."""
        return np.diff(self.ends, prepend=0)

    def utterance(self, index: int) -> np.ndarray:
        """Return float32 (frames, mels) of one utterance."""
        start = self.ends[index - 1] if index else 0
        return np.asarray(self.frames[start : self.ends[index]], np.float32)

    def statistics(self, prior_frames: float = FeatureStatistics.prior_frames) -> FeatureStatistics:
        """Return the statistics of all utterances; see :class:`FeatureStatistics`."""
        mels = self.frames.shape[1]
        total, squares = np.zeros(mels), np.zeros(mels)
        for index in range(len(self)):
            features = self.utterance(index).astype(np.float64)
            total += features.sum(axis=0)
            if len(features):
                squares += ((features - features.mean(axis=0)) ** 2).sum(axis=0)
        count = max(1, len(self.frames))
        deviation = np.maximum(np.sqrt(squares / count), MINIMUM_DEVIATION)
        return FeatureStatistics(
            (total / count).astype(np.float32), deviation.astype(np.float32), prior_frames
        )


def cached_features(
    rows: Sequence[Utterance],
    settings: FeatureSettings,
    folder: str | Path,
    progress: Callable[[int], None] = lambda done: None,
    workers: int | None = None,
) -> CachedFeatures:
    """Return the features of ``rows``, from ``folder`` where it has them.

    Args:
        rows: Utterances whose audio is read when the cache lacks them.
        settings: Part of the cache's key, as are each file's name, size and time.
        folder: Where caches are kept; made when missing.
        progress: Called with the number of utterances done.
        workers: Processes that compute; all processors when None.

    Raises:
        ManifestError: If audio is missing or unreadable, every such row named.
        TrainingError: If the cache cannot be written.
    """
    folder = Path(folder)
    name = _key(rows, settings)
    frames_path, ends_path = folder / f"{name}.frames.npy", folder / f"{name}.ends.npy"
    try:
        if ends_path.exists():
            progress(len(rows))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            _compute(rows, settings, frames_path, ends_path, progress, workers)
        return CachedFeatures(np.load(frames_path, mmap_mode="r"), np.load(ends_path))
    except OSError as error:
        raise TrainingError(
            f"{folder}: the feature cache cannot be written or read ({error.strerror or error}); "
            "free some space or choose another folder with --cache"
        ) from error
    except (EOFError, ValueError) as error:
        raise TrainingError(
            f"{frames_path}: is damaged ({error}); delete it and {ends_path.name}, "
            "and they are computed again"
        ) from error


def _key(rows: Sequence[Utterance], settings: FeatureSettings) -> str:
    digest = hashlib.sha256(json.dumps([FORMAT, asdict(settings)]).encode())
    problems: list[str] = []
    for row in rows:
        try:
            status = row.audio.stat()
        except OSError:
            problems.append(f"{row.audio}: the manifest names it, but there is no such file")
            continue
        digest.update(f"{row.audio.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    if problems:
        raise ManifestError(list_problems(problems))
    return digest.hexdigest()[:16]


def _compute(
    rows: Sequence[Utterance],
    settings: FeatureSettings,
    frames_path: Path,
    ends_path: Path,
    progress: Callable[[int], None],
    workers: int | None,
) -> None:
    """Write both files; the ends come last, so that a broken run leaves no valid cache."""
    partial = frames_path.with_suffix(".partial")
    lengths: list[int] = []
    problems: list[str] = []
    try:
        with partial.open("wb") as file:
            _write_header(file, (0, settings.mels))
            for done, features in enumerate(_extract_all(rows, settings, workers), 1):
                if isinstance(features, str):
                    problems.append(features)
                else:
                    file.write(features.tobytes())
                    lengths.append(len(features))
                progress(done)
            file.seek(0)
            _write_header(file, (sum(lengths), settings.mels))
        if problems:
            raise ManifestError(list_problems(problems))
        os.replace(partial, frames_path)
    finally:
        partial.unlink(missing_ok=True)
    temporary = ends_path.with_suffix(".partial.npy")
    np.save(temporary, np.cumsum(lengths, dtype=np.int64))
    os.replace(temporary, ends_path)


def _write_header(file: BinaryIO, shape: tuple[int, int]) -> None:
    """Write the header of a float16 NPY file; NumPy gives all lengths the same room."""
    header = {"descr": "<f2", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]


def _extract_all(
    rows: Sequence[Utterance], settings: FeatureSettings, workers: int | None
) -> Iterator[np.ndarray | str]:
    jobs = [(row.audio, settings) for row in rows]
    if workers == 1 or len(jobs) < POOLED_ROWS:
        yield from map(_extract, jobs)
        return
    # Not forked: a library's threads, where one is loaded already, do not survive that.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield from pool.map(_extract, jobs, chunksize=32)


def _extract(job: tuple[Path, FeatureSettings]) -> np.ndarray | str:
    """Return the features of a recording, float16 (frames, mels), or what is wrong with it."""
    path, settings = job
    try:
        samples = read_audio(path, settings.sample_rate)
    except AudioFileError as error:
        return str(error)
    return FeatureExtractor(settings).extract(samples).astype(np.float16)
