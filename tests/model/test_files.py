"""Writing files: whole or not at all, and said where it cannot be."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from threading import Thread

import pytest

from model.errors import ManifestError, UsageError
from model.files import check_folder, file_checksum, read_file, write_output, write_whole


def test_a_file_is_written_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.bin"
    write_output(path, b"first")
    write_output(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("file/x.bin", "Not a directory"), ("folder", "Is a directory"), ("y" * 999, "too long")],
)
def test_what_cannot_be_written_is_told_and_leaves_nothing(
    tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ManifestError, match=f"cannot be written .*{reason}.*; free some space"):
        write_output(tmp_path / name, b"content", ManifestError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_pipe_is_written_and_stays(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, b"content")
    reader.join(10)
    assert read == [b"content"]
    assert pipe.is_fifo()


def test_a_folder_is_tried_before_the_work(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "x"):
        with pytest.raises(UsageError, match=r"cannot be written \(Not a directory\)"):
            check_folder(path)


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_file(path, 5) == b"12345"
    with pytest.raises(OSError, match="it is larger than 4 bytes"):
        read_file(path, 4)


def test_pipes_devices_and_folders_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", tmp_path / "link"):
        with pytest.raises(OSError, match="it is no regular file"):
            read_file(path, 10)
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path, 10)


def test_the_checksum_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(content)
    assert file_checksum(tmp_path / "file") == hashlib.sha256(content).hexdigest()
