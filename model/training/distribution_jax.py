"""Several devices and hosts on JAX: ``keras.distribution`` over ``jax.distributed``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils

from model.errors import TrainingError
from model.training.distribution import Distribution, require_devices
from model.training.hosts import PATIENCE_S, Hosts

GONE = ("UNKNOWN", "UNAVAILABLE", "INTERNAL", "ABORTED", "CANCELLED", "DEADLINE_EXCEEDED")
"""What JAX's message begins with when another host no longer takes part."""


class JaxDistribution(Distribution):
    """Trains on every device that JAX sees, on all hosts.

    Args:
        hosts: Of the training; joined already.
        devices: Names of the devices to use, as Keras lists them, those of all hosts.
    """

    def __init__(self, hosts: Hosts, devices: list[str]) -> None:
        super().__init__(hosts, len(devices))
        self._engine = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)

    def scope(self) -> AbstractContextManager[Any]:
        return self._engine.scope()

    def train(self, model: Any, inputs: Any, targets: Any) -> float:
        with self.scope():
            # Keras cannot distribute sample weights that are missing; the loss ignores them.
            result = model.train_on_batch(inputs, targets, sample_weight=targets[-1])
            return float(result[0] if isinstance(result, list) else result)

    def predict(self, model: Any, inputs: Any) -> Any:
        with self.scope():
            return model.predict_on_batch(inputs)

    def gather(self, values: np.ndarray) -> np.ndarray:
        if self.hosts.count == 1:
            return values[None]
        return np.asarray(multihost_utils.process_allgather(values))

    def is_loss(self, error: BaseException) -> bool:
        # Reading the result of a failed exchange raises ValueError.
        kinds = (jax.errors.JaxRuntimeError, ValueError)
        return isinstance(error, kinds) and str(error).startswith(GONE)


def open_jax(hosts: Hosts, devices: int) -> Distribution:
    """Return the distribution over ``devices`` of each host; all GPUs or one CPU where 0.

    Raises:
        UsageError: If there are not so many devices.
        TrainingError: If the other hosts do not come.
    """
    if devices:
        jax.config.update("jax_num_cpu_devices", devices)  # type: ignore[no-untyped-call]
    if hosts.count > 1:
        _join(hosts, devices)
    names = keras.distribution.list_devices()
    require_devices(devices, len(names) // hosts.count)
    if devices and hosts.count == 1:
        names = names[:devices]
    if len(names) == 1:
        return Distribution(hosts)
    distribution = JaxDistribution(hosts, names)
    # The first exchange must not wait for a host for more than half a minute; later ones may.
    distribution.gather(np.zeros(1, np.uint32))
    return distribution


def _join(hosts: Hosts, devices: int) -> None:
    """Meet the other hosts at the first one's address."""
    port = hosts.addresses[0].rpartition(":")[2]
    try:
        jax.distributed.initialize(
            hosts.addresses[0],
            hosts.count,
            hosts.index,
            list(range(devices)) if devices else None,
            cluster_detection_method="deactivate",
            initialization_timeout=round(PATIENCE_S),
            coordinator_bind_address=f"0.0.0.0:{port}",
        )
    except RuntimeError as error:
        raise TrainingError(
            f"host {hosts.index}: cannot join the training at {hosts.addresses[0]} "
            f"({str(error).splitlines()[0]}); check --hosts and that every host was started"
        ) from error
