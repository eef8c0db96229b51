"""Several devices and hosts on TensorFlow: ``tf.distribute``'s mirrored strategies."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from model.errors import TrainingError
from model.training.distribution import Distribution, require_devices
from model.training.hosts import Hosts

GONE = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
"""What a collective operation raises when another host no longer takes part."""


class TensorflowDistribution(Distribution):
    """Trains on the replicas of a strategy.

    Keras would clip each replica's gradients before it sums them, and give every
    replica the whole batch; so the step is made here of the model's own parts.

    Args:
        hosts: Of the training.
        strategy: Mirrors variables on all devices of all hosts.
    """

    def __init__(self, hosts: Hosts, strategy: tf.distribute.Strategy) -> None:
        super().__init__(hosts, strategy.num_replicas_in_sync)
        self._strategy = strategy
        self._local = self.devices // hosts.count
        self._functions: dict[tuple[str, int], tuple[Any, Any]] = {}

    def scope(self) -> AbstractContextManager[Any]:
        return self._strategy.scope()

    def train(self, model: Any, inputs: Any, targets: Any) -> float:
        step = self._function(self._make_step, model)
        return float(step(*keras.tree.map_structure(self._spread, (inputs, targets))))

    def predict(self, model: Any, inputs: Any) -> Any:
        tensors = keras.tree.map_structure(tf.convert_to_tensor, inputs)
        outputs = self._function(self._make_outputs, model)(tensors)
        return keras.tree.map_structure(np.asarray, outputs)

    def gather(self, values: np.ndarray) -> np.ndarray:
        if self.hosts.count == 1:
            return values[None]
        given = self._strategy.experimental_distribute_values_from_function(
            lambda _: tf.constant(values.view(np.int32)[None])
        )
        every = self._strategy.gather(given, axis=0).numpy()
        return every[:: self._local].view(values.dtype)

    def is_loss(self, error: BaseException) -> bool:
        return isinstance(error, GONE)

    def _function(self, make: Callable[[Any], Any], model: Any) -> Any:
        """Return what ``make(model)`` gave the first time: it is compiled for each shape once."""
        key = (make.__name__, id(model))
        if key not in self._functions:
            self._functions[key] = (model, make(model))
        return self._functions[key][1]

    def _make_outputs(self, model: Any) -> Any:
        return tf.function(lambda inputs: model(inputs, training=False), reduce_retracing=True)

    def _make_step(self, model: Any) -> Any:
        strategy, total = self._strategy, tf.distribute.ReduceOp.SUM
        variables = model.trainable_variables
        mirrored = [variable.value for variable in variables]

        def differentiate(inputs: Any, targets: Any) -> Any:
            with tf.GradientTape() as tape:
                outputs = model(inputs, training=True)
                loss = model.compute_loss(x=inputs, y=targets, y_pred=outputs)
            return loss, tape.gradient(loss, mirrored)

        def step(inputs: Any, targets: Any) -> Any:
            losses, gradients = strategy.run(differentiate, args=(inputs, targets))
            pairs = list(zip(gradients, mirrored, strict=True))
            summed = strategy.extended.batch_reduce_to(total, pairs)
            model.optimizer.apply(summed, variables)
            return strategy.reduce(total, losses, axis=None)

        return tf.function(step, reduce_retracing=True)

    def _spread(self, rows: np.ndarray) -> Any:
        """Return this host's rows, split evenly over its devices."""
        pieces = np.split(rows, self._local)
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(pieces[context.replica_id_in_sync_group % self._local])
        )


def open_tensorflow(hosts: Hosts, devices: int) -> Distribution:
    """Return the distribution over ``devices`` of each host; all GPUs or one CPU where 0.

    Raises:
        UsageError: If there are not so many devices.
        TrainingError: If the other hosts do not come.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        require_devices(devices, len(gpus))
        tf.config.set_visible_devices(gpus[: devices or None], "GPU")
    elif devices:
        processor = tf.config.list_physical_devices("CPU")[0]
        virtual = [tf.config.LogicalDeviceConfiguration()] * devices
        tf.config.set_logical_device_configuration(processor, virtual)
    if hosts.count > 1:
        return TensorflowDistribution(hosts, _join(hosts))
    names = [device.name for device in tf.config.list_logical_devices("GPU" if gpus else "CPU")]
    if len(names) == 1:
        return Distribution(hosts)
    return TensorflowDistribution(hosts, tf.distribute.MirroredStrategy(names))


def _join(hosts: Hosts) -> tf.distribute.Strategy:
    """Start this host's server, which the others find at its address."""
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(hosts.addresses)}),
        task_type="worker",
        task_id=hosts.index,
        rpc_layer="grpc",
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except (tf.errors.OpError, RuntimeError) as error:
        raise TrainingError(
            f"host {hosts.index}: cannot join the training ({str(error).splitlines()[0]}); "
            "check --hosts, that its port is free and that every host was started"
        ) from error
