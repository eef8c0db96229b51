"""Which input is used when none is named.

The system's default is not always a microphone: a Jetson offers some twenty channels of its
audio hub, none of which hears anything before it is routed, and ALSA alone takes the first
card that it finds.  A sound server (PulseAudio, PipeWire) follows what the user chose on
the desktop, and is respected.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from streamer.events import Notice

if TYPE_CHECKING:
    from streamer.devices import InputDevice


class Kind(IntEnum):
    """What an input is by its name, the likeliest microphone first."""

    USB = 0
    WEBCAM = 1
    CARD = 2
    SERVER = 3
    ONBOARD = 4
    VIRTUAL = 5
    HDMI = 6
    LOOPBACK = 7
    INTERNAL = 8


PATTERNS = (
    (Kind.INTERNAL, r"\btegra|\bjetson.*\bape\b|-ape\b|\badmaif"),
    (Kind.LOOPBACK, r"\bmonitor of\b|[. ]monitor$|^monitor\b|\bloopback\b|\bstereo mix\b"),
    (Kind.HDMI, r"\bhdmi\b|\bdisplayport\b|\bspdif\b|\biec958\b"),
    (Kind.SERVER, r"^(pulse|pipewire|pulseaudio)\b"),
    (Kind.WEBCAM, r"cam\b|\bcamera\b|\bwebcam|\bbrio\b|\bc\d{3}\w?\b"),
    (Kind.USB, r"\busb\b|\bmicrophone\b"),
    (Kind.ONBOARD, r"\bhda\b|\bpch\b|\banalog\b|\bdmic\b|\bsof-|\bacp\b|\bbcm\d+|\bheadphones\b"),
    (Kind.CARD, r"\(hw:\d+,\d+\)$"),
)
"""The first pattern that a name fits tells its kind.  Names that fit none are ALSA's own
plug-ins, such as ``sysdefault``."""

DESCRIPTIONS = {
    Kind.USB: "a USB microphone",
    Kind.WEBCAM: "the microphone of a camera",
    Kind.CARD: "a sound card that was probably plugged in",
    Kind.SERVER: "what was chosen on the desktop",
    Kind.ONBOARD: "a sound card of the board",
    Kind.VIRTUAL: "a plug-in of ALSA",
    Kind.HDMI: "an input for a player's sound",
    Kind.LOOPBACK: "what this machine plays itself, and no microphone",
    Kind.INTERNAL: "an internal channel of the board, and no microphone",
}


@dataclass(frozen=True)
class Choice:
    """The input that is used when none is named.

    Attributes:
        device: It.
        reason: Why, as a clause that can follow on a colon.
        passed_over: The system's default where that is another one, or None.
    """

    device: InputDevice
    reason: str
    passed_over: InputDevice | None = None


def default_input(devices: Sequence[InputDevice]) -> Choice:
    """Choose the input to use when none is named; the same devices give the same choice.

    A sound server's choice is respected, except on a board whose own channels would make
    it doubtful while a microphone is plugged in.  Otherwise the likeliest microphone by
    :class:`Kind` is taken, the system's default first among equals, then the lowest index.

    Args:
        devices: Those there are, at least one.
    """
    system = next((device for device in devices if device.is_default), None)
    if system is not None and _is_respected(system, devices):
        return Choice(system, "the system's default")
    best = min(devices, key=lambda device: (_rank(device, system), device.index))
    kind = kind_of(best)
    same = [device for device in devices if kind_of(device) is kind]
    reason = DESCRIPTIONS[kind] + (", the first of several" if len(same) > 1 else "")
    if system is None:
        return Choice(best, f"{reason}, as the system names no default")
    if best == system:
        return Choice(best, "the system's default")
    return Choice(
        best, f"{reason}; the system's default '{system.name}' is {_doubt(system)}", system
    )


def choice_notice(devices: Sequence[InputDevice], wanted: str) -> Notice | None:
    """Return what the user should know of the choice, where it is not the system's default.

    Args:
        devices: Those there are, at least one.
        wanted: What was asked for; where anything was, there is nothing to tell.
    """
    if wanted:
        return None
    choice = default_input(devices)
    if choice.passed_over is None:
        return None
    text = (
        f"listening to '{choice.device.name}': {choice.reason}; "
        "choose another with --list-devices and --device"
    )
    return Notice("default_input", text, "info")


def kind_of(device: InputDevice) -> Kind:
    """Return what an input is, by its name and by where its card is plugged in."""
    name = device.name.casefold()
    kind = next((kind for kind, pattern in PATTERNS if re.search(pattern, name)), Kind.VIRTUAL)
    return Kind.USB if kind in (Kind.CARD, Kind.ONBOARD) and "/usb" in device.place else kind


def is_internal(device: InputDevice) -> bool:
    """Return whether an input is one of the many channels of a Jetson's audio hub."""
    return kind_of(device) is Kind.INTERNAL


def _is_respected(system: InputDevice, devices: Sequence[InputDevice]) -> bool:
    kinds = {kind_of(device) for device in devices}
    by_server = kind_of(system) is Kind.SERVER or (
        _is_virtual_default(system) and Kind.SERVER in kinds
    )
    return by_server and not (Kind.INTERNAL in kinds and min(kinds) <= Kind.CARD)


def _doubt(system: InputDevice) -> str:
    """Return what speaks against the system's default."""
    if kind_of(system) is Kind.SERVER:
        return "the sound server's, which on this board may be a channel without a microphone"
    if _is_virtual_default(system):
        return "the first sound card or a sound server's, whichever it finds"
    return DESCRIPTIONS[kind_of(system)]


def _is_virtual_default(device: InputDevice) -> bool:
    return device.name.casefold() in ("default", "sysdefault")


def _rank(device: InputDevice, system: InputDevice | None) -> tuple[int, bool]:
    """Return how unlikely a device is the microphone that is meant."""
    kind = kind_of(device)
    if device == system and kind is Kind.VIRTUAL:
        kind = Kind.ONBOARD
    return kind, device != system
