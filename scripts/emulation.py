"""Runs a command in a system made for another processor, which QEMU imitates; see scripts/arm64.

    python3 scripts/emulation.py [--root FOLDER] COMMAND...

The command runs in Linux namespaces of its own, as the superuser of these and of nothing else.
QEMU is registered and file systems are mounted in them alone, so the rest of the machine sees
nothing of it, and when the command ends nothing of it is left.  Without ``--root`` it runs in
the machine's own system, as the owner of the files that are below such a folder.

Needs Linux 6.7, or QEMU registered by the machine; see ``binfmt_misc(5)``.  Whoever is not root
needs subordinate user ids, see ``newuidmap(1)``.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

NEW_USERS, NEW_MOUNTS, NEW_PROCESSES = 0x10000000, 0x00020000, 0x20000000
"""Flags of ``unshare``: what the command gets of its own."""

BIND, RECURSIVE, PRIVATE = 4096, 16384, 1 << 18
"""Flags of ``mount``."""

DEATH_SIGNAL = 1
USERS = 65536
QEMU = "/usr/bin/qemu-aarch64-static"
REGISTERED = "qemu-aarch64"
MAGIC = rb"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = rb"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
"""How a program for arm64 begins, and which bits of that count."""

libc = ctypes.CDLL(None, use_errno=True)


class EmulationError(Exception):
    """The command cannot be run; the message says what to do about it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code, or 125 if it could not be run."""
    parser = argparse.ArgumentParser(
        description="Run a command in a system made for another processor."
    )
    parser.add_argument("--root", metavar="FOLDER", type=Path, help="the other system")
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    if not options.command:
        parser.error("give a command to run")
    with tempfile.TemporaryDirectory() as formats:
        try:
            return _apart(options.root, options.command, formats)
        except EmulationError as error:
            print(f"emulation.py: error: {error}", file=sys.stderr)
            return 125


def _apart(root: Path | None, command: list[str], formats: str) -> int:
    """Run a command in new namespaces, whose users this process maps; return its exit code."""
    is_apart, said_apart = os.pipe()
    is_mapped, said_mapped = os.pipe()
    child = os.fork()
    if not child:
        os.close(is_apart)
        os.close(said_mapped)
        _carefully(lambda: _separate(said_apart, is_mapped, root, command, formats))
    os.close(said_apart)
    os.close(is_mapped)
    try:
        if os.read(is_apart, 1):
            _map_users(child)
            os.write(said_mapped, b"1")
    finally:
        os.close(said_mapped)
        code = _exit_code(child)
    return code


def _separate(
    said_apart: int, is_mapped: int, root: Path | None, command: list[str], formats: str
) -> None:
    _die_with_parent()
    if libc.unshare(NEW_USERS | NEW_MOUNTS | NEW_PROCESSES):
        raise EmulationError(
            f"this system lets nobody make namespaces ({_reason()}); run it as root, with sudo"
        )
    os.write(said_apart, b"1")
    if not os.read(is_mapped, 1):
        os._exit(125)
    first = os.fork()
    if first:
        os._exit(_exit_code(first))
    _die_with_parent()
    os.setgid(0)
    os.setuid(0)
    if root is not None:
        _enter(root.resolve(), formats)
    _run(command)


def _map_users(child: int) -> None:
    """Give a process the users from 0 on: the machine's own for root, else subordinate ones."""
    for kind in ("uid", "gid"):
        if os.geteuid() == 0:
            Path(f"/proc/{child}/{kind}_map").write_text(f"0 0 {USERS}\n")
        else:
            _map_subordinate(child, kind)


def _map_subordinate(child: int, kind: str) -> None:
    own = os.getuid() if kind == "uid" else os.getgid()
    first, count = _subordinate(Path(f"/etc/sub{kind}"))
    command = [f"new{kind}map", child, 0, own, 1, 1, first, min(count, USERS - 1)]
    try:
        subprocess.run(list(map(str, command)), check=True)
    except FileNotFoundError:
        raise EmulationError(
            f"new{kind}map is missing; install it, with: sudo apt-get install uidmap"
        ) from None
    except subprocess.CalledProcessError as error:
        raise EmulationError(
            f"new{kind}map failed with code {error.returncode}; run this as root, with sudo"
        ) from None


def _subordinate(table: Path) -> tuple[int, int]:
    """Return the first of this user's subordinate ids, and how many there are."""
    user = pwd.getpwuid(os.getuid()).pw_name
    lines = table.read_text().splitlines() if table.exists() else []
    for name, first, count in (line.split(":") for line in lines if line.count(":") == 2):
        if name in (user, str(os.getuid())):
            return int(first), int(count)
    raise EmulationError(
        f"{table}: has no ids for {user}; run this as root, with sudo, or give it some, with: "
        f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
    )


def _enter(root: Path, formats: str) -> None:
    """Let QEMU run arm64 programs here, and make the other system's root this process's."""
    _mount("none", "/", None, RECURSIVE | PRIVATE)
    _register(Path(formats))
    try:
        _mount("proc", root / "proc", "proc")
    except OSError:  # Where a container hides a part of it.
        _mount("/proc", root / "proc", None, BIND | RECURSIVE)
    # Not /sys: ONNX Runtime, imitated, would read there of processors unlike its own, and crash.
    _mount("/dev", root / "dev", None, BIND | RECURSIVE)
    os.chroot(root)
    os.chdir("/")


def _register(formats: Path) -> None:
    try:
        _mount("none", formats, "binfmt_misc")
    except OSError:
        _require_registered(Path("/proc/sys/fs/binfmt_misc") / REGISTERED)
        return
    # F: the kernel opens QEMU now, from outside of the other system.  C, O: as the program.
    line = b":".join([b"", REGISTERED.encode(), b"M", b"", MAGIC, MASK, QEMU.encode(), b"OCF"])
    (formats / "register").write_bytes(line)


def _require_registered(entry: Path) -> None:
    told = entry.read_text() if entry.exists() else ""
    flags = next((line for line in told.splitlines() if line.startswith("flags:")), "")
    if not told.startswith("enabled") or "F" not in flags:
        raise EmulationError(
            "this kernel is older than 6.7, and QEMU is not registered for arm64; register it, "
            "with: sudo apt-get install --reinstall binfmt-support qemu-user-static"
        )


def _mount(source: str, target: str | Path, kind: str | None, flags: int = 0) -> None:
    encoded = kind.encode() if kind else None
    if libc.mount(source.encode(), os.fsencode(target), encoded, ctypes.c_ulong(flags), None):
        raise OSError(ctypes.get_errno(), f"cannot mount on {target}: {_reason()}")


def _run(command: list[str]) -> NoReturn:
    """Run a command, wait for it and for what it left, and end with its exit code."""
    child = os.fork()
    if not child:
        os.execvp(command[0], command)
    while True:
        ended, status = os.wait()
        if ended == child:
            os._exit(_code(status))


def _carefully(work: Callable[[], None]) -> NoReturn:
    """Call what never returns; say what went wrong and end this process if it does."""
    try:
        work()
    except (EmulationError, OSError) as error:
        print(f"emulation.py: error: {error}", file=sys.stderr)
    finally:
        os._exit(125)


def _exit_code(process: int) -> int:
    while True:
        try:
            return _code(os.waitpid(process, 0)[1])
        except KeyboardInterrupt:
            continue  # The command was interrupted too, and ends as it likes.


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _die_with_parent() -> None:
    libc.prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def _reason() -> str:
    return os.strerror(ctypes.get_errno())


if __name__ == "__main__":
    sys.exit(main())
