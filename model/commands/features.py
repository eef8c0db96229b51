"""What ``train.py features`` does: show what the features of a recording look like."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model.audio import open_audio, read_audio
from model.commands.terminal import Terminal
from model.errors import UsageError
from model.features import KINDS, FeatureExtractor, FeatureSettings, Kind
from model.files import write_output

COLUMNS = ("kind", "frames", "size", "lowest", "mean", "highest")


def show_features(
    audio: Path, plot: Path | None, settings: FeatureSettings, terminal: Terminal
) -> None:
    """Draw a recording's features of every kind into a picture, or show a table of them.

    Args:
        audio: A recording.
        plot: The picture to write; its suffix says of which format.
        settings: How audio becomes features.
        terminal: Shows the table, or what was written.

    Raises:
        AudioFileError: If the recording cannot be read.
        UsageError: If it is too short, or the picture cannot be written.
    """
    if plot is not None:
        _check_suffix(plot)
    recording = _read(audio, settings)
    if plot is None:
        rows = [_row(recording.samples, settings, kind) for kind in KINDS]
        terminal.show_table(recording.title, COLUMNS, rows)
        return
    from model.commands.feature_plot import picture

    content = picture(recording.samples, settings, recording.title, _format(plot))
    write_output(plot, content)
    terminal.say(f"{plot}: {recording.title}")


@dataclass(frozen=True)
class _Recording:
    """A recording and what it is called.

    Attributes:
        samples: float32 (n,) at the features' rate.
        title: Name, rate and length.
    """

    samples: np.ndarray
    title: str


def _read(audio: Path, settings: FeatureSettings) -> _Recording:
    samples = read_audio(audio, settings.sample_rate)
    with open_audio(audio) as file:
        rate = f"{file.samplerate} Hz" + (
            "" if file.channels == 1 else f", {file.channels} channels"
        )
    if file.samplerate != settings.sample_rate:
        rate += f", read at {settings.sample_rate} Hz"
    if settings.frames_in(len(samples)) < 2:
        needed_s = (settings.window + settings.hop) / settings.sample_rate
        raise UsageError(
            f"{audio}: is too short ({len(samples) / settings.sample_rate:.3f} s); "
            f"give a recording of {needed_s:.3f} s or more"
        )
    # A name that is no UTF-8 cannot be shown as it is.
    name = audio.name.encode("utf-8", "replace").decode()
    return _Recording(samples, f"{name} ({rate}, {len(samples) / settings.sample_rate:.2f} s)")


def _row(samples: np.ndarray, settings: FeatureSettings, kind: Kind) -> tuple[str, ...]:
    size = min(settings.coefficients, settings.mels)
    features = FeatureExtractor(replace(settings, kind=kind, coefficients=size)).extract(samples)
    figures = (features.min(), features.mean(dtype=np.float64), features.max())
    return (kind, *map(str, features.shape), *(f"{figure:.3f}" for figure in figures))


def _check_suffix(plot: Path) -> None:
    from model.commands.feature_plot import picture_formats

    if _format(plot) not in picture_formats():
        raise UsageError(
            f"--plot: must end in {', '.join(f'.{form}' for form in picture_formats())}, got {plot}"
        )


def _format(plot: Path) -> str:
    return plot.suffix.lower().removeprefix(".")
