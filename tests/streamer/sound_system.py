"""A sound system of our own making, for what no virtual card can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from streamer.devices import Deliver, InputDevice
from streamer.errors import DeviceError, FormatRefused
from streamer.sound_cards import SoundCard, SoundCards


def device(
    index: int,
    name: str,
    channels: int = 1,
    rate: float = 16_000,
    default: bool = False,
    *,
    card_id: str = "",
    place: str = "",
    serial: str = "",
) -> InputDevice:
    return InputDevice(index, name, channels, rate, (), default, card_id, place, serial)


def ones(samples: int) -> np.ndarray:
    return np.full(samples, 0.5, np.float32)


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class OpenedInput:
    device: InputDevice
    rate: int
    channels: int
    block: int
    deliver: Deliver
    active: bool = True
    closed: bool = False
    on_close: Callable[[], None] = lambda: None

    def close(self) -> None:
        self.on_close()
        self.active, self.closed = False, True


@dataclass
class SoundSystem:
    """A sound system as a test wants it.

    Attributes:
        devices: What is plugged in.
        refused: Rates and numbers of channels that no device takes.
        busy: Whether another program holds the devices.
        on_refresh: Called when the devices are listed anew, for example to plug one in.
        on_open: Called when a device was opened, for example to let it hear something.
    """

    devices: Sequence[InputDevice]
    refused: set[int] = field(default_factory=set)
    busy: bool = False
    on_refresh: Callable[[], None] = lambda: None
    on_open: Callable[[OpenedInput], None] = lambda opened: None
    opened: list[OpenedInput] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)

    def inputs(self) -> tuple[InputDevice, ...]:
        return tuple(self.devices)

    def accepts(self, device: InputDevice, rate: int, channels: int) -> bool:
        return not self.refused & {rate, channels}

    def open(
        self, device: InputDevice, rate: int, channels: int, block: int, deliver: Deliver
    ) -> OpenedInput:
        self.asked.append((rate, channels))
        if self.busy:
            raise DeviceError(f"microphone '{device.name}' is busy")
        if not self.accepts(device, rate, channels):
            raise FormatRefused("invalid sample rate")
        self.opened.append(OpenedInput(device, rate, channels, block, deliver))
        self.on_open(self.opened[-1])
        return self.opened[-1]

    def refresh(self) -> None:
        assert all(opened.closed for opened in self.opened), "no stream may be open"
        self.on_refresh()

    def hear(self, samples: np.ndarray, overflowed: bool = False, adc_s: float = 0.0) -> None:
        """Let the device that was opened last deliver samples (n,) or (n, channels)."""
        self.opened[-1].deliver(np.atleast_2d(samples.T).T, overflowed, adc_s)


class Cards(SoundCards):
    """Sound cards as a test wants them.

    Attributes:
        plugged: Where there are cards.
        busy: Cards that other programs hold, each with the program.
        changes: How often something was plugged in or pulled out.
    """

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"), {})
        self.plugged: set[str] = set()
        self.busy: list[tuple[SoundCard, str]] = []
        self.changes = 0

    def places(self) -> frozenset[str]:
        return frozenset(self.plugged)

    def held(self) -> tuple[tuple[SoundCard, str], ...]:
        return tuple(self.busy)

    def stamp(self) -> tuple[tuple[str, int, int], ...]:
        return (("snd", 0, self.changes),)
