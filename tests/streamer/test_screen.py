"""A screen that is not read holds up nothing but itself; queues have bounds."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from streamer import runner as runner_module
from streamer.audio import AudioBlock
from streamer.errors import OutputError
from streamer.event_queue import EventQueue
from streamer.events import Event, FinalTranscript, Notice, PartialTranscript, Status, Summary
from streamer.runner import ThreadedRunner
from streamer.screen import BackgroundSink, abandoned_when_interrupted
from streamer.sinks import SinkGroup
from streamer.writers import PlainWriter, open_sink
from tests.streamer.tone_speech import BlockSource, EventList, blocks, caption_stream, say, silence

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0
"""Longest wait for another thread; it is only reached when a test fails."""


def final(number: int) -> FinalTranscript:
    return FinalTranscript(number, f"said {number}", (), 0.0, 1.0, 1.0, "silence")


def partial(text: str) -> PartialTranscript:
    return PartialTranscript(1, "", text, 0.0, 1.0)


def status(audio_s: float) -> Status:
    return Status(audio_s, -30.0, 0.0, 0.0, False)


class StoppedScreen(EventList):
    """Takes nothing until it is let go, as a terminal after Ctrl-S."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.reached = threading.Event()
        self.closed = False

    def emit(self, event: Event, emitted_s: float) -> None:
        self.reached.set()
        assert self.go_on.wait(PATIENCE_S)
        super().emit(event, emitted_s)

    def close(self) -> None:
        self.closed = True


# The queue


def test_what_only_shows_the_present_waits_once() -> None:
    events = EventQueue(10)
    for number in range(1000):
        events.put(status(number), 0.0)
        events.put(partial(str(number)), 0.0)
    events.close()
    taken = [events.get(0), events.get(0), events.get(0)]
    assert taken == [(status(999), 0.0), (partial("999"), 0.0), None]
    assert events.finished


def test_a_queue_that_drops_keeps_the_newest_and_counts() -> None:
    events = EventQueue(3, patient=False)
    for number in range(10):
        events.put(final(number), 0.0)
    events.close()
    assert events.take_dropped() == 7
    assert events.take_dropped() == 0
    assert [taken[0] for _ in range(3) if (taken := events.get(0))] == [
        final(7),
        final(8),
        final(9),
    ]


def test_a_patient_queue_waits_for_room_or_its_end() -> None:
    events = EventQueue(1)
    events.put(final(0), 0.0)
    waiting = threading.Thread(target=lambda: events.put(final(1), 0.0))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    assert events.get(0) == (final(0), 0.0)
    waiting.join(PATIENCE_S)
    assert events.get(0) == (final(1), 0.0)
    events.put(final(2), 0.0)
    events.close()
    events.put(final(3), 0.0)
    assert [events.get(0), events.get(0)] == [(final(2), 0.0), (final(3), 0.0)]


# The screen


def test_files_go_on_while_the_screen_stands_still(tmp_path: Path) -> None:
    stopped = StoppedScreen()
    screen = BackgroundSink(stopped, patient=False, waiting=5)
    group = SinkGroup({"screen": screen, "talk": open_sink(tmp_path / "talk.txt")})
    group.emit(status(0), 0.0)
    assert stopped.reached.wait(PATIENCE_S)
    for number in range(100):
        group.emit(partial(f"said {number}"), 0.0)
        group.emit(final(number), 0.0)
        group.emit(status(number), 0.0)
    assert len((tmp_path / "talk.txt").read_text().splitlines()) == 100
    stopped.go_on.set()
    group.close()
    assert stopped.closed
    shown = [event for event in stopped.events if isinstance(event, FinalTranscript)]
    assert shown[-1] == final(99)
    [notice] = [event for event in stopped.events if isinstance(event, Notice)]
    assert notice.kind == "screen_behind"
    assert "files that were asked for have them" in notice.text


def test_a_patient_screen_gets_everything() -> None:
    stopped = StoppedScreen()
    screen = BackgroundSink(stopped, patient=True, waiting=5)
    stopped.reached.clear()
    threading.Timer(0.1, stopped.go_on.set).start()
    for number in range(50):
        screen.emit(final(number), 0.0)
    screen.close()
    assert stopped.events == [final(number) for number in range(50)]
    assert stopped.closed


