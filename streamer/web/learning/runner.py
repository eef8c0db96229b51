"""One training job from corrected recordings to a judged model, in a thread."""

from __future__ import annotations

import logging
import math
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, Protocol

from model.errors import CaptionerError
from streamer.web.learning.commands import Counting, TrainCommand
from streamer.web.learning.corpus import MANIFESTS, CutRecording, write_corpus
from streamer.web.learning.job import JobRecord, Phase, State, write_job
from streamer.web.learning.judging import DECODERS, Decoder, ReadClip, judge, read_report
from streamer.web.learning.registry import LearnedModel
from streamer.web.learning.run_folder import (
    Course,
    has_gained,
    has_weights,
    making_of,
    passes_without_gain,
    read_course,
)
from streamer.web.learning.workshop import Workshop
from streamer.web.private import make_private, make_private_folder

PASS_S = 300.0
"""Speech in a pass, seconds: of less, each clip occurs several times, always changed anew, so
that judging after every pass does not take longer than training."""

MOST_COPIES = 100

COMPILED_FOLDER = "compiled"

FEATURES = "features"
"""What ``train.py fit`` counts last before it builds the network."""

Ending = Literal["", "keep", "stopped", "interrupted", "void"]
"""Why a command is being ended; "keep" goes on with what it has trained."""

MESSAGES: dict[State, str] = {
    "stopped": "You stopped this training. Continue it, or throw it away.",
    "interrupted": "The server ends. Continue this training when it runs again.",
    "void": "A recording that this training used was deleted, so it was thrown away.",
    "no_better": "No better model was found: at every moment of the training the held-out "
    "recordings were read no better than before. Correct more recordings, and try again.",
}

log = logging.getLogger(__name__)


class Material(Protocol):
    """What there is to learn from."""

    def material(self) -> Sequence[CutRecording]:
        """Return the corrected recordings as they are now."""
        ...

    def recordings(self) -> set[str]:
        """Return the ids of all recordings that there are now."""
        ...


class _Ended(Exception):
    """The job was asked to end, and has nothing to go on with."""


