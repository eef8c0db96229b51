"""``train.py features`` as a user calls it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from rich.console import Console

from model.commands import feature_plot
from model.commands.feature_plot import RESOLUTION, draw_features, picture_formats
from model.commands.terminal import Terminal
from model.features import FeatureExtractor, FeatureSettings
from train import main

SPEECH = Path(__file__).parents[2] / "data" / "speech" / "669-129074-0001.opus"


class Screen:
    """Runs the program and keeps what it shows."""

    def __init__(self) -> None:
        self.out, self.log = io.StringIO(), io.StringIO()

    def run(self, *arguments: str | Path) -> int:
        terminal = Terminal(Console(file=self.out, width=140), Console(file=self.log, width=140))
        return main(["features", *map(str, arguments)], terminal)


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw pictures of few dots and lines, which is quicker."""
    monkeypatch.setattr(feature_plot, "RESOLUTION", 20)
    monkeypatch.setattr(feature_plot, "SURFACE_TIMES", 10)
    monkeypatch.setattr(feature_plot, "SURFACE_BINS", 10)


def write_sound(path: Path, seconds: float, rate: int = 16_000, channels: int = 1) -> Path:
    samples = np.random.default_rng(0).normal(0, 0.1, (round(seconds * rate), channels))
    soundfile.write(path, samples, rate)
    return path


def test_a_table_tells_of_every_kind(screen: Screen) -> None:
    assert screen.run(SPEECH, "--set", "features.kind=spectrogram") == 0
    shown = screen.out.getvalue()
    assert "669-129074-0001.opus (16000 Hz, 8.12 s)" in shown
    samples, _ = soundfile.read(SPEECH, dtype="float32")
    features = FeatureExtractor(FeatureSettings()).extract(samples)
    [row] = [line.split() for line in shown.splitlines() if "log_mel" in line]
    assert [cell for cell in row if cell != "│"] == [
        "log_mel",
        *map(str, features.shape),
        *(f"{figure:.3f}" for figure in (features.min(), features.mean(), features.max())),
    ]
    assert "spectrogram" in shown
    assert "mfcc" in shown


def test_the_picture_is_written_whole(screen: Screen, tmp_path: Path) -> None:
    plot = tmp_path / "new" / "plot.PNG"
    assert screen.run(SPEECH, "--plot", plot) == 0
    with Image.open(plot) as image:
        assert image.format == "PNG"
        assert image.size == (18 * RESOLUTION, 11 * RESOLUTION)
        assert len(set(image.convert("L").tobytes())) > 100
    assert [path.name for path in plot.parent.iterdir()] == ["plot.PNG"]
    assert f"{plot}: 669-129074-0001.opus (16000 Hz, 8.12 s)" in screen.log.getvalue()
    assert screen.out.getvalue() == ""


def test_every_axis_has_its_unit() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    figure = draw_features(samples, FeatureSettings(), "title")
    axes = {axes.get_title("left") or axes.get_title(): axes for axes in figure.axes}
    labels = {title: (axes.get_xlabel(), axes.get_ylabel()) for title, axes in axes.items()}
    assert labels["Spectrogram as a surface"] == ("time (s)", "frequency (kHz)")
    assert labels["Spectrogram: 243 bins"][1] == "frequency (Hz)"
    assert labels["Log-mels: 80 bands"][1] == "centre of mel band (Hz)"
    assert labels["MFCC: 13 coefficients, each less its mean"] == ("time (s)", "coefficient")
    assert axes["Waveform"].get_xlim() == (0, 1)


def test_a_tone_is_drawn_at_its_frequency_and_level() -> None:
    tone = np.sin(2 * np.pi * 2_000 * np.arange(16_000) / 16_000).astype(np.float32)
    figure = draw_features(tone, FeatureSettings(), "tone")
    [axes] = [axes for axes in figure.axes if axes.get_title("left").startswith("Spectrogram")]
    [image] = axes.get_images()
    values, (_, _, low, high) = np.asarray(image.get_array()), image.get_extent()
    row = int(values.mean(axis=1).argmax())
    assert low + (row + 0.5) * (high - low) / len(values) == pytest.approx(2_000)
    assert values.max() == pytest.approx(0, abs=0.1)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize(
    ("name", "rate", "channels", "title"),
    [
        (
            "a$b_{語$.wav",
            44_100,
            2,
            "a$b_{語$.wav (44100 Hz, 2 channels, read at 16000 Hz, 0.10 s)",
        ),
        ("bad\udcff.wav", 16_000, 1, "bad?.wav (16000 Hz, 0.10 s)"),
    ],
)
def test_any_name_and_rate_is_drawn(
    screen: Screen, tmp_path: Path, name: str, rate: int, channels: int, title: str
) -> None:
    sound = write_sound(tmp_path / "sound.wav", 0.1, rate, channels).rename(tmp_path / name)
    assert screen.run(sound, "--plot", tmp_path / "plot.svg") == 0
    assert title in screen.log.getvalue()
    assert (tmp_path / "plot.svg").read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.usefixtures("coarse")
def test_two_silent_frames_are_drawn(screen: Screen, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "flat.wav", np.zeros(560), 16_000)
    assert screen.run(tmp_path / "flat.wav", "--plot", tmp_path / "flat.jpg") == 0


@pytest.mark.usefixtures("coarse")
def test_one_bin_and_one_band_are_drawn(screen: Screen, tmp_path: Path) -> None:
    few = ("features.mels=1", "features.low_hz=500", "features.high_hz=530")
    overrides = [part for value in few for part in ("--set", value)]
    assert screen.run(SPEECH, "--plot", tmp_path / "few.webp", *overrides) == 0


def test_a_long_recording_is_thinned_out() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 16_000 * 70).astype(np.float32)
    figure = draw_features(samples, FeatureSettings(mels=8), "long")
    widths = [image.get_array().shape[1] for axes in figure.axes for image in axes.get_images()]
    assert max(widths) <= 2_000
    assert figure.axes[1].get_images()[0].get_extent()[1] == pytest.approx(70, abs=0.02)


@pytest.mark.usefixtures("coarse")
def test_what_cannot_be_drawn_is_explained(screen: Screen, tmp_path: Path) -> None:
    short = write_sound(tmp_path / "short.wav", 0.03)
    good = write_sound(tmp_path / "good.wav", 0.2)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "file").touch()
    plot = tmp_path / "plot.png"
    for arguments, message in (
        ([tmp_path / "gone.wav"], "gone.wav: no such file"),
        ([tmp_path], "is a folder; give an audio file"),
        ([tmp_path / "empty.wav"], "the file is empty"),
        ([tmp_path / "text.wav", "--plot", plot], "text.wav: not readable as WAV"),
        ([short], "short.wav: is too short (0.030 s); give a recording of 0.035 s or more"),
        ([good, "--plot", tmp_path / "plot.doc"], "--plot: must end in .avif, "),
        ([good, "--plot", tmp_path / "plot"], ".webp, got "),
        ([good, "--plot", tmp_path / "file" / "plot.png"], "cannot be written"),
        ([good, "--set", "features.kind=chroma"], "must be log_mel, spectrogram or mfcc"),
        ([good, "--config", tmp_path / "gone.yaml"], "gone.yaml: cannot be read"),
    ):
        assert screen.run(*arguments) == 2
        assert message in screen.log.getvalue()
    assert "Traceback" not in screen.log.getvalue()
    assert not plot.exists()


def test_formats_that_need_more_than_matplotlib_are_not_offered() -> None:
    assert {"png", "svg", "pdf", "jpg"} < set(picture_formats())
    assert "pgf" not in picture_formats()
