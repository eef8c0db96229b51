"""``--list-devices``: the inputs there are, and which one is used when none is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

from model.wording import counted
from streamer.default_input import Choice, default_input, is_internal
from streamer.devices import Backend, InputDevice, require_inputs, with_rates
from streamer.errors import DeviceError
from streamer.patience import PatientCall
from streamer.portaudio import PortAudio
from streamer.screen import to_standard_output
from streamer.writers import printable

PATIENCE_S = 30.0
"""How long the audio system may take; each device is asked for each rate."""

NO_ANSWER = (
    "the audio system does not answer: unplug the microphones and plug them in again, or restart "
    "the sound server or the machine"
)


def show_devices(
    console: Console,
    every: bool = False,
    as_json: bool = False,
    backend: Backend | None = None,
    patience_s: float = PATIENCE_S,
) -> None:
    """Print the input devices with their rates.

    Args:
        console: Where to.
        every: Whether to list each of a Jetson's internal channels as well.
        as_json: Whether to print a JSON object in the place of a table.
        backend: The audio system; PortAudio unless a test gives another.
        patience_s: How long an answer of it is waited for, seconds.

    Raises:
        DeviceError: If there is none, PortAudio is missing, or the audio system never answers.
        OutputError: If standard output takes nothing.
    """
    # In another thread, so that Ctrl-C ends a wait for a driver that hangs.
    listing = PatientCall(partial(_listed, backend, every))
    if not listing.wait(patience_s):
        raise DeviceError(NO_ANSWER)
    shown, folded, choice = listing.result()
    with to_standard_output():
        if as_json:
            print(json.dumps(_record(shown, folded, choice), indent=1, ensure_ascii=False))
        else:
            _print(console, shown, folded, choice)


def _listed(
    backend: Backend | None, every: bool
) -> tuple[list[InputDevice], list[InputDevice], Choice]:
    """Return the inputs that are shown, with their rates, those that are not, and the choice."""
    backend = PortAudio() if backend is None else backend
    devices = require_inputs(backend)
    choice = default_input(devices)
    folded = [device for device in devices if _is_folded(device, choice, every)]
    # Only those shown are asked: each answer takes a moment.
    shown = [with_rates(backend, device) for device in devices if device not in folded]
    return shown, folded, choice


def _print(
    console: Console,
    shown: Sequence[InputDevice],
    folded: Sequence[InputDevice],
    choice: Choice,
) -> None:
    console.print(_table(shown, choice))
    if folded:
        channels = counted(len(folded), "internal channel")
        name = printable(folded[0].stable_name)
        console.print(f"  and {channels} of the board ({name}), shown with --all", markup=False)
    console.print(
        f"* used when none is named: {printable(choice.reason)}; "
        "choose another with --device INDEX or part of its NAME",
        markup=False,
    )


def _is_folded(device: InputDevice, choice: Choice, every: bool) -> bool:
    return is_internal(device) and device != choice.device and not every


def _table(devices: Sequence[InputDevice], choice: Choice) -> Table:
    table = Table("", "Index", "Name", "Channels", "Default rate", "Rates it takes", box=None)
    for device in devices:
        table.add_row(
            "*" if device.index == choice.device.index else "",
            str(device.index),
            printable(device.name),
            str(device.channels),
            f"{device.default_rate:g} Hz",
            ", ".join(f"{rate / 1000:g}" for rate in device.rates) + " kHz",
        )
    return table


def _record(
    shown: Sequence[InputDevice], folded: Sequence[InputDevice], choice: Choice
) -> dict[str, Any]:
    return {
        "schema": 1,
        "default": choice.device.index,
        "reason": choice.reason,
        "folded": len(folded),
        "inputs": [
            {
                "index": device.index,
                "name": device.name,
                "channels": device.channels,
                "default_rate": device.default_rate,
                "rates": list(device.rates),
                "system_default": device.is_default,
            }
            for device in shown
        ],
    }
