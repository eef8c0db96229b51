"""All checks in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.errors import CaptionerError
from streamer.decoders import beside_program
from streamer.doctor import installation, jetson, machine, places, sound
from streamer.doctor.child import options_record
from streamer.doctor.finding import Finding, Progress, Show
from streamer.doctor.host import Host
from streamer.doctor.probing import Check, in_child, in_thread
from streamer.settings import LiveSettings

if TYPE_CHECKING:
    from streamer.app import LiveOptions

LOCK = Path("requirements.lock")

MOST_TRIED = 6
"""Inputs that are opened at all their rates."""

Ask = Callable[[Check, Mapping[str, Any], Show], list[Finding]]
"""Runs a check in another process."""


def examine(
    options: LiveOptions, show: Show, host: Host | None = None, ask: Ask = in_child
) -> Iterator[Finding]:
    """Yield everything that is found, in the order in which it is shown.

    Args:
        options: The command line.
        show: Is given the progress.
        host: The machine; this one if None.
        ask: Runs the checks that need a process of their own.
    """
    settings, problem = _settings(options)
    usable = options if problem is None else replace(options, config=None, overrides=())
    examination = _Examination(usable, settings, host or Host(), show, ask)
    yield from examination.installation()
    yield installation.configuration_finding(options.config, len(options.overrides), problem)
    yield from examination.machine()
    yield from examination.recognition()
    yield from examination.surroundings()
    yield from examination.hearing()


class _Examination:
    """The checks of one run, by their subjects."""

    def __init__(
        self, options: LiveOptions, settings: LiveSettings, host: Host, show: Show, ask: Ask
    ) -> None:
        self._options = options
        self._settings = settings
        self._host = host
        self._show = show
        self._ask = ask

    def installation(self) -> Iterator[Finding]:
        lock = beside_program(LOCK)
        yield from _light("program", "Program", installation.check_program)
        yield from _light("packages", "Packages", lambda: installation.check_packages(lock))

    def machine(self) -> Iterator[Finding]:
        yield from self._of_host("board", "Board", jetson.check_board)
        yield from self._of_host("processor", "Processor", machine.check_processor)
        yield from self._of_host("memory", "Memory", machine.check_memory)
        yield from self._of_host("gpu", "GPU", machine.check_gpu)

    def recognition(self) -> Iterator[Finding]:
        engines = self._asked("engines", Check("engines", "Engines", 60))
        models = self._asked("model", Check("model", "Model", 60))
        yield from (*engines, *models)
        if not any(finding.status == "failure" for finding in (*engines, *models)):
            yield from self._asked("speed", Check("speed", "Speed", 90))

    def surroundings(self) -> Iterator[Finding]:
        yield from self._of_host("clock", "Clock", machine.check_clock)
        yield from self._of_host("terminal", "Terminal", machine.check_terminal)
        folders = _places(self._options, self._settings)
        yield from _light("disk", "Disk", lambda: places.check_places(folders))
        if self._options.web:
            web = self._settings.web
            yield from _light("port", "Port", lambda: places.check_port(web.host, web.port))

    def hearing(self) -> Iterator[Finding]:
        yield from self._of_host("cards", "Sound cards", sound.check_cards)
        yield from self._of_host("holder", "In use", sound.check_holders)
        permission = self._of_host("permission", "Permission", sound.check_permission)
        server = self._of_host("server", "Sound server", sound.check_server)
        inputs = self._asked("inputs", Check("portaudio", "PortAudio", 20))
        tried = [
            finding
            for device in _to_try(inputs)
            for finding in self._opened("rates", f"Input {device['index']}", device)
        ]
        chosen = _figure(inputs, "chosen")
        level = self._opened("level", "Level", chosen) if chosen else []
        heard = any(finding.check == "level" and finding.status != "failure" for finding in level)
        # Where a sound server gives the input, nothing has to open the devices themselves.
        yield from (_softened(each) if heard else each for each in permission)
        yield from (*server, *inputs, *tried, *level)

    def _of_host(
        self, name: str, title: str, check: Callable[[Host], Iterator[Finding]]
    ) -> list[Finding]:
        return _light(name, title, lambda: check(self._host))

    def _opened(self, probe: str, title: str, device: Mapping[str, Any]) -> list[Finding]:
        wanted = {"index": device["index"], "name": device["name"]}
        return self._asked(probe, Check(probe, title, 25), **wanted)

    def _asked(self, probe: str, check: Check, **more: Any) -> list[Finding]:
        self._show(Progress(f"checking: {check.title}"))
        request = {"probe": probe, "check": check.name, "title": check.title, **more}
        return self._ask(check, {**request, "options": options_record(self._options)}, self._show)


def _softened(finding: Finding) -> Finding:
    return replace(finding, status="warning") if finding.status == "failure" else finding


def _to_try(inputs: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return the inputs to be opened, the chosen one first; no internal channels but that one."""
    chosen = _figure(inputs, "chosen")
    listed = [device for device in _figure(inputs, "inputs") or [] if device != chosen]
    return [*([chosen] if chosen else []), *listed][:MOST_TRIED]


def _figure(findings: Sequence[Finding], name: str) -> Any:
    return next((each.figures[name] for each in findings if name in each.figures), None)


def _light(name: str, title: str, function: Callable[[], Iterator[Finding]]) -> list[Finding]:
    return in_thread(Check(name, title), function)


def _settings(options: LiveOptions) -> tuple[LiveSettings, CaptionerError | None]:
    """Return the settings, or the defaults and what is wrong with them."""
    from streamer.app import settings_of

    try:
        return settings_of(options), None
    except CaptionerError as error:
        return LiveSettings(), error


def _places(options: LiveOptions, settings: LiveSettings) -> dict[str, Path]:
    """Return where this command line writes, by purpose; the folder it runs in where nowhere."""
    wanted = {f"--output {path.name}": path.absolute().parent for path in options.output}
    if options.record is not None:
        wanted["--record"] = options.record.absolute().parent
    if log := options.log or settings.log.file:
        wanted["--log"] = log.absolute().parent
    if options.web or options.data is not None:
        from streamer.web.program import data_folder

        wanted["--data"] = data_folder(settings.web)
    return wanted or {"here": Path.cwd()}
