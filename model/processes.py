"""Processes that compute for another one."""

from __future__ import annotations

import os
import signal
from multiprocessing import parent_process
from threading import Thread


def follow_parent() -> None:
    """Make this process, started by another to compute for it, end with that one.

    SIGINT is left to the other, which gets it too and ends its helpers in order.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process where its parent was ended by force and told it nothing."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
