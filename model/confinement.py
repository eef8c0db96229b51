"""Processes that handle what is not trusted, with little to do harm with.

Linux keeps the limits: nothing that runs in the process can raise them again.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent
"""The folder that this project's packages are in."""

OPEN_FILES = 8
DEATH_SIGNAL, DUMPABLE, NO_NEW_PRIVILEGES = 1, 4, 38
"""Options of ``prctl``: be killed when the parent ends, be dumped, and gain no rights."""


def python_command(module: str) -> list[str]:
    """Return what runs a module of this project, and no other of its name, in a new process."""
    apart = ["-P"] if sys.version_info >= (3, 11) else []
    return [sys.executable, *apart, "-s", "-B", "-m", module]


def bare_environment() -> dict[str, str]:
    """Return an environment for such a process, with nothing of this one's in it."""
    return {"PYTHONPATH": str(PROGRAM), "LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"}


def follow(parent: int) -> bool:
    """Have this process killed when the one that started it ends; False if that has ended."""
    _prctl(DEATH_SIGNAL, signal.SIGKILL)
    return os.getppid() == parent


def confine(memory_bytes: int, cpu_s: int, files: int = OPEN_FILES) -> None:
    """Give up, for good, writing files, core dumps, new rights, and more than it needs.

    Args:
        memory_bytes: Address space.
        cpu_s: Processor time, seconds.
        files: Files open at once.
    """
    for kind, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_NOFILE, files),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    _prctl(NO_NEW_PRIVILEGES, 1)


def forbid_dumps() -> None:
    """Let no crash write this process's memory to a disk, nor others of its user read it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(DUMPABLE, 0)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
