"""One step of a training, and who computes it: Keras, or compiled C++."""

from __future__ import annotations

from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from model.bundle import ModelBundle
from model.network import build_network
from model.recipe import Recipe
from model.training.batches import Batch
from model.training.distribution import Distribution
from model.training.objective import CtcModel, GuardedAdam, GuardedMuon
from model.weights import matrix_gates


class Step(Protocol):
    """Computes the steps of a training; the Keras model and its optimizer hold the variables."""

    def train(self, batch: Batch, learning_rate: float) -> tuple[float, float]:
        """Learn from a batch; return its loss and the norm of the gradient before clipping."""

    def predict(self, features: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the logits, float32 (batch, output frames, symbols), without dropout.

        Args:
            features: float32 (batch, frames, features), zero beyond each length.
            lengths: int32 (batch,) feature frames.
        """

    def store(self) -> None:
        """Give the Keras model and its optimizer the variables as they are."""

    def load(self) -> None:
        """Take the variables as the Keras model and its optimizer have them."""


class KerasStep:
    """Steps by Keras, on the devices of a distribution.

    Args:
        model: Compiled, its optimizer built.
        recipe: Of the training.
        distribution: In whose scope the model was built.
    """

    def __init__(self, model: CtcModel, recipe: Recipe, distribution: Distribution) -> None:
        self._model = model
        self._network = recipe.network
        self._distribution = distribution

    def train(self, batch: Batch, learning_rate: float) -> tuple[float, float]:
        optimizer = self._model.optimizer
        optimizer.learning_rate.assign(learning_rate)
        targets = (
            batch.labels,
            batch.label_lengths,
            self._network.output_frames(batch.lengths),
            batch.shares,
        )
        inputs = (batch.features, batch.lengths)
        loss = self._distribution.train(self._model, inputs, targets)
        return loss, float(ops.convert_to_numpy(optimizer.gradient_norm))

    def predict(self, features: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        outputs = self._distribution.predict(self._model, (features, lengths))
        return np.asarray(outputs[0] if isinstance(outputs, list) else outputs)

    def store(self) -> None:
        """Nothing: Keras computes with them."""

    def load(self) -> None:
        """Nothing: Keras computes with them."""


def compiled_model(recipe: Recipe, init: ModelBundle | None = None) -> CtcModel:
    """Return the network to train with its loss and its optimizer, built.

    Args:
        recipe: Of the training.
        init: Gives the initial weights; they are random where None.
    """
    settings = recipe.training
    network = build_network(recipe.network, heads=settings.intermediate_weight > 0)
    if init is not None:
        init.assign_weights(network)
    model = CtcModel(network, settings.intermediate_weight, settings.consistency)
    rate, norm = settings.learning_rate, settings.clip_norm
    if settings.optimizer == "muon":
        optimizer = GuardedMuon(matrix_gates(recipe.network), rate, norm)
    else:
        optimizer = GuardedAdam(rate, global_clipnorm=norm)
    model.compile(optimizer, jit_compile=True)
    optimizer.build(model.trainable_variables)
    return model


def optimizer_moments(model: keras.Model) -> tuple[list[Any], list[Any]]:
    """Return the momentum and velocity variables, in the order of the trainable ones."""
    variables = model.optimizer.variables
    return tuple(  # type: ignore[return-value]
        [variable for variable in variables if variable.path.endswith(f"_{kind}")]
        for kind in ("momentum", "velocity")
    )
