"""``--private``: nothing that is heard, and nothing that is read from it, reaches a disk.

What the program itself would write is refused, and what the system might write of its
memory is prevented as far as a program can: core dumps are off, and its memory is kept from
swap where it may be.
"""

from __future__ import annotations

import ctypes
import os
import resource
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from model.confinement import forbid_dumps
from model.errors import UsageError
from streamer.events import Notice

KIND = "private"
"""Of the notices."""

SWAPS = Path("/proc/swaps")
IN_MEMORY = "/dev/zram"
"""How swap that lies in memory itself is called."""

LOCK_NOW, LOCK_LATER, LOCK_WHEN_USED = 1, 2, 4
"""Flags of ``mlockall``."""

PROMISE = "no sound and no text is written to a disk by this program"


def check_outputs(outputs: Sequence[Path], record: Path | None, screen: bool) -> None:
    """Refuse what would write sound or text.

    Args:
        outputs: Files for captions that were asked for.
        record: File for the audio that was asked for.
        screen: Whether captions go to standard output.

    Raises:
        UsageError: If there is such a thing.
    """
    for name, path in [*(("--output", path) for path in outputs), ("--record", record)]:
        if path is not None:
            raise UsageError(f"{name} {path}: --private forbids to write it; leave one out")
    if screen:
        check_descriptor(1)


def check_descriptor(descriptor: int) -> None:
    """Refuse standard output where it ends in a file, or in the system's journal.

    Raises:
        UsageError: If it does.
    """
    try:
        state = os.fstat(descriptor)
    except OSError:
        return
    if stat.S_ISREG(state.st_mode):
        raise UsageError(
            "--private: standard output is a file, and captions would be written to it; let "
            "them go to a terminal or a pipe, or leave --private out"
        )
    if os.environ.get("JOURNAL_STREAM") == f"{state.st_dev}:{state.st_ino}":
        raise UsageError(
            "--private: standard output is the system's journal, which would keep the captions; "
            "serve them with --web, or set StandardOutput=tty or null in the unit"
        )


def write_no_bytecode() -> None:
    """Let Python, here and in what is started from here, keep no compiled modules."""
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def keep_in_memory(swaps: Path = SWAPS) -> tuple[Notice, ...]:
    """Keep this process's memory from disks, as far as it may; return what the user should know.

    Args:
        swaps: Where the system lists its swap.
    """
    write_no_bytecode()
    forbid_dumps()
    disks = [] if _lock_memory() else disk_swaps(swaps)
    told = [Notice(KIND, f"private: {PROMISE}", "info")]
    if disks:
        told.append(
            Notice(
                KIND,
                f"the system may write parts of memory to {', '.join(disks)}, speech in them; "
                "turn swap off (swapoff -a), encrypt it, or allow memory to be locked "
                "(ulimit -l unlimited, LimitMEMLOCK=infinity in a unit)",
            )
        )
    return tuple(told)


def disk_swaps(swaps: Path = SWAPS) -> list[str]:
    """Return the disks and files that memory may be written to."""
    try:
        lines = swaps.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    except OSError:
        return []
    names = [line.split()[0] for line in lines if line.strip()]
    return [name for name in names if not name.startswith(IN_MEMORY)]


def _lock_memory() -> bool:
    """Return whether no page of this process will be swapped."""
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    # Below such a limit later memory could be refused, in the middle of a sentence.
    if limit != resource.RLIM_INFINITY and os.geteuid() != 0:
        return False
    flags = LOCK_NOW | LOCK_LATER | LOCK_WHEN_USED
    return ctypes.CDLL(None).mlockall(flags) == 0
