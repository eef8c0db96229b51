"""How the learning rate runs over a training, and what a pass takes of the base speech."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from model.recipe import TrainingSettings

FALLS: Mapping[str, Callable[[float], float]] = {
    "cosine": lambda fallen: 0.5 + 0.5 * math.cos(math.pi * fallen),
    "linear": lambda fallen: 1 - fallen,
    "constant": lambda fallen: 1.0,
}
"""Rate, as a share of the highest, when a share of the fall is over; 1 to 0 but for constant."""


def learning_rate(settings: TrainingSettings, step: int, share: float) -> float:
    """Return the rate of a step: it rises over the first steps, stays, and falls.

    Args:
        settings: Highest rate, and how it rises and falls.
        step: Number of the step, the first is 0.
        share: Share of the training that is done, 0 to 1.
    """
    warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    fallen = max(0.0, (share - settings.hold) / max(1e-9, 1 - settings.hold))
    left = FALLS[settings.decay](min(1.0, fallen))
    return settings.learning_rate * warm * (settings.final_rate + (1 - settings.final_rate) * left)


def draw_base(
    durations: np.ndarray, own_s: float, share: float, random: np.random.Generator
) -> np.ndarray:
    """Return how often each base utterance occurs in a pass.

    A random sample, whole copies of all first where one is not enough, so that the base
    makes up about ``share`` of the pass, to the nearest utterance.

    Args:
        durations: Seconds of each base utterance.
        own_s: Seconds of the other speech in the pass.
        share: Of the base in the pass's speech, 0 or more and below 1.
        random: Draws.

    Returns:
        int (utterances,).
    """
    wanted, total = own_s * share / (1 - share), float(durations.sum())
    counts = np.zeros(len(durations), int)
    if total <= 0:
        return counts
    copies = int(wanted // total)
    order = random.permutation(len(durations))
    ends = np.cumsum(durations[order])
    counts[order[ends - durations[order] / 2 < wanted - copies * total]] = 1
    return counts + copies
