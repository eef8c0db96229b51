"""The checks of the machine, on machines made of a few files."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from streamer.doctor.finding import Finding
from streamer.doctor.host import Host, run_command
from streamer.doctor.jetson import check_board
from streamer.doctor.machine import (
    check_clock,
    check_gpu,
    check_memory,
    check_processor,
    check_terminal,
)
from tests.streamer.doctor.machines import host, only

GOVERNOR = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
NOW = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)


def everything(machine: Host) -> list[Finding]:
    checks = (check_board, check_processor, check_memory, check_gpu)
    return [
        *(finding for check in checks for finding in check(machine)),
        *check_clock(machine, NOW),
        *check_terminal(machine, "utf-8"),
    ]


def test_a_board_in_good_order_gives_no_remedy(tmp_path: Path) -> None:
    found = everything(host(tmp_path))
    assert {(finding.status, finding.remedy) for finding in found} == {("ok", "")}
    board = only(found, "board")
    assert "Orin Nano" in board.text and "L4T R36.4.3 (JetPack 6)" in board.text
    assert only(found, "power").text == "MAXN_SUPER, with 6 cores"
    assert only(found, "temperature").figures["hottest_c"] == 51.25


def test_a_machine_without_any_of_these_files_gives_no_failure(tmp_path: Path) -> None:
    found = everything(Host(tmp_path, environment={}, run=lambda command: None, load=0.0))
    assert {finding.status for finding in found} <= {"ok", "absent"}
    assert only(found, "board").status == "absent"


@pytest.mark.parametrize(
    ("file", "content", "check", "remedy"),
    [
        ("var/lib/nvpmodel/status", "pmode:0003", "power", "sudo nvpmodel -m 2"),
        ("etc/nv_tegra_release", "# R32 (release), REVISION: 7.1, GCID: 1", "board", "JetPack 6"),
        (
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
            "powersave",
            "processor",
            "clocks",
        ),
        ("sys/class/thermal/thermal_zone0/temp", "97500", "temperature", "fan"),
        ("sys/class/thermal/cooling_device0/cur_state", "3", "temperature", "fan"),
        ("sys/class/hwmon/hwmon1/oc1_event_cnt", "12", "supply", "supply"),
    ],
)
def test_a_trouble_of_the_board_is_a_warning_with_a_remedy(
    tmp_path: Path, file: str, content: str, check: str, remedy: str
) -> None:
    finding = only(everything(host(tmp_path, {file: content})), check)
    assert finding.status == "warning"
    assert remedy in finding.remedy


def test_the_slowest_mode_is_not_told_by_its_number(tmp_path: Path) -> None:
    power = only(check_board(host(tmp_path, {"var/lib/nvpmodel/status": "pmode:0000"})), "power")
    assert power.text.startswith("15W, with 6 cores")
    assert "-m 2  (MAXN_SUPER" in power.remedy


def test_a_board_without_the_file_is_asked_for_its_power_mode(tmp_path: Path) -> None:
    commands = {"nvpmodel -q": "NV Power Mode: 7W\n3\n"}
    machine = host(tmp_path, {"var/lib/nvpmodel/status": None}, commands)
    assert only(check_board(machine), "power").figures["mode"] == 3


def test_the_powersave_governor_of_intel_is_no_trouble(tmp_path: Path) -> None:
    folder = "sys/devices/system/cpu/cpu0/cpufreq"
    files = {f"{folder}/scaling_governor": "powersave", f"{folder}/scaling_driver": "intel_pstate"}
    assert only(check_processor(host(tmp_path, files)), "processor").status == "ok"


def test_a_busy_machine_is_a_warning(tmp_path: Path) -> None:
    assert only(check_processor(host(tmp_path, load=9.0)), "processor").status == "warning"


@pytest.mark.parametrize(
    ("total", "free", "swap", "status", "remedy"),
    [
        (7800, 5000, 0, "ok", ""),
        (3900, 2000, 0, "warning", "zram"),
        (3900, 2000, 1900, "ok", ""),
        (3900, 500, 1900, "warning", "end other programs"),
        (3900, 200, 1900, "failure", "end other programs"),
    ],
)
def test_memory(tmp_path: Path, total: int, free: int, swap: int, status: str, remedy: str) -> None:
    sizes = {"MemTotal": total, "MemAvailable": free, "SwapTotal": swap}
    meminfo = "".join(f"{name}: {size * 1024} kB\n" for name, size in sizes.items())
    finding = only(check_memory(host(tmp_path, {"proc/meminfo": meminfo})))
    assert (finding.status, remedy in finding.remedy) == (status, True)
    assert finding.figures == {"total_mb": total, "free_mb": free, "swap_mb": swap}


def test_the_limit_of_a_container_counts(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/memory.max": str(512 * 2**20),
        "sys/fs/cgroup/memory.current": str(400 * 2**20),
    }
    finding = only(check_memory(host(tmp_path, files)))
    assert (finding.status, finding.figures["free_mb"]) == ("failure", 112)


def test_a_clock_that_was_never_set_is_a_warning(tmp_path: Path) -> None:
    machine = host(tmp_path)
    at_start = datetime(1970, 1, 1, 0, 1, tzinfo=timezone.utc)
    assert only(check_clock(machine, at_start)).status == "warning"
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)
    unset = only(check_clock(machine, NOW))
    assert unset.status == "warning" and "timedatectl" in unset.remedy
    (tmp_path / "run/systemd/timesync/synchronized").touch()
    assert only(check_clock(machine, NOW)).status == "ok"


@pytest.mark.parametrize(
    ("encoding", "status"),
    [("UTF-8", "ok"), ("utf8", "ok"), ("ascii", "warning")],
)
def test_a_terminal_that_lacks_signs_is_a_warning(
    tmp_path: Path, encoding: str, status: str
) -> None:
    assert only(check_terminal(host(tmp_path), encoding)).status == status


def test_without_a_gpu_captions_go_on(tmp_path: Path) -> None:
    assert only(check_gpu(host(tmp_path, {"dev/nvhost-gpu": None}))).status == "absent"


def test_commands_that_fail_or_are_missing_say_nothing() -> None:
    assert run_command(["false"]) is None
    assert run_command(["no-such-command-anywhere"]) is None
    assert run_command(["echo", "this"]) == "this\n"
