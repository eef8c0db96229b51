"""What is particular to a Jetson: its release, its power mode, its trouble with power."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from model.wording import counted
from streamer.doctor.finding import Finding
from streamer.doctor.host import Host

JETPACKS = {32: "4", 34: "5", 35: "5", 36: "6", 38: "7", 39: "7"}
"""JetPack by the major release of L4T, NVIDIA's Linux for Tegra."""

OLDEST_RELEASE = 36
"""L4T whose own Python is new enough."""

UNLIMITED = float("inf")
"""Clock of a mode that sets none, written as -1."""


@dataclass(frozen=True)
class PowerMode:
    """A power mode of ``nvpmodel``.

    Attributes:
        number: What ``nvpmodel -m`` takes.
        name: Such as ``15W`` or ``MAXN``.
        cores: Cores that it leaves on.
        clock: Highest clock of a core, kHz.
    """

    number: int
    name: str
    cores: int
    clock: float


def check_board(host: Host) -> Iterator[Finding]:
    """Yield which board it is, and on a Jetson what to know of its power."""
    model = host.text("/proc/device-tree/model").splitlines()
    release = re.search(r"# R(\d+) .*?REVISION: ([\d.]+)", host.text("/etc/nv_tegra_release"))
    name = model[0] if model else ""
    if release is None:
        system = re.search(r'^PRETTY_NAME="?([^"\n]*)', host.text("/etc/os-release"), re.MULTILINE)
        text = ", ".join(part for part in (name, system[1] if system else "", host.machine) if part)
        yield Finding("board", "Board", "ok" if name else "absent", f"{text}; no Jetson")
        return
    yield _jetson(name or "Jetson", int(release[1]), f"R{release[1]}.{release[2]}")
    yield from check_power(host)


def _jetson(name: str, major: int, release: str) -> Finding:
    jetpack = JETPACKS.get(major)
    text = f"{name}, L4T {release}" + (f" (JetPack {jetpack})" if jetpack else "")
    figures = {"l4t": release, "jetpack": jetpack}
    if major >= OLDEST_RELEASE:
        return Finding("board", "Board", "ok", text, figures=figures)
    remedy = (
        "install JetPack 6 or newer where the board takes it; otherwise a newer Python beside the "
        "system's, or a container: see docs/jetson.md"
    )
    return Finding("board", "Board", "warning", text, remedy, figures)


def check_power(host: Host) -> Iterator[Finding]:
    """Yield the power mode, and what the board says of too weak a supply."""
    modes = power_modes(host.text("/etc/nvpmodel.conf"))
    number = _current_mode(host)
    if number is not None:
        yield _power(modes, number)
    counters = host.glob("/sys/class/hwmon/hwmon*/oc*_event_cnt")
    events = int(sum(host.number(host.name(path)) or 0 for path in counters))
    if events:
        often = counted(events, "time")
        text = f"clocks were lowered {often} since the start: too much current was drawn"
        remedy = "use the supply that came with the board, and a hub with its own for USB devices"
        yield Finding("supply", "Supply", "warning", text, remedy, {"events": events})


def _power(modes: dict[int, PowerMode], number: int) -> Finding:
    mode = modes.get(number)
    if mode is None:
        return Finding("power", "Power mode", "ok", f"mode {number}", figures={"mode": number})
    best = max(modes.values(), key=lambda each: (each.cores * min(each.clock, 1e7), -each.number))
    text = f"{mode.name}, with {mode.cores} cores"
    figures = {"mode": number, "name": mode.name, "cores": mode.cores}
    if mode.cores * min(mode.clock, 1e7) >= best.cores * min(best.clock, 1e7):
        return Finding("power", "Power mode", "ok", text, figures=figures)
    remedy = f"for more speed: sudo nvpmodel -m {best.number}  ({best.name}, {best.cores} cores)"
    return Finding("power", "Power mode", "warning", f"{text}, not the fastest", remedy, figures)


def power_modes(configuration: str) -> dict[int, PowerMode]:
    """Return the modes that ``nvpmodel.conf`` tells of, by number."""
    modes = {}
    # Each begins with "< POWER_MODEL ID=0 NAME=MAXN >" and goes on to the next line like it.
    for section in re.split(r"^\s*<", configuration, flags=re.MULTILINE):
        number = re.match(r"\s*POWER_MODEL\b[^>]*\bID=(\d+)", section)
        name = re.match(r"[^>]*\bNAME=(\S+)", section)
        if number and name:
            cores = re.findall(r"^CPU_ONLINE CORE_\d+ 1\b", section, re.MULTILINE)
            clocks = re.findall(r"^CPU_\w+ MAX_FREQ (-?\d+)", section, re.MULTILINE)
            clock = max((float(each) for each in clocks), default=UNLIMITED)
            mode = int(number[1])
            unlimited = clock <= 0 or "-1" in clocks
            modes[mode] = PowerMode(mode, name[1], len(cores), UNLIMITED if unlimited else clock)
    return modes


def _current_mode(host: Host) -> int | None:
    """Return the power mode: of the file that nvpmodel keeps, or as it says itself."""
    kept = re.search(r"pmode:\s*(\d+)", host.text("/var/lib/nvpmodel/status"))
    if kept:
        return int(kept[1])
    said = re.search(r"^(\d+)\s*$", host.run(["nvpmodel", "-q"]) or "", re.MULTILINE)
    return int(said[1]) if said else None
