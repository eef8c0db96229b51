"""The doctor as its user calls it, and what it prints."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from rich.console import Console

from model.audio import read_audio
from run_live import main
from streamer.app import LiveOptions
from streamer.doctor.child import options_record
from streamer.doctor.examination import examine
from streamer.doctor.finding import Finding, Show, show_nothing, worst
from streamer.doctor.probing import Check
from streamer.doctor.report import Report
from tests.streamer.doctor.machines import host

CLIP = Path(__file__).parents[2] / "data/speech/669-129074-0011.opus"
CHOSEN = {"index": 4, "name": "USB Mic", "channels": 1}
SCREEN_LINES = 45


class Asked:
    """Stands for the checks in other processes: all well, unless told otherwise.

    Attributes:
        findings: What a probe finds in the place of that.
        requests: What was asked for.
    """

    def __init__(self, **findings: Finding) -> None:
        self.findings = findings
        self.requests: list[Mapping[str, Any]] = []

    def __call__(self, check: Check, request: Mapping[str, Any], show: Show) -> list[Finding]:
        self.requests.append(request)
        usual = Finding(check.name, check.title, "ok", "fine")
        if request["probe"] == "inputs":
            others = [{"index": number, "name": f"Mic {number}"} for number in range(9)]
            figures = {"inputs": [CHOSEN, *others], "chosen": CHOSEN}
            usual = Finding("input", "Input", "ok", "4: USB Mic", figures=figures)
        return [self.findings.get(request["probe"], usual)]

    def probes(self) -> list[str]:
        return [request["probe"] for request in self.requests]


def examined(folder: Path, asked: Asked, options: LiveOptions | None = None) -> list[Finding]:
    return list(examine(options or LiveOptions(), show_nothing, host(folder), asked))


def shown(findings: list[Finding], width: int = 100) -> str:
    screen = StringIO()
    Report(findings, 2.0).show(Console(file=screen, width=width, highlight=False))
    return screen.getvalue()


def test_a_good_machine_fits_on_a_screen_without_a_remedy(tmp_path: Path) -> None:
    findings = examined(tmp_path, Asked())
    assert len(shown(findings).splitlines()) <= SCREEN_LINES
    assert not [each for each in findings if each.status == "ok" and each.remedy]
    checks = [finding.check for finding in findings]
    for check in ("program", "packages", "board", "memory", "model", "speed", "disk", "level"):
        assert check in checks


def test_inputs_are_tried_the_chosen_one_first_and_not_without_end(tmp_path: Path) -> None:
    asked = Asked()
    examined(tmp_path, asked)
    tried = [each["name"] for each in asked.requests if each["probe"] == "rates"]
    assert tried == ["USB Mic", *(f"Mic {number}" for number in range(5))]
    assert asked.requests[-1]["probe"] == "level"
    assert asked.requests[-1]["name"] == "USB Mic"


@pytest.mark.parametrize("probe", ["engines", "model"])
def test_what_cannot_run_is_told_once(tmp_path: Path, probe: str) -> None:
    asked = Asked(**{probe: Finding(probe, probe, "failure", "broken")})
    examined(tmp_path, asked)
    assert "speed" not in asked.probes()


def test_the_places_of_the_command_line_are_looked_at(tmp_path: Path) -> None:
    options = LiveOptions(output=[tmp_path / "a.srt"], record=tmp_path / "a.flac", log=Path("l"))
    texts = [each.text for each in examined(tmp_path, Asked(), options) if each.check == "disk"]
    assert [text.partition(":")[0] for text in texts] == ["--output a.srt", "--record", "--log"]


def test_without_an_input_nothing_is_opened(tmp_path: Path) -> None:
    none = Finding("input", "Input", "failure", "none", figures={"inputs": [], "chosen": None})
    asked = Asked(inputs=none)
    assert none in examined(tmp_path, asked)
    assert not {"rates", "level"} & set(asked.probes())


@pytest.mark.parametrize(("status", "expected"), [("ok", "warning"), ("failure", "failure")])
def test_devices_that_nothing_has_to_open_are_no_failure(
    tmp_path: Path, status: Any, expected: str
) -> None:
    asked = Asked(level=Finding("level", "Level", status, "heard"))
    machine = host(tmp_path, usable=lambda path: False)
    findings = examine(LiveOptions(), show_nothing, machine, asked)
    [permission] = [finding for finding in findings if finding.check == "permission"]
    assert permission.status == expected


def test_a_configuration_with_problems_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    config = tmp_path / "live.yaml"
    config.write_text("vad: {aggressiveness: 9}")
    asked = Asked()
    findings = examined(tmp_path, asked, LiveOptions(config=config, device="usb"))
    [configuration] = [each for each in findings if each.check == "configuration"]
    assert (configuration.status, "must be 0 to 3" in configuration.text) == ("failure", True)
    assert all(request["options"] == {"device": "usb"} for request in asked.requests)


def test_options_travel_to_other_processes_as_json() -> None:
    options = LiveOptions(model=Path("m"), hotword=["Ada"], no_language_model=True, engine="onnx")
    record = json.loads(json.dumps(options_record(options)))
    assert record == {
        "model": "m",
        "hotword": ["Ada"],
        "no_language_model": True,
        "engine": "onnx",
    }


def test_the_worst_finding_decides() -> None:
    def report(*statuses: Any) -> Report:
        return Report([Finding("a", "A", status, "a") for status in statuses], 1.0)

    assert (report("ok", "absent").result, report("ok", "absent").exit_code) == ("ok", 0)
    assert (report("ok", "warning").result, report("warning").exit_code) == ("warning", 0)
    assert (report("failure", "ok").result, report("failure").exit_code) == ("failure", 1)
    assert worst([]) == "ok"


def test_json_names_no_home_and_keeps_every_field() -> None:
    findings = [Finding("a", "A", "warning", "in /home/anna/x", "rm", {"p": ["/home/anna/y"]})]
    text = Report(findings, 1.23).as_json("/home/anna")
    assert "anna" not in text
    assert json.loads(text) == {
        "schema": 1,
        "result": "warning",
        "seconds": 1.2,
        "findings": [
            {
                "check": "a",
                "title": "A",
                "status": "warning",
                "text": "in ~/x",
                "remedy": "rm",
                "figures": {"p": ["~/y"]},
            }
        ],
    }


def test_names_cannot_disturb_the_screen() -> None:
    screen = shown([Finding("a", "A", "ok", "[red]Mic\x1b[2J\nand more[/red]")])
    assert "\x1b" not in screen
    assert "[red]Mic" in screen


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json"], "--json: has use with --doctor"),
        (["--all"], "--all: has use with --list-devices"),
        (["--doctor", "--all"], "--all: has use with --list-devices"),
        (["--doctor", "--wav", "talk.wav"], "have no use with --doctor"),
    ],
)
def test_wrong_use_is_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""


@pytest.fixture
def speech(tmp_path: Path, virtual_sound_card: Any) -> Iterator[Path]:
    """Play speech to the virtual card again and again."""
    path = tmp_path / "speech.wav"
    samples = read_audio(CLIP, 16_000)
    soundfile.write(path, np.tile(samples / np.abs(samples).max() / 2, 20), 16_000)
    player = subprocess.Popen(["paplay", str(path)], env=virtual_sound_card.environment)
    yield path
    player.kill()
    player.wait()


def test_a_microphone_that_hears_speech_is_found_in_order(
    speech: Path, virtual_sound_card: Any
) -> None:
    arguments = ["run_live.py", "--doctor", "--json"]
    program = virtual_sound_card.start_python(arguments)
    out, err = program.communicate(timeout=180)
    report = json.loads(out)
    assert err == ""
    found = {finding["check"]: finding for finding in report["findings"]}
    checks = ("portaudio", "input", "rates", "level", "model", "speed")
    assert {found[check]["status"] for check in checks} <= {"ok", "warning"}, found
    assert found["level"]["status"] == "ok", found["level"]
    assert -40 < found["level"]["figures"]["speech_db"] < -5
    assert 48_000 in found["rates"]["figures"]["rates"]
    assert found["input"]["figures"]["chosen"]["name"] == "default"
    assert "pace" not in found
    failed = [finding for finding in report["findings"] if finding["status"] == "failure"]
    assert program.returncode == bool(failed)
    assert str(virtual_sound_card.environment["HOME"]) not in out
