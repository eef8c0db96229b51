"""Checkpoints of a training: written whole or not at all, read with a way back."""

from __future__ import annotations

import io
import json
import math
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from model.errors import TrainingError

KEPT = 2
"""Checkpoints that stay in a folder: the newest, and one to fall back to."""


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
    """

    step: int = 0
    passed: int = 0
    batch: int = 0
    seconds: float = 0.0
    speech_s: float = 0.0
    loss: float = math.nan
    wer: float = math.nan
    cer: float = math.nan


@dataclass(frozen=True)
class Checkpoint:
    """A training at one of its steps.

    Attributes:
        progress: How far it had come.
        arrays: Its variables, named by group, place and path
            (``model/0000/convolution_0/kernel``).
    """

    progress: Progress
    arrays: Mapping[str, np.ndarray]


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a training's folder, oldest first."""
    return sorted(folder.glob("checkpoint-*.npz"))


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint, so that a kill at any moment leaves a whole one; delete old ones.

    Raises:
        TrainingError: If it cannot be written; earlier checkpoints stay.
    """
    path = folder / f"checkpoint-{checkpoint.progress.step:08d}.npz"
    temporary = folder / "checkpoint.partial"
    progress = np.array(json.dumps(asdict(checkpoint.progress)))
    archive = io.BytesIO()
    np.savez(archive, **checkpoint.arrays, progress=progress)
    try:
        with temporary.open("wb") as file:
            file.write(archive.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise TrainingError(
            f"{path}: the checkpoint cannot be written ({error.strerror or error}); "
            "free some space and start again: training resumes from the one before"
        ) from error
    for old in checkpoints(folder)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


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
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            EOFError,
            zlib.error,
            BadZipFile,
        ) as error:
            notify(f"{path}: is damaged ({error}); going back to the checkpoint before it")
    if paths:
        raise TrainingError(
            f"{folder}: every checkpoint is damaged; delete {', '.join(p.name for p in paths)} "
            "to start anew"
        )
    return None


def _read(path: Path) -> Checkpoint:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        values = {name: arrays[name] for name in arrays.files}
    progress = json.loads(str(values.pop("progress")))
    return Checkpoint(Progress(**progress), values)
