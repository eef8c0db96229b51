"""Pictures of a tuning, as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lm.search import SearchSettings
from lm.tuning.confidence import Bin, calibration_error
from lm.tuning.search import Narrowing, Outcomes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ALPHA_BETA_FILE = "alpha-beta.png"
BEAM_FILE = "beam.png"
RELIABILITY_FILE = "reliability.png"


def draw_alpha_beta(tried: Outcomes, chosen: SearchSettings, path: Path) -> None:
    """Draw the word error rate over alpha and beta; where others differ too, the lowest.

    Raises:
        OSError: If the file cannot be written.
    """
    from model.evaluation.report_plots import BAR, LINE, RESOLUTION

    lowest: dict[tuple[float, float], float] = {}
    for settings, outcome in tried.items():
        place = settings.alpha, settings.beta
        lowest[place] = min(100 * outcome.wer, lowest.get(place, np.inf))
    figure, axes = _figure()
    alphas, betas = np.array(list(lowest)).T
    points = axes.scatter(
        alphas, betas, c=list(lowest.values()), s=420, cmap="RdYlGn_r", edgecolors=LINE
    )
    for (alpha, beta), rate in lowest.items():
        axes.text(alpha, beta, f"{rate:.1f}", ha="center", va="center", size=7)
    axes.plot(chosen.alpha, chosen.beta, marker="s", markersize=26, fillstyle="none", color=BAR)
    figure.colorbar(points, ax=axes, label="WER, %, on an eighth of the recordings")
    axes.margins(0.15)
    axes.set_xlabel("alpha: weight of the language model")
    axes.set_ylabel("beta: reward for a word")
    axes.set_title("Word error rate over alpha and beta; square: chosen on all recordings")
    figure.savefig(path, dpi=RESOLUTION)


def draw_beam(narrowing: Narrowing, tolerance: float, path: Path) -> None:
    """Draw the word error rate of each search against its time, the wide one among them.

    Raises:
        OSError: If the file cannot be written.
    """
    from model.evaluation.report_plots import BAR, LINE, RESOLUTION

    figure, axes = _figure()
    limit = 100 * (1 + tolerance) * narrowing.tried[narrowing.wide].wer
    axes.axhline(limit, color=LINE, linewidth=1, linestyle="--")
    for settings, outcome in narrowing.tried.items():
        chosen = settings == narrowing.settings
        place = outcome.real_time_factor, 100 * outcome.wer
        axes.plot(*place, marker="s" if chosen else "o", color="red" if chosen else BAR)
        axes.annotate(_name(settings), place, (5, 4), textcoords="offset points", size=6)
    axes.set_xscale("log")
    axes.margins(0.12)
    axes.set_xlabel("Decoding time for each second of audio, s")
    axes.set_ylabel("WER, %, on an eighth of the recordings")
    axes.set_title(
        "Beam width | threshold of the beam | of symbols\n"
        f"dashed: {100 * tolerance:g} % above the widest; red: chosen"
    )
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=RESOLUTION)


def draw_reliability(before: Sequence[Bin], after: Sequence[Bin], path: Path) -> None:
    """Draw the share of right words over their confidence.

    Args:
        before: By the mean probability of the symbols.
        after: By the calibration, of speakers that it was not fitted on.
        path: The file.

    Raises:
        OSError: If the file cannot be written.
    """
    from model.evaluation.report_plots import BAR, LINE, RESOLUTION

    figure, axes = _figure()
    axes.plot([0, 1], [0, 1], color=LINE, linewidth=1, linestyle="--")
    for found, name, colour in (
        (before, "mean probability of the symbols", "#b0b0b0"),
        (after, "calibrated, of speakers not fitted on", BAR),
    ):
        label = f"{name}: expected error {calibration_error(found):.3f}"
        places = [one.confidence for one in found], [one.right for one in found]
        axes.plot(*places, marker="o", color=colour, label=label)
    for one in after:
        place = one.confidence, one.right
        axes.annotate(str(one.words), place, (4, -10), textcoords="offset points", size=7)
    axes.set_xlabel("Confidence, mean of a tenth of its range")
    axes.set_ylabel("Share of words that are right")
    axes.set_title("Reliability of word confidences (numbers: words)")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    figure.savefig(path, dpi=RESOLUTION)


def _name(settings: SearchSettings) -> str:
    return f"{settings.beam_width} | {settings.beam_threshold:g} | {settings.symbol_threshold:g}"


def _figure() -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 5.5), layout="constrained")
    return figure, figure.add_subplot()
