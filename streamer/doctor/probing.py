"""Run checks so that none can hang or end the doctor: each has a time limit of its own."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from model.confinement import PROGRAM
from streamer.doctor.finding import Finding, Progress, Show, show_nothing

CHILD = (sys.executable, "-m", "streamer.doctor.child")

BROKEN_REMEDY = "run scripts/setup; if it stays, report it with the output of --doctor --json"


@dataclass(frozen=True)
class Check:
    """A check to be run.

    Attributes:
        name: Of its findings where it ends without any.
        title: What people read in its place.
        limit_s: Longest time that it may take, seconds.
    """

    name: str
    title: str
    limit_s: float = 10.0

    def failed(self, text: str) -> Finding:
        """Return the finding of a check that came to no end."""
        return Finding(self.name, self.title, "failure", text, BROKEN_REMEDY)

    def unanswered(self) -> Finding:
        """Return the finding of a check that took too long."""
        text = f"no answer within {self.limit_s:g} s"
        remedy = "look for processes that hang (state D in `top`); unplug what they use, or restart"
        return Finding(self.name, self.title, "failure", text, remedy)


def in_thread(check: Check, function: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Run a light check in a thread, which is left behind where it hangs.

    Args:
        check: What it is.
        function: Returns its findings.
    """
    found: queue.Queue[list[Finding]] = queue.Queue()

    def run() -> None:
        findings: list[Finding] = []
        try:
            findings.extend(function())
        except Exception as error:
            findings.append(check.failed(f"{type(error).__name__}: {error}"))
        found.put(findings)

    threading.Thread(target=run, name=check.name, daemon=True).start()
    try:
        return found.get(timeout=check.limit_s)
    except queue.Empty:
        return [check.unanswered()]


def in_child(
    check: Check,
    request: Mapping[str, Any],
    show: Show = show_nothing,
    command: Sequence[str] = CHILD,
) -> list[Finding]:
    """Run a check in a process of its own, which is ended where it hangs.

    Args:
        check: What it is.
        request: What :mod:`streamer.doctor.child` is told, as JSON takes it.
        show: Is given the progress.
        command: The process.
    """
    # From the program's folder, so that nothing that lies about where it was started is run.
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=PROGRAM,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    findings: list[Finding] = []
    try:
        _tell(process, {**request, "limit_s": check.limit_s, "folder": os.getcwd()})
        ended = _gather(process, check.limit_s, findings, show)
    finally:
        _end(process)
    if not ended:
        return [*findings, check.unanswered()]
    if process.returncode:
        findings.append(check.failed(_how_it_ended(process.returncode)))
    return findings or [check.failed("it ended without a finding")]


def _tell(process: subprocess.Popen[bytes], request: Mapping[str, Any]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin:
        process.stdin.write(json.dumps(request).encode())


def _gather(
    process: subprocess.Popen[bytes], limit_s: float, findings: list[Finding], show: Show
) -> bool:
    """Take what the process says; return whether it ended in time."""
    assert process.stdout is not None
    lines: queue.Queue[bytes | None] = queue.Queue()
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    until_s = time.monotonic() + limit_s
    while (left_s := until_s - time.monotonic()) > 0:
        try:
            line = lines.get(timeout=left_s)
        except queue.Empty:
            return False
        if line is None:
            return _has_ended(process)
        with suppress(ValueError, TypeError):
            record = json.loads(line)
            if "finding" in record:
                findings.append(Finding(**record["finding"]))
            elif "progress" in record:
                show(Progress(**record["progress"]))
    return False


def _read(stream: IO[bytes], lines: queue.Queue[bytes | None]) -> None:
    with suppress(OSError, ValueError):
        for line in stream:
            lines.put(line)
    lines.put(None)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(1.0)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and those it started, without waiting for one that cannot end."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
    if process.stdout is not None and process.returncode is not None:
        process.stdout.close()


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"it ended with exit code {code}"
    with suppress(ValueError):
        return f"it crashed ({signal.Signals(-code).name})"
    return f"it crashed (signal {-code})"
