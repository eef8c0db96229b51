"""What the service manager is told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from streamer.events import Event, EventSink, Notice, Status, StreamStarted
from streamer.service import LIVING_LAG_S, Manager, Progress, Service

ROOT = Path(__file__).parents[2]
CLIP = ROOT / "tests/data/speech/669-129074-0011.opus"
PATIENCE_S = 10.0


class Listening:
    """The service manager's socket; it gives what it is told, line by line."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def next(self, timeout: float = 60.0) -> list[str]:
        self._socket.settimeout(timeout)
        return self._socket.recv(4096).decode().splitlines()

    def until(self, line: str, timeout: float = 60.0) -> list[list[str]]:
        """Return what it was told until a line comes."""
        told = []
        deadline = time.monotonic() + timeout
        while not told or line not in told[-1]:
            told.append(self.next(max(0.1, deadline - time.monotonic())))
        return told

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Listening]:
    listening = Listening(str(tmp_path / "notify"))
    yield listening
    listening.close()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Kept:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closed = False

    def emit(self, event: Event, emitted_s: float) -> None:
        self.events.append(event)

    def close(self) -> None:
        self.closed = True


def status(audio_s: float, lag_s: float = 0.0) -> Status:
    return Status(audio_s, -30.0, lag_s, 0.0, False)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    progress = Progress(PATIENCE_S, clock)
    progress.begin()
    return progress


def after(progress: Progress, clock: Clock, *events: Event) -> bool:
    """Return whether captions go on after events of a second each."""
    for event in events:
        clock.now += 1
        progress.take(event)
    return progress.alive


def test_audio_that_is_read_is_progress(progress: Progress, clock: Clock) -> None:
    assert after(progress, clock, *(status(n, 0.1) for n in range(1, 50)))


def test_slow_recognition_is_progress(progress: Progress, clock: Clock) -> None:
    assert after(progress, clock, *(status(n, n / 2) for n in range(1, 50)))


def test_recognition_that_hangs_is_none(progress: Progress, clock: Clock) -> None:
    after(progress, clock, status(5))
    assert after(progress, clock, *(status(5 + n, n) for n in range(1, 11)))
    assert not after(progress, clock, *(status(15 + n, 10 + n) for n in range(1, 3)))


def test_it_may_come_back(progress: Progress, clock: Clock) -> None:
    assert not after(progress, clock, *(status(n, n) for n in range(3, 20)))
    assert after(progress, clock, status(20, 19), status(21, 0.5))


def test_no_audio_is_none(progress: Progress, clock: Clock) -> None:
    assert after(progress, clock, *(status(5) for _ in range(11)))
    assert not after(progress, clock, status(5))


@pytest.mark.parametrize("kind", ["device_lost", "device_awaited"])
def test_a_microphone_that_is_away_is_no_fault(kind: str, progress: Progress, clock: Clock) -> None:
    gone = Notice(kind, "the microphone is gone")
    assert after(progress, clock, status(5), gone, *(status(5) for _ in range(50)))
    assert progress.told == "the microphone is gone"
    back = Notice("device_back", "the microphone is back")
    assert after(progress, clock, back, *(status(5) for _ in range(10)))
    assert not after(progress, clock, status(5), status(5))


@pytest.mark.parametrize("kind", ["device_changed", "device_hangs"])
def test_a_microphone_that_hangs_or_was_exchanged_is_not_away(
    kind: str, progress: Progress, clock: Clock
) -> None:
    after(progress, clock, Notice("device_lost", "gone"), *(status(5) for _ in range(20)))
    assert after(progress, clock, Notice(kind, "it"), *(status(5) for _ in range(10)))
    assert not after(progress, clock, status(5))


def test_between_streams_nothing_is_wanted(progress: Progress, clock: Clock) -> None:
    progress.end()
    clock.now += 1000
    assert progress.alive
    progress.begin()
    assert progress.alive
    clock.now += PATIENCE_S + 1
    assert not progress.alive


def test_a_sink_that_hangs_is_no_progress(clock: Clock) -> None:
    """Progress is judged after the event was shown, so that a blocked screen stops it."""
    service = Service(Manager("@none", 2 * PATIENCE_S), clock)
    kept = Kept()
    with service.watch(kept) as sink:
        sink.emit(status(1), 0.0)
        sink.close()
    assert kept.events == [status(1)]
    assert kept.closed


