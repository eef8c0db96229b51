"""The trial on arm64: what is asked of it, and what it runs things in.

The trial itself takes an hour, so it is no part of this: ``make arm64``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EMULATION = (sys.executable, str(ROOT / "scripts" / "emulation.py"))
SYSTEM = ROOT / "cache" / "arm64" / "root"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def apart(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in namespaces of its own; skip the test where nobody may make them."""
    done = run(*EMULATION, *command)
    if done.returncode == 125 and "root" in done.stderr:
        pytest.skip(done.stderr.strip())
    return done


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("abacus",), "unknown step: abacus; give setup, captions, compare, tests, run or clean"),
        (("compare", "all"), "unknown arguments: all; compare takes none"),
        (("run",), "run: give a command to run there"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is(
    arguments: tuple[str, ...], message: str
) -> None:
    done = run(str(ROOT / "scripts" / "arm64"), *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"arm64: {message}")


def test_tools_that_are_missing_are_named_with_their_packages(tmp_path: Path) -> None:
    (tmp_path / "env").symlink_to("/usr/bin/env")
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    done = subprocess.run(
        ["/bin/bash", str(ROOT / "scripts" / "arm64"), "setup"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "install them, with: sudo apt-get install" in done.stderr
    assert "qemu-user-static" in done.stderr


def test_a_command_runs_apart_as_the_owner_of_all_and_ends_with_its_code() -> None:
    done = apart("sh", "-c", "id -u; mount -t tmpfs none /mnt && touch /mnt/left-behind; exit 7")
    assert (done.returncode, done.stdout) == (7, "0\n"), done.stderr
    assert not Path("/mnt/left-behind").exists()


def test_what_a_command_leaves_running_ends_with_it() -> None:
    done = apart("sh", "-c", "sleep 1000 & echo started")
    assert done.stdout == "started\n"


@pytest.mark.parametrize(("signal", "code"), [("TERM", 143), ("KILL", 137)])
def test_a_killed_command_ends_with_the_code_of_shells(signal: str, code: int) -> None:
    assert apart("sh", "-c", f"kill -{signal} $$").returncode == code


def test_a_command_that_is_not_there_is_an_error_without_a_traceback() -> None:
    done = apart("no-such-command")
    assert done.returncode == 125
    assert done.stderr.startswith("emulation.py: error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not (SYSTEM / "usr").exists(), reason="scripts/arm64 has not been run here")
def test_programs_for_the_other_processor_run() -> None:
    done = apart("--root", str(SYSTEM), "sh", "-c", "uname -m; test -x /bin/sh && echo found")
    assert (done.returncode, done.stdout) == (0, "aarch64\nfound\n"), done.stderr
