"""How a training goes, as its folder tells it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.bundle import SETTINGS_FILE
from model.training.checkpoint import checkpoints
from model.training.log import LOG_FILE, STEPS_FILE, read_log

POINTS = 200
"""Most points of a curve."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Course:
    """How far a training is, and how it went.

    Attributes:
        step: Batches trained on.
        passes: Whole passes over the speech.
        minutes: Time spent training.
        speech_hours: Hours of speech trained on, every pass counted.
        loss: Of the last steps, for each letter; None before the first.
        wer: Word error rate on the held-out recordings at the last evaluation, read
            greedily; None before the first.
        losses: Loss over minutes of training.
        wers: Word error rate over minutes of training.
    """

    step: int = 0
    passes: int = 0
    minutes: float = 0.0
    speech_hours: float = 0.0
    loss: float | None = None
    wer: float | None = None
    losses: tuple[Point, ...] = ()
    wers: tuple[Point, ...] = ()


def read_course(folder: Path) -> Course:
    """Return how the training in a folder goes; one that has not begun is at its start."""
    steps, log = read_log(folder / STEPS_FILE), read_log(folder / LOG_FILE)
    newest = max((steps, log), key=lambda columns: columns.get("step", [-1.0])[-1])
    if not newest:
        return Course()
    losses, wers = _curve(steps, "loss"), _curve(log, "wer")
    return Course(
        step=int(newest["step"][-1]),
        passes=int(newest["pass"][-1]),
        minutes=newest["minutes"][-1],
        speech_hours=newest["speech_hours"][-1],
        loss=losses[-1][1] if losses else None,
        wer=wers[-1][1] if wers else None,
        losses=_thinned(losses),
        wers=_thinned(wers),
    )


def passes_without_gain(folder: Path) -> int:
    """Return how many evaluations there were since the best one."""
    rates = _rates(folder)
    return len(rates) - 1 - rates.index(min(rates)) if rates else 0


def has_gained(folder: Path) -> bool:
    """Return whether any evaluation was better than the first, or there was none but that."""
    rates = _rates(folder)
    return len(rates) < 2 or min(rates) < rates[0]


def has_weights(folder: Path) -> bool:
    """Return whether a training has come far enough to have weights to keep."""
    return bool(checkpoints(folder))


@dataclass(frozen=True)
class Making:
    """How the weights of a bundle came about.

    Attributes:
        steps: Batches trained on when they were taken.
        minutes: Of training until then.
        share: Of them in the bundle; the rest are those that the training started from.
    """

    steps: int
    minutes: float
    share: float


def making_of(bundle: Path) -> Making:
    """Return how the weights of a bundle came about.

    Raises:
        OSError, KeyError, ValueError: If it is no bundle.
    """
    provenance = json.loads((bundle / SETTINGS_FILE).read_text(encoding="utf-8"))["provenance"]
    share = provenance["recipe"].get("init", {}).get("share", 1.0)
    return Making(int(provenance["steps"]), float(provenance["minutes"]), float(share))


def _rates(folder: Path) -> list[Point]:
    """Return the word and character error rates of each evaluation; the words decide."""
    log = read_log(folder / LOG_FILE)
    curves = (_curve(log, name) for name in ("wer", "cer"))
    return [(wer, cer) for (_, wer), (_, cer) in zip(*curves, strict=False)]


def _curve(columns: dict[str, list[float]], name: str) -> list[Point]:
    points = zip(columns.get("minutes", []), columns.get(name, []), strict=False)
    return [(minutes, value) for minutes, value in points if math.isfinite(value)]


def _thinned(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return every so manyth of the points, the last one among them."""
    step = max(1, -(-len(points) // POINTS))
    return tuple(points[::-1][::step][::-1])
