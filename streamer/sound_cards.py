"""What Linux tells of sound cards beside PortAudio: where they are plugged in, who holds them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PCM = re.compile(r"\(hw:(\d+),(\d+)\)$")


@dataclass(frozen=True)
class SoundCard:
    """A sound card.

    Attributes:
        name: What PortAudio's name of its devices begins with; empty if unknown.
        card_id: ALSA's short name of it, which udev can set; empty if unknown.
        place: Where it is plugged in, as a path of sysfs; empty if unknown.
        serial: Its serial number; empty where it has none.
    """

    name: str = ""
    card_id: str = ""
    place: str = ""
    serial: str = ""


def pcm_of(name: str) -> tuple[int, int] | None:
    """Return the card and the device in PortAudio's name of an ALSA device, such as
    ``USB Mic: Audio (hw:1,0)``; None for names without."""
    found = _PCM.search(name)
    return (int(found[1]), int(found[2])) if found else None


class SoundCards:
    """Reads of ``/proc``, ``/sys`` and ``/dev``; what is not there reads as empty.

    Args:
        root: Folder that holds the three.
        environment: Where the sound server's socket may be named.
    """

    def __init__(
        self, root: Path = Path("/"), environment: Mapping[str, str] | None = None
    ) -> None:
        self._root = root
        self._sockets = tuple(_server_sockets(os.environ if environment is None else environment))

    def card(self, number: int) -> SoundCard:
        """Return what is known of the card of a number; it changes when it is plugged in again."""
        link = self._root / f"sys/class/sound/card{number}/device"
        place = link.resolve() if link.exists() else None
        return SoundCard(
            name=self._names().get(number, ""),
            card_id=_text(self._root / f"proc/asound/card{number}/id"),
            place=str(place) if place else "",
            serial=_text(place.parent / "serial") if place else "",
        )

    def places(self) -> frozenset[str]:
        """Return the places of all cards."""
        cards = map(self.card, self._numbers())
        return frozenset(card.place for card in cards if card.place)

    def held(self) -> tuple[tuple[SoundCard, str], ...]:
        """Return the cards that other programs record from, each with the program.

        PortAudio leaves such cards out of its list.
        """
        found = []
        for number in self._numbers():
            for folder in _entries(self._root / f"proc/asound/card{number}"):
                pcm = re.fullmatch(r"pcm(\d+)c", folder.name)
                if pcm and (program := self.holder(number, int(pcm[1]))):
                    found.append((self.card(number), program))
        return tuple(found)

    def holder(self, card: int, pcm: int) -> str:
        """Return which program records from a device, as ``NAME (process N)``; empty if unknown."""
        folder = self._root / f"proc/asound/card{card}/pcm{pcm}c"
        told = [text for sub in _entries(folder) if (text := _text(sub / "status"))]
        for text in told:
            owner = re.search(r"^owner_pid\s*:\s*(\d+)", text, re.MULTILINE)
            if owner and int(owner[1]):
                return self._program(owner[1])
        # To look through the files of all processes takes long, on a board with twenty inputs.
        if told and all(text == "closed" for text in told):
            return ""
        return self._holder_by_files(f"/dev/snd/pcmC{card}D{pcm}c")

    def stamp(self) -> tuple[tuple[str, int, int], ...]:
        """Return what differs once a device came or went, or the sound server was started."""
        folder = self._root / "dev/snd"
        watched = (folder, *_entries(folder), *self._sockets)
        return tuple(mark for path in watched if (mark := _mark(path)) is not None)

    def _numbers(self) -> list[int]:
        names = [entry.name for entry in _entries(self._root / "sys/class/sound")]
        return [int(name[4:]) for name in names if re.fullmatch(r"card\d+", name)]

    def _names(self) -> dict[int, str]:
        cards = _text(self._root / "proc/asound/cards")
        return {
            int(number): name
            for number, name in re.findall(r"^\s*(\d+) \[.*?\]: \S+ - (.+)$", cards, re.MULTILINE)
        }

    def _program(self, thread: str) -> str:
        """Name the program of a thread or process."""
        group = re.search(
            r"^Tgid:\s*(\d+)", _text(self._root / f"proc/{thread}/status"), re.MULTILINE
        )
        process = group[1] if group else thread
        if process == str(os.getpid()):
            return ""
        name = _text(self._root / f"proc/{process}/comm")
        return f"{name} (process {process})" if name else f"process {process}"

    def _holder_by_files(self, device: str) -> str:
        """Look through the open files of those processes that may be looked at."""
        for process in _entries(self._root / "proc"):
            if not process.name.isdecimal() or process.name == str(os.getpid()):
                continue
            for file in _entries(process / "fd"):
                with suppress(OSError):
                    if os.readlink(file) == device:
                        return self._program(process.name)
        return ""


def _server_sockets(environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield where PulseAudio and PipeWire listen."""
    for address in environment.get("PULSE_SERVER", "").split():
        if address.startswith(("unix:", "/")):
            yield Path(address.removeprefix("unix:"))
    runtime = environment.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    for name in ("pulse/native", "pipewire-0"):
        yield Path(runtime, name)
    yield Path("/run/pulse/native")


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _mark(path: Path) -> tuple[str, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return path.name, status.st_ino, status.st_ctime_ns


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
