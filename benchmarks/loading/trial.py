"""One number of clients, measured."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import soundfile
import soxr

from benchmarks.live.arguments import machine_load
from benchmarks.live.judging import Offline
from benchmarks.live.tapes import Tape, session_tape
from benchmarks.loading.clients import Job, Log, speak_all
from benchmarks.loading.judging import Heard, judge
from benchmarks.loading.server import serving, speak_apart
from model.corpora.manifest import Utterance
from streamer.audio import SAMPLE_RATE

READY_S = 8.0
"""Seconds that the clients' processes have to start before they speak."""

SPREAD_S = 1.7
"""Clients begin within so many seconds of each other, so that their partials do not coincide."""

REFUSED_S = 4.0
"""Least length of what is said to a server that is full, seconds."""


@dataclass(frozen=True)
class Trial:
    """What all numbers of clients have in common.

    Attributes:
        rows: What is said.
        seconds: Least length of what a client says.
        rate: Of the audio that clients send, Hz.
        niceness: How far the clients stand back behind the server, 0 to 19.
        limit_s: Nine in ten of the times that are added must be below, seconds.
        arguments: Further ones of the server's command line.
    """

    rows: Sequence[Utterance]
    seconds: float
    rate: int
    niceness: int
    limit_s: float
    arguments: Sequence[str] = ()

    def run(self, clients: int, offline: Offline) -> dict[str, Any]:
        """Return the figures of a number of clients.

        Raises:
            CaptionerError: If a recording cannot be read, or the server does not start.
        """
        with TemporaryDirectory(prefix="sessions") as name:
            folder = Path(name)
            said = list(self._said(clients, self.seconds, folder))
            with serving(folder / "data", clients, self.arguments) as server:
                jobs = self._jobs(server.stream_url(self.rate), [path for _, path in said])
                used_s = server.processor_s
                logs = speak_apart(jobs, self.niceness)
                used_s = server.processor_s - used_s
                memory_mb = server.memory_mb
        heard = Heard()
        for (tape, _), log in zip(said, logs, strict=True):
            heard.add(judge(tape, log, offline))
        figures = heard.figures()
        return {
            "clients": clients,
            **figures,
            "cores": round(used_s * clients / max(1e-9, heard.audio_s), 3),
            "memory_mb": round(memory_mb),
            "cpu_load": machine_load(),
            "borne": is_borne(figures, self.limit_s),
        }

    def refusal(self) -> dict[str, Any]:
        """Return what the client is told for whom there is no place.

        Raises:
            CaptionerError: If a recording cannot be read, or the server does not start.
        """
        with TemporaryDirectory(prefix="sessions") as name:
            folder = Path(name)
            paths = [path for _, path in self._said(2, REFUSED_S, folder)]
            with serving(folder / "data", 1, self.arguments) as server:
                start_s = time.monotonic() + 1.0
                url = server.stream_url(self.rate)
                logs = speak_all([Job(url, str(path), start_s) for path in paths])
        return {
            "told": [_notice(log) for log in logs if log.code],
            "others_went_on": sum(_is_whole(log) for log in logs),
        }

    def _jobs(self, url: str, paths: Sequence[Path]) -> list[Job]:
        begin_s = time.monotonic() + READY_S
        steps = (SPREAD_S * number / len(paths) for number in range(len(paths)))
        return [
            Job(url, str(path), begin_s + step_s) for path, step_s in zip(paths, steps, strict=True)
        ]

    def _said(self, clients: int, seconds: float, folder: Path) -> Iterator[tuple[Tape, Path]]:
        """Yield what each client says, and the file of it; each begins at another recording."""
        for client in range(clients):
            chosen = list(_chosen(self.rows, client * len(self.rows) // clients, seconds))
            tape = session_tape(chosen, None, folder)
            samples = tape.samples
            if self.rate != SAMPLE_RATE:
                samples = soxr.resample(samples, SAMPLE_RATE, self.rate)
            path = folder / f"client-{client}.wav"
            soundfile.write(path, samples, self.rate, subtype="PCM_16")
            yield tape, path


def is_borne(figures: Mapping[str, Any], limit_s: float) -> bool:
    """Return whether a server bears so many clients."""
    added_s = figures["added_s"]["p90"]
    in_time = added_s is not None and added_s < limit_s
    return in_time and not figures["lost_s"] and not figures["failures"]


def _chosen(rows: Sequence[Utterance], first: int, seconds: float) -> Iterator[Utterance]:
    """Yield recordings from one on, over and over, until they are long enough."""
    long_s = 0.0
    for row in islice(cycle(rows), first, None):
        yield row
        long_s += row.duration
        if long_s >= seconds:
            return


def _notice(log: Log) -> dict[str, Any]:
    notices = [message for _, message in log.messages if message["type"] == "notice"]
    return {"close_code": log.code, "notices": notices}


def _is_whole(log: Log) -> bool:
    return any(message["type"] == "summary" for _, message in log.messages)
