"""What stops a training, or is told without stopping it, in words that help."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from model.corpora.manifest import Utterance
from model.errors import TrainingError
from model.training.checkpoint import checkpoints


@contextmanager
def naming_lack_of_memory(folder: Path, step: Callable[[], int]) -> Iterator[None]:
    """Turn the errors of each library that runs out of memory into one that helps.

    Args:
        folder: The training's; its newest checkpoint is named.
        step: Returns the step at which the training is.

    Raises:
        TrainingError: In place of NumPy's, TensorFlow's or JAX's error.
    """
    try:
        yield
    except Exception as error:
        if not _is_lack_of_memory(error):
            raise
        raise TrainingError(
            f"memory ran out at step {step()}; {kept(folder)}; lower training.batch_s, the "
            "longest of training.bucket_s or network.units, and start in another folder"
        ) from error


def divergence(
    loss: float, step: int, recordings: Iterable[Utterance], folder: Path
) -> TrainingError:
    """Return the error for a step whose loss, or else its gradient, is not finite."""
    what = f"the gradient of the loss {loss:.4g} is not finite"
    if not math.isfinite(loss):
        what = f"the loss became {loss}"
    names = ", ".join(str(row.audio) for row in recordings)
    return TrainingError(
        f"{what} at step {step}, on {names}; {kept(folder)}; lower training.learning_rate or "
        "leave those recordings out, and start anew in another folder: from that checkpoint, "
        "exported, with --init, or from nothing"
    )


def kept(folder: Path) -> str:
    """Return which checkpoint a failed training leaves, as part of a message."""
    paths = checkpoints(folder)
    return f"{paths[-1]} is from before it" if paths else "there was no checkpoint yet"


def left_out(rows: Sequence[Utterance], usable: int, copies: Mapping[str, int]) -> list[str]:
    """Return what a training does not use of its recordings, or of ``training.copies``."""
    notices = []
    if short := len(rows) - usable:
        notices.append(
            f"{short} of {len(rows)} recordings are too short for their transcripts and are "
            "left out"
        )
    unknown = copies.keys() - {row.corpus for row in rows}
    return notices + [
        f"training.copies: there are no recordings of the corpus {name}" for name in sorted(unknown)
    ]


def edited(path: str) -> str:
    """Return what to say of a manifest that was edited while the training ran."""
    return (
        f"{path}: was changed after it was read; this training goes on with what it read; to "
        "learn from the change, train in another folder"
    )


def _is_lack_of_memory(error: Exception) -> bool:
    """Whether an error of NumPy, TensorFlow or JAX says so; neither library need be loaded."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "ResourceExhaustedError"
        or "RESOURCE_EXHAUSTED" in str(error)
    )
