"""What the checks ask of the machine, so that tests can give them another one."""

from __future__ import annotations

import os
import platform
import pwd
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

COMMAND_S = 4.0
"""Longest wait for a command, seconds."""


def run_command(command: Sequence[str]) -> str | None:
    """Return what a command prints; None where it is missing, fails or does not end."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_S,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def user_name() -> str:
    """Return the name of the user that the program runs as; the number where it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


@dataclass(frozen=True)
class Host:
    """A machine.

    Attributes:
        root: Root of its files; the checks read below it only.
        environment: Environment variables.
        machine: Architecture, such as ``aarch64``.
        user: Name of the user.
        groups: Numbers of the groups that this process is in.
        cores: Cores that this process may use.
        load: Mean number of busy threads in the last minute.
        run: Runs a command; see :func:`run_command`.
        usable: Whether a device may be read and written.
    """

    root: Path = Path("/")
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    machine: str = field(default_factory=platform.machine)
    user: str = field(default_factory=user_name)
    groups: frozenset[int] = field(default_factory=lambda: frozenset(os.getgroups()))
    cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    run: Callable[[Sequence[str]], str | None] = run_command
    usable: Callable[[Path], bool] = lambda path: os.access(path, os.R_OK | os.W_OK)

    def path(self, name: str) -> Path:
        """Return the path of one of its files, named from its root."""
        return self.root / name.lstrip("/")

    def name(self, path: Path) -> str:
        """Return what :meth:`path` makes a path of."""
        return str(path.relative_to(self.root))

    def text(self, name: str) -> str:
        """Return what a file says, without blanks and NULs around it; "" if it cannot be read."""
        with suppress(OSError):
            content = self.path(name).read_bytes().decode("utf-8", "replace")
            return content.replace("\0", "\n").strip()
        return ""

    def number(self, name: str) -> float | None:
        """Return the number that a file says; None where it says none."""
        with suppress(ValueError):
            return float(self.text(name))
        return None

    def glob(self, pattern: str) -> list[Path]:
        """Return the files that fit a pattern, sorted by name."""
        with suppress(OSError):
            return sorted(self.root.glob(pattern.lstrip("/")))
        return []

    @property
    def in_container(self) -> bool:
        """Whether this is the inside of a container."""
        marks = ("/.dockerenv", "/run/.containerenv")
        return "container" in self.environment or any(self.path(mark).exists() for mark in marks)
