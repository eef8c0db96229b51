"""What a program does to disks and networks, seen by its system calls."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

CHANGING = (
    *("open", "openat", "openat2", "creat", "mkdir", "mkdirat", "rename", "renameat", "renameat2"),
    *("unlink", "unlinkat", "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat"),
    *("truncate", "ftruncate", "connect"),
)
"""System calls by which something could come to a disk or to a network."""


def can_trace() -> bool:
    """Return whether system calls can be watched here."""
    command = ["strace", "-qq", "-e", "trace=none", "true"]
    return shutil.which("strace") is not None and subprocess.run(command).returncode == 0


def traced(trace: Path) -> list[str]:
    """Return the start of a command line that notes the calls of the rest in a file."""
    calls = ["-e", "signal=none", "-e", f"trace={','.join(CHANGING)}"]
    return ["strace", "-f", "-qq", *calls, "-o", str(trace)]


def changes(trace: Path) -> list[str]:
    """Return the noted calls that changed something."""
    lines = trace.read_text(errors="replace").splitlines()
    return [call for call in _whole(lines) if is_change(call)]


def _whole(lines: Iterable[str]) -> Iterator[str]:
    """Yield calls in one piece each; strace cuts one in two where another thread calls between."""
    begun: dict[str, str] = {}
    for line in lines:
        thread = line.partition(" ")[0]
        resumed = re.match(r"\d+ +<\.\.\. \w+ resumed>", line)
        if line.endswith("<unfinished ...>"):
            begun[thread] = line.removesuffix("<unfinished ...>")
        elif resumed:
            yield begun.pop(thread, line) + line[resumed.end() :]
        else:
            yield line
    # One that the end of its program cut off may have been done.
    yield from begun.values()


def is_change(line: str) -> bool:
    """Return whether a call made or changed something outside of /dev and /proc."""
    if " = -1 " in line or "AF_NETLINK" in line:
        return False
    if re.search(r"\bopen(at2?)?\b", line):
        made = re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_TMPFILE", line)
        return bool(made) and not re.search(r'"/(dev|proc)/', line)
    return True
