"""Input devices: which there are, and which one is meant."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from streamer.errors import DeviceError

RATES = (8_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000)
"""Hz; the rates that a device is asked about."""

MOST_CHANNELS = 8
"""Channels opened at most when a device refuses one and two."""

Deliver = Callable[[np.ndarray, bool, float], None]
"""Takes samples float32 (n, channels), whether audio was lost just before them, and the
time of the first one by the device's clock in seconds (0 if unknown)."""


@dataclass(frozen=True)
class InputDevice:
    """A device that records.

    Attributes:
        index: Its number in PortAudio's list; it may change when devices come and go.
        name: Its name.
        channels: Channels it has.
        default_rate: The rate it prefers, Hz.
        rates: Those of ``RATES`` that it accepts, Hz; empty where it was not asked.
        is_default: Whether it is used when no device is named.
    """

    index: int
    name: str
    channels: int
    default_rate: float
    rates: tuple[int, ...]
    is_default: bool

    @property
    def stable_name(self) -> str:
        """The name without ALSA's card number, which changes when it is plugged in again."""
        return re.sub(r" \(hw:\d+,\d+\)$", "", self.name)


class OpenInput(Protocol):
    """An input stream that runs."""

    @property
    def active(self) -> bool:
        """Whether it still runs."""
        ...

    def close(self) -> None:
        """End it; never raises."""
        ...


class Backend(Protocol):
    """What the microphone needs of PortAudio."""

    def inputs(self) -> tuple[InputDevice, ...]:
        """Return the devices that record, their ``rates`` left empty."""
        ...

    def accepts(self, device: InputDevice, rate: int, channels: int) -> bool:
        """Return whether the device can be opened so."""
        ...

    def open(
        self, device: InputDevice, rate: int, channels: int, block: int, deliver: Deliver
    ) -> OpenInput:
        """Open a device; ``deliver`` is called from another thread, ``block`` samples a time.

        Raises:
            FormatRefused: If it does not take the rate or the number of channels.
            DeviceError: If it cannot be opened at all; the message says why.
        """
        ...

    def refresh(self) -> None:
        """Look again which devices there are; no stream may be open.

        Raises:
            DeviceError: If the audio system does not answer.
        """
        ...


def list_devices(backend: Backend) -> tuple[InputDevice, ...]:
    """Return the devices that record, with the rates that they accept.

    Raises:
        DeviceError: If there is none.
    """
    return tuple(
        replace(device, rates=_accepted_rates(backend, device))
        for device in require_inputs(backend)
    )


def choose(devices: tuple[InputDevice, ...], wanted: str) -> InputDevice:
    """Return the device that is asked for.

    Args:
        devices: Those there are, at least one.
        wanted: Index, name or part of a name in any case; empty for the default.

    Raises:
        DeviceError: If none or several match; the message lists them.
    """
    if not wanted:
        return next((device for device in devices if device.is_default), devices[0])
    matches = _matches(devices, wanted)
    if not matches:
        raise DeviceError(f"no input device matches '{wanted}'; there are: {_listing(devices)}")
    if len(matches) > 1:
        raise DeviceError(
            f"'{wanted}' matches several input devices: {_listing(matches)}; "
            "give the index or more of the name"
        )
    return matches[0]


def _matches(devices: tuple[InputDevice, ...], wanted: str) -> tuple[InputDevice, ...]:
    if wanted.isdecimal():
        return tuple(device for device in devices if device.index == int(wanted))
    name = wanted.casefold()
    exact = tuple(
        device
        for device in devices
        if name in (device.name.casefold(), device.stable_name.casefold())
    )
    return exact or tuple(device for device in devices if name in device.name.casefold())


def same_device(devices: tuple[InputDevice, ...], lost: InputDevice) -> InputDevice:
    """Return the device that went away, wherever it is plugged in now."""
    matches = [device for device in devices if device.stable_name == lost.stable_name]
    matches.sort(key=lambda device: device.name != lost.name)
    if not matches:
        raise DeviceError(f"microphone '{lost.name}' is not there")
    return matches[0]


def require_inputs(backend: Backend) -> tuple[InputDevice, ...]:
    """Return the devices that record, at least one."""
    devices = backend.inputs()
    if not devices:
        raise DeviceError(
            "no input device: plug a microphone in and look for it with `arecord -l` and "
            "--list-devices (a container needs `--device /dev/snd`), "
            "or caption a file with --wav FILE"
        )
    return devices


def _listing(devices: tuple[InputDevice, ...]) -> str:
    return ", ".join(f"{device.index}: {device.name}" for device in devices)


def channel_choices(device: InputDevice) -> tuple[int, ...]:
    """Return the numbers of channels to try: one, two, and all it has up to eight."""
    most = min(device.channels, MOST_CHANNELS)
    return tuple(channels for channels in dict.fromkeys((1, 2, most)) if channels <= most)


def _accepted_rates(backend: Backend, device: InputDevice) -> tuple[int, ...]:
    return tuple(
        rate
        for rate in RATES
        if any(backend.accepts(device, rate, channels) for channels in channel_choices(device))
    )
