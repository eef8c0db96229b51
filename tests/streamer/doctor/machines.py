"""Machines made of a few files, as the doctor sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from streamer.doctor.finding import Finding
from streamer.doctor.host import Host

NVPMODEL = """\
< PARAM TYPE=FILE NAME=CPU_ONLINE >
CORE_0 /sys/devices/system/cpu/cpu0/online

< POWER_MODEL ID=0 NAME=15W >
CPU_ONLINE CORE_0 1
CPU_ONLINE CORE_1 1
CPU_ONLINE CORE_2 1
CPU_ONLINE CORE_3 1
CPU_ONLINE CORE_4 1
CPU_ONLINE CORE_5 1
CPU_A78_0 MIN_FREQ 729600
CPU_A78_0 MAX_FREQ 1497600
GPU MAX_FREQ 612000000

< POWER_MODEL ID=2 NAME=MAXN_SUPER >
CPU_ONLINE CORE_0 1
CPU_ONLINE CORE_1 1
CPU_ONLINE CORE_2 1
CPU_ONLINE CORE_3 1
CPU_ONLINE CORE_4 1
CPU_ONLINE CORE_5 1
CPU_A78_0 MAX_FREQ -1

< POWER_MODEL ID=3 NAME=7W >
CPU_ONLINE CORE_0 1
CPU_ONLINE CORE_1 1
CPU_ONLINE CORE_2 1
CPU_ONLINE CORE_3 1
CPU_ONLINE CORE_4 0
CPU_ONLINE CORE_5 0
CPU_A78_0 MAX_FREQ 960000

< PM_CONFIG DEFAULT=0 >
"""
"""The power modes of an Orin Nano, shortened."""

ORIN: Mapping[str, str] = {
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n",
    "etc/nvpmodel.conf": NVPMODEL,
    "var/lib/nvpmodel/status": "pmode:0002\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil\n",
    "sys/class/thermal/thermal_zone0/temp": "51250\n",
    "sys/class/thermal/thermal_zone1/temp": "-256000\n",
    "sys/class/thermal/cooling_device0/type": "cpufreq-cpu0\n",
    "sys/class/thermal/cooling_device0/cur_state": "0\n",
    "sys/class/hwmon/hwmon1/oc1_event_cnt": "0\n",
    "proc/meminfo": "MemTotal: 7802000 kB\nMemAvailable: 5201000 kB\nSwapTotal: 3901000 kB\n",
    "proc/asound/cards": (
        " 0 [HDA            ]: tegra-hda - NVIDIA Jetson Orin Nano HDA\n"
        "                      NVIDIA Jetson Orin Nano HDA at 0x3518000 irq 113\n"
        " 1 [APE            ]: tegra-ape - NVIDIA Jetson Orin Nano APE\n"
        " 2 [Device         ]: USB-Audio - USB PnP Sound Device\n"
        "                      C-Media Electronics Inc. USB PnP Sound Device\n"
    ),
    "proc/asound/card1/pcm0c/info": "",
    "proc/asound/card2/usbid": "0d8c:0014\n",
    "proc/asound/card2/pcm0c/info": "",
    "dev/snd/pcmC1D0c": "",
    "dev/snd/pcmC2D0c": "",
    "dev/nvhost-gpu": "",
    "etc/group": "root:x:0:\naudio:x:29:pulse\n",
}
"""An Orin Nano in good order, with a USB microphone."""


def host(
    root: Path,
    files: Mapping[str, str | None] | None = None,
    commands: Mapping[str, str] | None = None,
    **more: Any,
) -> Host:
    """Return an Orin Nano with some files other, or missing where they are None."""
    for name, content in {**ORIN, **(files or {})}.items():
        if content is not None:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")

    def run(command: Sequence[str]) -> str | None:
        return (commands or {}).get(" ".join(command))

    usual = {"environment": {}, "machine": "aarch64", "user": "anna", "cores": 6, "load": 0.5}
    defaults = {**usual, "groups": frozenset({1000}), "usable": lambda path: True}
    return Host(root, run=run, **{**defaults, **more})


def only(findings: Iterable[Finding], check: str | None = None) -> Finding:
    """Return the one finding there is, or the one of a check."""
    [finding] = [each for each in findings if check in (None, each.check)]
    return finding
