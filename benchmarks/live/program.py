"""Start the real program, and see how long it takes to listen and how much memory it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from model.errors import CaptionerError

ROOT = Path(__file__).resolve().parents[2]

LAUNCHER = """
import json, os, resource, subprocess, sys, time
def processor_s(process):
    try:
        fields = open(f"/proc/{process}/stat").read().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0
began = time.perf_counter()
child = subprocess.Popen(
    sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
)
first = child.stdout.readline()
listening_s, worked_s = time.perf_counter() - began, processor_s(child.pid)
_, errors = child.communicate()
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({
    "listening_s": listening_s,
    "worked_s": worked_s,
    "whole_s": time.perf_counter() - began,
    "peak_kb": usage.ru_maxrss,
    "failed": child.returncode != 0 or not first,
    "errors": errors.decode(errors="replace")[-2000:],
}))
"""
"""A small process that starts the program: the peak of a child counts that of its parent."""


class ProgramFailed(CaptionerError):
    """The program that was to be measured ended with an error."""


def measure_program(arguments: Sequence[str], starts: int) -> dict[str, Any]:
    """Run ``run_live.py`` on a recording some times and return what it took.

    Args:
        arguments: Its command line.
        starts: How many times.

    Returns:
        ``startup_wall_s``, the median time to its first line; ``startup_all_wall_s``, each;
        ``cpu_startup_s``, the median processor time up to it, 0 where the system does not tell;
        ``whole_wall_s``, the median time to its end; ``memory_peak_mb``, the largest.

    Raises:
        ProgramFailed: If it does not run.
    """
    runs = [_run(arguments) for _ in range(starts)]
    return {
        "starts": starts,
        "startup_wall_s": round(median(run["listening_s"] for run in runs), 3),
        "startup_all_wall_s": [round(run["listening_s"], 3) for run in runs],
        "cpu_startup_s": round(median(run["worked_s"] for run in runs), 3),
        "whole_wall_s": round(median(run["whole_s"] for run in runs), 3),
        "memory_peak_mb": round(max(run["peak_kb"] for run in runs) / 1024, 1),
    }


def _run(arguments: Sequence[str]) -> dict[str, Any]:
    command = [sys.executable, str(ROOT / "run_live.py"), *arguments]
    launcher = [sys.executable, "-S", "-c", LAUNCHER]
    done = subprocess.run([*launcher, *command], capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {"failed": True}
    if found["failed"]:
        reason = str(found.get("errors") or done.stderr).strip()
        raise ProgramFailed(
            f"run_live.py {' '.join(arguments)}: cannot be measured, it failed: {reason}; "
            "mend that, or leave it out with --starts 0"
        )
    return found
