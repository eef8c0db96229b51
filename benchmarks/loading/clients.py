"""Clients that speak to a server in real time, several in one process.

    python -m benchmarks.loading.clients < jobs.json > logs.json

They keep to the clock: a block is sent when its last sample would have been spoken, and
everything that comes back is noted with its time since the first sample was spoken.
"""

from __future__ import annotations

import json
import struct
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import soundfile
from websocket import ABNF, WebSocket, WebSocketException, create_connection

BLOCK_S = 0.1
"""Audio in a message, as the recording page sends it; seconds."""

PATIENCE_S = 60.0
"""Seconds that a server may take to say anything once all was sent."""


@dataclass(frozen=True)
class Job:
    """What a client does.

    Attributes:
        url: Of the stream, with its rate.
        path: File of 16-bit audio at that rate.
        start_s: When to begin, seconds of the machine's monotonic clock.
    """

    url: str
    path: str
    start_s: float


@dataclass
class Log:
    """What a client saw.

    Attributes:
        messages: What came, each with the seconds since the first sample was spoken.
        late_s: How late each block was sent, seconds.
        code: With which the server closed the connection; 0 if it did not.
        failure: Why the client ended early, or "".
    """

    messages: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    code: int = 0
    failure: str = ""


def speak(job: Job) -> Log:
    """Stream a file to a server, and return what came back until the summary."""
    log = Log()
    pcm, rate = soundfile.read(job.path, dtype="int16")
    try:
        with closing(create_connection(job.url, timeout=PATIENCE_S)) as socket:
            listener = threading.Thread(target=_listen, args=(socket, job.start_s, log))
            listener.start()
            with suppress(WebSocketException, OSError):  # A socket that was closed is in the log.
                _send(socket, pcm.astype("<i2").tobytes(), rate, job.start_s, log)
            listener.join()
            # Closing alone leaves open what the server ended first.
            socket.shutdown()  # type: ignore[no-untyped-call]
    except (WebSocketException, OSError) as error:
        log.failure = f"{type(error).__name__}: {error}"
    return log


def _send(socket: WebSocket, pcm: bytes, rate: int, start_s: float, log: Log) -> None:
    step = 2 * round(BLOCK_S * rate)
    for place in range(0, len(pcm), step):
        block = pcm[place : place + step]
        due_s = start_s + (place + len(block)) / 2 / rate
        time.sleep(max(0.0, due_s - time.monotonic()))
        if log.code:
            return
        socket.send_binary(block)
        log.late_s.append(time.monotonic() - due_s)
    socket.send(json.dumps({"type": "end"}))


def _listen(socket: WebSocket, start_s: float, log: Log) -> None:
    """Note what comes, up to the summary or to the end of the connection."""
    try:
        while True:
            kind, content = socket.recv_data(control_frame=True)
            came_s = time.monotonic() - start_s
            if kind == ABNF.OPCODE_CLOSE:
                log.code = struct.unpack("!H", content[:2])[0] if len(content) > 1 else 1005
                return
            if kind == ABNF.OPCODE_TEXT:
                message = json.loads(content)
                log.messages.append((came_s, message))
                if message["type"] == "summary":
                    return
    except (WebSocketException, OSError) as error:
        log.failure = f"{type(error).__name__}: {error}"


def speak_all(jobs: Sequence[Job]) -> list[Log]:
    """Let several clients speak at once, and return their logs in order."""
    with ThreadPoolExecutor(max(1, len(jobs))) as pool:
        return list(pool.map(speak, jobs))


def main() -> int:
    """Do the jobs of standard input and write their logs to standard output."""
    jobs = [Job(**job) for job in json.load(sys.stdin)]
    json.dump([asdict(log) for log in speak_all(jobs)], sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
