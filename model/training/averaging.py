"""A moving average of the weights, which is steadier than they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

EVERY = 10
"""Steps from one update of the average to the next.

Copying four million weights off the device and averaging them takes some milliseconds:
much beside a step on a GPU, nothing beside ten.
"""


class WeightAverage:
    """Exponential moving average of weights (Polyak and Juditsky, 1992), kept in NumPy.

    The decay of a step rises from 1/10 to its full value, ``min(decay, (1 + n) / (10 + n))``
    at step ``n``, so that the initial weights are soon forgotten.  Between two updates the
    weights count as what they are at the second.

    Args:
        decay: Of one step; above 0 and below 1.
        weights: To start from, float (any shape) each; they are copied.
        step: Steps trained so far.
    """

    def __init__(self, decay: float, weights: Sequence[np.ndarray], step: int = 0) -> None:
        self._decay = decay
        self._step = step
        self.weights = [np.array(array, np.float32) for array in weights]

    def update(self, weights: Sequence[np.ndarray], step: int) -> None:
        """Take in the weights as they are after ``step`` steps."""
        old = math.prod(self.decay(number) for number in range(self._step, step))
        for average, array in zip(self.weights, weights, strict=True):
            average += np.float32(1 - old) * (array - average)
        self._step = step

    def decay(self, step: int) -> float:
        """Return the decay of the step that comes after ``step`` others."""
        return min(self._decay, (1 + step) / (10 + step))
