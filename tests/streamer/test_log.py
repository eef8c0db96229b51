"""The program's log: what it tells, what it never tells, and files that are put aside."""

from __future__ import annotations

import errno
import re
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from model.errors import CaptionerError, UsageError
from streamer.errors import OutputError, StageFailed
from streamer.events import (
    AudioGap,
    Event,
    FinalTranscript,
    Notice,
    PartialTranscript,
    Status,
    StreamStarted,
    Summary,
    Word,
)
from streamer.log import ProgramLog, logged
from streamer.process import Usage
from streamer.signals import called_at_hangup
from streamer.sinks import SinkGroup
from tests.streamer.tone_speech import EventList

SPOKEN = "quetzalcoatl"
"""A word that stands for all that may be said."""

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d (INFO|WARNING|ERROR) \S.*")


def final() -> FinalTranscript:
    words = (Word(SPOKEN, 0.0, 1.0, 0.9),)
    return FinalTranscript(1, SPOKEN, words, 0.0, 1.0, 1.0, "silence")


def status(audio_s: float) -> Status:
    return Status(audio_s, -30.0, 0.25, 1.5, True)


EVENTS: list[Event] = [
    StreamStarted("USB\x1b Mic", "small"),
    PartialTranscript(1, SPOKEN, SPOKEN, 0.0, 1.0),
    final(),
    AudioGap(4.0, 1.5),
    Notice("device_lost", "microphone 'USB' is gone\nplug it in"),
    Notice("device_back", "microphone 'USB' is back", "info"),
    Notice("writer_stopped", "no room", "error"),
    status(10.0),
    Summary(12.0, 4.0, 1.5, 0.1, 1, 1, 1),
]


def lines(path: Path) -> list[str]:
    found = path.read_text(encoding="utf-8").splitlines()
    assert all(LINE.fullmatch(line) or line.startswith("    ") for line in found)
    return found


def test_what_happens_to_the_stream_is_told_and_nothing_that_was_said(tmp_path: Path) -> None:
    path = tmp_path / "live.log"
    log = ProgramLog(path)
    with logged(log, {"model": "models/default", "rotation": "day"}):
        for event in EVENTS:
            log.emit(event, 1.0)
    told = [line.split(" ", 1)[1] for line in lines(path)]
    assert told[0].startswith("INFO program starts: numpy ")
    assert told[1] == "INFO settings: model models/default, rotation day"
    assert told[2:] == [
        "INFO stream starts: source USB Mic, model small",
        "WARNING 1.500 s of audio lost at 4.000 s",
        "WARNING device_lost: microphone 'USB' is gone plug it in",
        "INFO device_back: microphone 'USB' is back",
        "ERROR writer_stopped: no room",
        "INFO stream ends: 12.0 s heard, 4.0 s of it speech, 1.5 s lost, 1 utterances, "
        "real-time factor 0.100",
        "INFO program ends",
    ]
    assert SPOKEN not in path.read_text()


def test_every_hour_a_line_tells_how_the_program_is(tmp_path: Path) -> None:
    now = [0.0]
    log = ProgramLog(tmp_path / "live.log", steady=lambda: now[0])
    for minute in range(0, 181, 5):
        now[0] = 60.0 * minute
        log.emit(final(), now[0])
        log.emit(status(now[0]), now[0])
    log.close()
    told = lines(tmp_path / "live.log")
    assert len(told) == 3
    assert "status: up 2.0 h, audio 7200.0 s, lag 0.2 s, lost 1.5 s, captions 25," in told[1]
    assert re.search(r"memory [1-9]\d* MiB, threads [1-9]\d*, handles [1-9]\d*$", told[1])


def failure() -> None:
    heard = SPOKEN
    raise ValueError(f"no such word: {heard}")


def test_errors_are_told_with_their_place_and_without_what_was_said(tmp_path: Path) -> None:
    path = tmp_path / "live.log"
    log = ProgramLog(path)
    with pytest.raises(StageFailed), logged(log, {}):
        try:
            failure()
        except ValueError as error:
            raise StageFailed(f"recognition failed: ValueError: {error}") from error
    text = "\n".join(lines(path))
    assert "ERROR program fails:" in text
    assert "test_log.py" in text and "in failure" in text
    assert "    ValueError\n" in text and "    StageFailed\n" in text
    assert SPOKEN not in text.replace("SPOKEN", "")
    assert text.endswith("INFO program ends")


