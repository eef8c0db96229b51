"""Pictures of a report, as PNG files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from model.evaluation.rates import Pair
from model.evaluation.report import OVERALL, UNNAMED, Figures, Report
from model.evaluation.report_text import SPACE_SIGN, level_name

SHOWN_SPEAKERS = 40
"""Where there are more, those with the most words are drawn."""

NOTHING = "∅"
"""Stands for a character that was left out, or one that nothing called for."""

SHOWN_SHARE = 0.01
"""From this share on, a number stands in its cell."""

RESOLUTION = 120
"""Dots an inch."""

BAR, LINE = "#4878a8", "#303030"


def draw_report(report: Report, folder: Path) -> list[str]:
    """Draw a report into PNG files and return their names.

    Word error rates by corpus, speaker, accent, length and noise where there is more
    than one of a kind, and which characters were read as which.

    Raises:
        OSError: If a file cannot be written.
    """
    pictures = _pictures(report)
    for name, draw in pictures.items():
        draw().savefig(folder / name, dpi=RESOLUTION)
    return list(pictures)


def confusion_matrix(counts: Counter[Pair]) -> tuple[list[str], np.ndarray]:
    """Return how often each symbol was read as each.

    Args:
        counts: By what the reference has and what was read.

    Returns:
        The symbols, "" last, and float64 (symbols, symbols): of each symbol of the
        references, a row, the shares of what stands in its place.  The last row
        holds the shares of added symbols; a row without counts is zero.
    """
    symbols = [*sorted({symbol for pair in counts for symbol in pair if symbol}), ""]
    places = {symbol: place for place, symbol in enumerate(symbols)}
    matrix = np.zeros((len(symbols), len(symbols)))
    for (wanted, read), count in counts.items():
        matrix[places[wanted], places[read]] = count
    return symbols, matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))


def _pictures(report: Report) -> dict[str, Callable[[], Figure]]:
    """Return what to draw, by the name of its file."""
    found: dict[str, Callable[[], Figure]] = {
        "wer_by_corpus.png": partial(
            _bars, "Word error rate by corpus", {**report.corpora, OVERALL: report.overall}
        )
    }
    few = len(report.speakers) <= SHOWN_SPEAKERS
    whom = "speaker" if few else f"speaker, the {SHOWN_SPEAKERS} with the most words"
    for kind, title, groups in (
        ("speaker", whom, _most_words(report.speakers)),
        ("accent", "accent", report.accents),
        ("length", "length", report.lengths),
    ):
        if len(groups) > 1:
            found[f"wer_by_{kind}.png"] = partial(_bars, f"Word error rate by {title}", groups)
    if report.noisy:
        found["wer_by_noise.png"] = partial(_noise_lines, report)
    found["character_confusions.png"] = partial(_matrix, report.characters)
    return found


def _most_words(speakers: Mapping[str, Figures]) -> dict[str, Figures]:
    """Return the speakers with the most words, the lowest error rate first."""
    shown = sorted(speakers, key=lambda name: -speakers[name].rates.words)[:SHOWN_SPEAKERS]
    return {name: speakers[name] for name in sorted(shown, key=lambda s: speakers[s].rates.wer)}


def _bars(title: str, groups: Mapping[str, Figures]) -> Figure:
    """Draw a horizontal bar for each group, with its interval, the first one on top."""
    figure, axes = _figure(7.5, 1.2 + 0.28 * len(groups))
    places = range(len(groups))
    rates = [100 * found.rates.wer for found in groups.values()]
    axes.barh(places, rates, color=BAR)
    for place, found in zip(places, groups.values(), strict=True):
        if found.interval:
            ends = [100 * found.interval.low, 100 * found.interval.high]
            axes.plot(ends, [place, place], color=LINE, linewidth=1, marker="|")
    names = [f"{name or UNNAMED} ({found.recordings})" for name, found in groups.items()]
    axes.set_yticks(places, names)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel("WER, %, and its 95 % interval")
    axes.set_title(f"{title} (recordings)")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    return figure


def _noise_lines(report: Report) -> Figure:
    """Draw the error rate over the level of the noise, a line for each corpus and one for all."""
    figure, axes = _figure(7.5, 4.5)
    levels = sorted(report.noisy, reverse=True)
    places = range(len(levels) + 1)
    for corpus, quiet in report.corpora.items():
        noisy = [report.noisy_corpora[level].get(corpus) for level in levels]
        axes.plot(places, _rates([quiet, *noisy]), marker="o", label=corpus or UNNAMED)
    overall = [report.overall, *(report.noisy[level] for level in levels)]
    axes.plot(places, _rates(overall), color=LINE, linewidth=2.5, marker="o", label=OVERALL)
    low, high = _ends(overall)
    axes.fill_between(places, low, high, color=LINE, alpha=0.15, linewidth=0)
    axes.set_xticks(places, ["no noise", *map(level_name, levels)])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"Signal-to-noise ratio, {report.assessment.noise}")
    axes.set_ylabel("WER, %; grey: 95 % interval")
    axes.set_title("Word error rate in noise")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _matrix(counts: Counter[Pair]) -> Figure:
    """Draw which characters were read as which, as shares of each row."""
    symbols, shares = confusion_matrix(counts)
    figure, axes = _figure(9, 8)
    # The square root of a share, as errors are few beside what is right.
    norm = PowerNorm(0.5, vmin=0, vmax=100)
    image = axes.imshow(100 * shares, cmap="Blues", norm=norm, aspect="auto")
    figure.colorbar(image, ax=axes, label="share of the row, %", ticks=(0, 1, 5, 20, 50, 100))
    for (row, column), share in np.ndenumerate(shares):
        if share >= SHOWN_SHARE:
            colour = "white" if share > 0.4 else "black"
            axes.text(
                column, row, f"{100 * share:.0f}", color=colour, size=6, ha="center", va="center"
            )
    names = [{" ": SPACE_SIGN, "": NOTHING}.get(symbol, symbol) for symbol in symbols]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(f"recognised ({NOTHING}: left out)")
    axes.set_ylabel(f"reference ({NOTHING}: added)")
    axes.set_title("Characters and what was read in their place")
    return figure


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Return an empty picture of a size in inches, which needs no window."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _rates(groups: Sequence[Figures | None]) -> list[float]:
    return [100 * found.rates.wer if found else float("nan") for found in groups]


def _ends(groups: Sequence[Figures]) -> tuple[list[float], list[float]]:
    """Return the low and high ends of intervals in per cent, NaN where there are none."""
    ends = [
        (100 * found.interval.low, 100 * found.interval.high) if found.interval else (np.nan,) * 2
        for found in groups
    ]
    return [low for low, _ in ends], [high for _, high in ends]
