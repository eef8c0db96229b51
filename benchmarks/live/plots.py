"""Pictures of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.live.clocks import STAGES
from model.files import unwritable

RESOLUTION = 120
"""Dots an inch."""

BAR, LINE, WARM = "#4878a8", "#303030", "#c87030"

KINDS = {"stream_s": "in stream time", "computed_wall_s": "with computing"}


def draw_run(record: Mapping[str, Any], path: Path) -> None:
    """Draw the word latencies of a run, and its real-time factor by stage.

    Raises:
        UsageError: If the file cannot be written.
    """
    figures = record["recordings"]["all"]
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    curves = {KINDS[kind]: curve for kind, curve in figures["curves"].items()}
    _draw_curves(left, curves)
    _draw_stages(right, figures["rtf"])
    _save(figure, path)


def draw_comparison(records: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw runs: word latency against flicker, the latencies, and the stages.

    Raises:
        UsageError: If the file cannot be written.
    """
    found = {name: record["recordings"]["all"] for name, record in records.items()}
    figure = Figure(figsize=(16, 4.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _draw_trade(left, found)
    _draw_curves(middle, {name: one["curves"].get("stream_s", []) for name, one in found.items()})
    _stack_stages(figure, right, {name: one["rtf"] for name, one in found.items()})
    _save(figure, path)


def draw_stability(record: Mapping[str, Any], path: Path) -> None:
    """Draw word latency against flicker at each threshold, and what of words stays.

    Raises:
        UsageError: If the file cannot be written.
    """
    figure = Figure(figsize=(16, 4.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _draw_thresholds(left, record["curves"], "all", "all words")
    _draw_thresholds(middle, record["curves"], "correct", "correct words")
    _draw_reliability(right, record["scores"])
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=len(handles))
    _save(figure, path)


def _draw_thresholds(
    axes: Axes, curves: Mapping[str, Sequence[Mapping[str, Any]]], kind: str, title: str
) -> None:
    """Draw a line through the thresholds for each set of weights, p50 and p90."""
    for (name, points), colour in zip(curves.items(), (BAR, WARM), strict=True):
        for quantile, style in (("p50", "o-"), ("p90", "s--")):
            places = [
                (1000 * point["latency_s"][kind][quantile], point["upwr"], point["stability"])
                for point in points
                if point["latency_s"][kind][quantile] is not None
            ]
            xs, ys = [place[0] for place in places], [place[1] for place in places]
            axes.plot(xs, ys, style, color=colour, label=f"{quantile}, weights {name}")
            for x, y, threshold in places:
                axes.annotate(
                    f"{threshold:g}",
                    (x, y),
                    textcoords="offset points",
                    xytext=(4, 4),
                    fontsize="x-small",
                    color=colour,
                )
    axes.set_title(f"{title} (numbers: thresholds)", fontsize="medium")
    axes.set_xlabel("word latency, ms")
    axes.set_ylabel("flicker (UPWR)")
    axes.set_ylim(bottom=0)
    axes.margins(x=0.1)
    axes.grid(alpha=0.3)


def _draw_reliability(axes: Axes, scores: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw the share of words that stay over the probability that they do."""
    axes.plot([0, 1], [0, 1], color=LINE, linewidth=0.5, linestyle=":")
    lines = {name: found for name, found in scores.items() if len(found["bins"]) > 1}
    for (name, found), colour in zip(lines.items(), (BAR, WARM, LINE), strict=False):
        expected = [one["confidence"] for one in found["bins"]]
        stayed = [one["right"] for one in found["bins"]]
        label = f"{name}: expected error {found['calibration_error']:.3f}"
        axes.plot(expected, stayed, "o-", color=colour, label=label, markersize=4)
    axes.set_xlabel("probability of staying, mean of a tenth of its range")
    axes.set_ylabel("share of words that stay")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)


def _draw_curves(axes: Axes, curves: Mapping[str, Sequence[float]]) -> None:
    """Draw the share of words that are shown within a time."""
    for name, curve in curves.items():
        if curve:
            share = np.linspace(0, 100, len(curve))
            axes.plot(1000 * np.asarray(curve), share, label=name)
    for quantile in (50, 90):
        axes.axhline(quantile, color=LINE, linewidth=0.5, linestyle=":")
    axes.set_xlabel("word latency, ms")
    axes.set_ylabel("words shown for good, %")
    axes.set_ylim(0, 100)
    if axes.lines:
        axes.legend()
    axes.grid(alpha=0.3)


def _draw_stages(axes: Axes, factors: Mapping[str, float]) -> None:
    """Draw a bar for each stage."""
    names = [stage.replace("_", ", ") for stage in STAGES]
    bars = axes.barh(names, [factors[stage] for stage in STAGES], color=BAR)
    axes.bar_label(bars, fmt="%.4f", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_title(f"{factors['all']:.4f} in all", fontsize="medium")
    axes.set_xlabel("real-time factor, one core")
    axes.grid(axis="x", alpha=0.3)


def _stack_stages(figure: Figure, axes: Axes, runs: Mapping[str, Mapping[str, float]]) -> None:
    """Draw a bar for each run, made of its stages."""
    begins = np.zeros(len(runs))
    for stage in STAGES:
        shares = np.array([factors[stage] for factors in runs.values()])
        axes.barh(list(runs), shares, left=begins, label=stage.replace("_", ", "))
        begins += shares
    axes.invert_yaxis()
    axes.set_xlabel("real-time factor, one core")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(STAGES))
    axes.grid(axis="x", alpha=0.3)


def _draw_trade(axes: Axes, runs: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw each run as a point: the later words are shown, the fewer change."""
    for name, figures in runs.items():
        latency = figures["word_latency"]["all"]["stream_s"]["p50"]
        if latency is None:
            continue
        axes.plot(1000 * latency, figures["flicker"]["upwr"], "o", color=BAR)
        place = (1000 * latency, figures["flicker"]["upwr"])
        axes.annotate(name, place, textcoords="offset points", xytext=(5, 4), fontsize="small")
    axes.set_xlabel("word latency p50, ms")
    axes.set_ylabel("flicker (UPWR)")
    axes.margins(0.2)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)


def _save(figure: Figure, path: Path) -> None:
    try:
        figure.savefig(path, dpi=RESOLUTION)
    except OSError as error:
        raise unwritable(path, error) from error
