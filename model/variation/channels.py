"""What microphones, lines and files do to speech: bands, codecs, levels, other speeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
import soundfile
import soxr

TELEPHONE_HZ = (300.0, 3400.0)
"""The band of a telephone line (ITU-T G.712)."""

TELEPHONE_RATE, WIDE_RATE = 8_000, 16_000
"""Sample rates of codecs, Hz."""


CodecName = Literal["alaw", "mulaw", "gsm", "opus", "vorbis", "mp3"]


@dataclass(frozen=True)
class Codec:
    """A way to store sound that libsndfile knows.

    Attributes:
        format: Of the file.
        subtype: Of the sound in it.
        rate: Sample rate, Hz.
        compression: Range of libsndfile's compression level, 0 to 1; none where None.
    """

    format: str
    subtype: str
    rate: int
    compression: tuple[float, float] | None = None


CODECS: Mapping[CodecName, Codec] = {
    "alaw": Codec("WAV", "ALAW", TELEPHONE_RATE),
    "mulaw": Codec("WAV", "ULAW", TELEPHONE_RATE),
    "gsm": Codec("WAV", "GSM610", TELEPHONE_RATE),
    "opus": Codec("OGG", "OPUS", WIDE_RATE, (0.85, 0.97)),
    "vorbis": Codec("OGG", "VORBIS", WIDE_RATE, (0.5, 0.9)),
    "mp3": Codec("MP3", "MPEG_LAYER_III", WIDE_RATE, (0.5, 0.9)),
}
"""Codecs by name; the compressions of speech are 14 to 50 kbit/s."""


def change_speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Return ``samples`` (n,) played ``factor`` times as fast, float32 (n / factor,).

    Tempo and pitch change together (speed perturbation; Ko et al., 2015).
    """
    return soxr.resample(samples, factor, 1.0).astype(np.float32)


def low_pass(samples: np.ndarray, sample_rate: int, cutoff_hz: float) -> np.ndarray:
    """Return ``samples`` (n,) as recorded at twice ``cutoff_hz``, at the old rate again."""
    narrow = soxr.resample(samples, sample_rate, 2 * cutoff_hz)
    return fit_length(soxr.resample(narrow, 2 * cutoff_hz, sample_rate), len(samples))


def telephone_band(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return ``samples`` (n,) in the band of a telephone, float32 (n,).

    A Butterworth filter of the fourth order at either edge.
    """
    high = min(TELEPHONE_HZ[1], 0.45 * sample_rate)
    # It takes a second to import, and recipes are read where nothing is filtered.
    from scipy.signal import butter, sosfilt

    sections = butter(4, (TELEPHONE_HZ[0], high), "bandpass", fs=sample_rate, output="sos")
    return sosfilt(sections, samples).astype(np.float32)


def encode(
    samples: np.ndarray, sample_rate: int, name: CodecName, random: np.random.Generator
) -> np.ndarray:
    """Return ``samples`` (n,) after a codec, float32 (n,) in step with them.

    Args:
        samples: float32; cut off beyond -1 to 1, as the codecs do.
        sample_rate: Of ``samples``, Hz; the codec has its own.
        name: Of the codec.
        random: Draws how strongly is compressed.
    """
    codec = CODECS[name]
    level = None if codec.compression is None else float(random.uniform(*codec.compression))
    narrow = np.clip(soxr.resample(samples, sample_rate, codec.rate), -1, 1)
    # The last frame of a codec that is not whole would be lost.
    padded = np.pad(narrow, (0, codec.rate // 10))
    mode = None if codec.format != "MP3" else "VARIABLE"
    file = BytesIO()
    soundfile.write(
        file,
        padded,
        codec.rate,
        codec.subtype,
        format=codec.format,
        compression_level=level,
        bitrate_mode=mode,
    )
    file.seek(0)
    decoded, rate = soundfile.read(file, dtype="float32")
    return fit_length(soxr.resample(decoded, rate, sample_rate), len(samples))


def set_peak(samples: np.ndarray, peak_db: float) -> np.ndarray:
    """Return ``samples`` (n,) with their peak at a level, cut off at full scale, 0 dB."""
    peak = float(np.max(np.abs(samples), initial=0.0))
    if not peak:
        return samples
    return np.clip(samples * np.float32(10 ** (peak_db / 20) / peak), -1, 1)


def fit_length(samples: np.ndarray, length: int) -> np.ndarray:
    """Return float32 (length,): ``samples`` cut or filled with silence at the end."""
    short = max(0, length - len(samples))
    return np.pad(samples[:length], (0, short)).astype(np.float32)
