"""Training on one device, on several, or on several hosts: who computes which rows.

Data parallelism: every device holds all variables and computes the loss and the
gradients of its rows of each batch; these are summed over the devices before they
are clipped and applied, so that a training is the same on any number of devices
(but for rounding) when its batches are.  The work is done by the frameworks' own
engines: ``keras.distribution`` on JAX, ``tf.distribute`` on TensorFlow.
"""

from __future__ import annotations

import atexit
import io
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import Self

from model.errors import TrainingError, UsageError
from model.training.checkpoint import Checkpoint, newest_checkpoint, pack, unpack
from model.training.hosts import Hosts, meet


class Distribution:
    """Trains on one device; the engines' subclasses do the same on several.

    Used as a context, it ends a process that shares a training without ado after an error.

    Attributes:
        hosts: Of the training.  Each calls the methods in the same order; those that
            say so wait for the others.
        devices: How many there are, over all hosts.  Batches have a multiple of them.
    """

    def __init__(self, hosts: Hosts | None = None, devices: int = 1) -> None:
        self.hosts = hosts or Hosts()
        self.devices = devices

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """After an error, let the process end without waiting for the other hosts.

        The engines' own exit handlers wait for them, while they wait for this host's rows.

        Raises:
            TrainingError: In place of an engine's error that another host is gone.
        """
        if error is None or self.hosts.count == 1:
            return
        atexit.register(_leave, getattr(error, "exit_code", 1))
        if self.is_loss(error):
            reason = next(filter(None, map(str.strip, str(error).splitlines())), "no reason given")
            raise TrainingError(
                f"host {self.hosts.index}: another host is gone or cannot be reached ({reason}); "
                "start all of them again: training resumes from the last checkpoint"
            ) from error

    @property
    def first(self) -> bool:
        """Whether this host is the one that writes files and talks."""
        return self.hosts.index == 0

    def scope(self) -> AbstractContextManager[Any]:
        """Return the context in which the model and its optimizer must be built."""
        return nullcontext()

    def part(self, rows: int) -> slice:
        """Return which of a batch's rows this host computes; waits for nobody."""
        each, index = rows // self.hosts.count, self.hosts.index
        return slice(index * each, (index + 1) * each)

    def train(self, model: Any, inputs: Any, targets: Any) -> float:
        """Make one step on all hosts; return the loss, summed over the whole batch.

        Args:
            model: A compiled ``keras.Model`` built in :meth:`scope`, whose loss is a sum
                over rows.
            inputs: Arrays of this host's rows, in the model's nesting.
            targets: Likewise, as a tuple; the last one has an entry for each row.
        """
        result = model.train_on_batch(inputs, targets)
        return float(result[0] if isinstance(result, list) else result)

    def predict(self, model: Any, inputs: Any) -> Any:
        """Return the model's outputs as arrays; each host computes for itself."""
        return model.predict_on_batch(inputs)

    def gather(self, values: np.ndarray) -> np.ndarray:
        """Return what each host gave, (hosts, n), for one array of 32-bit words (n,)."""
        return values[None]

    def agree(self, seconds: float, flag: bool) -> tuple[float, bool]:
        """Return the mean of the hosts' ``seconds``, and whether any gave the ``flag``."""
        if self.hosts.count == 1:
            return seconds, flag
        given = self.gather(np.array([seconds, flag]).view(np.uint32)).view(np.float64)
        return float(given[:, 0].mean()), bool(given[:, 1].any())

    def from_first(self, content: bytes) -> bytes:
        """Return the first host's ``content``; the others' is not looked at."""
        if self.hosts.count == 1:
            return content
        size = int(self.gather(np.array([len(content)], np.uint32))[0, 0])
        if not size:
            return b""
        room = np.zeros(-(-size // 4), np.uint32)
        if self.first:
            room.view(np.uint8)[:size] = np.frombuffer(content, np.uint8)
        return self.gather(room)[0].tobytes()[:size]

    def require_equal(self, what: str, content: bytes) -> None:
        """Compare with the first host's ``content``.

        Raises:
            TrainingError: On the hosts where it differs.
        """
        if self.from_first(content) != content:
            raise TrainingError(
                f"host {self.hosts.index} was given another {what} than host 0; start every "
                "host with the same command but for --host-index, on the same files"
            )

    def is_loss(self, error: BaseException) -> bool:
        """Whether an error is the engine's, which no longer reaches another host."""
        return False


def open_distribution(hosts: Hosts, devices: int = 0) -> Distribution:
    """Return the way to train on the devices at hand; waits for the other hosts to come.

    Call it before anything else computes with Keras: afterwards the engines can
    neither join hosts nor make virtual devices.

    Args:
        hosts: Of the training.
        devices: How many of this host's to use, the same number on every host; all
            GPUs, or else one CPU, where 0.  Without a GPU they are virtual CPU devices.

    Raises:
        UsageError: If there are not so many devices.
        TrainingError: If the other hosts do not come.
    """
    import keras

    backend = keras.backend.backend()
    meet(hosts, f"{backend} with --devices {devices or 'left out'}")
    if backend == "jax":
        from model.training.distribution_jax import open_jax

        return open_jax(hosts, devices)
    from model.training.distribution_tensorflow import open_tensorflow

    return open_tensorflow(hosts, devices)


def first_checkpoint(
    distribution: Distribution, folder: Path, notify: Callable[[str], None]
) -> Checkpoint | None:
    """Return, on every host, the newest whole checkpoint in the first host's folder.

    Args:
        distribution: Over the hosts.
        folder: Read on the first host only, so that it need not be shared.
        notify: Told of each damaged checkpoint that is passed over.

    Raises:
        TrainingError: If there are checkpoints, and all are damaged.
    """
    found = newest_checkpoint(folder, notify) if distribution.first else None
    if distribution.hosts.count == 1:
        return found
    content = distribution.from_first(pack(found) if found else b"")
    return unpack(io.BytesIO(content)) if content else None


def require_devices(wanted: int, present: int) -> None:
    """Raise UsageError if ``wanted`` devices are more than are ``present``."""
    if wanted > present:
        raise UsageError(
            f"--devices: {wanted} were asked for, but {present} can be used here; leave it "
            "out to use all, or choose GPUs with CUDA_VISIBLE_DEVICES"
        )


def _leave(exit_code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)
