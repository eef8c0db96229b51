"""Features of many recordings, computed by several processes in constant memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

import numpy as np

from model.audio import read_audio
from model.errors import AudioFileError
from model.features import FeatureExtractor, FeatureSettings
from model.processes import follow_parent

POOLED_JOBS = 64
"""From this many recordings on, several processes are worth starting."""

CHUNK_JOBS = 16
"""Recordings that a process is given at a time."""

Job = tuple[Path, int]
"""A recording, and its place among all."""

Result = np.ndarray | str
"""Features, float16 (frames, size), or what is wrong with the recording."""


class AudioPerturbation(Protocol):
    """A change of recorded speech that leaves its transcript true; can be pickled."""

    def key(self) -> str:
        """Return a digest of everything that decides what it does."""

    def apply(self, samples: np.ndarray, sample_rate: int, index: int) -> np.ndarray:
        """Return float32 samples (m,) for those (n,) of the recording at place ``index``."""


@dataclass(frozen=True)
class Extraction:
    """From a recording to the features that are kept of it.

    Attributes:
        settings: How audio becomes features.
        perturbation: Changes the audio before that, if given.
    """

    settings: FeatureSettings
    perturbation: AudioPerturbation | None = None

    def perturbation_key(self) -> str:
        """Return what tells the perturbation from others; "" for none."""
        return self.perturbation.key() if self.perturbation else ""

    def run(self, job: Job) -> Result:
        """Return the features of one recording."""
        path, index = job
        rate = self.settings.sample_rate
        try:
            samples = read_audio(path, rate)
            if self.perturbation is not None:
                samples = self.perturbation.apply(samples, rate, index)
        except AudioFileError as error:
            return str(error)
        return self._extractor.extract(samples).astype(np.float16)

    @cached_property
    def _extractor(self) -> FeatureExtractor:
        return FeatureExtractor(self.settings)


def extract_all(
    jobs: Sequence[Job], extraction: Extraction, workers: int | None = None
) -> Generator[Result, None, None]:
    """Yield the features of each recording, in order; only a few wait to be taken.

    Args:
        jobs: The recordings.
        extraction: What is computed.
        workers: Processes that compute; all processors when None.

    Raises:
        BrokenProcessPool: If a process was ended from outside.
    """
    workers = workers or os.cpu_count() or 1
    if workers == 1 or len(jobs) < POOLED_JOBS:
        yield from map(extraction.run, jobs)
        return
    # Not forked: a library's threads, where one is loaded already, do not survive that.
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, (extraction,)) as pool:
        waiting: deque[Future[list[Result]]] = deque()
        for start in range(0, len(jobs), CHUNK_JOBS):
            waiting.append(pool.submit(_run_chunk, jobs[start : start + CHUNK_JOBS]))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


class _Worker:
    """What a process of the pool computes; set once, when it starts."""

    extraction: Extraction


def _start(extraction: Extraction) -> None:
    _Worker.extraction = extraction
    follow_parent()


def _run_chunk(chunk: Sequence[Job]) -> list[Result]:
    return [_Worker.extraction.run(job) for job in chunk]
