"""What this process uses of the machine; read from Linux's ``/proc``."""

from __future__ import annotations

import ctypes
import resource
from dataclasses import dataclass
from pathlib import Path

_PAGE_MB = resource.getpagesize() / 2**20
_PROCESS = Path("/proc/self")

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
"""Parameters of glibc's mallopt."""

LARGE_BYTES = 2**20
"""Arrays from this size on are given back to the system when they are freed."""

MOST_HEAPS = 2
"""Heaps that the threads share; glibc would make eight for each core."""


@dataclass(frozen=True)
class Usage:
    """What a process uses.

    Attributes:
        memory_mb: Resident memory, MiB.
        threads: Threads, those of libraries included.
        handles: Open files, sockets and the like.
    """

    memory_mb: float
    threads: int
    handles: int

    @classmethod
    def now(cls) -> Usage:
        """Return what this process uses now; zeros where the system does not tell."""
        try:
            pages = int((_PROCESS / "statm").read_text().split()[1])
            threads = sum(1 for _ in (_PROCESS / "task").iterdir())
            handles = sum(1 for _ in (_PROCESS / "fd").iterdir()) - 1
        except OSError:
            return cls(0.0, 0, 0)
        return cls(pages * _PAGE_MB, threads, handles)


def steady_memory() -> None:
    """Keep a process that runs for months from holding on to freed memory.

    glibc raises the size from which on a block is mapped by itself with every such block
    that is freed; later ones then lie between small ones in a heap, which can no longer
    shrink.  Set by hand, the size stays.  With another C library nothing is changed.
    """
    c_library = ctypes.CDLL(None)
    if hasattr(c_library, "gnu_get_libc_version"):
        c_library.mallopt(_MMAP_THRESHOLD, LARGE_BYTES)
        c_library.mallopt(_ARENA_MAX, MOST_HEAPS)
