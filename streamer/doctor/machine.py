"""The machine: Python, cores, temperature, memory, GPU, clock, terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import datetime, timezone

from model.wording import counted
from streamer.doctor.finding import Finding
from streamer.doctor.host import Host

HOT_C = 85.0
"""Temperature from which on boards lower their clocks, degrees Celsius."""

LEAST_MB, SCARCE_MB = 300, 600
"""Memory that the program needs, and below which little is left for anything else, MB."""

SMALL_MB = 4500
"""Memory of a machine, MB, that should have some swap."""

PROGRAM_OF = datetime(2025, 1, 1, tzinfo=timezone.utc)
"""The program is younger than this: a clock before it is wrong."""

NVIDIA_DEVICES = ("/dev/nvidia0", "/dev/nvhost-gpu", "/dev/nvgpu")


def check_processor(host: Host) -> Iterator[Finding]:
    """Yield the cores, how busy they are and how their clock is governed."""
    governor = host.text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    driver = host.text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver")
    figures = {"cores": host.cores, "load": round(host.load, 2), "governor": governor or None}
    text = f"{counted(host.cores, 'core')}, {host.load:.1f} busy in the last minute"
    text += f", governor {governor}" if governor else ""
    # These drivers raise the clock by themselves under the governor of that name.
    held_low = governor == "powersave" and not re.match(r"intel_pstate|amd[-_]pstate", driver)
    if held_low:
        remedy = "sudo jetson_clocks on a Jetson, else sudo cpupower frequency-set -g ondemand"
        yield Finding("processor", "Processor", "warning", text, remedy, figures)
    elif host.load >= host.cores + 0.5:
        remedy = "captions share the cores with other programs: see which, with `top`"
        yield Finding("processor", "Processor", "warning", text, remedy, figures)
    else:
        yield Finding("processor", "Processor", "ok", text, figures=figures)
    yield from _temperature(host)


def _temperature(host: Host) -> Iterator[Finding]:
    zones = host.glob("/sys/class/thermal/thermal_zone*/temp")
    readings = [host.number(host.name(path)) for path in zones]
    # Boards give nonsense for zones that are switched off.
    degrees = [each / 1000 for each in readings if each is not None and 0 < each < 150_000]
    throttled = list(_throttled(host))
    if not degrees and not throttled:
        return
    hottest = max(degrees, default=0.0)
    figures = {"hottest_c": hottest, "throttled": throttled}
    text = f"{hottest:.0f} degrees at the hottest place"
    if throttled or hottest >= HOT_C:
        text += f", lowered: {', '.join(throttled)}" if throttled else ""
        remedy = "cool it: clean or add a fan, give it air (sudo jetson_clocks --fan on a Jetson)"
        yield Finding("temperature", "Temperature", "warning", text, remedy, figures)
    else:
        yield Finding("temperature", "Temperature", "ok", text, figures=figures)


def _throttled(host: Host) -> Iterator[str]:
    """Yield the cooling devices of the processor that hold its clock down now."""
    for path in host.glob("/sys/class/thermal/cooling_device*/type"):
        folder = host.name(path.parent)
        kind = host.text(f"{folder}/type")
        if re.search(r"cpu|processor", kind, re.IGNORECASE) and host.number(f"{folder}/cur_state"):
            yield kind


def check_memory(host: Host) -> Iterator[Finding]:
    """Yield what memory there is, and swap."""
    sizes = dict(re.findall(r"^(\w+):\s+(\d+) kB", host.text("/proc/meminfo"), re.MULTILINE))
    if "MemAvailable" not in sizes:
        yield Finding("memory", "Memory", "absent", "not told by /proc/meminfo")
        return
    total, free, swap = (
        int(sizes.get(name, 0)) // 1024 for name in ("MemTotal", "MemAvailable", "SwapTotal")
    )
    limit = host.number("/sys/fs/cgroup/memory.max")
    if limit is not None and limit / 2**20 < total:
        used = host.number("/sys/fs/cgroup/memory.current") or 0.0
        total, free = int(limit / 2**20), min(free, int((limit - used) / 2**20))
    text = f"{free} of {total} MB free, swap {swap} MB"
    figures = {"total_mb": total, "free_mb": free, "swap_mb": swap}
    if free < LEAST_MB:
        remedy = f"end other programs: captions need {LEAST_MB} MB; or add swap or zram"
        yield Finding("memory", "Memory", "failure", text, remedy, figures)
    elif free < SCARCE_MB:
        remedy = "end other programs; captions need 200 to 300 MB, with pages or learning more"
        yield Finding("memory", "Memory", "warning", text, remedy, figures)
    elif swap == 0 and total < SMALL_MB:
        remedy = "without swap a full memory ends programs: sudo apt-get install zram-tools"
        yield Finding("memory", "Memory", "warning", text, remedy, figures)
    else:
        yield Finding("memory", "Memory", "ok", text, figures=figures)


def check_gpu(host: Host) -> Iterator[Finding]:
    """Yield whether there is a GPU of NVIDIA's; captions need none."""
    driver = re.search(
        r"Kernel Module.*?(\d+\.\d+(?:\.\d+)?)", host.text("/proc/driver/nvidia/version")
    )
    there = [name for name in NVIDIA_DEVICES if host.path(name).exists()]
    if not there:
        yield Finding("gpu", "GPU", "absent", "none of NVIDIA's; captions need none")
        return
    text = "NVIDIA's, as " + ", ".join(there) + (f", driver {driver[1]}" if driver else "")
    yield Finding("gpu", "GPU", "ok", text)


def check_clock(host: Host, now: datetime | None = None) -> Iterator[Finding]:
    """Yield whether the time of day can be right: names of rotated files carry it."""
    now = now or datetime.now(timezone.utc)
    text = now.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    remedy = "set it from the network: sudo timedatectl set-ntp true; then look with timedatectl"
    keeper = host.path("/run/systemd/timesync")
    if now < PROGRAM_OF:
        yield Finding("clock", "Clock", "warning", f"{text}, which is past", remedy)
    elif keeper.is_dir() and not (keeper / "synchronized").exists():
        yield Finding("clock", "Clock", "warning", f"{text}, not set by the network yet", remedy)
    else:
        yield Finding("clock", "Clock", "ok", text)


def check_terminal(host: Host, encoding: str | None = None) -> Iterator[Finding]:
    """Yield whether names and captions can be shown with their own signs."""
    # Python's own: while progress is shown rich puts another stream in the place of sys.stdout.
    encoding = (encoding or getattr(sys.__stdout__, "encoding", None) or "none").casefold()
    names = ("LC_ALL", "LC_CTYPE", "LANG")
    language = next((host.environment[name] for name in names if host.environment.get(name)), "")
    text = f"{encoding}, language {language or 'not set'}"
    if encoding.replace("-", "") in ("utf8", "utf_8"):
        yield Finding("terminal", "Terminal", "ok", text)
    else:
        remedy = "signs beyond ASCII show as question marks; set: export LANG=C.UTF-8"
        yield Finding("terminal", "Terminal", "warning", text, remedy)
