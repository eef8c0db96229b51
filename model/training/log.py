"""What a training leaves to look at: two CSV files, TensorBoard's events and curves.

Nothing here stops a training: what cannot be written is said once, and tried again
at the next row.
"""

from __future__ import annotations

import csv
import io
import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from model.files import append_whole, write_whole
from model.training.checkpoint import Progress

LOG_FILE = "log.csv"
LOG_COLUMNS = ("step", "pass", "minutes", "speech_hours", "loss", "wer", "cer")
"""A row for each evaluation."""

STEPS_FILE = "steps.csv"
STEP_COLUMNS = (
    *("step", "pass", "minutes", "speech_hours"),
    *("loss", "learning_rate", "gradient_norm", "hours_per_hour"),
)
"""A row for every so many steps: their mean loss and speed, the last one's rate and norm."""

EVENTS_FOLDER = "tensorboard"
CURVES_FILE = "curves.png"
DIGITS = 6
"""Significant digits of the figures in the files."""


class TrainingLog:
    """Writes the logs of a training.

    Args:
        folder: The training's.
        every: Steps between rows of ``steps.csv``.
        notify: Told when a file cannot be written, once until it can again.
    """

    def __init__(self, folder: Path, every: int, notify: Callable[[str], None]) -> None:
        self._folder = folder
        self._every = every
        self._notify = notify
        self._broken: set[Path] = set()
        self._events = folder / EVENTS_FOLDER / "none"
        self._losses: list[float] = []
        self._before = Progress()

    def begin(self, progress: Progress | None) -> None:
        """Start at a checkpoint: what was logged after it goes, to be logged again.

        Args:
            progress: How far the checkpoint had come; None for a new training.
        """
        for name, last in (
            (LOG_FILE, progress.judged if progress else -1),
            (STEPS_FILE, progress.step if progress else -1),
        ):
            with self._telling(self._folder / name) as path:
                _cut(path, last)
        self._losses, self._before = [], replace(progress or Progress())
        # Named as TensorBoard wants it, and for each start by another time and process.
        name = f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"
        self._events = self._folder / EVENTS_FOLDER / name
        self._write_events([_version_event(), _start_event(progress.step + 1 if progress else 0)])

    def add_step(
        self, progress: Progress, loss: float, learning_rate: float, gradient_norm: float
    ) -> None:
        """Note a step; write a row where it is time to.

        Args:
            progress: How far the training has come with it.
            loss: For each label.
            learning_rate: Of the step.
            gradient_norm: Before clipping.
        """
        self._losses.append(loss)
        if progress.step % self._every:
            return
        seconds = progress.seconds - self._before.seconds
        figures = {
            "loss": sum(self._losses) / len(self._losses),
            "learning_rate": learning_rate,
            "gradient_norm": gradient_norm,
            "hours_per_hour": (progress.speech_s - self._before.speech_s) / max(seconds, 1e-9),
        }
        self._losses, self._before = [], replace(progress)
        with self._telling(self._folder / STEPS_FILE) as path:
            _add_row(path, STEP_COLUMNS, [*_places(progress), *figures.values()])
        self._write_events([_scalars(progress.step, "train", figures)])

    def add_evaluation(self, progress: Progress) -> None:
        """Log an evaluation, and draw the curves anew."""
        rates = (progress.loss, progress.wer, progress.cer)
        with self._telling(self._folder / LOG_FILE) as path:
            _add_row(path, LOG_COLUMNS, [*_places(progress), *rates])
        if progress.wer == progress.wer:
            values = {"wer": progress.wer, "cer": progress.cer}
            self._write_events([_scalars(progress.step, "dev", values)])
        with self._telling(self._folder / CURVES_FILE) as path:
            from model.training.curves import draw_curves

            draw_curves(self._folder / LOG_FILE, self._folder / STEPS_FILE, path)

    def _write_events(self, events: Sequence[bytes]) -> None:
        with self._telling(self._events) as path:
            path.parent.mkdir(parents=True, exist_ok=True)
            append_whole(path, b"".join(map(_framed, events)))

    @contextmanager
    def _telling(self, path: Path) -> Iterator[Path]:
        """Give ``path``; say it when it cannot be written, and go on."""
        try:
            yield path
        except (ImportError, OSError) as error:
            if path not in self._broken:
                self._broken.add(path)
                self._notify(
                    f"{path}: cannot be written ({getattr(error, 'strerror', None) or error}); the "
                    "training goes on without it: free some space, and it is written again"
                )
        else:
            self._broken.discard(path)


def read_log(path: Path) -> dict[str, list[float]]:
    """Return the columns of a log by name; empty where the file is missing or has no rows."""
    columns: dict[str, list[float]] = {}
    for row in _rows(path):
        for name, value in row.items():
            columns.setdefault(name, []).append(float(value))
    return columns


def _places(progress: Progress) -> list[float]:
    """Return the columns that every log begins with."""
    return [progress.step, progress.passed, progress.seconds / 60, progress.speech_s / 3600]


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the whole rows of a log."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(file, restval="")
        return [row for row in reader if None not in row and all(map(_is_number, row.values()))]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _cut(path: Path, last: int) -> None:
    """Rewrite a log without the rows of steps after ``last``."""
    if not path.exists():
        return
    rows = [row for row in _rows(path) if "step" in row and float(row["step"]) <= last]
    if not rows:
        path.unlink()
        return
    write_whole(path, _csv([list(rows[0]), *(list(row.values()) for row in rows)]))


def _add_row(path: Path, columns: Sequence[str], values: Iterable[float]) -> None:
    row = [value if isinstance(value, int) else float(f"{value:.{DIGITS}g}") for value in values]
    # A file that could not be written at first is there, but empty.
    begun = path.exists() and path.stat().st_size > 0
    append_whole(path, _csv([row] if begun else [columns, row]))


def _csv(rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _version_event() -> bytes:
    return _event(file_version="brain.Event:2")


def _start_event(step: int) -> bytes:
    """Return the event by which TensorBoard drops what an earlier start logged from a step on."""
    return _event(step=step, session_log={"status": 1})


def _scalars(step: int, group: str, values: Mapping[str, float]) -> bytes:
    items = [{"tag": f"{group}/{name}", "simple_value": value} for name, value in values.items()]
    return _event(step=step, summary={"value": items})


def _event(**fields: Any) -> bytes:
    from tensorboardX.proto.event_pb2 import Event

    return bytes(Event(wall_time=time.time(), **fields).SerializeToString())


def _framed(event: bytes) -> bytes:
    """Return a record of an event file: its length and itself, each with a checksum."""
    from tensorboardX.record_writer import masked_crc32c

    length = struct.pack("<Q", len(event))
    checks = (struct.pack("<I", masked_crc32c(part)) for part in (length, event))
    return length + next(checks) + event + next(checks)
