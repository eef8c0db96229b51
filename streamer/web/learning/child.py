"""A command of ``train.py`` in a process that works for the server and ends with it.

Run as ``python -m streamer.web.learning.child NICENESS LOCK COMMAND...``.  What the command
says goes to standard output as JSON Lines: ``{"heeds": "interrupts"}`` once it does, before it
begins, ``{"said": text}``, and ``{"doing": what, "done": n, "total": n}`` where it counts.
Standard input is the lifeline: when the server closes it, or dies, the command is interrupted
as by Ctrl-C, so that a training saves itself.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console

from model.commands.terminal import Terminal

EVERY_S = 0.2
"""Time between two counts that are told."""

GRACE_S = 30.0
"""Time in which an interrupted command must end by itself."""

IN_USE = 3
"""Exit code where another process still works in the same place."""

PRIVATE_UMASK = 0o077


class ReportingTerminal(Terminal):
    """Tells a program in place of a person; tables and bars are left out."""

    def __init__(self) -> None:
        nowhere = Console(file=io.StringIO(), width=200)
        super().__init__(nowhere, nowhere)

    @contextmanager
    def counting(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Tell how far something is; gives a function to call with the number done."""
        told = -EVERY_S

        def tell(done: int) -> None:
            nonlocal told
            now = time.monotonic()
            if now - told >= EVERY_S or done == total:
                told = now
                _tell(doing=what, done=done, total=total)

        tell(0)
        yield tell

    def say(self, text: str) -> None:
        """Tell a notice."""
        _tell(said=text)


def main(arguments: Sequence[str]) -> int:
    """Carry out a command and return its exit code.

    Args:
        arguments: Niceness, the file that is locked meanwhile, and a command line of
            ``train.py``.
    """
    niceness, lock, *command = arguments
    os.umask(PRIVATE_UMASK)
    os.nice(int(niceness))
    # The server may have been started so that it cannot be interrupted.  While libraries start,
    # which may lose an exception, an interrupt ends the process: nothing has begun.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _tell(heeds="interrupts")
    threading.Thread(target=_end_with_server, name="lifeline", daemon=True).start()
    with Path(lock).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            _tell(said="the training of before is still ending; try again in a moment")
            return IN_USE
        import train
        from model.commands import evaluate, fit  # noqa: F401

        return train.main(command, ReportingTerminal())


def _tell(**what: object) -> None:
    with suppress(OSError):
        print(json.dumps(what), flush=True)


def _end_with_server() -> None:
    """Interrupt the command when standard input ends, and end it where it does not heed that."""
    with suppress(OSError):
        while os.read(0, 1024):
            pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
