"""Ctrl-C and SIGTERM end the work in order, a second one the program; SIGHUP asks for new files."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM call ``stop``, and the second end the program.

    After the first the program is about to end: what comes later is passed over.

    Args:
        stop: Called in a thread of its own, because the one that is interrupted may hold
            a lock that it needs.
    """
    asked = False

    def take(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        threading.Thread(target=stop, name="stop").start()

    before = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if asked else handler)


@contextmanager
def called_at_hangup(call: Callable[[], None]) -> Iterator[None]:
    """Let SIGHUP call ``call``, which must do next to nothing, in place of ending the program.

    Not on a terminal, whose end is to end the program, and not where SIGHUP is ignored.
    """
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    if ignored or (sys.stdin is not None and sys.stdin.isatty()):
        yield
        return
    before = signal.signal(signal.SIGHUP, lambda *_: call())
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
