"""The compiled step in place of Keras's, with the same variables."""

from __future__ import annotations

import math

import keras
import numpy as np
from keras import ops

from model.recipe import Recipe
from model.training.batches import Batch
from model.training.compiled.library import CompiledNetwork, StepLibrary
from model.training.step import optimizer_moments
from model.weights import weight_shapes


class CompiledStep:
    """Steps in C++: see :class:`model.training.step.Step`.

    The order of the recordings, their changes and the learning rate are those of Keras's steps;
    products are bfloat16 where the processor has them, and dropout draws other numbers.  The
    result of a training is the same for any number of threads, which ``OMP_NUM_THREADS`` sets.

    Args:
        library: Computes.
        model: Compiled, its optimizer built; its network has no intermediate outputs.
        recipe: Of the training.
    """

    def __init__(self, library: StepLibrary, model: keras.Model, recipe: Recipe) -> None:
        self._network = CompiledNetwork(library, recipe.network)
        self._settings = recipe.training
        self._optimizer = model.optimizer
        weights = model.trainable_variables
        shapes = [tuple(variable.shape) for variable in weights]
        if shapes != list(weight_shapes(recipe.network).values()):
            raise ValueError("the weights of the model are not those of the compiled network")
        self._variables = (weights, *optimizer_moments(model))
        self._arrays = [np.zeros(self._network.size, np.float32) for _ in self._variables]
        self._gradients = np.zeros(self._network.size, np.float32)
        self._step = 0
        self.load()

    def train(self, batch: Batch, learning_rate: float) -> tuple[float, float]:
        """Learn from a batch; return its loss and the norm of the gradient before clipping.

        Where one of them is not finite, nothing is learnt.
        """
        weights, momentum, velocity = self._arrays
        losses = self._network.learn(
            weights,
            self._gradients,
            batch.features,
            batch.lengths,
            batch.labels,
            batch.label_lengths,
            batch.shares,
            (self._settings.seed << 32) + self._step,
            self._settings.consistency,
        )
        loss = float(losses @ batch.shares.astype(np.float64))
        if not math.isfinite(loss):
            return loss, math.nan
        norm = self._network.move(
            self._settings.optimizer,
            weights,
            self._gradients,
            momentum,
            velocity,
            self._step + 1,
            learning_rate,
            self._settings.clip_norm,
        )
        self._step += 1
        self._optimizer.learning_rate.assign(learning_rate)
        return loss, norm

    def predict(self, features: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the logits, float32 (batch, output frames, symbols), zero beyond each length."""
        return self._network.logits(self._arrays[0], features, lengths)

    def store(self) -> None:
        """Give the Keras model and its optimizer the variables as they are."""
        for variables, array in zip(self._variables, self._arrays, strict=True):
            for variable, values in zip(variables, self._parts(array), strict=True):
                variable.assign(values.reshape(variable.shape))
        self._optimizer.iterations.assign(self._step)

    def load(self) -> None:
        """Take the variables as the Keras model and its optimizer have them."""
        for variables, array in zip(self._variables, self._arrays, strict=True):
            for variable, values in zip(variables, self._parts(array), strict=True):
                values[:] = ops.convert_to_numpy(variable).ravel()
        self._step = int(ops.convert_to_numpy(self._optimizer.iterations))

    def _parts(self, array: np.ndarray) -> list[np.ndarray]:
        """Return the part of ``array`` that each weight has."""
        sizes = [math.prod(variable.shape) for variable in self._variables[0]]
        return np.split(array, np.cumsum(sizes)[:-1])
