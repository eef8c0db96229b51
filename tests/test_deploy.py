"""What runs the captioner unattended: the services, the container, the scripts."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from run_live import parser

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
UNITS = ("live-captioner", "live-captioner-web")
NOT_EVERYWHERE = {"RestartSteps", "RestartMaxDelaySec"}
"""Keys that systemd before 254 does not know, and passes over."""

Unit = Mapping[str, list[str]]


def keys(*files: Path) -> dict[str, list[str]]:
    """Return the values of each key of a unit and its drop-ins, in order."""
    found: dict[str, list[str]] = {}
    for file in files:
        for line in file.read_text().splitlines():
            name, equals, value = line.partition("=")
            if equals and not line.startswith("#"):
                found.setdefault(name, []).append(value)
    return found


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a folder with the units, as they are installed."""
    for unit in UNITS:
        text = (DEPLOY / f"{unit}.service").read_text().replace("@PROGRAM@", str(ROOT))
        (tmp_path / f"{unit}.service").write_text(text)
    return tmp_path


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_the_units(installed: Path) -> None:
    paths = [str(installed / f"{unit}.service") for unit in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", *paths], capture_output=True, text=True, timeout=60
    )
    said = [line for line in done.stderr.splitlines() if str(installed) in line]
    unknown = [line for line in said if not any(key in line for key in NOT_EVERYWHERE)]
    assert not unknown


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize(("unit", "most"), [("live-captioner", 10), ("live-captioner-web", 20)])
def test_the_services_are_little_exposed(installed: Path, unit: str, most: int) -> None:
    """Both figures are tenths of what ``systemd-analyze security`` gives, of 100 at most."""
    done = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--offline=true",
            f"--threshold={most}",
            "--no-pager",
            str(installed / f"{unit}.service"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd cannot judge a file")
    assert done.returncode == 0, done.stdout[-200:]


@pytest.mark.parametrize("unit", UNITS)
def test_a_service_restarts_and_is_watched(unit: str) -> None:
    found = keys(DEPLOY / f"{unit}.service")
    assert found["Type"] == ["notify"]
    assert found["Restart"] == ["always"]
    assert found["StartLimitIntervalSec"] == ["0"]
    assert int(found["WatchdogSec"][0]) >= 30
    assert found["SupplementaryGroups"] == ["audio"]
    assert found["DeviceAllow"] == ["char-alsa rw"]


@pytest.mark.parametrize("unit", UNITS)
def test_a_service_writes_where_it_may_alone(unit: str) -> None:
    """Every path of its command lies in a folder that systemd makes for it."""
    found = keys(DEPLOY / f"{unit}.service")
    made = {
        f"/var/lib/{found['StateDirectory'][0]}",
        f"/var/log/{found['LogsDirectory'][0]}",
        f"/etc/{found['ConfigurationDirectory'][0]}",
    }
    paths = [Path(word) for word in shlex.split(found["ExecStart"][0]) if word.startswith("/")]
    assert {str(path) for path in paths if str(path) not in made} - {
        str(path) for path in paths if str(path.parent) in made
    } == set()


def test_no_spoken_word_reaches_the_journal() -> None:
    found = keys(DEPLOY / "live-captioner.service")
    assert found["StandardOutput"] == ["null"]
    assert found["LimitCORE"] == ["0"]
    assert found["PrivateNetwork"] == ["yes"]


@pytest.mark.parametrize("unit", UNITS)
def test_the_microphones_callback_may_be_made(unit: str) -> None:
    """It is code that is made at run time, which MemoryDenyWriteExecute= forbids."""
    assert "MemoryDenyWriteExecute" not in keys(DEPLOY / f"{unit}.service")


@pytest.mark.parametrize("unit", UNITS)
def test_the_command_of_a_service_is_understood(unit: str) -> None:
    command = keys(DEPLOY / f"{unit}.service")["ExecStart"][0]
    program, script, *arguments = shlex.split(command)
    assert (program, script) == ("@PROGRAM@/.venv/bin/python", "@PROGRAM@/run_live.py")
    assert arguments.pop().startswith("$CAPTIONER_")
    options = keys(DEPLOY / "options")
    for name, values in options.items():
        more = shlex.split(shlex.split(values[0])[0].replace("@ENGINE@", "onnx"))
        parsed = parser().parse_args([*arguments, *more])
        assert parsed.wait, name
        assert parsed.engine == "onnx"


class Notified:
    """The service manager's socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(120)

    def until(self, wanted: str) -> list[str]:
        """Return the message that has a line."""
        while True:
            lines = self._socket.recv(4096).decode().splitlines()
            if wanted in lines:
                return lines

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def notified(tmp_path: Path) -> Iterator[Notified]:
    notified = Notified(tmp_path / "notify")
    yield notified
    notified.close()


def test_the_service_runs_as_its_unit_says(tmp_path: Path, notified: Notified) -> None:
    """It is ready without a microphone, lives on, and ends when it is told to."""
    unit = keys(DEPLOY / "live-captioner.service")
    command = unit["ExecStart"][0].replace("$CAPTIONER_OPTIONS", "--device no-such-microphone")
    for place in ("/var/lib/live-captioner", "/var/log/live-captioner", "/etc/live-captioner"):
        command = command.replace(place, str(tmp_path))
    command = command.replace("@PROGRAM@/.venv/bin/python", sys.executable)
    (tmp_path / "live.yaml").write_text((DEPLOY / "live.yaml").read_text())
    environment = {
        name: value
        for text in unit["Environment"]
        for name, _, value in (each.partition("=") for each in text.split())
        if not name.startswith("XDG_")
    }
    process = subprocess.Popen(
        shlex.split(command.replace("@PROGRAM@", str(ROOT))),
        cwd=tmp_path,
        env=os.environ
        | environment
        | {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert notified.until("READY=1")
        assert notified.until("WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        assert notified.until("STOPPING=1")
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, said
    (captions,) = tmp_path.glob("captions*.jsonl")
    first = json.loads(captions.read_text().splitlines()[0])
    assert first["type"] == "start"


def copied(stage: str) -> list[str]:
    """Return what a stage of the Dockerfile copies from the repository."""
    lines = [line.split() for line in stage.splitlines() if line.startswith("COPY ")]
    return [word for line in lines if "--from" not in line[1] for word in line[1:-1]]


def test_everything_that_is_copied_into_the_container_is_there() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    sources = copied(dockerfile)
    assert "run_live.py" in sources
    for source in sources:
        assert (ROOT / source).exists(), source
    taken = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert set(sources) == {line[1:] for line in taken if line.startswith("!")}


def test_a_container_has_what_the_program_reads() -> None:
    """Modules, models, settings, and the package that the installation names."""
    sources = copied((DEPLOY / "Dockerfile").read_text())
    project = (ROOT / "pyproject.toml").read_text()
    modules = re.search(r"py-modules = \[(.*)\]", project)
    assert modules is not None
    for name in re.findall(r'"(\w+)"', modules[1]):
        assert f"{name}.py" in sources
    assert {"model", "lm", "streamer", "models", "configs"} <= set(sources)


def test_a_container_starts_what_is_understood_by_a_user_who_may_little() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    (command,) = re.findall(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)
    parsed = parser().parse_args(json.loads(command))
    assert (parsed.web, parsed.wait, parsed.host) == (True, True, "0.0.0.0")
    assert re.search(r"^USER (?!root|0)", dockerfile, re.MULTILINE)
    assert "HEALTHCHECK" in dockerfile


class _Page(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        assert self.path == "/healthz"
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_a_container_is_well_when_its_server_says_so(
    status: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Page, "status", status)
    server = HTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=server.handle_request, daemon=True).start()
    port = {"CAPTIONER_PORT": str(server.server_port)}
    health = [sys.executable, str(DEPLOY / "health.py")]
    assert subprocess.run(health, env=os.environ | port, timeout=60).returncode == code
    server.server_close()
    assert subprocess.run(health, env=os.environ | port, timeout=60).returncode == 1


@pytest.mark.skipif(shutil.which("hadolint", path=Path(sys.executable).parent) is None,
                    reason="hadolint is not installed")  # fmt: skip
def test_the_dockerfile_is_clean() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(shutil.which("shellcheck", path=Path(sys.executable).parent) is None,
                    reason="shellcheck is not installed")  # fmt: skip
def test_the_scripts_are_clean() -> None:
    scripts = [
        path
        for path in (ROOT / "scripts").iterdir()
        if path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/env bash")
    ]
    assert {"jetson", "setup"} <= {path.name for path in scripts}
    shellcheck = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run(
        [shellcheck, "--external-sources", *scripts],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "")