def test_the_end_does_not_wait_for_ever_for_a_screen_that_stands_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streamer.screen.atexit.register", lambda call: None)
    stopped = StoppedScreen()
    screen = BackgroundSink(stopped, patient=False, patience_s=0.05)
    screen.emit(final(1), 0.0)
    with pytest.raises(OutputError, match="takes no captions any more"):
        screen.close()
    stopped.go_on.set()


def test_an_interrupt_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.screen.atexit.register", lambda call: None)
    stopped = StoppedScreen()
    screen = BackgroundSink(stopped, patient=True)
    screen.emit(final(1), 0.0)
    assert stopped.reached.wait(PATIENCE_S)
    with pytest.raises(KeyboardInterrupt), abandoned_when_interrupted(screen):
        raise KeyboardInterrupt
    with pytest.raises(OutputError):
        screen.close()
    stopped.go_on.set()


def test_a_screen_that_fails_is_known_to_its_group() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as file:
        group = SinkGroup({"standard output": BackgroundSink(PlainWriter(file), patient=True)})
        waiting = threading.Event()
        for number in range(200):
            group.emit(final(number), 0.0)
            if group.abandoned:
                break
            waiting.wait(0.01)
        assert group.abandoned
        group.close()


def test_a_failure_of_the_last_event_is_told_at_the_end() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    screen = BackgroundSink(PlainWriter(Full()), patient=True)
    screen.emit(final(1), 0.0)
    with pytest.raises(OutputError, match="No space left"):
        screen.close()


def test_a_sink_that_stands_still_holds_up_recognition_and_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a source that waits nothing is lost, and no more than so many events wait."""
    stopped = StoppedScreen()
    speech = [piece for _ in range(5) for piece in (say("abc"), silence(1.2))]
    pushed = 0

    class Counting(BlockSource):
        def __iter__(self) -> Iterator[AudioBlock | Notice]:
            nonlocal pushed
            for item in super().__iter__():
                pushed += 1
                yield item

    items = blocks(np.concatenate(speech * 12))
    source = Counting(items)
    monkeypatch.setattr(runner_module, "MOST_WAITING", 4)
    runner = ThreadedRunner(source, caption_stream(), stopped, ring_s=2.0)
    thread = threading.Thread(target=runner.run)
    thread.start()
    assert stopped.reached.wait(PATIENCE_S)
    threading.Event().wait(0.5)
    assert pushed < len(items)
    stopped.go_on.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    finals = [event for event in stopped.events if isinstance(event, FinalTranscript)]
    assert len(finals) == 60
    assert isinstance(stopped.events[-1], Summary)


SCREEN_STOPPED = """
import sys, threading, time
from pathlib import Path
from streamer.events import FinalTranscript
from streamer.screen import BackgroundSink
from streamer.sinks import SinkGroup
from streamer.writers import PlainWriter, open_sink
from streamer.errors import OutputError

screen = BackgroundSink(PlainWriter(sys.stdout), patient=False, waiting=10, patience_s=0.2)
group = SinkGroup({"screen": screen, "talk": open_sink(Path(sys.argv[1]))})
for number in range(3000):
    words = 10 if number < 2999 else 100_000  # more at once than any terminal holds back
    group.emit(FinalTranscript(number, "word " * words, (), 0.0, 1.0, 1.0, "silence"), 0.0)
try:
    group.close()
except OutputError as error:
    print(error, file=sys.stderr)
"""


def test_a_terminal_that_nobody_reads_ends_with_the_program(tmp_path: Path) -> None:
    ours, its = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", SCREEN_STOPPED, str(tmp_path / "talk.txt")],
            cwd=ROOT,
            stdout=its,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    finally:
        os.close(ours)
        os.close(its)
    assert done.returncode == 1
    assert done.stderr.startswith("Captions no longer go to screen: it takes no captions any more")
    assert len(done.stderr.splitlines()) == 1
    assert len((tmp_path / "talk.txt").read_text().splitlines()) == 3000
