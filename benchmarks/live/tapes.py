"""What is streamed: a recording alone, or many as one long session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from model.audio import read_audio
from model.corpora.manifest import Utterance
from model.evaluation.assessment import Noise, seed_of, with_noise
from model.variation.noises import coloured_noise
from streamer.audio import SAMPLE_RATE

PAUSE_S = (0.5, 2.0)
"""Shortest and longest pause before a recording of a session."""

LAST_PAUSE_S = 2.0
"""Pause behind the last one, so that it ends as the others do."""

ROOM_DB = -75.0
"""Level of a quiet room's pink noise in the pauses, dB of full scale."""


@dataclass(frozen=True)
class Clip:
    """A recording's place on a tape.

    Attributes:
        row: The recording.
        start: Index of its first sample.
        end: Index of the sample after its last one.
    """

    row: Utterance
    start: int
    end: int


@dataclass(frozen=True)
class Tape:
    """Audio to be streamed, with what is on it.

    Attributes:
        name: What it is called in the log.
        path: The file that is streamed.
        samples: The same, float32 (n,) at ``SAMPLE_RATE``.
        clips: The recordings on it, in order.
    """

    name: str
    path: Path
    samples: np.ndarray
    clips: tuple[Clip, ...]


def pink_noise(level_db: float) -> Noise:
    """Return pink noise to add at a signal-to-noise ratio, as ``train.py evaluate`` does."""
    return Noise(
        "pink noise",
        (level_db,),
        lambda length, random: coloured_noise("pink", length, SAMPLE_RATE, random),
    )


def single_tape(row: Utterance, noise: Noise | None, folder: Path) -> Tape:
    """Return a recording as a tape: its own file, or with noise a file in ``folder``.

    Raises:
        AudioFileError: If it cannot be read.
    """
    samples, path = read_audio(row.audio, SAMPLE_RATE), row.audio
    if noise is not None:
        samples = with_noise(samples, row, noise, noise.levels[0])
        path = _written(samples, folder / "noisy.wav")
    return Tape(row.audio.name, path, samples, (Clip(row, 0, len(samples)),))


def session_tape(rows: Sequence[Utterance], noise: Noise | None, folder: Path) -> Tape:
    """Return recordings as one tape, with pauses of a quiet room, in a file in ``folder``.

    The pauses depend on the recordings alone, each on the one behind it.  Noise goes on
    through a pause as loud as it is under the recording behind it.

    Raises:
        AudioFileError: If one cannot be read.
    """
    pieces: list[np.ndarray] = []
    clips: list[Clip] = []
    place = 0
    for row in rows:
        random = np.random.default_rng(seed_of(row))
        pause = _room(random.uniform(*PAUSE_S), random)
        piece = np.concatenate([pause, read_audio(row.audio, SAMPLE_RATE)])
        clips.append(Clip(row, place + len(pause), place + len(piece)))
        pieces.append(piece if noise is None else with_noise(piece, row, noise, noise.levels[0]))
        place += len(piece)
    pieces.append(_room(LAST_PAUSE_S, np.random.default_rng(0)))
    samples = np.concatenate(pieces)
    return Tape("session", _written(samples, folder / "session.wav"), samples, tuple(clips))


def _room(seconds: float, random: np.random.Generator) -> np.ndarray:
    """Return float32 (n,) of a room in which nobody speaks."""
    noise = coloured_noise("pink", round(seconds * SAMPLE_RATE), SAMPLE_RATE, random)
    return (noise * 10 ** (ROOM_DB / 20)).astype(np.float32)


def _written(samples: np.ndarray, path: Path) -> Path:
    soundfile.write(path, samples, SAMPLE_RATE, subtype="FLOAT")
    return path
