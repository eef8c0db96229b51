"""What pictures of sound are drawn with, and bare ones to lay under a player.

Imports matplotlib, so only what draws imports this.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.features import FeatureExtractor, FeatureSettings

SHOWN_DB = 80.0
"""From the loudest to what is drawn as silence."""

DB_OF_LOG = 10 / np.log(10)
"""From the logarithm of a power to decibels."""

WAVE, POWER_COLOURS = "#4878a8", "magma"
"""The wave stands out on white and on black."""

QUIETEST_SCALE = 1e-3
"""Amplitude that fills the height of a picture of silence."""

COLUMN_FRAMES = 16
"""Most frames whose mean makes a column of a spectrogram, evenly over its time."""

READ_SAMPLES = 1 << 20
"""Most samples held at a time, unless a column alone has more."""

DOTS_AN_INCH = 100


class Samples(Protocol):
    """Sound that can be read in pieces: an array, or a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: slice, /) -> np.ndarray:
        """Return float32 (n,), -1 to 1."""
        ...


def waveform_png(samples: Samples, width: int, height: int) -> bytes:
    """Return the lowest and highest sample of each moment, on a transparent ground.

    The left edge is the beginning and the right edge the end; the largest sample reaches
    the upper or lower edge.

    Args:
        samples: Any number.
        width: Pixels.
        height: Pixels.
    """
    low, high = envelope(samples, width)
    # Neighbours touch, as the wave goes from one to the other.
    low[1:], high[1:] = np.minimum(low[1:], high[:-1]), np.maximum(high[1:], low[:-1])
    largest = max(float(high.max()), -float(low.min()), QUIETEST_SCALE)
    figure, axes = _bare(width, height)
    # Silence is a line of one pixel.
    line = largest / height
    axes.stairs(high + line, np.arange(width + 1), baseline=low - line, fill=True, color=WAVE)
    axes.set_xlim(0, width)
    axes.set_ylim(-largest - line, largest + line)
    return _png(figure)


def spectrogram_png(samples: Samples, settings: FeatureSettings, width: int, height: int) -> bytes:
    """Return the levels of all frequencies over time, from low at the bottom to high.

    The left edge is the beginning and the right edge the end.

    Args:
        samples: At ``settings.sample_rate``; any number.
        settings: Of the spectrum; their kind does not matter.
        width: Pixels.
        height: Pixels.
    """
    values = DB_OF_LOG * _spectra(samples, settings, width)
    low, high = level_range(values, SHOWN_DB)
    figure, axes = _bare(width, height)
    axes.imshow(values.T, origin="lower", aspect="auto", vmin=low, vmax=high, cmap=POWER_COLOURS)
    return _png(figure)


def envelope(samples: Samples, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest sample of each column of a picture, two float (columns,).

    Read piece by piece; without samples all are 0.
    """
    low, high = np.zeros(columns), np.zeros(columns)
    edges = _edges(len(samples), columns)
    for first, last in _pieces(edges):
        piece = samples[edges[first] : max(edges[last], edges[last - 1] + 1)]
        if len(piece):
            starts = np.minimum(edges[first:last] - edges[first], len(piece) - 1)
            low[first:last] = np.minimum.reduceat(piece, starts)
            high[first:last] = np.maximum.reduceat(piece, starts)
    return low, high


def means(values: np.ndarray, step: int) -> np.ndarray:
    """Return the mean of every ``step`` rows; the last may be of fewer."""
    starts = np.arange(0, len(values), step)
    counts = np.diff(starts, append=len(values))
    return np.add.reduceat(values, starts, axis=0) / counts[:, None]


def level_range(values: np.ndarray, shown: float) -> tuple[float, float]:
    """Return what is drawn darkest and brightest, a twentieth of ``shown`` apart or more."""
    lowest, highest = float(values.min()), float(values.max())
    low = max(lowest, highest - shown)
    return low, max(highest, low + shown / 20)


def _spectra(samples: Samples, settings: FeatureSettings, columns: int) -> np.ndarray:
    """Return the mean logarithm of power of frames in each column, float (columns, bins)."""
    window = settings.window
    apart = FeatureExtractor(replace(settings, kind="spectrogram", hop=window))
    column = len(samples) / columns
    frames = min(max(1, int(column / settings.hop)), COLUMN_FRAMES)
    centres = (np.arange(columns * frames) + 0.5) * column / frames
    starts = np.rint(centres - window / 2).astype(int)
    starts = starts.clip(0, max(0, len(samples) - window)).reshape(columns, frames)
    pieces = np.array_split(starts, min(columns, 1 + starts.size * window // READ_SAMPLES))
    return np.concatenate([_mean_spectra(samples, apart, piece) for piece in pieces])


def _mean_spectra(samples: Samples, apart: FeatureExtractor, starts: np.ndarray) -> np.ndarray:
    """Return the mean over the frames that begin at ``starts`` (columns, frames)."""
    window = apart.settings.window
    sound = np.concatenate([_window(samples, start, window) for start in starts.ravel()])
    return means(apart.extract(sound), starts.shape[1])


def _window(samples: Samples, start: int, length: int) -> np.ndarray:
    window = np.zeros(length, np.float32)
    piece = samples[start : start + length]
    window[: len(piece)] = piece
    return window


def _edges(samples: int, columns: int) -> np.ndarray:
    """Return the sample at which each column begins, and the end, int (columns + 1,)."""
    return np.arange(columns + 1) * samples // columns


def _pieces(edges: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield ranges of columns that together are all, each of few samples."""
    columns, samples = len(edges) - 1, max(1, int(edges[-1]))
    step = max(1, columns * READ_SAMPLES // samples)
    for first in range(0, columns, step):
        yield first, min(first + step, columns)


def _bare(width: int, height: int) -> tuple[Figure, Axes]:
    """Return a transparent figure of so many pixels, and axes that fill it without a frame."""
    # matplotlib rounds down.
    size = ((width + 0.5) / DOTS_AN_INCH, (height + 0.5) / DOTS_AN_INCH)
    figure = Figure(figsize=size, dpi=DOTS_AN_INCH, frameon=False)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    return figure, axes


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DOTS_AN_INCH, transparent=True)
    return content.getvalue()
