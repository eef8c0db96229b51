"""The network in LiteRT (TensorFlow Lite), the runtime for small devices."""

from __future__ import annotations

import warnings
from threading import Lock
from typing import Any

import numpy as np

from model.backend import check_backend
from model.bundle import ModelBundle
from model.engines.engine import can_stream
from model.engines.tensorflow_engine import window_function
from model.quiet import quiet_stderr


class LiteRtEngine:
    """A network as an interpreter of LiteRT, on one thread.

    Utterances of a batch are read one after the other.

    Args:
        bundle: Settings and weights.
        model: What :func:`litert_model` made of the bundle; made anew when None, which
            takes some seconds.
    """

    name = "litert"

    def __init__(self, bundle: ModelBundle, model: bytes | None = None) -> None:
        self._network = bundle.network
        self._lock = Lock()
        check_backend()
        with quiet_stderr(), warnings.catch_warnings():
            import tensorflow as tf

            # It says that its next home is a package of its own.
            warnings.simplefilter("ignore")
            self._interpreter = tf.lite.Interpreter(
                model_content=model or litert_model(bundle), num_threads=1
            )
            self._signature = self._interpreter.get_signature_runner()
            self._run(np.zeros((1, 1, bundle.network.features), np.float32), 1, 0, self._silence())

    @property
    def streams(self) -> bool:
        """Whether :meth:`window` works; see :class:`model.engines.engine.Engine`."""
        return can_stream(self._network)

    def logits(self, features: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Read whole utterances; see :meth:`model.engines.engine.Engine.logits`."""
        states = self._silence()
        return np.concatenate(
            [
                self._run(row[None], int(length), 0, states)["logits"]
                for row, length in zip(features, lengths, strict=True)
            ]
        )

    def window(
        self, features: np.ndarray, skipped: int, states: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read a part of an utterance; see :meth:`model.engines.engine.Engine.window`."""
        found = self._run(features[None], len(features), skipped, states[:, None])
        return found["logits"][0], found["forward"][:, 0]

    def _silence(self) -> np.ndarray:
        return np.zeros((self._network.layers, 1, self._network.units), np.float32)

    def _run(
        self, features: np.ndarray, length: int, skipped: int, states: np.ndarray
    ) -> dict[str, np.ndarray]:
        with self._lock:
            found: dict[str, np.ndarray] = self._signature(
                features=features,
                lengths=np.array([length], np.int32),
                skipped=np.array([skipped], np.int32),
                states=np.ascontiguousarray(states),
            )
        return found


def litert_model(bundle: ModelBundle) -> bytes:
    """Return the network of a bundle as a model of LiteRT (.tflite).

    Its one signature takes and gives tensors as
    :func:`model.engines.tensorflow_engine.window_function` does, one utterance in a call,
    of any length.  It needs LiteRT's own operators only, none of TensorFlow's: with a
    batch of one the loops' arrays have elements of a known shape.
    """
    function: Any = window_function(bundle, batch=1)
    with quiet_stderr():
        import tensorflow as tf

        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        model: bytes = converter.convert()
    return model
