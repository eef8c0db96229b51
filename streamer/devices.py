"""Input devices: which there are, and which one is meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from streamer.default_input import default_input
from streamer.errors import DeviceAmbiguous, DeviceMissing

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
        is_default: Whether the system calls it its default.
        card_id: ALSA's short name of its card, which udev can set; empty if unknown.
        place: Where its card is plugged in; empty if unknown.
        serial: Serial number of its card; empty where it has none.
    """

    index: int
    name: str
    channels: int
    default_rate: float
    rates: tuple[int, ...]
    is_default: bool
    card_id: str = ""
    place: str = ""
    serial: str = ""

    @property
    def stable_name(self) -> str:
        """The name without ALSA's card number, which changes when it is plugged in again."""
        return re.sub(r" \(hw:\d+,\d+\)$", "", self.name)

    @property
    def whereabouts(self) -> str:
        """What tells it from an equal one: where it is plugged in, or else its whole name."""
        return self.place or self.name


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
        DeviceMissing: If there is none.
    """
    return tuple(with_rates(backend, device) for device in require_inputs(backend))


def with_rates(backend: Backend, device: InputDevice) -> InputDevice:
    """Return a device with the rates that it accepts."""
    return replace(device, rates=_accepted_rates(backend, device))


def choose(devices: tuple[InputDevice, ...], wanted: str) -> InputDevice:
    """Return the device that is asked for.

    Args:
        devices: Those there are, at least one.
        wanted: Index, name, id of the card, or part of a name in any case; empty for
            :func:`~streamer.default_input.default_input`'s choice.

    Raises:
        DeviceMissing: If none matches; the message lists those there are.
        DeviceAmbiguous: If several match; the message lists them.
    """
    if not wanted:
        return default_input(devices).device
    matches = _matches(devices, wanted)
    if not matches:
        raise DeviceMissing(f"no input device matches '{wanted}'; there are: {_listing(devices)}")
    if len(matches) > 1:
        raise DeviceAmbiguous(
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
    exact = exact or tuple(d for d in devices if name == d.card_id.casefold())
    return exact or tuple(device for device in devices if name in device.name.casefold())


def same_device(
    devices: Sequence[InputDevice], lost: InputDevice, others: Collection[str] = ()
) -> InputDevice:
    """Return the device that went away, wherever it is plugged in now.

    Of several that may be it the one is taken that is where it was, then one with its
    serial number, then one with its card number.

    Args:
        devices: Those there are.
        lost: The one that went away.
        others: Whereabouts of those that were there beside it, which are others for sure.

    Raises:
        DeviceMissing: If it is not there.
    """
    equal = [device for device in devices if device.stable_name == lost.stable_name]
    matches = [d for d in equal if d.whereabouts == lost.whereabouts or d.whereabouts not in others]
    if not matches:
        twin = "; an equal one is there, which was there before: choose it with --device"
        raise DeviceMissing(f"microphone '{lost.name}' is not there{twin if equal else ''}")
    return min(matches, key=lambda device: _strangeness(device, lost))


def unmoved(devices: Sequence[InputDevice], lost: InputDevice) -> InputDevice:
    """Return the device that went away if it is back as it was, though the list is old.

    Raises:
        DeviceMissing: If it is not.
    """
    for device in devices:
        if (device.name, device.whereabouts) == (lost.name, lost.whereabouts):
            return device
    raise DeviceMissing(f"microphone '{lost.name}' is not there")


def newcomer(devices: Sequence[InputDevice], wanted: str, known: Collection[str]) -> InputDevice:
    """Return a device that was plugged in and that is what was asked for as well.

    Args:
        devices: Those there are.
        wanted: As :func:`choose`; an index names no other device than the one it named.
        known: Whereabouts of those that were there before.

    Raises:
        DeviceError: If there is none, or several match.
    """
    fresh = tuple(device for device in devices if device.place and device.place not in known)
    if not fresh or wanted.isdecimal():
        raise DeviceMissing("no other microphone was plugged in")
    return choose(fresh, wanted)


def _strangeness(device: InputDevice, lost: InputDevice) -> tuple[bool, ...]:
    return (
        device.whereabouts != lost.whereabouts,
        device.serial != lost.serial,
        device.name != lost.name,
    )


def require_inputs(backend: Backend) -> tuple[InputDevice, ...]:
    """Return the devices that record, at least one."""
    devices = backend.inputs()
    if not devices:
        raise DeviceMissing(
            "no input device: plug a microphone in and look for it with `arecord -l` and "
            "--list-devices (a container needs `--device /dev/snd`), "
            "or caption a file with --wav FILE"
        )
    return devices


def _listing(devices: tuple[InputDevice, ...]) -> str:
    return ", ".join(f"{device.index}: {device.name}" for device in devices)


def channel_choices(device: InputDevice) -> tuple[int, ...]:
    """Return the numbers of channels to try: two, one, and all it has up to eight.

    Of a card that has two only, PortAudio gives the first one to who asks for one, though the
    microphone may be on the other.
    """
    most = min(device.channels, MOST_CHANNELS)
    return tuple(channels for channels in dict.fromkeys((2, 1, most)) if channels <= most)


def _accepted_rates(backend: Backend, device: InputDevice) -> tuple[int, ...]:
    return tuple(
        rate
        for rate in RATES
        if any(backend.accepts(device, rate, channels) for channels in channel_choices(device))
    )
