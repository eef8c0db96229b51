"""Noise to lay under speech: recorded, computed, and the babble of many voices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from model.audio import stream_audio
from model.corpora.layouts import AUDIO_SUFFIXES
from model.errors import SettingsError

Colour = Literal["white", "pink", "brown"]

COLOURS: Mapping[Colour, float] = {"white": 0.0, "pink": 1.0, "brown": 2.0}
"""By how many powers of the frequency the power of computed noises falls."""

LOWEST_HZ = 50.0
"""Below this computed noises hold nothing: it would be loud, and no microphone's sound."""

LONGEST_RECORDING_S = 300.0
"""What is used of a recording of noise; the rest of a longer one is left unread."""

VOICES = (3, 8)
"""Fewest and most voices of babble."""

LEVEL_BLOCK = 320
"""Samples in which a level is measured: 20 ms at 16 kHz."""

ACTIVE_DB = 30.0
"""Blocks further below the loudest than this are pauses, and count for no level."""


def active_power(samples: np.ndarray) -> float:
    """Return the mean square of ``samples`` (n,) without their pauses; see :func:`active_blocks`.

    The level of active speech in the spirit of ITU-T P.56, by a plainer rule.
    """
    blocks = active_blocks(samples)
    return float(np.mean(blocks.astype(np.float64) ** 2, axis=1).mean()) if blocks.size else 0.0


def active_blocks(samples: np.ndarray) -> np.ndarray:
    """Return the blocks of ``samples`` (n,) that are no pauses, (blocks, ``LEVEL_BLOCK``).

    Those that are not more than ``ACTIVE_DB`` below the loudest.  A last block that is not
    whole counts only where there is no other.
    """
    whole = len(samples) // LEVEL_BLOCK * LEVEL_BLOCK
    blocks = samples[:whole].reshape(-1, LEVEL_BLOCK) if whole else samples.reshape(1, -1)
    if blocks.size == 0:
        return blocks
    powers = np.mean(blocks.astype(np.float64) ** 2, axis=1)
    return blocks[powers >= powers.max() * 10 ** (-ACTIVE_DB / 10)]


def random_piece(samples: np.ndarray, length: int, random: np.random.Generator) -> np.ndarray:
    """Return a piece (length,) from a random place of ``samples`` (n,), n above 0.

    Shorter samples are repeated, from a random place of them on.
    """
    spare = len(samples) - length
    start = int(random.integers(0, spare + 1 if spare >= 0 else len(samples)))
    return np.take(samples, np.arange(start, start + length), mode="wrap")


def coloured_noise(
    colour: Colour, length: int, sample_rate: int, random: np.random.Generator
) -> np.ndarray:
    """Return Gaussian noise of unit power, float32 (length,).

    White noise is shaped in the frequency domain (Timmer and König, 1995).
    """
    spectrum = np.fft.rfft(random.normal(size=length))
    frequencies = np.fft.rfftfreq(length, 1 / sample_rate)
    slope = np.maximum(frequencies, LOWEST_HZ) ** (-COLOURS[colour] / 2)
    noise = np.fft.irfft(spectrum * slope * (frequencies >= LOWEST_HZ), length)
    power = np.mean(noise**2)
    return (noise / np.sqrt(power) if power else noise).astype(np.float32)


def recorded_noise(
    paths: Sequence[Path], length: int, sample_rate: int, random: np.random.Generator
) -> np.ndarray:
    """Return a piece of one of the recordings, float32 (length,).

    Raises:
        AudioFileError: If the recording cannot be read.
    """
    path = paths[int(random.integers(len(paths)))]
    return random_piece(_recording(path, sample_rate), length, random)


def babble(
    paths: Sequence[Path], length: int, sample_rate: int, random: np.random.Generator
) -> np.ndarray:
    """Return several of the recordings at once, equally loud, float32 (length,).

    Raises:
        AudioFileError: If a recording cannot be read.
    """
    mixed = np.zeros(length, np.float32)
    for _ in range(int(random.integers(VOICES[0], VOICES[1] + 1))):
        voice = recorded_noise(paths, length, sample_rate, random)
        power = active_power(voice)
        mixed += voice / np.float32(np.sqrt(power)) if power else voice
    return mixed


def find_recordings(folders: Sequence[str], key: str) -> list[tuple[str, Path]]:
    """Return the recordings below folders, each with its name there, in the names' order.

    Args:
        folders: Searched with all the folders in them.
        key: Of the setting that names them, for the message.

    Raises:
        SettingsError: If there is no such folder, or no recording in it.
    """
    found: list[tuple[str, Path]] = []
    for folder in map(Path, folders):
        inside = sorted(
            (path.relative_to(folder).as_posix(), path)
            for path in folder.rglob("*")
            if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()
        )
        if not inside:
            kinds = ", ".join(AUDIO_SUFFIXES)
            raise SettingsError(
                f"{key}: {folder}: is no folder with recordings ({kinds}) in it; "
                "give another, or leave it out"
            )
        found += inside
    return found


@lru_cache(maxsize=8)
def _recording(path: Path, sample_rate: int) -> np.ndarray:
    """Return a recording, float32 (n,), n above 0; the start of a very long one."""
    blocks: list[np.ndarray] = []
    length = 0
    for block in stream_audio(path, sample_rate, block_s=0.5):
        blocks.append(block)
        length += len(block)
        if length > LONGEST_RECORDING_S * sample_rate:
            break
    return np.concatenate(blocks) if blocks else np.zeros(1, np.float32)
