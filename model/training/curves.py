"""The curves of a training as a picture."""

from __future__ import annotations

import io
import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.files import write_whole
from model.training.log import read_log

HOURS = "hours of speech trained on"


def draw_curves(log: Path, steps: Path, picture: Path) -> None:
    """Draw loss, error rates on dev and learning rate over the hours of speech, as a PNG.

    Args:
        log: ``log.csv`` of a training.
        steps: Its ``steps.csv``; the loss is that of the log where it has no rows.
        picture: Written whole or not at all.

    Raises:
        OSError: If it cannot be written.
    """
    judged, stepped = read_log(log), read_log(steps)
    figure = Figure(figsize=(8, 9), dpi=100, layout="constrained")
    loss, errors, rate = figure.subplots(3, 1, sharex=True)
    source = stepped or judged
    _draw(loss, source, "loss", "training", "loss for a label")
    for name, label in (("wer", "words"), ("cer", "characters")):
        percent = [100 * value for value in judged.get(name, [])]
        _draw(errors, judged | {name: percent}, name, label, "errors on dev, %", marker="o")
    _draw(rate, stepped, "learning_rate", "learning rate", "learning rate")
    if not stepped:
        rate.text(0.5, 0.5, "no steps logged yet", transform=rate.transAxes, ha="center")
    errors.legend()
    rate.set_xlabel(HOURS)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_whole(picture, content.getvalue())


def _draw(
    axes: Axes,
    columns: dict[str, list[float]],
    name: str,
    label: str,
    unit: str,
    marker: str = "",
) -> None:
    axes.plot(
        columns.get("speech_hours", []),
        columns.get(name, []),
        label=label,
        linewidth=1.2,
        marker=marker,
        markersize=3.5,
    )
    axes.set_ylabel(unit)
    highest = float(axes.dataLim.y1)
    axes.set_ylim(0, 1.05 * highest if math.isfinite(highest) and highest > 0 else 1)
    axes.grid(alpha=0.3)
