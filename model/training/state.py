"""The variables of a training as named arrays, out of it and back in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from model.errors import TrainingError
from model.training.averaging import WeightAverage
from model.training.step import Step


class TrainingState:
    """A model with its optimizer and, where one is kept, the average of its weights.

    Args:
        model: Compiled, its optimizer built.
        step: Computes with the model's variables, or with its own in place of them.
        average: Decay of the average; 0 for none.
    """

    def __init__(self, model: keras.Model, step: Step, average: float) -> None:
        self._model = model
        self._step = step
        self._decay = average
        self._average = WeightAverage(average, self._weights()) if average else None

    def update_average(self, step: int) -> None:
        """Take the weights as they are after ``step`` steps into the average."""
        if self._average is not None:
            self._average.update(self._weights(), step)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the model its averaged weights for a while, where there are any."""
        if self._average is None:
            yield
            return
        own = self._weights()
        self._assign(self._average.weights)
        try:
            yield
        finally:
            self._assign(own)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return every variable by group, place and path; see :class:`Checkpoint`."""
        self._step.store()
        arrays = {name: ops.convert_to_numpy(value) for name, value in self._variables()}
        if self._average is None:
            return arrays
        paths = [variable.path for variable in self._model.trainable_variables]
        return arrays | {
            f"average/{index:04d}/{path}": array
            for index, (path, array) in enumerate(zip(paths, self._average.weights, strict=True))
        }

    def restore(self, arrays: Mapping[str, np.ndarray], averaged: int) -> None:
        """Set every variable to what :meth:`arrays` returned.

        Variables are matched by their place: Keras numbers the unnamed layers in their
        paths by what else the process has built.

        Args:
            arrays: By group, place and path.
            averaged: Step of the last update of the average.

        Raises:
            TrainingError: If they are of another network, optimizer or average.
        """
        values = {_place(name): array for name, array in arrays.items()}
        mine = {_place(name): array.shape for name, array in self.arrays().items()}
        if {place: value.shape for place, value in values.items()} != mine:
            raise TrainingError(
                "its checkpoints are of another program version's network; give another folder"
            )
        for name, variable in self._variables():
            variable.assign(values[_place(name)])
        self._step.load()
        if self._average is not None:
            kept = [values[place] for place in sorted(values) if place.startswith("average/")]
            self._average = WeightAverage(self._decay, kept, averaged)

    def _variables(self) -> list[tuple[str, Any]]:
        optimizer = self._model.optimizer
        moments = [each for each in optimizer.variables if each is not optimizer.gradient_norm]
        groups = (("model", self._model.variables), ("optimizer", moments))
        return [
            (f"{group}/{index:04d}/{variable.path}", variable)
            for group, variables in groups
            for index, variable in enumerate(variables)
        ]

    def _weights(self) -> list[np.ndarray]:
        self._step.store()
        weights = self._model.trainable_variables
        return [np.array(ops.convert_to_numpy(variable)) for variable in weights]

    def _assign(self, weights: list[np.ndarray]) -> None:
        for variable, array in zip(self._model.trainable_variables, weights, strict=True):
            variable.assign(array)
        self._step.load()


def is_whole(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether every weight, moment and average is finite."""
    return all(np.isfinite(array).all() for array in arrays.values())


def _place(name: str) -> str:
    """Return group and number of a checkpoint's array, as ``model/0000``."""
    return "/".join(name.split("/")[:2])
