"""Texts that are in a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.files import WholeTextFile, has_room
from tests.streamer.disks import full_disk


@given(
    steps=st.lists(st.tuples(st.booleans(), st.text(st.characters(codec="utf-8"), max_size=20))),
    most=st.integers(0, 60),
)
def test_a_file_holds_what_worked_and_nothing_of_what_did_not(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bool, str]], most: int
) -> None:
    path = tmp_path_factory.mktemp("files") / "a.txt"
    file = WholeTextFile(path)
    kept, draft = b"", b""
    with full_disk(most):
        for is_draft, text in steps:
            data = text.encode()
            try:
                (file.draft if is_draft else file.write)(text)
            except OSError:
                assert len(kept) + max(len(data), len(draft)) > most
            else:
                kept, draft = (kept, data) if is_draft else (kept + data, b"")
            assert path.read_bytes() == kept + draft
            assert file.size == len(kept)
    file.close()
    file.close()


def test_a_device_gets_texts_and_no_drafts() -> None:
    read_end, write_end = os.pipe()
    file = WholeTextFile(Path(f"/dev/fd/{write_end}"))
    file.draft("perhaps")
    file.write("for sure\n")
    file.close()
    assert os.read(read_end, 100) == b"for sure\n"
    for end in (read_end, write_end):
        os.close(end)


def test_room_is_found_out_by_writing(tmp_path: Path) -> None:
    assert has_room(tmp_path)
    assert not has_room(tmp_path / "nowhere")
    with full_disk(1000):
        assert not has_room(tmp_path)
    assert list(tmp_path.iterdir()) == []
