"""One check in a process of its own: told by JSON on standard input, tells on standard output.

Whatever libraries write to the two standard streams besides goes nowhere.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from streamer.doctor.finding import Finding, Progress, Show

PATHS = ("config", "model", "language_model", "hotwords")
"""Options that are paths."""

OPTIONS = (*PATHS, "device", "engine", "no_language_model", "hotword", "overrides")
"""Options of ``run_live.py`` that a check pays attention to."""

Probe = Callable[[Mapping[str, Any], Show], Iterator[Finding]]


def options_record(options: Any) -> dict[str, Any]:
    """Return those options that checks in other processes need, as JSON takes them."""
    values = {name: getattr(options, name) for name in OPTIONS}
    given = {name: value for name, value in values.items() if value}
    return {name: str(value) if name in PATHS else value for name, value in given.items()}


def main() -> None:
    """Run the check that standard input asks for."""
    request = json.load(sys.stdin)
    # A process that is left behind ends by itself.
    signal.alarm(int(request["limit_s"]) + 5)
    os.chdir(request["folder"])
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)

    def tell(kind: str, content: Mapping[str, Any]) -> None:
        told.write(json.dumps({kind: content}, default=str) + "\n")
        told.flush()

    def show(progress: Progress) -> None:
        tell("progress", asdict(progress))

    for finding in _findings(request, show):
        tell("finding", finding.as_record())
    # Libraries that hang at exit shall not.
    os._exit(0)


def _findings(request: Mapping[str, Any], show: Show) -> Iterator[Finding]:
    name, title = request["check"], request["title"]
    try:
        yield from PROBES[request["probe"]](request, show)
    except Exception as error:
        from model.errors import CaptionerError
        from streamer.doctor.installation import finding_of
        from streamer.doctor.probing import Check

        if isinstance(error, CaptionerError):
            yield finding_of(error, name, title)
        else:
            yield Check(name, title).failed(f"{type(error).__name__}: {error}")


def _settings(request: Mapping[str, Any]) -> Any:
    from streamer.app import LiveOptions, settings_of

    given = request["options"]
    paths = {name: Path(value) for name, value in given.items() if name in PATHS}
    return settings_of(LiveOptions(**{**given, **paths}))


def _model(request: Mapping[str, Any], show: Show) -> Iterator[Finding]:
    from streamer.doctor.recognition import check_language_model, check_model

    settings = _settings(request)
    yield from check_model(settings)
    yield from check_language_model(settings)


def _engines(request: Mapping[str, Any], show: Show) -> Iterator[Finding]:
    from streamer.doctor.recognition import check_engines

    return check_engines(_settings(request))


def _speed(request: Mapping[str, Any], show: Show) -> Iterator[Finding]:
    from streamer.doctor.recognition import check_speed

    return check_speed(_settings(request))


def _inputs(request: Mapping[str, Any], show: Show) -> Iterator[Finding]:
    from streamer.doctor.hearing import check_portaudio, list_inputs
    from streamer.portaudio import PortAudio

    yield (portaudio := check_portaudio(PortAudio))
    if portaudio.status == "ok":
        yield list_inputs(PortAudio(), _settings(request).audio.device)


def _rates(request: Mapping[str, Any], show: Show) -> Iterator[Finding]:
    from streamer.doctor.hearing import find, gone, try_input
    from streamer.portaudio import PortAudio

    backend = PortAudio()
    device = find(backend, request["index"], request["name"])
    yield try_input(backend, device) if device else gone(request["name"])


def _level(request: Mapping[str, Any], show: Show) -> Iterator[Finding]:
    from streamer.doctor.hearing import find, gone, listen
    from streamer.portaudio import PortAudio

    backend = PortAudio()
    device = find(backend, request["index"], request["name"])
    if device is None:
        yield gone(request["name"])
    else:
        yield from listen(backend, device, show)


PROBES: dict[str, Probe] = {
    "model": _model,
    "engines": _engines,
    "speed": _speed,
    "inputs": _inputs,
    "rates": _rates,
    "level": _level,
}

if __name__ == "__main__":
    main()
