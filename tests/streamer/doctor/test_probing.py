"""Checks that hang, crash or talk nonsense harm nothing but themselves."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamer.doctor.finding import Finding, Progress
from streamer.doctor.probing import Check, in_child, in_thread

CHECK = Check("thing", "Thing", 60.0)
FINDING = '{"finding": {"check": "a", "title": "A", "status": "ok", "text": "fine"}}'


def child(program: str, check: Check = CHECK) -> list[Finding]:
    """Run a program in the place of a check."""
    return in_child(check, {}, command=(sys.executable, "-c", program))


def test_what_a_check_finds_comes_through() -> None:
    finding = Finding("a", "A", "ok", "fine")
    assert in_thread(CHECK, lambda: iter([finding])) == [finding]
    assert child(f"print('{FINDING}')") == [finding]


def test_a_check_that_raises_is_a_failure_and_what_it_found_before_stays() -> None:
    def function() -> Iterator[Finding]:
        yield Finding("a", "A", "ok", "fine")
        raise ValueError("no such thing")

    first, second = in_thread(CHECK, function)
    assert first.status == "ok"
    assert (second.check, second.status) == ("thing", "failure")
    assert "ValueError: no such thing" in second.text


def test_a_check_that_hangs_is_left_behind() -> None:
    release = threading.Event()

    def function() -> list[Finding]:
        release.wait()
        return []

    [finding] = in_thread(Check("thing", "Thing", 0.05), function)
    release.set()
    assert (finding.status, "no answer within" in finding.text) == ("failure", True)


def test_a_process_that_hangs_is_ended_and_what_it_found_before_stays(tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    program = (
        f"import os, time; open({str(lives)!r}, 'w').write(str(os.getpid()));"
        f"print('{FINDING}', flush=True); time.sleep(600)"
    )
    first, second = child(program, Check("thing", "Thing", 3.0))
    assert first.text == "fine"
    assert "no answer within 3 s" in second.text
    with pytest.raises(ProcessLookupError):
        os.kill(int(lives.read_text()), 0)


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("import os; os.abort()", "SIGABRT"),
        ("import sys; sys.exit(3)", "exit code 3"),
        ("print('noise'); print('[1]'); print('{}')", "without a finding"),
        ('print(\'{"finding": {"check": 1}}\')', "without a finding"),
    ],
)
def test_a_process_that_crashes_or_talks_nonsense_is_a_failure(program: str, text: str) -> None:
    [finding] = child(program)
    assert (finding.status, text in finding.text) == ("failure", True)


def test_progress_is_shown_meanwhile() -> None:
    shown: list[Progress] = []
    program = (
        'import json; print(json.dumps({"progress": {"text": "listening", "level_db": -20.0}}));'
        f"print('{FINDING}')"
    )
    in_child(CHECK, {}, shown.append, (sys.executable, "-c", program))
    assert shown == [Progress("listening", -20.0)]


def test_a_real_check_runs_in_a_process() -> None:
    request = {"probe": "engines", "check": "engines", "title": "Engines", "options": {}}
    [finding] = in_child(Check("engines", "Engines", 60), request)
    assert finding.status == "ok" and "onnx" in finding.text


def test_a_real_check_tells_its_own_error(tmp_path: Path) -> None:
    config = tmp_path / "live.yaml"
    config.write_text("vad: {aggressiveness: 9}")
    request = {"probe": "model", "check": "model", "title": "Model"}
    [finding] = in_child(CHECK, {**request, "options": {"config": str(config)}})
    assert (finding.status, "must be 0 to 3" in finding.text) == ("failure", True)
    [finding] = in_child(CHECK, {**request, "probe": "none", "options": {}})
    assert finding.status == "failure"
