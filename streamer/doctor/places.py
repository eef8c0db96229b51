"""Where captions, recordings and pages go: folders with room, and a port that is free."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from streamer.doctor.finding import Finding, Status

FULL_MB, SCARCE_MB = 50, 1000
"""Room below which files soon end, and below which it should be watched, MB."""

RECORDING_MB_H = 80
"""What an hour of a FLAC recording takes, MB; captions take next to nothing."""

GIGABYTE = 1000
"""MB."""

MADE = "--data"
"""The place whose folder is made where it is missing."""


def free_mb(folder: Path) -> float:
    """Return the room in a folder, MB.

    Raises:
        OSError: If it cannot be told.
    """
    return shutil.disk_usage(folder).free / 1e6


def check_places(
    places: Mapping[str, Path],
    free: Callable[[Path], float] = free_mb,
    writable: Callable[[Path], bool] = lambda path: os.access(path, os.W_OK | os.X_OK),
) -> Iterator[Finding]:
    """Yield for each folder whether it can be written and has room.

    Args:
        places: What goes there, by option or words, and the folder.
        free: Room in a folder, MB.
        writable: Whether files can be made in a folder.
    """
    for purpose, folder in places.items():
        if folder.is_dir() or purpose == MADE:
            yield _place(purpose, folder, free, writable)
        else:
            text, remedy = f"{purpose}: there is no folder {folder}", f"make it: mkdir -p {folder}"
            yield Finding("disk", "Disk", "failure", text, remedy)


def _place(
    purpose: str, folder: Path, free: Callable[[Path], float], writable: Callable[[Path], bool]
) -> Finding:
    there = next((each for each in (folder, *folder.absolute().parents) if each.is_dir()), None)
    if there is None or not writable(there):
        text = f"{purpose}: {folder} cannot be written by this user"
        remedy = f"give another place, or: sudo chown $USER {there or folder}"
        return Finding("disk", "Disk", "failure", text, remedy)
    room = free(there)
    hours = room / RECORDING_MB_H
    text = f"{purpose}: {_size(room)} free in {folder}, {hours:.0f} hours of recording"
    figures = {"purpose": purpose, "free_mb": round(room)}
    if room >= SCARCE_MB:
        return Finding("disk", "Disk", "ok", text, figures=figures)
    remedy = "free some space, or give another place; see what takes it with: du -xh --max-depth 2"
    status: Status = "failure" if room < FULL_MB else "warning"
    return Finding("disk", "Disk", status, text, remedy, figures)


def _size(megabytes: float) -> str:
    if megabytes >= GIGABYTE:
        return f"{megabytes / GIGABYTE:.0f} GB"
    return f"{megabytes:.0f} MB"


def check_port(host: str, port: int) -> Iterator[Finding]:
    """Yield whether pages can be served at an address.

    Args:
        host: Name or address.
        port: TCP port; 0 for any.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        text = f"{host}:{port} cannot be listened on ({error.strerror or error})"
        remedy = f"give another --port, or end what uses it: ss -ltnp 'sport = :{port}'"
        yield Finding("port", "Port", "failure", text, remedy)
    else:
        yield Finding("port", "Port", "ok", f"{host}:{port} is free")