class JobRunner:
    """Carries out a job; may be asked and stopped from any thread.

    Args:
        record: The job: a new one, or one to go on with.
        workshop: What it works with.
        source: What it learns from.
    """

    def __init__(self, record: JobRecord, workshop: Workshop, source: Material) -> None:
        self._workshop = workshop
        self._source = source
        self._folder = workshop.of(record)
        self._run_folder = workshop.run(record)
        self._candidate = workshop.candidate(record)
        self._record = replace(record, state="running", message="", stopping=False)
        self._change = threading.Lock()
        self._ending: Ending = ""
        self._command: TrainCommand | None = None
        self._thread = threading.Thread(target=self._run, name="learning", daemon=True)

    @property
    def record(self) -> JobRecord:
        """How the job stands."""
        return self._record

    @property
    def course(self) -> Course:
        """How the training goes, read from its folder while there is one."""
        return read_course(self._run_folder) if self._run_folder.is_dir() else self._record.course

    def start(self) -> None:
        """Begin.

        Raises:
            LearningError: If the job cannot be remembered.
        """
        self._update()
        self._thread.start()

    def stop(self) -> None:
        """Ask a training to end and to be judged as it is then; anything else to stop."""
        with self._change:
            training = self._record.phase in ("extracting", "compiling", "training")
            self._ending = "keep" if training and not self._ending else "stopped"
            self._record = replace(self._record, stopping=True)
            command = self._command
        if command is not None:
            command.stop()

    def end(self, why: Literal["interrupted", "void"], patience_s: float) -> None:
        """End at once and wait until nothing runs any more.

        Args:
            why: "void" leaves nothing of it; else a training saves itself first.
            patience_s: How long to wait for that, seconds.
        """
        with self._change:
            self._ending = why
            command = self._command
        if command is not None and why == "interrupted":
            command.stop()
            self._thread.join(patience_s)
        if command is not None and self._thread.is_alive():
            command.kill()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            self._work()
        except _Ended:
            self._finish(self._state_at_end())
        except CaptionerError as error:
            self._finish(self._state_at_end("failed"), str(error))
        except Exception as error:
            log.exception("a training job failed")
            self._finish(self._state_at_end("failed"), f"unexpected error: {error!r}")

    def _work(self) -> None:
        if not self._record.prepared:
            self._prepare()
        if not self._record.trained:
            self._train()
        if self._export():
            self._publish(judge(self._judged()))

    def _prepare(self) -> None:
        self._begin("preparing")
        material = self._source.material()
        seconds = sum(one.seconds for one in material if one.side == "train")
        self._update(
            recordings=_ids(material, "train"),
            held_out=_ids(material, "held_out"),
            copies=min(MOST_COPIES, math.ceil(PASS_S / max(1.0, seconds))),
        )
        self._write(material)
        # One that was deleted just before its id was noted here is not asked for by forget.
        if not {*self._record.recordings, *self._record.held_out} <= self._source.recordings():
            self._ending = "void"
            raise _Ended
        self._update(prepared=True)

    def _write(self, material: Sequence[CutRecording]) -> None:
        try:
            make_private_folder(self._folder)
            written = write_corpus(material, self._workshop.data(self._record))
        except OSError as error:
            raise CaptionerError(
                f"{self._folder}: cannot be written ({error.strerror or error}); make room, and "
                "continue"
            ) from error
        if len(written) < len(MANIFESTS):
            raise CaptionerError(
                "there are no clips any more to learn from or to judge by; correct more recordings"
            )

    def _train(self) -> None:
        self._begin("extracting")
        finished = self._call(self._workshop.fit(self._record), self._count, self._say)
        begun = self.course.step > 0 and has_weights(self._run_folder)
        if not finished and not (self._ending == "keep" and begun):
            raise _Ended
        with self._change:
            if self._ending == "keep":
                self._ending = ""
        self._update(trained=True, stopping=False)

    def _export(self) -> bool:
        """Write the mixture of the trained weights with those before, if they were ever better."""
        if not has_gained(self._run_folder):
            self._finish("no_better")
            return False
        self._begin("exporting")
        if not self._call(self._workshop.export(self._record)):
            raise _Ended
        return True

    def _judged(self) -> dict[tuple[Any, Decoder], list[ReadClip]]:
        """Return the held-out and the test clips as both models read them."""
        models = (("before", Path(self._record.base)), ("after", self._candidate))
        decoders = DECODERS if self._workshop.language_model else DECODERS[:1]
        turns = [(when, path, decoder) for when, path in models for decoder in decoders]
        self._begin("judging")
        readings = {}
        for turn, (when, bundle, decoder) in enumerate(turns):
            report = self._folder / "judging" / f"{when}-{decoder}.json"
            make_private_folder(report.parent)

            def count(counting: Counting, turn: int = turn) -> None:
                total = counting.total or 0
                self._note(turn * total + counting.done, len(turns) * total)

            order = self._workshop.evaluate(self._record, bundle, decoder, report)
            if not self._call(order, count):
                raise _Ended
            readings[when, decoder] = read_report(report)
        return readings

    def _publish(self, judgement: dict[str, Any]) -> None:
        """Give the model its place among the learned ones."""
        record, registry = self._record, self._workshop.registry
        making = making_of(self._candidate)
        make_private(self._candidate)
        shutil.rmtree(registry.path(record.name), ignore_errors=True)
        os.replace(self._candidate, registry.path(record.name))
        registry.add(
            LearnedModel(
                name=record.name,
                created=now(),
                base=record.base_name,
                minutes=making.minutes,
                steps=making.steps,
                share=making.share,
                recordings=record.recordings,
                judgement=judgement,
            )
        )
        self._finish("finished", model=record.name)

    def _call(
        self,
        arguments: Sequence[str | Path] | Iterator[str | Path],
        count: Callable[[Counting], None] = lambda counting: None,
        say: Callable[[str], None] = lambda text: None,
    ) -> bool:
        """Run a command of ``train.py``; return whether it finished."""
        workshop = self._workshop
        places = (self._folder / "lock", workshop.folder / COMPILED_FOLDER)
        command = TrainCommand(list(arguments), workshop.settings, *places)
        with self._change:
            if self._ending:
                raise _Ended
            self._command = command
        try:
            return command.run(count, say)
        finally:
            with self._change:
                self._command = None

    def _count(self, counting: Counting) -> None:
        """Note how far the features are; after the last of them the network is built."""
        if counting.doing == FEATURES and counting.done == counting.total:
            self._begin("compiling")
        else:
            self._note(counting.done, counting.total or 0)

    def _say(self, text: str) -> None:
        """End a training that gets no better; it speaks after every evaluation."""
        patience = self._workshop.settings.patience
        if patience and passes_without_gain(self._run_folder) >= patience:
            with self._change:
                command = None if self._ending else self._command
                self._ending = self._ending or "keep"
            if command is not None:
                command.stop()

    def _begin(self, phase: Phase) -> None:
        self._update(phase=phase, done=0, total=0)

    def _note(self, done: int, total: int) -> None:
        with self._change:
            self._record = replace(self._record, done=done, total=total)

    def _update(self, **values: Any) -> None:
        """Change the record, and remember it before others see it."""
        with self._change:
            record = replace(self._record, **values)
            try:
                write_job(self._workshop.folder, record)
            finally:
                self._record = record

    def _state_at_end(self, otherwise: State = "stopped") -> State:
        ending = self._ending
        return ending if ending in ("interrupted", "void", "stopped") else otherwise

    def _finish(self, state: State, message: str = "", model: str = "") -> None:
        """Come to an end; what is not needed to go on is deleted."""
        values: dict[str, Any] = {"course": self.course}
        if state in ("finished", "no_better", "void"):
            shutil.rmtree(self._folder, ignore_errors=True)
            values |= {"recordings": (), "held_out": ()}
        message = MESSAGES.get(state, message) if state != "failed" else message
        values |= {"state": state, "message": message, "model": model, "stopping": False}
        try:
            self._update(done=0, total=0, **values)
        except CaptionerError:
            log.exception("the end of a training job could not be remembered")


def discard(record: JobRecord, folder: Path) -> None:
    """Delete everything of a job that does not run."""
    shutil.rmtree(folder / record.name, ignore_errors=True)


def _ids(material: Sequence[CutRecording], side: str) -> tuple[str, ...]:
    return tuple(one.recording.id for one in material if one.side == side and one.cut.clips)


def now() -> str:
    """Return the time of now, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
