"""A picture of a recording: its waveform, spectrogram, log-mels and cepstra."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MultipleLocator
from mpl_toolkits.mplot3d.axes3d import Axes3D

from model.features import FeatureExtractor, FeatureSettings, Kind, mel_edges
from model.pictures import DB_OF_LOG, POWER_COLOURS, SHOWN_DB, WAVE, envelope, level_range, means

RESOLUTION = 110
"""Dots an inch."""

COLUMNS = 2_000
"""Most points along the time axis; of a longer recording several frames become their mean."""

SURFACE_TIMES, SURFACE_BINS = 200, 120
"""Most lines of the surface along each axis."""

MARKED_HZ = (250, 500, 1_000, 2_000, 4_000, 8_000, 16_000)
"""Frequencies at which the mel axis is marked, so far as it reaches."""

CEPSTRUM_COLOURS = "RdBu_r"


@dataclass(frozen=True)
class _Plane:
    """Features over time.

    Attributes:
        values: float32 (columns, size).
        start_s: Middle of the first column's frames less half a column, seconds.
        end_s: The same of the last column, and half a column more.
    """

    values: np.ndarray
    start_s: float
    end_s: float

    def draw(self, axes: Axes, low: float, high: float, **options: object) -> AxesImage:
        """Draw it with its values between ``low`` and ``high`` of the vertical axis."""
        extent = (self.start_s, self.end_s, low, high)
        return axes.imshow(
            self.values.T,
            origin="lower",
            aspect="auto",
            extent=extent,
            interpolation="nearest",
            **options,  # type: ignore[arg-type]
        )


def picture_formats() -> list[str]:
    """Return the formats of pictures that can be written, as suffixes without the point."""
    # PGF needs an installation of LaTeX.
    return sorted(set(Figure().canvas.get_supported_filetypes()) - {"pgf"})


def picture(samples: np.ndarray, settings: FeatureSettings, title: str, form: str) -> bytes:
    """Return a picture of a recording.

    Args:
        samples: float32 (n,) at ``settings.sample_rate``; two frames or more.
        settings: How it becomes features; all kinds are drawn, whichever is chosen.
        title: Stands over it.
        form: One of :func:`picture_formats`.
    """
    content = io.BytesIO()
    with warnings.catch_warnings():
        # A title may have characters that the font lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        draw_features(samples, settings, title).savefig(content, format=form, dpi=RESOLUTION)
    return content.getvalue()


def draw_features(samples: np.ndarray, settings: FeatureSettings, title: str) -> Figure:
    """Draw waveform, spectrogram, log-mels and MFCC; beside them a surface and a spectrum.

    See :func:`picture`.
    """
    # The rest of the width is for the labels of the surface, which the layout overlooks.
    engine = ConstrainedLayoutEngine(rect=(0, 0, 0.97, 1))
    figure = Figure(figsize=(18, 11), layout=engine)
    figure.suptitle(title, fontsize=15, parse_math=False)
    grid = figure.add_gridspec(4, 2, width_ratios=(1.35, 1), height_ratios=(0.7, 1, 1, 1))
    wave = figure.add_subplot(grid[0, 0])
    spectrogram, mels, cepstra = (
        figure.add_subplot(grid[row, 0], sharex=wave) for row in range(1, 4)
    )
    _draw_waveform(wave, samples, settings.sample_rate)
    levels = _levels(samples, settings)
    _draw_spectrogram(spectrogram, levels, settings)
    _draw_log_mels(mels, samples, settings)
    _draw_cepstra(cepstra, samples, settings)
    for axes in (wave, spectrogram, mels):
        axes.tick_params(labelbottom=False)
    wave.set_xlim(0, len(samples) / settings.sample_rate)
    cepstra.set_xlabel("time (s)")
    _draw_spectrum(figure.add_subplot(grid[3, 1]), levels, settings)
    surface = figure.add_subplot(grid[:3, 1], projection="3d")
    assert isinstance(surface, Axes3D)
    _draw_surface(surface, levels, settings)
    return figure


def _plane(samples: np.ndarray, settings: FeatureSettings, kind: Kind) -> _Plane:
    """Return features of a kind, of a long recording the mean of several frames a column."""
    features = FeatureExtractor(replace(settings, kind=kind)).extract(samples)
    step = -(-len(features) // COLUMNS)
    start_s = (settings.window - settings.hop) / 2 / settings.sample_rate
    return _Plane(means(features, step), start_s, start_s + len(features) * settings.frame_s)


def _levels(samples: np.ndarray, settings: FeatureSettings) -> _Plane:
    """Return the spectrogram in dB of a full-scale tone."""
    plane = _plane(samples, settings, "spectrogram")
    # Half of the sum of a Hann window is a quarter of its length.
    full_scale = 20 * np.log10(settings.window / 4)
    return replace(plane, values=DB_OF_LOG * plane.values - full_scale)


def _draw_waveform(axes: Axes, samples: np.ndarray, sample_rate: int) -> None:
    columns = min(COLUMNS, len(samples))
    low, high = envelope(samples, columns)
    times = np.arange(columns) * len(samples) / columns / sample_rate
    axes.fill_between(times, low, high, color=WAVE, linewidth=0.6)
    axes.axhline(0, color="black", linewidth=0.4)
    largest = max(float(np.abs(samples).max()), 1e-3)
    axes.set_ylim(-1.1 * largest, 1.1 * largest)
    axes.set_ylabel("amplitude (full scale 1)")
    axes.set_title("Waveform", loc="left")
    axes.grid(alpha=0.3)


def _draw_spectrogram(axes: Axes, levels: _Plane, settings: FeatureSettings) -> None:
    low, high = level_range(levels.values, SHOWN_DB)
    edges = np.array([settings.bins.start - 0.5, settings.bins.stop - 0.5]) * _bin_hz(settings)
    image = levels.draw(axes, *edges, vmin=low, vmax=high, cmap=POWER_COLOURS)
    axes.set_ylim(max(0.0, edges[0]), edges[1])
    axes.set_ylabel("frequency (Hz)")
    axes.set_title(f"Spectrogram: {len(settings.bins)} bins", loc="left")
    _add_colours(axes, image, "dB of a full-scale tone", "min")


def _draw_log_mels(axes: Axes, samples: np.ndarray, settings: FeatureSettings) -> None:
    plane = _plane(samples, settings, "log_mel")
    low, high = level_range(plane.values, SHOWN_DB / DB_OF_LOG)
    image = plane.draw(axes, -0.5, settings.mels - 0.5, vmin=low, vmax=high, cmap=POWER_COLOURS)
    centres = mel_edges(settings)[1:-1]
    marked = [hz for hz in MARKED_HZ if centres[0] <= hz <= centres[-1]]
    axes.set_yticks(np.interp(marked, centres, np.arange(settings.mels)), map(str, marked))
    axes.set_ylabel("centre of mel band (Hz)")
    axes.set_title(f"Log-mels: {settings.mels} bands", loc="left")
    _add_colours(axes, image, "logarithm of power", "min")


def _draw_cepstra(axes: Axes, samples: np.ndarray, settings: FeatureSettings) -> None:
    size = min(settings.coefficients, settings.mels)
    plane = _plane(samples, replace(settings, coefficients=size), "mfcc")
    plane = replace(plane, values=plane.values - plane.values.mean(axis=0))
    limit = max(float(np.percentile(np.abs(plane.values), 97)), 1e-3)
    image = plane.draw(axes, -0.5, size - 0.5, vmin=-limit, vmax=limit, cmap=CEPSTRUM_COLOURS)
    axes.yaxis.set_major_locator(MultipleLocator(max(1, round(size / 6))))
    axes.set_ylabel("coefficient")
    axes.set_title(f"MFCC: {size} coefficients, each less its mean", loc="left")
    _add_colours(axes, image, "value", "both")


def _draw_spectrum(axes: Axes, levels: _Plane, settings: FeatureSettings) -> None:
    hz = np.array(settings.bins) * _bin_hz(settings)
    quiet, usual, loud = np.percentile(levels.values, (10, 50, 90), axis=0)
    axes.fill_between(
        hz, quiet, loud, color=WAVE, alpha=0.3, linewidth=0, label="10 to 90 % of the time"
    )
    axes.plot(hz, usual, color=WAVE, label="median")
    axes.set(xlabel="frequency (Hz)", ylabel="dB of a full-scale tone", xlim=(0, hz[-1]))
    axes.set_title("Levels over the whole recording", loc="left")
    axes.legend(loc="upper right")
    axes.grid(alpha=0.3)


def _draw_surface(axes: Axes3D, levels: _Plane, settings: FeatureSettings) -> None:
    by_time = means(levels.values, -(-len(levels.values) // SURFACE_TIMES))
    shown = means(by_time.T, -(-by_time.shape[1] // SURFACE_BINS))
    low, high = level_range(shown, SHOWN_DB)
    times = np.linspace(levels.start_s, levels.end_s, shown.shape[1])
    bins = np.linspace(settings.bins.start, settings.bins.stop - 1, len(shown))
    axes.plot_surface(
        times[None, :],
        bins[:, None] * _bin_hz(settings) / 1_000,
        shown.clip(low, high),
        vmin=low,
        vmax=high,
        cmap=POWER_COLOURS,
        rcount=len(shown),
        ccount=shown.shape[1],
        linewidth=0,
        antialiased=False,
    ).set_rasterized(True)
    axes.set(xlabel="time (s)", ylabel="frequency (kHz)", zlabel="dB of a full-scale tone")
    axes.set_zlim(low, high)
    axes.set_title("Spectrogram as a surface", y=1.07)
    axes.view_init(elev=48, azim=-58)
    axes.set_box_aspect((1.5, 1.2, 0.9), zoom=1.02)


def _bin_hz(settings: FeatureSettings) -> float:
    return settings.sample_rate / settings.fft_size


def _add_colours(axes: Axes, image: AxesImage, label: str, extend: str) -> None:
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    figure.colorbar(image, ax=axes, label=label, extend=extend, pad=0.01, aspect=14)