def test_own_errors_are_told_in_words(tmp_path: Path) -> None:
    path = tmp_path / "live.log"
    with pytest.raises(CaptionerError), logged(ProgramLog(path), {}):
        raise CaptionerError("the device is gone; plug it in")
    assert "    CaptionerError: the device is gone; plug it in" in lines(path)


def test_a_full_log_is_put_aside(tmp_path: Path) -> None:
    log = ProgramLog(tmp_path / "live.log", size_mb=0.01, keep=2)
    for number in range(1000):
        log.emit(Notice("device_lost", f"gone {number}"), 1.0)
    log.close()
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["live.log", "live.log.1", "live.log.2"]
    assert all(path.stat().st_size <= 10_000 for path in files)
    assert lines(files[0])[-1].endswith("gone 999")


def test_an_earlier_log_goes_on(tmp_path: Path) -> None:
    for _ in range(2):
        with logged(ProgramLog(tmp_path / "live.log"), {}):
            pass
    assert sum("program starts" in line for line in lines(tmp_path / "live.log")) == 2


def test_a_log_that_was_moved_away_is_begun_anew_at_a_hangup(tmp_path: Path) -> None:
    path = tmp_path / "live.log"
    log = ProgramLog(path)
    log.emit(EVENTS[0], 0.0)
    path.rename(tmp_path / "live.log.old")
    with called_at_hangup(log.reopen):
        signal.raise_signal(signal.SIGHUP)
    log.emit(EVENTS[3], 0.0)
    log.close()
    assert len(lines(tmp_path / "live.log.old")) == 1
    assert [line.split(" ", 2)[2][:10] for line in lines(path)] == ["log opened", "1.500 s of"]


def test_a_hangup_may_come_at_any_moment(tmp_path: Path) -> None:
    """At each line that runs while an event is written, as a signal's handler does."""
    log = ProgramLog(tmp_path / "live.log")
    calls = 0
    calling = False

    def interrupt(frame: FrameType, what: str, argument: object) -> Any:
        nonlocal calls, calling
        if not calling:
            calling = True
            log.reopen()
            calling = False
            calls += 1
        return interrupt

    def write() -> None:
        log.reopen()
        sys.settrace(interrupt)
        try:
            log.emit(EVENTS[3], 0.0)
        finally:
            sys.settrace(None)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    thread.join(20.0)
    assert not thread.is_alive()
    assert calls > 10
    log.emit(EVENTS[0], 0.0)
    log.close()
    assert "stream starts" in lines(tmp_path / "live.log")[-1]


def test_a_folder_in_which_nothing_is_renamed_does_not_end_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    log = ProgramLog(tmp_path / "live.log", size_mb=0.001)
    monkeypatch.setattr("os.rename", refuse)
    for number in range(100):
        log.emit(Notice("device_lost", f"gone {number}"), 1.0)
    log.close()
    assert len(lines(tmp_path / "live.log")) == 100


def test_a_full_disk_stops_the_log_and_nothing_else(tmp_path: Path) -> None:
    screen = EventList()
    log = ProgramLog(tmp_path / "live.log")
    group = SinkGroup({"screen": screen}, log)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        for event in EVENTS:
            group.emit(event, 1.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert screen.events == EVENTS
    group.emit(EVENTS[3], 1.0)
    group.close()
    log.close()
    assert len(lines(tmp_path / "live.log")) == 1


def test_nobody_but_the_log_left_counts_as_nobody(tmp_path: Path) -> None:
    class Gone(EventList):
        def emit(self, event: Event, emitted_s: float) -> None:
            raise BrokenPipeError

    log = ProgramLog(tmp_path / "live.log")
    group = SinkGroup({"screen": Gone()}, log)
    with pytest.raises(OutputError):
        group.emit(final(), 1.0)
    assert group.abandoned
    log.close()


def test_a_log_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no folder .*nowhere; make it first"):
        ProgramLog(tmp_path / "nowhere" / "live.log")
    with pytest.raises(OutputError, match="the log cannot be written: Is a directory; choose"):
        ProgramLog(tmp_path)


def test_usage_is_of_this_process(tmp_path: Path) -> None:
    before = Usage.now()
    with (tmp_path / "a").open("w"):
        assert Usage.now().handles == before.handles + 1
    assert before.memory_mb > 10
    assert before.threads >= 1


def test_times_have_the_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "IST-5:30")
        time.tzset()
        log = ProgramLog(tmp_path / "live.log")
        log.emit(EVENTS[0], 0.0)
        log.close()
    time.tzset()
    assert "+05:30 INFO" in (tmp_path / "live.log").read_text()
