"""Judge an input by a few seconds of its sound: silent, quiet, clipping, humming, half dead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from streamer.doctor.finding import Finding, Status
from streamer.levels import CLIPPED_PER_S, FULL_SCALE, LOWEST_DB, SILENT_SWING

FRAME_S = 0.05
"""Length of the frames whose levels are compared, seconds."""

QUIET_DB = -45.0
"""Level of the loudest frames below which speech was hardly there, dB of full scale."""

LOUD_FLOOR_DB = -45.0
"""Level of the quietest frames from which on it is noisy where nothing stands out, dB."""

LEAST_CONTRAST_DB = 10.0
"""How far the loudest frames stand out of the quietest where there is speech, dB."""

MOST_DC = 0.01
"""Mean of the samples that is still let pass, of full scale."""

HUM_DB = -60.0
"""Level of hum that is still let pass, dB of full scale."""

LINE_RATE = 1000
"""Hz; what the search for hum needs: up to the sixth harmonic of 60 Hz."""

TIME_BANDWIDTH = 4
"""Of the tapers of the search for hum; seven tapers keep their energy in such a band."""

HARMONICS = 6
"""Of the mains that are looked at."""

MAINS_HZ = (50, 60)

DRIFT_HZ = 0.5
"""How far from its nominal frequency a line of the mains may lie."""

SURE, LIKELY = 1e-6, 1e-4
"""Chance of finding so clear a line in noise: below the first a line at the mains' own
frequency is hum, and below the second two lines are."""

ONE_SIDED_PEAK = 1e-3
"""A channel that stays below this (-60 dB) has no microphone on it."""

OPPOSED = -0.8
"""Correlation of two channels below which they cancel each other."""


@dataclass(frozen=True)
class Hum:
    """Hum of the mains.

    Attributes:
        mains_hz: 50 or 60; 0 where there is none.
        level_db: Root mean square of its lines, dB of full scale; -100 where there is none.
    """

    mains_hz: int = 0
    level_db: float = LOWEST_DB


@dataclass(frozen=True)
class Level:
    """What was measured of an input.

    Attributes:
        seconds: Length of the sound, seconds.
        peak_db: Of the highest sample, dB of full scale; -100 for digital silence.
        rms_db: Root mean square without the offset, dB of full scale.
        speech_db: Level that one frame in twenty exceeds, dB of full scale.
        floor_db: Level that nine frames in ten exceed, dB of full scale.
        swing: Highest minus lowest sample; 2 is full scale.
        offset: Mean of the samples (DC), of full scale.
        clipped_per_s: Samples at full scale in a second.
        broken: Share of samples that are no numbers.
        hum: Of the mains.
        live: Whether each channel carries a signal.
        correlation: Of the first two channels; 0 where there is one.
    """

    seconds: float
    peak_db: float
    rms_db: float
    speech_db: float
    floor_db: float
    swing: float
    offset: float
    clipped_per_s: float
    broken: float
    hum: Hum
    live: tuple[bool, ...]
    correlation: float


def measure(samples: np.ndarray, rate: int) -> Level:
    """Measure an input.

    Args:
        samples: float (n, channels), -1 to 1; at least one.
        rate: Of the samples, Hz.
    """
    numbers = np.isfinite(samples)
    clean = np.where(numbers, samples, 0.0).astype(np.float64)
    live = np.abs(clean - clean.mean(axis=0)).max(axis=0) > ONE_SIDED_PEAK
    mono = clean[:, live].mean(axis=1) if live.any() else clean.mean(axis=1)
    centred = mono - mono.mean()
    frames = _frame_levels(centred, rate)
    seconds = len(samples) / rate
    # A hum is looked for where anything is heard, so that rounding is never taken for it.
    heard = np.ptp(mono) > SILENT_SWING
    return Level(
        seconds=seconds,
        peak_db=_db(float(np.abs(clean).max())),
        rms_db=_db(_rms(centred)),
        speech_db=float(np.percentile(frames, 95)),
        floor_db=float(np.percentile(frames, 10)),
        swing=float(np.ptp(clean, axis=0).max()),
        offset=float(max(clean.mean(axis=0), key=abs)),
        clipped_per_s=float((np.abs(clean) >= FULL_SCALE).sum(axis=0).max() / seconds),
        broken=float(1 - numbers.mean()),
        hum=find_hum(centred, rate) if heard else Hum(),
        live=tuple(map(bool, live)),
        correlation=_correlation(clean),
    )


def find_hum(samples: np.ndarray, rate: int) -> Hum:
    """Look for hum of the mains: lines at 50 or 60 Hz and their harmonics that do not waver.

    Lines are told from speech and noise by the F-test of several tapers of Thomson,
    Spectrum estimation and harmonic analysis (1982): it compares the power that a steady
    sine explains with the rest.  Voices have no line that stands still for seconds.

    Args:
        samples: float (n,), a second or more; shorter sound has no hum.
        rate: Of the samples, Hz.
    """
    from scipy.signal import resample_poly

    if len(samples) < rate:
        return Hum()
    common = int(np.gcd(rate, LINE_RATE))
    slow = resample_poly(samples, LINE_RATE // common, rate // common)
    spectrum = _LineSpectrum(slow)
    found = [_hum_at(spectrum, mains_hz) for mains_hz in MAINS_HZ]
    return max(found, key=lambda hum: hum.level_db)


def _hum_at(spectrum: _LineSpectrum, mains_hz: int) -> Hum:
    lines = [spectrum.line(mains_hz * number) for number in range(1, HARMONICS + 1)]
    likely = [power for chance, power in lines if chance < LIKELY]
    is_hum = lines[0][0] < SURE or len(likely) > 1
    level_db = 10 * np.log10(max(sum(likely), 1e-10))
    return Hum(mains_hz, float(level_db)) if is_hum and level_db > HUM_DB else Hum()


class _LineSpectrum:
    """How clear a line there is at each frequency of float (n,) at ``LINE_RATE``."""

    def __init__(self, samples: np.ndarray) -> None:
        from scipy.signal.windows import dpss

        tapers = dpss(len(samples), TIME_BANDWIDTH, 2 * TIME_BANDWIDTH - 1)
        size = 4 << int(np.ceil(np.log2(len(samples))))
        self._frequencies = np.fft.rfftfreq(size, 1 / LINE_RATE)
        spectra = np.fft.rfft(tapers * (samples - samples.mean()), size)
        weights = tapers.sum(axis=1)
        energy = float((weights**2).sum())
        self._amplitudes = weights @ spectra / energy
        rest = (np.abs(spectra - np.outer(weights, self._amplitudes)) ** 2).sum(axis=0)
        explained = energy * np.abs(self._amplitudes) ** 2
        self._freedom = 2 * len(tapers) - 2
        self._ratio = self._freedom / 2 * explained / np.maximum(rest, 1e-30)

    def line(self, frequency: float) -> tuple[float, float]:
        """Return the chance of so clear a line in noise near a frequency, and its power."""
        from scipy.stats import f

        near = np.flatnonzero(np.abs(self._frequencies - frequency) <= DRIFT_HZ)
        at = near[np.argmax(self._ratio[near])]
        chance = float(f.sf(self._ratio[at], 2, self._freedom))
        return chance, 2 * float(np.abs(self._amplitudes[at]) ** 2)


def judge(level: Level) -> list[Finding]:
    """Return what a level means: one finding of it as a whole, and one for each other fault.

    Args:
        level: Measured while somebody was asked to speak.
    """
    figures = {name: _rounded(value) for name, value in asdict(level).items()}
    status, verdict, remedy = _loudness(level)
    measured = (
        f"{verdict}: peak {level.peak_db:.0f} dB, mean {level.rms_db:.0f} dB, "
        f"noise floor {level.floor_db:.0f} dB of full scale"
    )
    whole = Finding("level", "Level", status, measured, remedy, figures)
    return [whole, *_faults(level)]


def _loudness(level: Level) -> tuple[Status, str, str]:
    """Return the status, the verdict and the remedy of how loud it is."""
    if level.swing <= SILENT_SWING:
        remedy = (
            "check the microphone's switch and cable, and unmute it in `alsamixer` (F4, then M)"
        )
        return "failure", "silent", f"{remedy}; or choose another with --device"
    if level.clipped_per_s > CLIPPED_PER_S:
        return "warning", "clipping", "lower the capture level in `alsamixer` (F4), or move away"
    if level.speech_db < QUIET_DB:
        remedy = "speak while it listens; if you did, raise the capture level in `alsamixer` (F4)"
        return "warning", "quiet", remedy
    if (
        level.floor_db > LOUD_FLOOR_DB
        and level.speech_db - level.floor_db < LEAST_CONTRAST_DB
        and not level.hum.mains_hz
    ):
        remedy = "speak while it listens; if you did, move nearer, or away from the noise"
        return "warning", "noise, with nothing that stands out", remedy
    return "ok", "good", ""


def _faults(level: Level) -> Iterator[Finding]:
    if level.hum.mains_hz:
        text = f"{level.hum.mains_hz} Hz of the mains at {level.hum.level_db:.0f} dB of full scale"
        remedy = "use another USB port, cable or power supply, away from mains leads and dimmers"
        yield Finding("hum", "Hum", "warning", text, remedy)
    if abs(level.offset) > MOST_DC:
        text = f"the signal lies {100 * level.offset:+.1f} % of full scale off zero"
        remedy = "harmless while small; a large one takes room from loud speech: try another input"
        yield Finding("offset", "DC offset", "warning", text, remedy)
    if level.broken > 0:
        text = f"{100 * level.broken:.1f} % of the samples are no numbers"
        yield Finding(
            "broken", "Samples", "failure", text, "update the driver, or use another port"
        )


def judge_channels(level: Level, alone: Level | None = None) -> Iterator[Finding]:
    """Yield what is to be known of several channels.

    Args:
        level: Measured of all of them.
        alone: Of the one channel that captions open, if they open one.
    """
    if any(level.live) and not all(level.live):
        used = ", ".join(str(number) for number, live in enumerate(level.live, 1) if live)
        text = f"only channel {used} of {len(level.live)} carries sound"
        if alone is not None and not any(alone.live):
            remedy = "captions hear channel 1: plug the microphone in there, or use --device pulse"
            yield Finding("channels", "Channels", "failure", text, remedy)
        else:
            yield Finding("channels", "Channels", "ok", f"{text}; the others are left out")
    if level.correlation < OPPOSED:
        text = "the two channels are opposed and cancel each other when they are mixed"
        remedy = (
            "use an adapter for one channel, or a mono input: a balanced plug is in a stereo jack"
        )
        yield Finding("channels", "Channels", "warning", text, remedy)


def _frame_levels(samples: np.ndarray, rate: int) -> np.ndarray:
    """Return the levels of whole frames, dB of full scale; of all where there is no whole one."""
    length = min(len(samples), max(1, round(FRAME_S * rate)))
    frames = samples[: len(samples) // length * length].reshape(-1, length)
    return np.array([_db(_rms(frame)) for frame in frames])


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


def _db(amplitude: float) -> float:
    return max(LOWEST_DB, 20 * np.log10(amplitude)) if amplitude > 0 else LOWEST_DB


def _correlation(samples: np.ndarray) -> float:
    """Return the correlation of the first two channels; 0 where one is constant or missing."""
    first = samples[:, :2] - samples[:, :2].mean(axis=0)
    if first.shape[1] < 2 or (np.abs(first).max(axis=0) <= ONE_SIDED_PEAK).any():
        return 0.0
    return float((first[:, 0] @ first[:, 1]) / np.sqrt(np.prod((first**2).sum(axis=0))))


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return round(value, 4) if isinstance(value, float) else value
