"""Commands of ``train.py`` as the server starts, hears and stops them."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from model.errors import CaptionerError
from streamer.decoders import REPOSITORY
from streamer.settings import LearningSettings
from streamer.web.learning.child import IN_USE

CHILD = "streamer.web.learning.child"
ERROR = "train.py: error: "
HEEDS = json.dumps({"heeds": "interrupts"}) + "\n"
"""What the child writes once an interrupt reaches it."""

TAIL_LINES = 8
LONGEST_MESSAGE = 2000


class CommandFailed(CaptionerError):
    """A command of ``train.py`` ended with an error; its message is this one's."""


@dataclass(frozen=True)
class Counting:
    """How far a command is with something.

    Attributes:
        doing: What it counts.
        done: How many are done.
        total: How many there are; None where not known.
    """

    doing: str
    done: int
    total: int | None


class TrainCommand:
    """One command in a process of its own; :meth:`stop` may be called from any thread.

    Args:
        arguments: The command line of ``train.py``.
        settings: Backend and niceness.
        lock: File that tells another process that this one works.
        compiled: Folder in which JAX keeps what it compiled, which takes longer than some
            trainings; made when missing.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        settings: LearningSettings,
        lock: Path,
        compiled: Path,
    ) -> None:
        self._arguments = [str(argument) for argument in arguments]
        self._settings = settings
        self._lock = lock
        self._compiled = compiled
        self._change = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False
        self._heeds_interrupts = False

    def run(
        self,
        count: Callable[[Counting], None] = lambda counting: None,
        say: Callable[[str], None] = lambda text: None,
    ) -> bool:
        """Run the command to its end; return whether it finished, False where it was stopped.

        Args:
            count: Told how far it is.
            say: Told its notices.

        Raises:
            CommandFailed: If it ended with an error.
        """
        with self._change:
            if self._stopped:
                return False
            self._process = process = self._start()
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                if line == HEEDS:
                    self._heeds_interrupts = True
                else:
                    _hear(line, count, say, tail)
            code = process.wait()
        if code and not self._stopped:
            raise CommandFailed(_message(code, tail))
        return code == 0

    def stop(self) -> None:
        """Interrupt it; a training saves itself after its step, the second time it does not.

        Before it can be interrupted it has done nothing, and is ended at once: the interrupt would
        be lost where the server was started with interrupts ignored.
        """
        self._signal(signal.SIGINT if self._heeds_interrupts else signal.SIGKILL)

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with self._change:
            self._stopped = True
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(number)

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", CHILD, str(self._settings.niceness), str(self._lock)]
        return subprocess.Popen(
            [*command, *self._arguments],
            cwd=REPOSITORY,
            env={
                **os.environ,
                "KERAS_BACKEND": self._settings.backend,
                "JAX_COMPILATION_CACHE_DIR": str(self._compiled / _processor()),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C at the server's terminal is the server's alone.
        )


@cache
def _processor() -> str:
    """Return what tells this processor from others, whose compiled code may not run here."""
    known = platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
        known += next((line for line in lines if line.lower().startswith(("flags", "feat"))), "")
    return hashlib.sha256(known.encode()).hexdigest()[:16]


def _hear(
    line: str,
    count: Callable[[Counting], None],
    say: Callable[[str], None],
    tail: deque[str],
) -> None:
    """Pass on what a line tells; other lines, as of a traceback, are remembered."""
    record = None
    with suppress(ValueError):
        record = json.loads(line)
    match record:
        case {"doing": str(doing), "done": int(done), "total": int() | None as total}:
            count(Counting(doing, done, total))
        case {"said": str(text)}:
            tail.append(text)
            say(text)
        case _:
            tail.append(line.rstrip())


def _message(code: int, tail: Sequence[str]) -> str:
    """Return what went wrong, in the command's own words where it has some."""
    for text in reversed(tail):
        if text.startswith(ERROR):
            return text.removeprefix(ERROR)[:LONGEST_MESSAGE]
    if code < 0:
        return (
            f"the training was ended from outside (signal {-code}), perhaps for lack of memory; "
            "close other programs and continue it"
        )
    said = "\n".join(tail).strip()[-LONGEST_MESSAGE:]
    if code == IN_USE:
        return said
    return f"the training ended with exit code {code}: {said or 'it said nothing'}"