def test_events_are_handed_on_and_errors_too(clock: Clock) -> None:
    class Failing(Kept):
        def emit(self, event: Event, emitted_s: float) -> None:
            raise OSError

    failing: EventSink = Failing()
    with (
        pytest.raises(OSError),
        Service(Manager(), clock).watch(failing) as sink,
    ):
        sink.emit(status(1), 0.0)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Manager()),
        ({"NOTIFY_SOCKET": "/run/n"}, Manager("/run/n")),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "30000000"}, Manager("@n", 30.0)),
        (
            {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())},
            Manager("/n", 1.0),
        ),
        (
            {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
            Manager("/n"),
        ),
        ({"NOTIFY_SOCKET": "vsock:2:1234", "WATCHDOG_USEC": "soon"}, Manager()),
    ],
)
def test_the_environment_is_read_and_emptied(
    environment: dict[str, str], expected: Manager
) -> None:
    environment["HOME"] = "/root"
    assert Manager.take(environment) == expected
    assert environment == {"HOME": "/root"}


def test_each_message_is_one_datagram(manager: Listening) -> None:
    service = Service(Manager(manager.address))
    service.ready("listening to\nREADY=0 a\tmicrophone")
    assert manager.next() == ["READY=1", "STATUS=listening to READY=0 a microphone"]
    service.stopping()
    assert manager.next()[0] == "STOPPING=1"


def test_abstract_sockets_are_reached() -> None:
    manager = Listening(f"@captioner-test-{os.getpid()}")
    Service(Manager(manager.address)).ready("here")
    assert manager.next() == ["READY=1", "STATUS=here"]
    manager.close()


def test_a_manager_that_is_gone_is_passed_over(tmp_path: Path) -> None:
    Service(Manager(str(tmp_path / "none"))).ready("here")
    Service(Manager()).stopping()


def test_it_beats_while_captions_go_on_and_not_when_they_hang(manager: Listening) -> None:
    clock = Clock()
    service = Service(Manager(manager.address, 0.2), clock)
    with service.running(), service.watch(Kept()) as sink:
        sink.emit(StreamStarted("a microphone", "toy"), 0.0)
        assert "WATCHDOG=1" in manager.next()
        clock.now += 1
        manager.until("STATUS=recognition hangs")
        assert manager.next() == ["STATUS=recognition hangs"]
        sink.emit(status(1), 1.0)
        manager.until("WATCHDOG=1")
    told = manager.until("STOPPING=1")
    assert ["WATCHDOG=1", "STATUS=listening to a microphone"] in told or len(told) == 1


HANGS = """
import sys, threading
import streamer.recognizer as recognizer
import run_live

push = recognizer.StreamingRecognizer.push
seen = 0

def hang(self, *arguments, **named):
    global seen
    seen += 1
    if seen > 40:
        threading.Event().wait()
    return push(self, *arguments, **named)

recognizer.StreamingRecognizer.push = hang
sys.exit(run_live.main(sys.argv[1:]))
"""


def started(manager: Listening, *command: str | Path, watchdog_s: float) -> subprocess.Popen[str]:
    environment = os.environ | {
        "NOTIFY_SOCKET": manager.address,
        "WATCHDOG_USEC": str(round(watchdog_s * 1e6)),
    }
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_the_program_is_ready_when_it_listens_and_says_when_it_ends(manager: Listening) -> None:
    process = started(manager, "run_live.py", "--wav", CLIP, watchdog_s=0.4)
    try:
        ready = manager.until("READY=1", 120)[-1]
        assert CLIP.name in ready[1]
        assert "WATCHDOG=1" in manager.until("WATCHDOG=1")[-1]
        process.send_signal(signal.SIGTERM)
        manager.until("STOPPING=1")
        spoken, _ = process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        ended(process)
    told = ""
    with suppress(TimeoutError):
        while True:
            told += " ".join(manager.next(0.1))
    assert not [word for word in spoken.split() if len(word) > 5 and word in told]


def test_a_program_that_hangs_is_silent(manager: Listening) -> None:
    process = started(manager, "-c", HANGS, "--wav", CLIP, watchdog_s=4.0)
    try:
        manager.until("READY=1", 120)
        told = manager.until("STATUS=recognition hangs", 60)
        assert manager.next(10) == ["STATUS=recognition hangs"]
        assert ["WATCHDOG=1"] in [lines[:1] for lines in told]
    finally:
        ended(process)


def test_the_server_is_ready_when_it_serves(manager: Listening, tmp_path: Path) -> None:
    process = started(
        manager, "run_live.py", "--web", "--port", "0", "--data", tmp_path / "data",
        "--wav", CLIP, watchdog_s=0.4,
    )  # fmt: skip
    try:
        ready = manager.until("READY=1", 120)[-1]
        assert "http://127.0.0.1:" in ready[1]
        manager.until("WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        manager.until("STOPPING=1")
        process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        ended(process)


def test_slack_is_less_than_a_watchdog_would_wait() -> None:
    assert LIVING_LAG_S < 2
