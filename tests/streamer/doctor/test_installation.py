"""Python, packages, configuration, folders and ports."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from model.errors import SettingsError
from streamer.doctor.installation import (
    check_packages,
    check_program,
    configuration_finding,
    finding_of,
    judge_packages,
    locked,
    needed_packages,
)
from streamer.doctor.places import check_places, check_port
from tests.streamer.doctor.machines import only

ROOT = Path(__file__).parents[3]
METADATA = {
    "program": ("sound==1.0", "Web_Pages[fast]==2", "training==3; extra == 'train'"),
    "web-pages": ("templates", "speedups; extra == 'fast'", "old; python_version < '3'"),
    "templates": ("web-pages",),
    "training": ("huge",),
}


def asked_for(package: str) -> tuple[str, ...]:
    return METADATA.get(package, ())


def test_what_is_needed_is_followed_through_extras_and_markers() -> None:
    expected = {"sound", "web-pages", "templates", "speedups"}
    assert needed_packages("program", asked_for) == expected


def test_the_list_of_versions_is_read_with_its_markers() -> None:
    text = "# first\nScipy==1.17.1\n\nold==1; python_version < '3'\nFlask-WTF==1.3.0 # why\n"
    assert locked(text) == {"scipy": "1.17.1", "flask-wtf": "1.3.0"}


@pytest.mark.parametrize(
    ("installed", "status", "text"),
    [
        ({"sound": "1.0", "web": "2"}, "ok", "all 2"),
        ({"sound": "1.0", "web": None}, "failure", "missing: web"),
        ({"sound": "1.1", "web": "2"}, "warning", "sound 1.1 for 1.0"),
        ({"sound": "1.0", "web": "2", "training": None}, "ok", "all 2"),
        ({"sound": "1.0", "web": "2", "training": "4"}, "warning", "training 4 for 3"),
    ],
)
def test_versions_are_judged(installed: dict[str, str | None], status: str, text: str) -> None:
    tested = {"sound": "1.0", "web": "2", "training": "3"}
    finding = judge_packages(frozenset({"sound", "web"}), tested, installed)
    assert (finding.status, text in finding.text) == (status, True)
    assert bool(finding.remedy) == (status != "ok")


def test_many_missing_packages_stay_one_line() -> None:
    names = [f"package{number}" for number in range(9)]
    finding = judge_packages(frozenset(names), {}, dict.fromkeys(names))
    assert "and 5 more" in finding.text
    assert finding.figures["missing"] == names


def test_this_installation_is_looked_at() -> None:
    finding = only(check_packages(ROOT / "requirements.lock"))
    assert not finding.figures["missing"]
    assert only(check_packages(ROOT / "none.lock")).status in ("ok", "warning")


def test_the_running_python_is_one_that_is_accepted() -> None:
    assert only(check_program()).status == "ok"


def test_a_configuration_with_problems_is_a_failure() -> None:
    error = SettingsError("live.yaml:3: vad.aggressiveness: must be 0 to 3, got 7")
    finding = configuration_finding(Path("live.yaml"), 0, error)
    assert (finding.status, "live.yaml:3" in finding.text) == ("failure", True)
    good = configuration_finding(Path("live.yaml"), 2, None)
    assert (good.status, good.text) == ("ok", "live.yaml and 2 by --set")


def test_an_error_gives_its_last_clause_as_the_remedy() -> None:
    finding = finding_of(SettingsError("a: is b; it has c; do d"), "x", "X")
    assert (finding.text, finding.remedy) == ("a: is b; it has c", "do d")
    assert finding_of(SettingsError("a"), "x", "X").text == "a"


@pytest.mark.parametrize(
    ("free", "status"), [(50_000, "ok"), (1000, "ok"), (500, "warning"), (3, "failure")]
)
def test_a_full_disk_is_told(tmp_path: Path, free: float, status: str) -> None:
    finding = only(check_places({"--output talk.srt": tmp_path}, lambda folder: free))
    assert (finding.status, finding.text.startswith("--output talk.srt: ")) == (status, True)
    assert bool(finding.remedy) == (status != "ok")


def test_a_folder_that_is_yet_to_be_made_is_judged_by_the_one_above(tmp_path: Path) -> None:
    places = {"--data": tmp_path / "not/yet"}
    assert only(check_places(places, lambda folder: 2000)).status == "ok"
    refused = only(check_places(places, lambda folder: 2000, lambda folder: False))
    assert (refused.status, f"chown $USER {tmp_path}" in refused.remedy) == ("failure", True)


def test_a_folder_that_captions_would_not_make_is_told(tmp_path: Path) -> None:
    finding = only(check_places({"--record": tmp_path / "not/yet"}, lambda folder: 2000))
    assert (finding.status, f"mkdir -p {tmp_path}/not/yet" in finding.remedy) == ("failure", True)


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finding = only(check_port("127.0.0.1", port))
        assert (finding.status, "--port" in finding.remedy) == ("failure", True)
    assert only(check_port("127.0.0.1", port)).status == "ok"
    assert only(check_port("no.such.host.invalid", 1)).status == "failure"
