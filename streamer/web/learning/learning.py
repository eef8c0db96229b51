"""Learning from corrections: what there is to learn, one training at a time, and its models."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from model.parts import missing_libraries
from streamer.decoders import beside_program
from streamer.settings import LearningSettings, LiveSettings
from streamer.web.errors import Conflict, Unprocessable
from streamer.web.learning.corpus import CutRecording
from streamer.web.learning.job import JOB_FILE, JobRecord, read_job, write_job
from streamer.web.learning.judging import is_complete
from streamer.web.learning.registry import (
    MODELS_FOLDER,
    NAME,
    SHIPPED,
    LearnedModel,
    Registry,
    model_in_use,
)
from streamer.web.learning.run_folder import Course
from streamer.web.learning.runner import MESSAGES, JobRunner, discard, now
from streamer.web.learning.speech import CorrectedLibrary, CorrectedSpeech
from streamer.web.learning.workshop import Workshop
from streamer.web.private import make_private_folder

if TYPE_CHECKING:
    from model.acoustic import AcousticModel

JOBS_FOLDER = "learning"

SHORTEST_MINUTES = 0.05
ENDING_S = 20.0
"""Time that a training has to save itself when the server ends."""


class Models(Protocol):
    """What is needed of the model host."""

    @property
    def name(self) -> str: ...

    @property
    def path(self) -> Path: ...

    @property
    def acoustic(self) -> AcousticModel: ...

    def use(self, path: Path) -> None:
        """Let captions be made by another model."""
        ...


class Learning:
    """Lets the model learn from what users corrected; may be used from any thread.

    Everything lies in ``learning`` and ``models`` below the data's folder, for its owner
    only; see :meth:`open`.

    Attributes:
        speech: What there is to learn from.
    """

    def __init__(
        self,
        workshop: Workshop,
        library: CorrectedLibrary,
        models: Models,
        shipped: Path,
        record: JobRecord | None,
    ) -> None:
        self._workshop = workshop
        self._models = models
        self._shipped = shipped
        self._change = threading.RLock()
        self.speech = CorrectedSpeech(
            library, lambda: models.acoustic.bundle, workshop.registry, workshop.folder
        )
        self._runner: JobRunner | None = None
        self._record = record

    @classmethod
    def open(
        cls, folder: Path, library: CorrectedLibrary, models: Models, settings: LiveSettings
    ) -> Learning:
        """Take up what there is in a folder; a training that ran when the server ended waits.

        Args:
            folder: Of the data: the library's.
            library: Has the corrected recordings.
            models: Has the model in use.
            settings: How it is learned, and what captions are read with.

        Raises:
            LearningError: If what is remembered is damaged, or the folder cannot be written.
        """
        registry = Registry(folder / MODELS_FOLDER)
        jobs = folder / JOBS_FOLDER
        make_private_folder(jobs)
        learning = cls(
            _workshop(jobs, registry, settings),
            library,
            models,
            beside_program(settings.model).resolve(),
            read_job(jobs),
        )
        learning._tidy()
        library.on_delete(learning.forget)
        return learning

    @property
    def registry(self) -> Registry:
        """The learned models."""
        return self._workshop.registry

    @property
    def settings(self) -> LearningSettings:
        """How it is learned."""
        return self._workshop.settings

    @property
    def test(self) -> Path | None:
        """Manifest of the test recordings that judge every model; None where there is none."""
        return self._workshop.test

    @property
    def job(self) -> JobRecord | None:
        """The training that runs, or the last one; None where there was none."""
        runner = self._runner
        return runner.record if runner is not None else self._record

    @property
    def course(self) -> Course:
        """How the training of :attr:`job` goes or went."""
        runner = self._runner
        if runner is not None:
            return runner.course
        return self._record.course if self._record is not None else Course()

    def model_in_use(self) -> Path | None:
        """Return the bundle that was chosen; None for the program's own."""
        return model_in_use(self._workshop.registry.folder.parent)

    def used(self) -> str:
        """Return what the model in use is called here; "" where it is none of those here."""
        path = beside_program(self._models.path).resolve()
        if path == self._shipped:
            return SHIPPED
        known = (model.name for model in self.registry.state.models)
        return next((name for name in known if self.registry.path(name).resolve() == path), "")

    def lacking(self, material: Sequence[CutRecording]) -> str:
        """Return what is missing for a training; empty for nothing.

        Args:
            material: What there is to learn from.
        """
        return self._not_installed() or self.speech.lacking(material)

    def train(self, minutes: float) -> None:
        """Begin to learn.

        Args:
            minutes: Of training, after which it ends at the latest.

        Raises:
            Unprocessable: If that is too short or too long.
            Conflict: If a training runs or waits to be continued, there is too little
                to learn from, or the parts that train are not installed.
        """
        longest = self.settings.minutes
        if not SHORTEST_MINUTES <= minutes <= longest:
            raise Unprocessable(f"minutes: must be {SHORTEST_MINUTES:g} to {longest:g}")
        with self._change:
            self._require_idle()
            if self._record is not None and self._record.resumable:
                raise Conflict(
                    "the last training is not finished; continue it or throw it away first"
                )
            if lacking := self.lacking(self.speech.material()):
                raise Conflict(lacking)
            base = beside_program(self._models.path).resolve()
            name = self.registry.next_name()
            self._start(JobRecord(name, now(), float(minutes), str(base), self._models.name))

    def resume(self) -> None:
        """Go on with a training that was stopped or interrupted.

        Raises:
            Conflict: If there is none, or the parts that train are not installed.
        """
        with self._change:
            self._require_idle()
            if self._record is None or not self._record.resumable:
                raise Conflict("there is no training to continue; begin a new one")
            if missing := self._not_installed():
                raise Conflict(missing)
            self._start(self._record)

    def stop(self) -> None:
        """Ask the training to end; what it has learned is judged. Asked again, it stops.

        Raises:
            Conflict: If none runs.
        """
        with self._change:
            self._settle()
            if self._runner is None:
                raise Conflict("no training runs; begin one first")
            self._runner.stop()

    def throw_away(self) -> None:
        """Delete a training that does not run; the models that were made stay.

        Raises:
            Conflict: If it runs, or there is none.
        """
        with self._change:
            self._require_idle()
            if self._record is None:
                raise Conflict("there is no training to throw away")
            discard(self._record, self._workshop.folder)
            (self._workshop.folder / JOB_FILE).unlink(missing_ok=True)
            self._record = None

    def use(self, name: str) -> None:
        """Let captions be made by a learned model, or by ``SHIPPED``, from now on.

        Raises:
            NotFound: If there is no such model.
            Conflict: If it was not judged.
            BundleError: If it cannot be used; the one before stays in use.
        """
        with self._change:
            path = self._shipped
            if name != SHIPPED:
                if not is_complete(self.registry.model(name).judgement):
                    raise Conflict(
                        f"{name} was not judged by test recordings, so it is not offered for use"
                    )
                path = self.registry.path(name)
            self._models.use(path)
            self.registry.use(name)

    def previous(self) -> str:
        """Return the model that was in use before; "" where there was none."""
        before = self.registry.state.before
        return before[-1] if before else ""

    def roll_back(self) -> None:
        """Let captions be made by the model that was in use before.

        Raises:
            Conflict: If there is none.
            BundleError: If it cannot be used; the present one stays in use.
        """
        with self._change:
            name = self.previous()
            if not name:
                raise Conflict("there is no model before this one; it is the first")
            self._models.use(self._shipped if name == SHIPPED else self.registry.path(name))
            self.registry.return_to(name)

    def delete_model(self, name: str) -> None:
        """Delete a learned model.

        Raises:
            NotFound: If there is none of that name.
            Conflict: If it is in use, or a training that is not finished starts from it.
        """
        with self._change:
            self._settle()
            job = self.job
            path = str(self.registry.path(self.registry.model(name).name).resolve())
            if job is not None and job.base == path and (job.resumable or job.state == "running"):
                raise Conflict(f"a training that is not finished starts from {name}; end it first")
            if self.used() == name:
                raise Conflict(f"{name} is in use; use another model first")
            self.registry.delete(name)

    def models(self) -> tuple[LearnedModel, ...]:
        """Return the learned models, the oldest first."""
        return self.registry.state.models

    def forget(self, recording: str) -> None:
        """Delete everything of a recording that was deleted, a training of it among that.

        Models that learned from it are marked; nobody can take it out of them.
        """
        with self._change:
            runner = self._runner
            if runner is not None and runner.record.uses(recording):
                runner.end("void", 0.0)
            elif self._record is not None and self._record.uses(recording):
                self._void(self._record)
            self._settle()
            self.speech.forget()
            self.registry.forget(recording)

    def close(self) -> None:
        """End a training so that it can be continued; may be called again."""
        with self._change:
            if self._runner is not None:
                self._runner.end("interrupted", ENDING_S)
            self._settle()
            self.speech.forget()

    def _not_installed(self) -> str:
        return missing_libraries("keras", self.settings.backend)

    def _start(self, record: JobRecord) -> None:
        self._runner = JobRunner(record, self._workshop, self.speech)
        self._runner.start()

    def _require_idle(self) -> None:
        self._settle()
        if self._runner is not None:
            raise Conflict("a training runs already; wait for its end, or stop it first")

    def _settle(self) -> None:
        """Let go of a training that has come to its end."""
        if self._runner is not None and self._runner.record.state != "running":
            self._record, self._runner = self._runner.record, None

    def _void(self, record: JobRecord) -> None:
        """Delete a training that waits, one of whose recordings was deleted."""
        discard(record, self._workshop.folder)
        self._record = replace(
            record, state="void", message=MESSAGES["void"], recordings=(), held_out=()
        )
        write_job(self._workshop.folder, self._record)

    def _tidy(self) -> None:
        """Delete what a killed server left, and what belongs to recordings that are gone."""
        kept = {model.name for model in self.registry.state.models}
        _delete_unless(self.registry.folder, kept)
        record = self._record
        waiting = {record.name} if record is not None and record.resumable else set()
        _delete_unless(self._workshop.folder, waiting)
        self.speech.forget()
        present = self.speech.recordings()
        if record is not None and not {*record.recordings, *record.held_out} <= present:
            self._void(record)
        self.registry.keep_only(present)


def _workshop(folder: Path, registry: Registry, settings: LiveSettings) -> Workshop:
    learning, decoder = settings.learning, settings.decoder
    language_model = decoder.language_model if decoder.kind != "greedy" else None
    return Workshop(
        folder=folder.resolve(),
        settings=replace(
            learning,
            recipe=_found(learning.recipe),
            base=tuple(beside_program(path).resolve() for path in learning.base),
        ),
        engine=settings.engine,
        language_model=_if_there(_found(language_model)),
        test=test_manifest(learning),
        registry=registry,
    )


def test_manifest(settings: LearningSettings) -> Path | None:
    """Return the manifest of the recordings that judge every model; None where there is none."""
    return _if_there(_found(settings.test))


def _found(path: Path | None) -> Path | None:
    return None if path is None else beside_program(path).resolve()


def _if_there(path: Path | None) -> Path | None:
    return path if path is not None and path.exists() else None


def _delete_unless(folder: Path, kept: Iterable[str]) -> None:
    """Delete the folders of jobs or models but those that are kept."""
    for path in folder.iterdir():
        if NAME.fullmatch(path.name) and path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)
