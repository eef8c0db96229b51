"""The network in Keras, by which it is trained: the reference for the other engines."""

from __future__ import annotations

from typing import Any

import numpy as np

from model.backend import check_backend
from model.bundle import ModelBundle
from model.engines.engine import Engine, can_stream
from model.errors import UsageError
from model.quiet import quiet_stderr

PADDED_FRAMES = 256
"""Where each input shape is compiled anew, lengths are padded to a multiple of this."""


def load_tensorflow(bundle: ModelBundle) -> Engine:
    """Return an engine of the Keras backend that ``KERAS_BACKEND`` names: TensorFlow by default.

    Raises:
        UsageError: If ``KERAS_BACKEND`` names another library, or one that is not there.
    """
    check_backend()
    with quiet_stderr():
        import keras
    backend = keras.backend.backend()
    return TensorFlowEngine(bundle) if backend == "tensorflow" else KerasEngine(bundle, backend)


class TensorFlowEngine:
    """A network as one function of TensorFlow for every length.

    Args:
        bundle: Settings and weights.
        function: The bundle's :func:`window_function`; made anew when None.
    """

    name = "tensorflow"

    def __init__(self, bundle: ModelBundle, function: Any = None) -> None:
        self._network = bundle.network
        self._function = function or window_function(bundle)
        # The first run is the slowest by far; better now than when somebody speaks.
        self.logits(np.zeros((1, 1, bundle.network.features), np.float32), np.ones(1, np.int32))

    @property
    def streams(self) -> bool:
        """Whether :meth:`window` works; see :class:`model.engines.engine.Engine`."""
        return can_stream(self._network)

    def logits(self, features: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Read whole utterances; see :meth:`model.engines.engine.Engine.logits`."""
        states = np.zeros((self._network.layers, len(lengths), self._network.units), np.float32)
        return self._run(features, lengths, 0, states)[0]

    def window(
        self, features: np.ndarray, skipped: int, states: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read a part of an utterance; see :meth:`model.engines.engine.Engine.window`."""
        lengths = np.array([len(features)], np.int32)
        logits, forward = self._run(features[None], lengths, skipped, states[:, None])
        return logits[0], forward[:, 0]

    def _run(
        self, features: np.ndarray, lengths: np.ndarray, skipped: int, states: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        import tensorflow as tf

        found = self._function(
            features=tf.constant(features),
            lengths=tf.constant(lengths),
            skipped=tf.constant([skipped], tf.int32),
            states=tf.constant(states),
        )
        return np.asarray(found["logits"]), np.asarray(found["forward"])


class KerasEngine:
    """A network as Keras runs it with another backend: whole utterances only.

    Args:
        bundle: Settings and weights.
        name: The backend.
    """

    streams = False

    def __init__(self, bundle: ModelBundle, name: str) -> None:
        from model.network import build_network

        self.name = name
        self._settings = bundle.network
        self._network = build_network(bundle.network)
        bundle.assign_weights(self._network)

    def logits(self, features: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Read whole utterances; padding changes nothing within the true length."""
        frames = features.shape[1]
        padded = np.pad(features, ((0, 0), (0, -frames % PADDED_FRAMES), (0, 0)))
        logits = self._network.predict_on_batch((padded, lengths))
        return np.asarray(logits)[:, : self._settings.output_frames(frames)]

    def window(
        self, features: np.ndarray, skipped: int, states: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Raise UsageError: only whole utterances are read."""
        raise UsageError(
            f"KERAS_BACKEND={self.name} reads whole utterances only; leave KERAS_BACKEND out"
        )


def window_function(bundle: ModelBundle, batch: int | None = None) -> Any:
    """Return the network as a concrete function of TensorFlow, its weights constants.

    It takes and gives tensors by the names, and with the shapes, of
    :func:`model.network.build_window_network`: features, lengths, skipped and states;
    logits and forward.

    Args:
        bundle: Settings and weights.
        batch: Utterances in a call; any number when None.

    Raises:
        UsageError: If Keras uses another backend.
    """
    check_backend()
    with quiet_stderr():
        import keras
        import tensorflow as tf

        backend = keras.backend.backend()
        if backend != "tensorflow":
            raise UsageError(
                f"KERAS_BACKEND: must be tensorflow for this, got {backend}; leave it out"
            )
        from model.network import build_window_network

        network = build_window_network(bundle.network)
    variables = network.trainable_variables, network.non_trainable_variables

    def read(features: Any, lengths: Any, skipped: Any, states: Any) -> dict[str, Any]:
        weights = ([tf.constant(bundle.weights[v.path]) for v in group] for group in variables)
        inputs = [features, lengths, skipped, states]
        (logits, forward), _ = network.stateless_call(*weights, inputs, training=False)
        return {"logits": logits, "forward": forward}

    settings = bundle.network
    return tf.function(read, autograph=False).get_concrete_function(
        tf.TensorSpec((batch, None, settings.features), tf.float32, "features"),
        tf.TensorSpec((batch,), tf.int32, "lengths"),
        tf.TensorSpec((1,), tf.int32, "skipped"),
        tf.TensorSpec((settings.layers, batch, settings.units), tf.float32, "states"),
    )
