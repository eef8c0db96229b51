"""``--private`` leaves nothing behind: seen by the system calls, and on disks that take nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.errors import UsageError
from run_live import main
from streamer.private import check_descriptor, disk_swaps
from tests.security.traces import can_trace, changes, is_change, traced

ROOT = Path(__file__).parents[2]
CLIP = ROOT / "tests/data/speech/common_voice_en_17369372.opus"
CAPTIONS = [
    *("run_live.py", "--wav", str(CLIP), "--speed", "max", "--format", "plain", "--private"),
]
IN_VIEW = ("unshare", "-rm", "--propagation", "private")
READ_ONLY = """
mount -o remount,bind,ro / || exit 77
awk '{print $2}' /proc/mounts | grep -v -E '^/(proc|dev|sys)?(/|$)' | while read -r place; do
    mount -o remount,bind,ro "$place" || exit 77
done
touch "$1" 2>/dev/null && exit 77
shift
exec "$@"
"""
"""Runs a program where every disk is read-only, by a view of the disks that only it has."""

DONE_S = 120


def watched(folder: Path, *arguments: str) -> tuple[str, list[str]]:
    """Run the program; return what it printed, and the system calls that change something."""
    trace = folder / "trace.txt"
    done = subprocess.run(
        [*traced(trace), sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DONE_S,
        env=os.environ | {"HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, changes(trace)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('7 openat(AT_FDCWD, "/tmp/a", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3', True),
        ('7 openat(AT_FDCWD, "/tmp", O_RDWR|O_TMPFILE, 0600) = 3', True),
        ('7 openat(AT_FDCWD, "/tmp/a", O_RDONLY|O_CLOEXEC) = 3', False),
        ('7 openat(AT_FDCWD, "/dev/null", O_RDWR|O_CLOEXEC) = 3', False),
        ('7 rename("/tmp/a", "/tmp/b") = 0', True),
        ('7 mkdir("/root/.cache", 0777) = -1 EEXIST (File exists)', False),
    ],
)
def test_calls_that_change_something_are_told_from_others(line: str, expected: bool) -> None:
    assert is_change(line) is expected


def test_calls_that_another_thread_cuts_in_two_are_seen_whole(tmp_path: Path) -> None:
    trace = tmp_path / "trace.txt"
    trace.write_text(
        '7 openat(AT_FDCWD, "/tmp/a", O_WRONLY|O_CREAT, 0666 <unfinished ...>\n'
        '8 openat(AT_FDCWD, "/tmp/b", O_WRONLY|O_CREAT, 0666 <unfinished ...>\n'
        '9 openat(AT_FDCWD, "/tmp/c", O_RDONLY) = 4\n'
        "7 <... openat resumed>)            = 3\n"
        "8 <... openat resumed>) = -1 EROFS (Read-only file system)\n"
        '9 rename("/tmp/c", "/tmp/d" <unfinished ...>\n'
    )
    assert [call[0] for call in changes(trace)] == ["7", "9"]


@pytest.mark.skipif(not can_trace(), reason="strace is missing, or may not trace here")
def test_private_captions_open_no_file_for_writing_and_no_connection(tmp_path: Path) -> None:
    spoken, calls = watched(tmp_path, *CAPTIONS)
    assert spoken.strip()
    assert calls == []


@pytest.mark.skipif(not can_trace(), reason="strace is missing, or may not trace here")
def test_the_same_watch_sees_captions_that_are_written(tmp_path: Path) -> None:
    open_captions = [part for part in CAPTIONS if part != "--private"]
    _, calls = watched(tmp_path, *open_captions, "--output", str(tmp_path / "said.txt"))
    assert any("said.txt" in call for call in calls)


def test_private_captions_need_no_disk_that_can_be_written(tmp_path: Path) -> None:
    done = subprocess.run(
        [*IN_VIEW, "sh", "-c", READ_ONLY, "sh", str(tmp_path / "a"), sys.executable, *CAPTIONS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DONE_S,
    )
    if "unshare" in done.stderr or done.returncode == 77:
        pytest.skip(f"no read-only view of the disks can be made here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize(("option", "name"), [("--output", "a.txt"), ("--record", "a.flac")])
def test_what_would_be_written_is_refused(
    option: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--wav", str(CLIP), "--private", option, str(tmp_path / name)]) == 2
    assert "--private forbids to write it; leave one out" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_captions_into_a_file_by_the_shell_are_refused(tmp_path: Path) -> None:
    refused = pytest.raises(UsageError, match="standard output is a file")
    with (tmp_path / "said.txt").open("w") as file, refused:
        check_descriptor(file.fileno())
    read, write = os.pipe()
    check_descriptor(write)
    os.close(read)
    os.close(write)


def test_captions_into_the_journal_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    state = os.fstat(write)
    monkeypatch.setenv("JOURNAL_STREAM", f"{state.st_dev}:{state.st_ino}")
    with pytest.raises(UsageError, match="the system's journal"):
        check_descriptor(write)
    os.close(read)
    os.close(write)


def test_a_private_program_cannot_be_dumped() -> None:
    program = (
        "import ctypes, resource, sys\n"
        "from streamer.private import keep_in_memory\n"
        "notices = keep_in_memory()\n"
        "assert notices[0].kind == 'private'\n"
        "assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)\n"
        "assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0\n"
        "assert sys.dont_write_bytecode\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=DONE_S)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("text", "disks"),
    [
        ("Filename Type Size Used Priority\n", []),
        ("Filename Type\n/dev/zram0 partition 1 0 5\n/dev/zram1 partition 1 0 5\n", []),
        ("Filename Type\n/dev/nvme0n1p2 partition 1 0 -2\n", ["/dev/nvme0n1p2"]),
        ("Filename Type\n/swapfile file 1 0 -2\n/dev/zram0 partition 1 0 5\n", ["/swapfile"]),
    ],
)
def test_swap_in_memory_is_told_from_swap_on_disks(
    text: str, disks: list[str], tmp_path: Path
) -> None:
    (tmp_path / "swaps").write_text(text)
    assert disk_swaps(tmp_path / "swaps") == disks
    assert disk_swaps(tmp_path / "none") == []
