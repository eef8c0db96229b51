"""What Linux tells of sound cards, read from a tree of our own making."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamer.sound_cards import SoundCard, SoundCards, pcm_of

CARDS = """\
 0 [PCH            ]: HDA-Intel - HDA Intel PCH
                      HDA Intel PCH at 0xa1318000 irq 143
 2 [desk           ]: USB-Audio - USB PnP Sound Device
                      C-Media Electronics Inc. USB PnP Sound Device at usb-0000:00:14.0-1.2
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with a card of the board and a USB microphone."""
    write(tmp_path / "proc/asound/cards", CARDS)
    write(tmp_path / "proc/asound/card0/id", "PCH\n")
    write(tmp_path / "proc/asound/card2/id", "desk\n")
    port = tmp_path / "sys/devices/pci/usb1/1-1/1-1.2"
    write(port / "serial", "C0FFEE\n")
    (port / "1-1.2:1.0").mkdir()
    board = tmp_path / "sys/devices/pci/sound"
    board.mkdir()
    for number, place in ((0, board), (2, port / "1-1.2:1.0")):
        card = tmp_path / f"sys/class/sound/card{number}"
        card.mkdir(parents=True)
        (card / "device").symlink_to(place)
    (tmp_path / "sys/class/sound/controlC0").mkdir()
    write(tmp_path / "dev/snd/pcmC2D0c", "")
    return tmp_path


def hold(root: Path, thread: int, process: int, program: str) -> None:
    """Let a thread of a program record from the USB microphone."""
    status = f"state: RUNNING\nowner_pid   : {thread}\ntrigger_time: 1.0\n"
    write(root / "proc/asound/card2/pcm0c/sub0/status", status)
    write(root / f"proc/{thread}/status", f"Name:\tpool\nTgid:\t{process}\n")
    write(root / f"proc/{process}/comm", f"{program}\n")


@pytest.mark.parametrize(
    ("name", "pcm"),
    [("USB Mic: Audio (hw:12,3)", (12, 3)), ("default", None), ("a (hw:1,0) b", None)],
)
def test_portaudio_names_hold_the_card_and_its_device(
    name: str, pcm: tuple[int, int] | None
) -> None:
    assert pcm_of(name) == pcm


def test_a_card_is_known_by_its_id_its_socket_and_its_serial_number(root: Path) -> None:
    cards = SoundCards(root, {})
    place = str(root / "sys/devices/pci/usb1/1-1/1-1.2/1-1.2:1.0")
    assert cards.card(2) == SoundCard("USB PnP Sound Device", "desk", place, "C0FFEE")
    assert cards.card(0).serial == ""
    assert cards.card(7) == SoundCard()
    assert cards.places() == {place, cards.card(0).place}


def test_the_program_that_records_is_named_by_its_process(root: Path) -> None:
    cards = SoundCards(root, {})
    assert cards.held() == ()
    hold(root, thread=4711, process=4700, program="obs")
    assert cards.holder(2, 0) == "obs (process 4700)"
    [(card, program)] = cards.held()
    assert (card.card_id, program) == ("desk", "obs (process 4700)")


def test_what_this_program_holds_itself_is_not_held(root: Path) -> None:
    hold(root, thread=os.getpid() + 1, process=os.getpid(), program="python")
    assert SoundCards(root, {}).held() == ()


def test_a_closed_device_is_held_by_nobody(root: Path) -> None:
    write(root / "proc/asound/card2/pcm0c/sub0/status", "closed\n")
    # ALSA is believed: the files of all processes are not looked through, as that takes long.
    (root / "proc/99/fd").mkdir(parents=True)
    (root / "proc/99/fd/5").symlink_to("/dev/snd/pcmC2D0c")
    assert SoundCards(root, {}).held() == ()


def test_open_files_tell_where_alsa_does_not(root: Path) -> None:
    write(root / "proc/99/comm", "arecord\n")
    (root / "proc/99/fd").mkdir()
    (root / "proc/99/fd/5").symlink_to("/dev/snd/pcmC2D0c")
    assert SoundCards(root, {}).holder(2, 0) == "arecord (process 99)"


def test_the_stamp_changes_with_devices_and_with_the_sound_server(root: Path) -> None:
    cards = SoundCards(root, {"PULSE_SERVER": f"unix:{root}/native", "XDG_RUNTIME_DIR": str(root)})
    stamps = [cards.stamp()]
    assert cards.stamp() == stamps[0]
    for path in (root / "dev/snd/pcmC3D0c", root / "native", root / "pulse/native"):
        write(path, "")
        stamps.append(cards.stamp())
    (root / "dev/snd/pcmC3D0c").unlink()
    stamps.append(cards.stamp())
    assert len(set(stamps)) == len(stamps)


def test_a_machine_without_any_of_it_reads_as_empty(tmp_path: Path) -> None:
    cards = SoundCards(tmp_path / "none", {"XDG_RUNTIME_DIR": str(tmp_path)})
    assert (cards.places(), cards.held(), cards.holder(0, 0)) == (frozenset(), (), "")
    cards.stamp()
