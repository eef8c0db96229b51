"""What is known of a training job, in memory and across restarts of the server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from streamer.web.learning.registry import NAME, LearningError
from streamer.web.learning.run_folder import Course
from streamer.web.private import write_private

State = Literal["running", "stopped", "interrupted", "failed", "void", "no_better", "finished"]
"""Running; stopped by the user; ended with the server; failed; without its recordings; ended
without a better model; ended with a model."""

Phase = Literal["preparing", "extracting", "compiling", "training", "exporting", "judging"]
"""Writing clips, computing features, compiling the network, training it, writing the model,
and judging it."""

RESUMABLE: tuple[State, ...] = ("stopped", "interrupted", "failed")

JOB_FILE = "job.json"

INTERRUPTED = (
    "The server ended while this training ran. Continue it from its last checkpoint, or throw it "
    "away."
)


@dataclass(frozen=True)
class JobRecord:
    """A training job.

    Attributes:
        name: Of the model that it is to make.
        started: ISO 8601.
        minutes: Of training that were asked for.
        base: Folder of the model that it starts from.
        base_name: What that is called.
        recordings: Ids of the recordings that it learns from.
        held_out: Ids of those that it is judged by.
        copies: How often a pass has each of their clips.
        state: See :data:`State`.
        phase: What it does, or did last.
        message: What the user should know of its state, or "".
        stopping: Whether it was asked to stop, and has not yet.
        done: How far the phase is, in units of its own; 0 where it does not count.
        total: What ``done`` counts up to; 0 likewise.
        prepared: Whether the clips are written.
        trained: Whether the training has ended.
        model: Name of the model that it made, or "".
        course: Of the training.
    """

    name: str
    started: str
    minutes: float
    base: str
    base_name: str
    recordings: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    copies: int = 1
    state: State = "running"
    phase: Phase = "preparing"
    message: str = ""
    stopping: bool = False
    done: int = 0
    total: int = 0
    prepared: bool = False
    trained: bool = False
    model: str = ""
    course: Course = field(default_factory=Course)

    @property
    def resumable(self) -> bool:
        """Whether it can be continued."""
        return self.state in RESUMABLE

    def uses(self, recording: str) -> bool:
        """Return whether clips of a recording are part of it."""
        return recording in self.recordings or recording in self.held_out


def read_job(folder: Path) -> JobRecord | None:
    """Return the last job in a folder, None where there was none.

    One that ran when it was written was interrupted.

    Raises:
        LearningError: If its file is damaged.
    """
    path = folder / JOB_FILE
    try:
        if not path.exists():
            return None
        record = _from_plain(json.loads(path.read_text(encoding="utf-8")))
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise LearningError(
            f"{path}: cannot be read ({error}); delete it to forget the last training"
        ) from error
    if record.state != "running":
        return record
    return replace(
        record, state="interrupted", message=INTERRUPTED, stopping=False, done=0, total=0
    )


def write_job(folder: Path, record: JobRecord) -> None:
    """Remember a job.

    Raises:
        LearningError: If that cannot be written.
    """
    path = folder / JOB_FILE
    try:
        write_private(path, (json.dumps(asdict(record), indent=1) + "\n").encode())
    except OSError as error:
        raise LearningError(
            f"{path}: cannot be written ({error.strerror or error}); make room, and try again"
        ) from error


def _from_plain(record: Mapping[str, Any]) -> JobRecord:
    course = dict(record["course"])
    for curve in ("losses", "wers"):
        course[curve] = tuple((float(x), float(y)) for x, y in course[curve])
    lists = {name: tuple(record[name]) for name in ("recordings", "held_out")}
    job = JobRecord(**{**record, **lists, "course": Course(**course)})
    if not NAME.fullmatch(job.name):
        raise ValueError("names a model as none is named")
    return job
