"""Sound as Linux sees it: cards, permissions, sound servers; nothing is opened."""

from __future__ import annotations

import re
from collections.abc import Iterator

from model.wording import counted
from streamer.doctor.finding import Finding, Status
from streamer.doctor.host import Host
from streamer.sound_cards import SoundCards

SERVERS = r"pulseaudio|pipewire|wireplumber"
"""Programs that give a card on to others."""

CONTAINER_REMEDY = "start the container with: --device /dev/snd --group-add {group}"


def check_cards(host: Host) -> Iterator[Finding]:
    """Yield the sound cards that the kernel knows."""
    listed = host.text("/proc/asound/cards")
    cards = dict(re.findall(r"^\s*(\d+) \[[^\]]*\]: .*? - (.*?)\s*$", listed, re.MULTILINE))
    recording = [number for number in cards if host.glob(f"/proc/asound/card{number}/pcm*c")]
    usb = [number for number in cards if host.path(f"/proc/asound/card{number}/usbid").exists()]
    figures = {"cards": len(cards), "recording": len(recording), "usb": len(usb)}
    if not cards:
        remedy = "plug a microphone in, and look for it with: arecord -l"
        yield Finding("cards", "Sound cards", "absent", "none known to ALSA", remedy, figures)
        return
    names = [name + (" (USB)" if number in usb else "") for number, name in cards.items()]
    text = f"{', '.join(names)}; {len(recording)} can record"
    if recording:
        yield Finding("cards", "Sound cards", "ok", text, figures=figures)
    else:
        remedy = "none can record: plug a USB microphone in, and look for it with: arecord -l"
        yield Finding("cards", "Sound cards", "warning", text, remedy, figures)


def check_holders(host: Host) -> Iterator[Finding]:
    """Yield each card that another program than a sound server records from."""
    for card, program in SoundCards(host.root, host.environment).held():
        if not re.match(SERVERS, program):
            text = f"{card.name or card.card_id or 'a card'} is in use by {program}"
            remedy = "PortAudio does not list it meanwhile: end that program"
            yield Finding("holder", "In use", "warning", text, remedy)


def check_permission(host: Host) -> Iterator[Finding]:
    """Yield whether this user may open the sound devices."""
    devices = host.glob("/dev/snd/pcmC*D*c")
    if not devices:
        yield _no_devices(host)
        return
    group = devices[0].stat().st_gid
    name, members = _group(host, group)
    refused = [device for device in devices if not host.usable(device)]
    if not refused:
        text = f"{counted(len(devices), 'input')} in /dev/snd may be opened"
        yield Finding("permission", "Permission", "ok", text)
        return
    text = f"this user may not open {len(refused)} of {len(devices)} inputs in /dev/snd"
    if host.in_container:
        remedy = CONTAINER_REMEDY.format(group=group)
    elif group in host.groups:
        remedy = f"they refuse their own group {name}: sudo chmod 660 /dev/snd/*, or restart"
    elif host.user in members:
        remedy = f"the group {name} holds from the next login on: log out and in again, or restart"
    else:
        remedy = f"sudo usermod -aG {name} $USER, then log out and in again"
    yield Finding("permission", "Permission", "failure", text, remedy)


def _no_devices(host: Host) -> Finding:
    outside = bool(host.glob("/proc/asound/card[0-9]*/pcm*c"))
    if host.in_container:
        text = "no input in /dev/snd: this container was given none"
        status: Status = "failure" if outside else "absent"
        return Finding(
            "permission", "Permission", status, text, CONTAINER_REMEDY.format(group="audio")
        )
    if outside:
        text = "ALSA knows an input that is not in /dev/snd"
        return Finding(
            "permission", "Permission", "failure", text, "restart, or: sudo udevadm trigger"
        )
    return Finding("permission", "Permission", "absent", "no input in /dev/snd")


def _group(host: Host, number: int) -> tuple[str, list[str]]:
    """Return the name of a group and the users that are in it by the system's list."""
    for line in host.text("/etc/group").splitlines():
        name, _, identity, users = (*line.split(":"), "", "", "", "")[:4]
        if identity == str(number):
            return name, users.split(",")
    return "audio" if number == 0 else str(number), []


def check_server(host: Host) -> Iterator[Finding]:
    """Yield which sound server runs, and which input it takes for its default."""
    said = host.run(["pactl", "info"])
    told = dict(re.findall(r"^([\w ]+): (.*)$", said or "", re.MULTILINE))
    name = told.get("Server Name", "")
    if not name:
        yield _unasked_server(host)
        return
    source = told.get("Default Source", "")
    text = f"{name}, default input {source or 'none'}"
    status = re.search(
        r"Mute: yes", host.run(["pactl", "get-source-mute", "@DEFAULT_SOURCE@"]) or ""
    )
    if status:
        remedy = "unmute it: pactl set-source-mute @DEFAULT_SOURCE@ 0"
        yield Finding("server", "Sound server", "warning", f"{text}, which is muted", remedy)
    elif source.endswith(".monitor"):
        remedy = "that is what this machine plays; choose another: pactl set-default-source NAME"
        yield Finding("server", "Sound server", "warning", text, remedy)
    elif "platform-sound" in source or "tegra" in source:
        remedy = "the board's own channels hear nothing; choose: pactl set-default-source NAME"
        yield Finding("server", "Sound server", "warning", text, remedy)
    else:
        yield Finding("server", "Sound server", "ok", text)


def _unasked_server(host: Host) -> Finding:
    if address := host.environment.get("PULSE_SERVER", ""):
        text = f"{address} (PULSE_SERVER) does not answer `pactl info`"
        remedy = "start that server anew; for `pactl`: sudo apt-get install pulseaudio-utils"
        return Finding("server", "Sound server", "warning", text, remedy)
    runtime = host.environment.get("XDG_RUNTIME_DIR", "")
    names = ("pulse/native", "pipewire-0")
    sockets = [name for name in names if (host.path(runtime) / name).exists()]
    if runtime and sockets:
        text = f"{' and '.join(sockets)} in {runtime}, but it does not answer `pactl info`"
        remedy = "to see its default input: sudo apt-get install pulseaudio-utils"
        return Finding("server", "Sound server", "ok", text, remedy)
    return Finding("server", "Sound server", "absent", "none; ALSA is used alone")
