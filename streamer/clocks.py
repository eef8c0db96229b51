"""The clock that what is lost is measured by."""

from __future__ import annotations

import time


def boot_clock() -> float:
    """Return seconds that only rise, those in which the machine slept counted in.

    ``time.monotonic`` stands still on Linux while the machine is suspended.  Where a system
    has no clock that goes on, this is ``time.monotonic``.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
