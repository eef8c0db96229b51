"""Simulated rooms: what the walls make of a voice on its way to the microphone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import numpy as np

from model.errors import TrainingError
from model.files import write_whole

FORMAT = 1
"""Raised whenever the responses of the same settings change."""

LEAD = 40
"""Samples before the direct path's peak in a response: half of the simulation's filter."""

SMALLEST_M, LARGEST_M = (2.5, 2.5, 2.3), (8.0, 8.0, 3.5)
"""Sides of the rooms, metres: length, width and height."""

WALL_M = 0.3
"""Least distance of voice and microphone from every wall, metres."""

DISTANCE_M = (0.3, 3.0)
"""Least and greatest distance between voice and microphone, metres."""

REVERBERATION_S = (0.1, 0.8)
"""Reverberation that is possible: none of the rooms has less, more takes seconds to simulate."""


@dataclass(frozen=True)
class Rooms:
    """A fixed set of simulated rooms, each with a place for the voice and the microphone.

    Attributes:
        count: Number of rooms.
        reverberation_s: Shortest and longest time in which their sound falls by 60 dB,
            seconds, by Sabine's formula.
        sample_rate: Hz.
        folder: Where :meth:`fill` keeps all responses, which take a tenth of a second
            each to simulate; they are simulated one by one where None or not filled.
    """

    count: int
    reverberation_s: tuple[float, ...]
    sample_rate: int
    folder: Path | None = None

    def response(self, number: int) -> np.ndarray:
        """Return the impulse response of a room, float32 (n,), the direct path at ``LEAD``."""
        path = self._path()
        responses = None if path is None else _load(path)
        if responses is not None:
            return np.trim_zeros(responses[number], "b")
        return simulate(number, self.reverberation_s, self.sample_rate)

    def fill(self, progress: Callable[[int], None] = lambda done: None) -> None:
        """Simulate all rooms, unless the folder holds them already.

        Args:
            progress: Called with the number of rooms done.

        Raises:
            TrainingError: If the folder cannot be written.
        """
        path = self._path()
        if path is None or _load(path) is not None:
            return progress(self.count)
        responses: list[np.ndarray] = []
        for number in range(self.count):
            responses.append(simulate(number, self.reverberation_s, self.sample_rate))
            progress(number + 1)
        try:
            _save(path, responses)
        except OSError as error:
            raise TrainingError(
                f"{path}: the rooms cannot be written ({error.strerror or error}); "
                "free some space or choose another folder with --cache"
            ) from error

    def _path(self) -> Path | None:
        if self.folder is None:
            return None
        from importlib.metadata import version

        decides = (FORMAT, version("pyroomacoustics"), *astuple(self)[:-1])
        return self.folder / f"rooms-{hashlib.sha256(repr(decides).encode()).hexdigest()[:16]}.npy"


def reverberate(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Return speech as it is heard in a room, float32, of the same length and in step.

    Args:
        samples: float32 (n,).
        response: (m,), the direct path at ``LEAD``.
    """
    from scipy.signal import fftconvolve

    heard = fftconvolve(samples, response)[LEAD : LEAD + len(samples)]
    return np.pad(heard, (0, len(samples) - len(heard))).astype(np.float32)


@lru_cache(maxsize=64)
def simulate(number: int, reverberation_s: tuple[float, ...], sample_rate: int) -> np.ndarray:
    """Return the :func:`room_response` of a room that its number decides."""
    random = np.random.default_rng([FORMAT, number])
    sides, reverberation = _draw_room(reverberation_s, random)
    return room_response(sides, reverberation, draw_places(sides, random), sample_rate)


def room_response(
    sides: np.ndarray,
    reverberation_s: float,
    places: tuple[np.ndarray, np.ndarray],
    sample_rate: int,
) -> np.ndarray:
    """Return the impulse response of a room, float32 (n,) of unit energy, direct path at ``LEAD``.

    The image source method in a shoebox whose walls all absorb alike (Allen and
    Berkley, 1979), by pyroomacoustics (Scheibler et al., 2018).  What precedes the
    direct path is cut off but for ``LEAD`` samples, so that speech stays in its place.

    Args:
        sides: (3,) length, width and height, metres.
        reverberation_s: Time in which its sound falls by 60 dB, seconds, by Sabine's formula.
        places: Of voice and microphone, (3,) metres each.
        sample_rate: Hz.

    Raises:
        ValueError: If in so large a room the sound lasts longer, whatever the walls.
    """
    import pyroomacoustics

    pyroomacoustics.constants.set("num_threads", 1)
    absorption, order = pyroomacoustics.inverse_sabine(reverberation_s, sides)
    voice, microphone = places
    room = pyroomacoustics.ShoeBox(
        sides, sample_rate, materials=pyroomacoustics.Material(float(absorption)), max_order=order
    )
    room.add_source(voice)
    room.add_microphone(microphone)
    room.compute_rir()
    delay = float(np.linalg.norm(voice - microphone)) / room.c
    start = round(delay * sample_rate)
    response = room.rir[0][0][start : start + LEAD + round(reverberation_s * sample_rate)]
    response = (response / np.linalg.norm(response)).astype(np.float32)
    return np.trim_zeros(response, "b")


def _draw_room(
    reverberation_s: tuple[float, ...], random: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Return sides and reverberation of a room that can be."""
    import pyroomacoustics

    while True:
        sides = random.uniform(SMALLEST_M, LARGEST_M)
        reverberation = float(random.uniform(reverberation_s[0], reverberation_s[1]))
        try:
            pyroomacoustics.inverse_sabine(reverberation, sides)
        except ValueError:  # In so large a room the sound lasts longer, whatever the walls.
            continue
        return sides, reverberation


def draw_places(
    sides: np.ndarray,
    random: np.random.Generator,
    distance_m: tuple[float, float] = DISTANCE_M,
) -> tuple[np.ndarray, np.ndarray]:
    """Return where voice and microphone are in a room, (3,) metres each.

    Args:
        sides: (3,) metres; no place is nearer than ``WALL_M`` to a wall.
        random: Draws them.
        distance_m: Least and greatest distance between the two, metres; the room has it.
    """
    while True:
        voice, microphone = random.uniform(WALL_M, sides - WALL_M, (2, 3))
        if distance_m[0] <= np.linalg.norm(voice - microphone) <= distance_m[1]:
            return voice, microphone


def _save(path: Path, responses: list[np.ndarray]) -> None:
    """Write responses (count, longest), silent after the end of each."""
    longest = max(map(len, responses))
    file = BytesIO()
    np.save(file, np.stack([np.pad(r, (0, longest - len(r))) for r in responses]))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, file.getbuffer(), f"{path.name}.{uuid4().hex}.partial")
    _load.cache_clear()


@lru_cache(maxsize=2)
def _load(path: Path) -> np.ndarray | None:
    """Return the responses in a file, mapped from disk; None where it is missing or damaged."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError):
        return None
