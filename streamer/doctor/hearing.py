"""Inputs as PortAudio gives them: each opened at its rates, and one listened to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from model.wording import counted
from streamer.default_input import default_input, is_internal
from streamer.devices import MOST_CHANNELS, RATES, Backend, InputDevice, choose
from streamer.doctor.finding import Finding, Show, show_nothing
from streamer.doctor.level import Level, judge, judge_channels, measure
from streamer.doctor.recording import BLOCK_S, Clock, Heard, record
from streamer.errors import DeviceError, FormatRefused, PortAudioMissing

LISTEN_S = 3.0
"""How long the chosen input is listened to, seconds."""

STEREO_S = 1.0
"""How long two channels are listened to beside that, seconds."""

REFUSED = "refused"
SILENT = "it was opened, and nothing came"

NO_AUDIO_REMEDY = "end the program that uses it, plug it in again, or choose another with --device"

WRONG_PACE = 0.06
"""How far samples may come faster or slower than the rate promises, in a few seconds."""


def list_inputs(backend: Backend, wanted: str) -> Finding:
    """Return the inputs there are and the one that captions use; it is named in the figures.

    Args:
        backend: The audio system.
        wanted: What ``--device`` or the settings ask for; empty for the default.
    """
    devices = backend.inputs()
    listed = [_record(device) for device in devices if not is_internal(device)]
    figures = {"inputs": listed, "internal": len(devices) - len(listed), "chosen": None}
    if not devices:
        remedy = "plug a microphone in; look for it with arecord -l; captions of files need none"
        return Finding("input", "Input", "failure", "PortAudio sees no input", remedy, figures)
    try:
        chosen = choose(devices, wanted)
    except DeviceError as error:
        remedy = "run_live.py --list-devices shows them; give the index or part of a name"
        return Finding("input", "Input", "failure", str(error), remedy, figures)
    figures["chosen"] = _record(chosen)
    reason = "as asked for" if wanted else default_input(devices).reason
    text = f"{chosen.index}: {chosen.name} ({reason})"
    if figures["internal"]:
        text += (
            f"; {counted(len(devices) - len(listed), 'internal channel')} of the board left aside"
        )
    if is_internal(chosen):
        remedy = "plug a USB microphone in, or name another input with --device"
        return Finding("input", "Input", "warning", text, remedy, figures)
    return Finding("input", "Input", "ok", text, figures=figures)


def _record(device: InputDevice) -> dict[str, object]:
    return {"index": device.index, "name": device.name, "channels": device.channels}


def find(backend: Backend, index: int, name: str) -> InputDevice | None:
    """Return the input of a name, the one of that index first; None if it is gone."""
    named = [device for device in backend.inputs() if device.name == name]
    return min(named, key=lambda device: device.index != index, default=None)


def try_input(backend: Backend, device: InputDevice, clock: Clock = time.monotonic) -> Finding:
    """Open an input at each of its rates, and wait for audio at each.

    Args:
        backend: The audio system.
        device: The input.
        clock: Seconds that only rise.
    """
    working: list[int] = []
    problems: dict[int, str] = {}
    for rate in _rates(device):
        problem = _try_rate(backend, device, rate, clock)
        if not problem:
            working.append(rate)
            continue
        problems[rate] = problem
        # What is not about the rate, such as a busy device, would be the same at others.
        if not working and problem != REFUSED:
            break
    figures = {"index": device.index, "name": device.name, "rates": working, "problems": problems}
    title = f"Input {device.index}"
    if working:
        rates = ", ".join(f"{rate / 1000:g}" for rate in sorted(working))
        text = f"{device.name}: gives audio at {rates} kHz"
        return Finding("rates", title, "ok", text, figures=figures)
    text = f"{device.name}: no audio: {list(problems.values())[-1]}"
    return Finding("rates", title, "warning", text, NO_AUDIO_REMEDY, figures)


def _rates(device: InputDevice) -> list[int]:
    return list(dict.fromkeys((round(device.default_rate), *RATES)))


def _try_rate(backend: Backend, device: InputDevice, rate: int, clock: Clock) -> str:
    """Return why no audio comes at a rate; "" if some does."""
    try:
        heard = record(backend, device, rate, BLOCK_S, clock)
    except FormatRefused:
        return REFUSED
    except DeviceError as error:
        return str(error)
    return "" if heard is not None else SILENT


def listen(
    backend: Backend,
    device: InputDevice,
    show: Show = show_nothing,
    clock: Clock = time.monotonic,
) -> Iterator[Finding]:
    """Listen to an input for some seconds and yield what its sound is like.

    Args:
        backend: The audio system.
        device: The input.
        show: Is given the level meanwhile.
        clock: Seconds that only rise.
    """
    reason = ""
    for rate in _rates(device):
        try:
            heard = record(backend, device, rate, LISTEN_S, clock, show)
        except FormatRefused:
            reason = "it takes none of the usual rates"
            continue
        except DeviceError as error:
            reason = str(error)
            break
        if heard is not None:
            level = measure(heard.samples, heard.rate)
            yield from judge(level)
            yield from _flow(heard)
            yield from _channels(backend, device, heard, level, clock)
            return
        reason = SILENT
        break
    text = f"{device.name}: no audio: {reason}"
    yield Finding("level", "Level", "failure", text, NO_AUDIO_REMEDY)


def _channels(
    backend: Backend, device: InputDevice, heard: Heard, level: Level, clock: Clock
) -> Iterator[Finding]:
    """Yield what is to be known of the channels, of which captions may open the first alone."""
    if heard.samples.shape[1] > 1:
        yield from judge_channels(level)
    # ALSA's plug-ins pretend to have dozens.
    elif 2 <= device.channels <= MOST_CHANNELS:
        with suppress(DeviceError):
            both = record(backend, device, heard.rate, STEREO_S, clock, channels=(2,))
            if both is not None:
                yield from judge_channels(measure(both.samples, both.rate), level)


def _flow(heard: Heard) -> Iterator[Finding]:
    """Yield what is wrong with how the audio came."""
    figures = {"pace": round(heard.pace, 3), "losses": heard.losses, "rate": heard.rate}
    if abs(heard.pace - 1) > WRONG_PACE:
        came, promised = heard.pace * heard.rate / 1000, heard.rate / 1000
        text = f"{came:.1f} thousand samples came in a second, not {promised:g}"
        remedy = "choose its sound server's input (`pulse` or `default`) with --device"
        yield Finding("pace", "Pace", "warning", text, remedy, figures)
    if heard.losses:
        seconds = len(heard.samples) / heard.rate
        text = f"audio was lost {counted(heard.losses, 'time')} in {seconds:.0f} s"
        remedy = "end what keeps the machine busy; use a USB port of the board without a hub"
        yield Finding("losses", "Lost audio", "warning", text, remedy, figures)


def check_portaudio(load: Callable[[], object]) -> Finding:
    """Return which PortAudio there is.

    Args:
        load: Loads it, and raises PortAudioMissing where it is missing.
    """
    try:
        load()
    except PortAudioMissing as error:
        remedy = "sudo apt-get install libportaudio2"
        return Finding("portaudio", "PortAudio", "failure", str(error.__cause__ or error), remedy)
    import sounddevice

    version = sounddevice.get_portaudio_version()[1].partition(",")[0]
    text = f"{version}, by sounddevice {sounddevice.__version__}"
    return Finding("portaudio", "PortAudio", "ok", text)


def gone(name: str) -> Finding:
    """Return the finding of an input that was there a moment ago."""
    return Finding("rates", "Input", "failure", f"{name}: it went away meanwhile", NO_AUDIO_REMEDY)
