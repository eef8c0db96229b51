"""What is told of a microphone, in words for people."""

from __future__ import annotations

from streamer.devices import InputDevice
from streamer.errors import DeviceError
from streamer.events import Notice
from streamer.opening import Opened


def awaited(wanted: str, error: DeviceError) -> Notice:
    """Tell that there is none at the start, and why."""
    what = f"microphone '{wanted}'" if wanted else "a microphone"
    return Notice("device_awaited", f"waiting for {what}: {error}")


def still_away(name: str, lasting_s: float) -> Notice:
    """Remind that there still is none."""
    minutes = round(lasting_s / 60)
    lasting = f"{minutes} minutes" if minutes < 120 else f"{round(minutes / 60)} hours"
    text = f"microphone '{name}' is away for {lasting}: plug it in; it is looked for"
    return Notice("device_awaited", text)


def lost(name: str, reason: str) -> Notice:
    """Tell that it is gone, or is given up to be opened anew."""
    return Notice("device_lost", f"microphone '{name}' {reason}; it is looked for by its name")


def busy(error: DeviceError) -> Notice:
    """Tell that another program holds it."""
    return Notice("device_busy", f"{error}; it is taken up once it is free")


def hangs(name: str, ending: bool) -> Notice:
    """Tell that the audio system does not answer."""
    then = "the captions end without it" if ending else "the captions go on once it does"
    return Notice("device_hangs", f"{no_answer(name)}; {then}", "error")


def no_answer(name: str) -> str:
    """Return that the audio system does not answer, with the remedy."""
    return (
        f"the audio system does not answer for microphone '{name}': unplug it and plug it in "
        "again, or restart the machine"
    )


def back(before: InputDevice | None, opened: Opened) -> Notice:
    """Tell that it is there again, or for the first time."""
    device = opened.device
    at = f"at {opened.rate / 1000:g} kHz"
    if before is None or is_another(before, device):
        return Notice("device_back", f"microphone '{device.name}' is there, {at}", "info")
    moved = " in another socket" if before.place != device.place else ""
    return Notice("device_back", f"microphone '{device.name}' is back{moved}, {at}", "info")


def is_another(before: InputDevice, device: InputDevice) -> bool:
    """Return whether a device is not the one before, but was plugged in in its place."""
    return before.stable_name != device.stable_name


def changed(before: InputDevice, device: InputDevice) -> Notice:
    """Tell that another one is heard in its place."""
    text = f"microphone '{before.name}' has not come back; '{device.name}' is heard now"
    return Notice("device_changed", f"{text}, which was plugged in")


def moved(name: str, before: str, now: str) -> Notice:
    """Tell that a sound server gives another microphone under the same name."""
    text = (
        f"microphone '{name}' is '{now}' now, in place of '{before}': "
        "the sound server follows what is chosen on the desktop"
    )
    return Notice("device_moved", text, "info")


def wrong_pace(name: str, measured: float, rate: int) -> Notice:
    """Tell that it gives more or fewer samples than it should."""
    text = (
        f"microphone '{name}' gives {measured:.0f} samples a second in place of {rate}: "
        "pitch and times are wrong; plug it in again, or use another"
    )
    return Notice("device_pace", text)
