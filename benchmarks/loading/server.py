"""The program that is measured, in a process of its own, and the clients in others."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.live.program import ROOT, ProgramFailed
from benchmarks.loading.clients import Job, Log
from streamer.audio import SAMPLE_RATE

STARTS_S = 90.0
"""Seconds that the server may take to listen."""

ENDS_S = 30.0

CLIENTS_A_PROCESS = 4


@dataclass(frozen=True)
class Running:
    """A server that listens.

    Attributes:
        url: Of its first page, with a slash at the end.
        process: Its number.
    """

    url: str
    process: int

    def stream_url(self, rate: int) -> str:
        """Return where a client sends audio of a rate."""
        return f"{self.url.replace('http', 'ws', 1)}api/stream?rate={rate}"

    @property
    def processor_s(self) -> float:
        """Processor time that it used so far, seconds."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory_mb(self) -> float:
        """Most memory that it used so far, MiB."""
        status = Path(f"/proc/{self.process}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else 0.0


@contextmanager
def serving(folder: Path, sessions: int, arguments: Sequence[str]) -> Iterator[Running]:
    """Run ``run_live.py --web`` on a free port, and end it.

    Args:
        folder: For its recordings; it is made.
        sessions: That it may transcribe at once.
        arguments: Further ones of its command line.

    Raises:
        ProgramFailed: If it does not start.
    """
    command = [sys.executable, str(ROOT / "run_live.py"), "--web", "--port", "0"]
    command += ["--data", str(folder), "--set", f"web.sessions={sessions}", *arguments]
    # In place of the microphone, which would be one stream more.
    command += ["--wav", str(_silence(folder))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
    try:
        yield Running(_address(process), process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(ENDS_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _silence(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    path = folder.with_suffix(".wav")
    soundfile.write(path, np.zeros(SAMPLE_RATE // 2, np.int16), SAMPLE_RATE)
    return path


def _address(process: subprocess.Popen[bytes]) -> str:
    """Return where the server says that it listens."""
    assert process.stdout is not None
    said, due = b"", time.monotonic() + STARTS_S
    while time.monotonic() < due and process.poll() is None:
        if select.select([process.stdout], [], [], 0.5)[0]:
            said += os.read(process.stdout.fileno(), 65_536)
        found = re.search(rb"http://\S+/(?=\s)", said)
        if found:
            return found[0].decode()
    raise ProgramFailed(f"run_live.py --web: does not listen: {said.decode(errors='replace')}")


def speak_apart(jobs: Sequence[Job], niceness: int) -> list[Log]:
    """Let clients speak in processes of their own, and return their logs in order.

    Args:
        jobs: Of the clients.
        niceness: How far they stand back behind the server, 0 to 19.

    Raises:
        ProgramFailed: If a process of theirs fails.
    """
    groups = [
        jobs[start : start + CLIENTS_A_PROCESS] for start in range(0, len(jobs), CLIENTS_A_PROCESS)
    ]
    with ThreadPoolExecutor(max(1, len(groups))) as pool:
        found = pool.map(lambda group: _speak_apart(group, niceness), groups)
        return [log for logs in found for log in logs]


def _speak_apart(jobs: Sequence[Job], niceness: int) -> list[Log]:
    command = ["nice", "-n", str(niceness), sys.executable, "-m", "benchmarks.loading.clients"]
    done = subprocess.run(
        command,
        input=json.dumps(list(map(asdict, jobs))),
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    if done.returncode:
        raise ProgramFailed(f"the clients failed: {done.stderr[-2000:]}")
    return [Log(**log) for log in json.loads(done.stdout)]
