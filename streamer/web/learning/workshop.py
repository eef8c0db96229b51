"""What every training job works with, and the commands of ``train.py`` that it consists of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from streamer.settings import LearningSettings
from streamer.web.learning.corpus import MANIFESTS
from streamer.web.learning.job import JobRecord
from streamer.web.learning.judging import Decoder
from streamer.web.learning.registry import Registry

BUCKETS_S = (4, 9, 17)
"""Lengths to which clips are padded; each must be compiled, which takes longer than padding."""

LOG_STEPS = 5
CHECKPOINT_MINUTES = 1


@dataclass(frozen=True)
class Workshop:
    """What every job works with.

    Attributes:
        folder: Of the jobs.
        settings: How it is learned; its paths are absolute.
        engine: What runs the networks that are judged.
        language_model: What their outputs are read with besides greedily, if anything.
        test: Manifest of the test recordings, if there is one.
        registry: Of the learned models.
    """

    folder: Path
    settings: LearningSettings
    engine: str
    language_model: Path | None
    test: Path | None
    registry: Registry

    def of(self, job: JobRecord) -> Path:
        """Return the folder of a job."""
        return self.folder / job.name

    def data(self, job: JobRecord) -> Path:
        """Return the folder of a job's clips."""
        return self.of(job) / "data"

    def run(self, job: JobRecord) -> Path:
        """Return the folder of a job's training."""
        return self.of(job) / "run"

    def candidate(self, job: JobRecord) -> Path:
        """Return the bundle that a job makes."""
        return self.of(job) / "candidate"

    def fit(self, job: JobRecord) -> Iterator[str | Path]:
        """Yield the command line of a job's training."""
        data, settings = self.data(job), self.settings
        yield from ("fit", "--init", job.base, "--output", self.run(job))
        yield from ("--manifest", data / MANIFESTS["train"], "--dev", data / MANIFESTS["held_out"])
        yield from ("--cache", self.of(job) / "cache")
        if settings.base:
            yield "--base"
            yield from settings.base
        if settings.recipe is not None:
            yield from ("--config", settings.recipe)
        else:
            yield from ("--set", f"training.bucket_s={list(BUCKETS_S)}")
        for override in (
            f"minutes={job.minutes}",
            f"log_steps={LOG_STEPS}",
            f"checkpoint_minutes={CHECKPOINT_MINUTES}",
            f"copies={{corrections: {job.copies}}}",
        ):
            yield from ("--set", f"training.{override}")

    def export(self, job: JobRecord) -> Iterator[str | Path]:
        """Yield the command line that mixes the trained weights with those of before.

        They are those at the end, not those that read the held-out recordings best: these
        judge, and choose nothing that they judge.
        """
        yield from ("export", "--run", self.run(job), "--output", self.candidate(job))
        yield from ("--checkpoint", "newest")
        yield from ("--name", job.name, "--init", job.base)
        yield from ("--share", str(self.settings.share))

    def evaluate(
        self, job: JobRecord, bundle: Path, decoder: Decoder, report: Path
    ) -> Iterator[str | Path]:
        """Yield the command line that judges a bundle by a decoder and writes a report."""
        yield from ("evaluate", "--bundle", bundle, "--output", report)
        yield from ("--manifest", self.data(job) / MANIFESTS["held_out"])
        if self.test is not None:
            yield self.test
        if decoder == "language_model" and self.language_model:
            yield from ("--language-model", self.language_model)
        if self.engine != "auto":
            yield from ("--engine", self.engine)
