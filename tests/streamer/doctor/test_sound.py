"""Sound cards, permissions and sound servers, on machines made of a few files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamer.doctor.sound import check_cards, check_holders, check_permission, check_server
from tests.streamer.doctor.machines import ORIN, host, only

NO_SOUND = {name: None for name in ORIN if "snd" in name or "asound" in name}
NO_DEVICES = {name: None for name in ORIN if "dev/snd" in name}
INFO = "Server String: /run/user/1000/pulse/native\nServer Name: pulseaudio\nDefault Source: {}\n"
MUTE = "pactl get-source-mute @DEFAULT_SOURCE@"


def test_cards_are_listed_with_what_they_are(tmp_path: Path) -> None:
    finding = only(check_cards(host(tmp_path)))
    assert finding.status == "ok"
    assert "USB PnP Sound Device (USB)" in finding.text
    assert finding.figures == {"cards": 3, "recording": 2, "usb": 1}


def test_cards_that_cannot_record_are_a_warning(tmp_path: Path) -> None:
    silent = {name: None for name in ORIN if "pcm0c" in name}
    assert only(check_cards(host(tmp_path, silent))).status == "warning"


@pytest.mark.parametrize(("program", "told"), [("arecord", True), ("pipewire", False)])
def test_a_program_that_holds_the_microphone_is_named(
    tmp_path: Path, program: str, told: bool
) -> None:
    files = {
        "proc/asound/card2/pcm0c/sub0/status": "state: RUNNING\nowner_pid   : 77\n",
        "proc/77/comm": program,
        "sys/class/sound/card2/id": "Device",
    }
    found = list(check_holders(host(tmp_path, files)))
    assert [f"{program} (process 77)" in finding.text for finding in found] == [True] * told


def test_no_card_is_not_here(tmp_path: Path) -> None:
    finding = only(check_cards(host(tmp_path, NO_SOUND)))
    assert (finding.status, "arecord -l" in finding.remedy) == ("absent", True)


def test_devices_that_may_be_opened_are_ok(tmp_path: Path) -> None:
    finding = only(check_permission(host(tmp_path)))
    assert (finding.status, finding.remedy) == ("ok", "")


@pytest.mark.parametrize(
    ("users", "groups", "environment", "remedy"),
    [
        ("pulse", set(), {}, "sudo usermod -aG audio $USER"),
        ("pulse,anna", set(), {}, "log out and in again"),
        ("pulse", {"group"}, {}, "chmod 660"),
        ("pulse", set(), {"container": "docker"}, "--device /dev/snd --group-add {group}"),
    ],
)
def test_devices_that_refuse_the_user_are_a_failure_with_the_remedy_that_fits(
    tmp_path: Path, users: str, groups: set[str], environment: dict[str, str], remedy: str
) -> None:
    group = os.getgid()
    machine = host(
        tmp_path,
        {"etc/group": f"audio:x:{group}:{users}\n"},
        groups=frozenset({group} if groups else {99_999}),
        environment=environment,
        usable=lambda path: False,
    )
    finding = only(check_permission(machine))
    assert finding.status == "failure"
    assert remedy.format(group=group) in finding.remedy


def test_a_container_without_the_devices_is_told_how_to_start_it(tmp_path: Path) -> None:
    machine = host(tmp_path, NO_DEVICES, environment={"container": "docker"})
    finding = only(check_permission(machine))
    assert (finding.status, "--device /dev/snd" in finding.remedy) == ("failure", True)


def test_no_devices_and_no_cards_are_not_here(tmp_path: Path) -> None:
    assert only(check_permission(host(tmp_path, NO_SOUND))).status == "absent"


@pytest.mark.parametrize(
    ("source", "muted", "status", "remedy"),
    [
        ("alsa_input.usb-C-Media.mono-fallback", "Mute: no", "ok", ""),
        ("alsa_input.usb-C-Media.mono-fallback", "Mute: yes", "warning", "set-source-mute"),
        ("alsa_output.pci.analog-stereo.monitor", "Mute: no", "warning", "set-default-source"),
        ("alsa_input.platform-sound.analog-stereo", "Mute: no", "warning", "set-default-source"),
    ],
)
def test_the_sound_server_and_its_default(
    tmp_path: Path, source: str, muted: str, status: str, remedy: str
) -> None:
    commands = {"pactl info": INFO.format(source), MUTE: muted}
    finding = only(check_server(host(tmp_path, commands=commands)))
    assert (finding.status, source in finding.text) == (status, True)
    assert remedy in finding.remedy


def test_no_sound_server_is_no_trouble(tmp_path: Path) -> None:
    assert only(check_server(host(tmp_path))).status == "absent"


def test_a_server_that_cannot_be_asked_is_still_seen(tmp_path: Path) -> None:
    machine = host(
        tmp_path, {"run/user/7/pipewire-0": ""}, environment={"XDG_RUNTIME_DIR": "/run/user/7"}
    )
    assert "pipewire-0" in only(check_server(machine)).text


def test_a_server_that_is_named_and_does_not_answer_is_told(tmp_path: Path) -> None:
    machine = host(tmp_path, environment={"PULSE_SERVER": "unix:/run/pulse/native"})
    finding = only(check_server(machine))
    assert (finding.status, "unix:/run/pulse/native" in finding.text) == ("warning", True)
