"""Audio on its way in: blocks that know their place in the stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from typing_extensions import Self

from streamer.events import Notice

SAMPLE_RATE = 16_000
"""Hz; every block in the program has this rate, whatever the device or file had."""

FULL_SCALE = 32_768
"""Of 16-bit samples; 1 as a float."""


@dataclass(frozen=True)
class AudioBlock:
    """A stretch of mono audio.

    Attributes:
        samples: float32 (n,), -1 to 1, at ``SAMPLE_RATE``.
        start: Index of the first sample in the stream, lost samples counted in.
        lost_before: Samples lost just before this block; ``start`` is past them.
    """

    samples: np.ndarray
    start: int
    lost_before: int = 0

    @property
    def end(self) -> int:
        """Index of the sample after the last one."""
        return self.start + len(self.samples)


class AudioSource(Protocol):
    """Where audio comes from.

    Used as a context manager (entering opens it, leaving closes it) and iterated
    over once.  Blocks follow each other without overlap: each starts where the
    one before ended plus ``lost_before``.  Iteration ends with the audio, or
    soon after :meth:`stop`.
    """

    @property
    def name(self) -> str:
        """What the user knows it by: the device's name, or the file's."""
        ...

    @property
    def lossless(self) -> bool:
        """Whether it waits when the program is slow (a replay), so nothing may be dropped."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def __iter__(self) -> Iterator[AudioBlock | Notice]: ...

    def stop(self) -> None:
        """End the iteration soon; may be called from any thread, more than once."""
        ...


def to_pcm(samples: np.ndarray) -> np.ndarray:
    """Return float samples (n,), -1 to 1, as int16 (n,), rounded to the nearest."""
    return _scaled(samples).astype(np.int16)


def from_pcm(pcm: np.ndarray) -> np.ndarray:
    """Return 16-bit samples (n,) as float32 (n,), -1 to 1; exact."""
    samples: np.ndarray = pcm.astype(np.float32) / np.float32(FULL_SCALE)
    return samples


def on_16_bit_grid(samples: np.ndarray) -> np.ndarray:
    """Return float32 samples (n,) as multiples of 1/32768, within the range of 16 bits."""
    return _scaled(samples) / np.float32(FULL_SCALE)


def _scaled(samples: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = np.rint(samples * np.float32(FULL_SCALE))
    return scaled.clip(-FULL_SCALE, FULL_SCALE - 1)
