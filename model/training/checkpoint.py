"""Checkpoints of a training: written whole or not at all, read with a way back."""

from __future__ import annotations

import io
import json
import math
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Literal, get_args
from zipfile import BadZipFile

import numpy as np

from model.errors import TrainingError
from model.files import write_whole

KEPT = 2
"""Checkpoints that stay in a folder: the newest, and one to fall back to."""

BEST_FILE = "best.npz"
"""The checkpoint with the lowest word error rate on dev so far, without its optimizer."""

Choice = Literal["best", "newest"]
CHOICES: tuple[Choice, ...] = get_args(Choice)

DAMAGES = (OSError, ValueError, KeyError, TypeError, EOFError, zlib.error, BadZipFile)
"""What reading a damaged checkpoint raises."""


@dataclass
class Progress:
    """How far a training has come; saved in every checkpoint.

    Attributes:
        step: Batches trained on.
        passed: Whole passes over the data.
        batch: Batches of the current pass trained on.
        seconds: Time spent training.
        speech_s: Seconds of speech trained on.
        loss: Moving average of the loss for each label.
        wer: Word error rate at the last evaluation; NaN before the first.
        cer: Character error rate at the last evaluation.
        judged: Step of the last evaluation.
        judged_s: Time spent training when it was made.
        averaged: Step of the last update of the weights' average.
    """

    step: int = 0
    passed: int = 0
    batch: int = 0
    seconds: float = 0.0
    speech_s: float = 0.0
    loss: float = math.nan
    wer: float = math.nan
    cer: float = math.nan
    judged: int = 0
    judged_s: float = 0.0
    averaged: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """A training at one of its steps.

    Attributes:
        progress: How far it had come.
        arrays: Its variables, named by group, place and path
            (``model/0000/convolution_0/kernel``).  The groups are ``model``,
            ``optimizer`` and, where one is kept, ``average``: the moving average of
            the trainable variables, numbered among themselves.
    """

    progress: Progress
    arrays: Mapping[str, np.ndarray]


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a training's folder, oldest first."""
    return sorted(folder.glob("checkpoint-*.npz"))


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return where a training's folder has the checkpoint of a step."""
    return folder / f"checkpoint-{step:08d}.npz"


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint, so that a kill at any moment leaves a whole one; delete old ones.

    Raises:
        TrainingError: If it cannot be written; earlier checkpoints stay.
    """
    path = checkpoint_path(folder, checkpoint.progress.step)
    _write(path, checkpoint)
    # Later ones were passed over as damaged, and are none to fall back to.
    for old in [other for other in checkpoints(folder) if other <= path][:-KEPT]:
        with suppress(OSError):
            old.unlink()
    return path


def write_best(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write the best checkpoint in place of the one before, without what only training needs.

    Raises:
        TrainingError: If it cannot be written; the one before stays.
    """
    arrays = {
        name: array
        for name, array in checkpoint.arrays.items()
        if not name.startswith("optimizer/")
    }
    path = folder / BEST_FILE
    _write(path, Checkpoint(checkpoint.progress, arrays))
    return path


def read_best(folder: Path, notify: Callable[[str], None]) -> Checkpoint | None:
    """Return the best checkpoint; None where there is none, or none that is whole.

    Args:
        folder: A training's folder.
        notify: Told of a damaged one.
    """
    path = folder / BEST_FILE
    if not path.exists():
        return None
    try:
        return _read(path)
    except DAMAGES as error:
        notify(f"{path}: is damaged ({error}); going on without it")
    return None


def chosen_checkpoint(
    folder: Path, choice: Choice, notify: Callable[[str], None]
) -> Checkpoint | None:
    """Return the best checkpoint or the newest; the newest where there is no best one.

    Raises:
        TrainingError: If the newest is asked for or needed, and all are damaged.
    """
    best = read_best(folder, notify) if choice == "best" else None
    return best or newest_checkpoint(folder, notify)


def pack(checkpoint: Checkpoint) -> bytes:
    """Return a checkpoint as the content of a file."""
    progress = np.array(json.dumps(asdict(checkpoint.progress)))
    archive = io.BytesIO()
    np.savez(archive, **checkpoint.arrays, progress=progress)
    return archive.getvalue()


def unpack(file: BinaryIO) -> Checkpoint:
    """Return the checkpoint whose content, by :func:`pack`, a file has."""
    with np.load(file, allow_pickle=False) as arrays:
        values = {name: arrays[name] for name in arrays.files}
    progress = json.loads(str(values.pop("progress")))
    return Checkpoint(Progress(**progress), values)


def _write(path: Path, checkpoint: Checkpoint) -> None:
    try:
        write_whole(path, pack(checkpoint), "checkpoint.partial")
    except OSError as error:
        raise TrainingError(
            f"{path}: the checkpoint cannot be written ({error.strerror or error}); "
            "free some space: what was written before is whole"
        ) from error


def newest_checkpoint(folder: Path, notify: Callable[[str], None]) -> Checkpoint | None:
    """Return the newest checkpoint that is whole; None where there are none at all.

    Args:
        folder: A training's folder.
        notify: Told of each damaged checkpoint that is passed over.

    Raises:
        TrainingError: If there are checkpoints, and all are damaged.
    """
    paths = checkpoints(folder)
    for path in reversed(paths):
        try:
            return _read(path)
        except DAMAGES as error:
            notify(f"{path}: is damaged ({error}); going back to the checkpoint before it")
    if paths:
        raise TrainingError(
            f"{folder}: every checkpoint is damaged; delete {', '.join(p.name for p in paths)} "
            "to start anew"
        )
    return None


def _read(path: Path) -> Checkpoint:
    with path.open("rb") as file:
        return unpack(file)
