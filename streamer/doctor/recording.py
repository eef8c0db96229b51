"""A few seconds of sound from an input."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from streamer.devices import Backend, Deliver, InputDevice, OpenInput, channel_choices
from streamer.doctor.finding import Progress, Show, show_nothing
from streamer.errors import FormatRefused
from streamer.levels import level_db

Clock = Callable[[], float]

FIRST_AUDIO_S = 2.0
"""How long an input may take to give its first audio, seconds."""

BLOCK_S = 0.05
"""Length of the blocks asked for, seconds."""

STALLED_S = 3.0
"""After this long without audio an input that gave some has stopped."""


@dataclass(frozen=True)
class Heard:
    """What an input gave.

    Attributes:
        samples: float32 (n, channels).
        rate: It was opened at, Hz.
        pace: Samples a second by our clock, of the rate; 1 where too little came to tell.
        losses: How often the sound system lost audio in between.
    """

    samples: np.ndarray
    rate: int
    pace: float
    losses: int


def record(
    backend: Backend,
    device: InputDevice,
    rate: int,
    seconds: float,
    clock: Clock = time.monotonic,
    show: Show = show_nothing,
    channels: Sequence[int] = (),
) -> Heard | None:
    """Record from an input.

    Args:
        backend: The audio system.
        device: The input.
        rate: To open it at, Hz.
        seconds: To record.
        clock: Seconds that only rise.
        show: Is given the level as audio comes.
        channels: Numbers of channels to try, in their order; as captions do if empty.

    Returns:
        What was heard, maybe less than asked for where the input stopped; None if nothing.

    Raises:
        DeviceError: If the input cannot be opened so.
    """
    chunks: queue.Queue[tuple[np.ndarray, bool, float]] = queue.Queue()

    def deliver(samples: np.ndarray, lost: bool, _: float) -> None:
        chunks.put((samples, lost, clock()))

    opened = _open(backend, device, rate, channels or channel_choices(device), deliver)
    try:
        return _collect(chunks, rate, seconds, show)
    finally:
        opened.close()


def _open(
    backend: Backend, device: InputDevice, rate: int, channels: Sequence[int], deliver: Deliver
) -> OpenInput:
    refusal: FormatRefused | None = None
    for count in channels:
        try:
            return backend.open(device, rate, count, round(rate * BLOCK_S), deliver)
        except FormatRefused as error:
            refusal = error
    raise refusal or FormatRefused(f"{device.name}: has no channels")


def _collect(
    chunks: queue.Queue[tuple[np.ndarray, bool, float]],
    rate: int,
    seconds: float,
    show: Show,
) -> Heard | None:
    taken: list[tuple[np.ndarray, bool, float]] = []
    count = 0
    while count < seconds * rate:
        try:
            chunk = chunks.get(timeout=STALLED_S if taken else FIRST_AUDIO_S)
        except queue.Empty:
            break
        taken.append(chunk)
        count += len(chunk[0])
        show(Progress("speak now", round(level_db(chunk[0]), 1)))
    if not taken:
        return None
    samples = np.concatenate([chunk for chunk, _, _ in taken])
    passed_s = taken[-1][2] - taken[0][2]
    # The first chunk was recorded before the clock was read.
    pace = (count - len(taken[0][0])) / passed_s / rate if passed_s > 1 else 1.0
    return Heard(samples, rate, pace, sum(lost for _, lost, _ in taken[1:]))
