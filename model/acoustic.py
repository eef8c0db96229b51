"""Features in, log-probabilities of symbols out, with the network of a bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import log_softmax

from model.bundle import ModelBundle, load_bundle
from model.features import FeatureExtractor
from model.quiet import quiet_stderr

PADDED_FRAMES = 256
"""Where each input shape is compiled anew, lengths are padded to a multiple of this."""

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From normalised features (batch, frames, size) and lengths (batch,) to logits
(batch, output frames, symbols)."""


class AcousticModel:
    """A bundle with its network ready to run; immutable, shared by all sessions.

    Args:
        bundle: Settings and weights.

    Building it imports Keras with the backend that ``KERAS_BACKEND`` names,
    TensorFlow by default.
    """

    def __init__(self, bundle: ModelBundle) -> None:
        self.bundle = bundle
        self.extractor = FeatureExtractor(bundle.features)
        self._predict = _compile(bundle)
        # The first run is the slowest by far; better now than when somebody speaks.
        self._predict(np.zeros((1, 1, bundle.network.features), np.float32), np.ones(1, np.int32))

    @classmethod
    def load(cls, path: str | Path) -> AcousticModel:
        """Load a bundle and its network.

        Raises:
            BundleError: If the bundle cannot be used.
        """
        return cls(load_bundle(path))

    @property
    def frame_samples(self) -> int:
        """Audio samples from one frame of log-probabilities to the next."""
        return self.bundle.network.stride * self.bundle.features.hop

    def log_probs(self, features: np.ndarray, final: bool = False) -> np.ndarray:
        """Return the log-probabilities of an utterance.

        Args:
            features: float32 (frames, size), as the extractor gives them.
            final: Whether to read with more care: once from each of the first
                ``network.stride`` frames, as they all are as good a start, with the
                mean of the log-probabilities.  It costs about two to three times as much.

        Returns:
            float32 (``network.output_frames(frames)``, symbols).
        """
        if len(features) == 0:
            return np.zeros((0, self.bundle.network.symbols), np.float32)
        normalised = self.bundle.statistics.normalise(features)
        starts = min(self.bundle.network.stride, len(normalised)) if final else 1
        lengths = len(normalised) - np.arange(starts, dtype=np.int32)
        readings = np.zeros((starts, *normalised.shape), np.float32)
        for start, length in enumerate(lengths):
            readings[start, :length] = normalised[start:]
        scores = log_softmax(self._predict(readings, lengths), axis=-1)
        shared = self.bundle.network.output_frames(int(lengths[-1]))
        mean = log_softmax(scores[:, :shared].mean(axis=0), axis=-1)
        # The later starts may end a frame earlier; there the first reading stands alone.
        return np.concatenate([mean, scores[0, shared:]]).astype(np.float32)

    def session(self) -> AcousticSession:
        """Start an utterance with its own state."""
        return AcousticSession(self)


class AcousticSession:
    """One utterance whose features arrive in pieces.

    Owns all its features: the network reads them in both directions, so every
    reading starts anew from the first.
    """

    def __init__(self, model: AcousticModel) -> None:
        self._model = model
        self._pieces: list[np.ndarray] = []

    def push(self, features: np.ndarray) -> None:
        """Add float32 (frames, size) that follow on what came before."""
        if len(features):
            self._pieces.append(features)

    def log_probs(self, frames: int | None = None, final: bool = False) -> np.ndarray:
        """Return float32 (output frames, symbols) for the first ``frames`` frames, or all.

        ``final`` is that of :meth:`AcousticModel.log_probs`.
        """
        if not self._pieces:
            return self._model.log_probs(np.zeros((0, 0), np.float32))
        self._pieces = [np.concatenate(self._pieces)]
        return self._model.log_probs(self._pieces[0][:frames], final)


def _compile(bundle: ModelBundle) -> Predict:
    """Return the network of a bundle, ready to run."""
    with quiet_stderr():
        import keras

        from model.network import build_network

        network = build_network(bundle.network)
    bundle.assign_weights(network)
    if keras.backend.backend() == "tensorflow":
        return _tensorflow_function(network, bundle.network.features)
    return _padded_function(network, bundle.network.output_frames)


def _tensorflow_function(network: Any, features: int) -> Predict:
    """Compile once for every length."""
    import tensorflow as tf

    function = tf.function(
        lambda inputs, lengths: network([inputs, lengths], training=False),
        input_signature=[
            tf.TensorSpec((None, None, features), tf.float32),
            tf.TensorSpec((None,), tf.int32),
        ],
    ).get_concrete_function()

    def predict(normalised: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        return np.asarray(function(tf.constant(normalised), tf.constant(lengths)))

    return predict


def _padded_function(network: Any, output_frames: Callable[[int], int]) -> Predict:
    """Compile for a few lengths; padding changes nothing within the true length."""

    def predict(normalised: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        frames = normalised.shape[1]
        room = -frames % PADDED_FRAMES
        padded = np.pad(normalised, ((0, 0), (0, room), (0, 0)))
        logits = network.predict_on_batch((padded, lengths))
        return np.asarray(logits)[:, : output_frames(frames)]

    return predict
