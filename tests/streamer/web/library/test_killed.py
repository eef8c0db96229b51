"""A server that is killed at any moment loses nothing that it said it kept."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile

from streamer.web.library.library import Library
from tests.streamer.web.library.nursery import sound, words
from tests.streamer.web.library.shelves import final, keep, noise, push

REPOSITORY = Path(__file__).resolve().parents[4]
KILLS, MOST_ACTS = 40, 40


@dataclass
class Promise:
    """What the library said of a recording before it was killed."""

    samples: int = 0
    finals: int = 0
    finished: bool = False
    correcting: bool = False
    corrected: bool = False
    deleting: bool = False
    deleted: bool = False
    seen: list[object] = field(default_factory=list)

    def take(self, act: str, *values: str) -> None:
        match act:
            case "pushed":
                self.samples = int(values[0])
            case "added":
                self.finals = int(values[0])
            case "corrected":
                self.corrected = True
                self.seen.clear()
            case "begun":
                pass
            case _:
                setattr(self, act, True)
                self.seen.clear()


@contextmanager
def nursery(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.streamer.web.library.nursery", str(folder)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


def live_and_die(process: subprocess.Popen[str], chance: random.Random) -> list[list[str]]:
    """Start a child, kill it at some moment, and return what it said.

    A quarter of the children are killed while they open the library, the others in the
    midst of what they do after some other things.
    """
    assert process.stdout is not None and process.stdin is not None
    process.stdin.write(f"{chance.randrange(1_000_000)}\n")
    process.stdin.flush()
    acts = 0 if chance.random() < 0.25 else chance.randrange(1, MOST_ACTS)
    lines: list[list[str]] = []
    while len(lines) < acts + 1 or ["child"] not in [line[:1] for line in lines]:
        lines.append(process.stdout.readline().split())
    time.sleep(chance.uniform(0.0, 0.02 if acts else 0.1))
    [child] = [int(line[1]) for line in lines if line[0] == "child"]
    os.kill(child, signal.SIGKILL)
    while lines[-1:] != [["dead"]]:
        lines.append(process.stdout.readline().split())
    return [line for line in lines if line[0] not in ("child", "opened", "dead")]


def check(library: Library, id: str, promise: Promise) -> None:
    """See that a recording is as it was promised to be."""
    if promise.deleted or id not in library.ids():
        empty = not promise.samples and not promise.finals
        assert promise.deleting or empty, f"{id} is gone: {promise}"
        assert id not in library.ids()
        return
    if promise.seen:
        check_untouched(library, id, promise)
        return
    recording = library.recording(id)
    assert recording.segments is not None
    assert recording.state in (("finished",) if promise.finished else ("finished", "interrupted"))
    pcm, _ = soundfile.read(library.audio(id), dtype="int16") if promise.samples else ([], 0)
    assert len(pcm) >= promise.samples
    np.testing.assert_array_equal(pcm, sound(id, len(pcm)))
    heard = library.recording(id, 0).segments or ()
    assert len(heard) >= promise.finals
    assert [one.text for one in heard] == [words(id, place) for place in range(len(heard))]
    mended = recording.revision > 0
    assert mended or not promise.corrected
    assert promise.correcting or not mended
    texts = [words(id, place, mended) for place in range(len(heard))]
    assert [one.text for one in recording.segments] == texts
    check_untouched(library, id, promise)


def check_untouched(library: Library, id: str, promise: Promise) -> None:
    """See that nothing changes a recording after it has ended, but corrections."""
    digest = hashlib.sha256(library.audio(id).read_bytes()).hexdigest()
    now = [library.recording(id), library.revisions(id), digest]
    assert promise.seen in ([], now)
    promise.seen = now


def check_files(folder: Path, promises: dict[str, Promise]) -> None:
    """See that the database is whole, and that nothing is left of what was deleted."""
    with closing(sqlite3.connect(folder / "library.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        ids = {id for (id,) in connection.execute("SELECT id FROM recordings")}
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.stem for path in files if path.suffix == ".wav"} <= ids
    content = b"".join(path.read_bytes() for path in files)
    for id in (id for id, promise in promises.items() if promise.deleted):
        assert id[:16].encode() not in content
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_killed_server_loses_nothing_that_it_kept(tmp_path: Path) -> None:
    folder, promises = tmp_path / "data", dict[str, Promise]()
    chance = random.Random(0)
    with nursery(folder) as process:
        for _ in range(KILLS):
            for act, id, *values in live_and_die(process, chance):
                promises.setdefault(id, Promise()).take(act, *values)
            library = Library.open(folder)
            for id, promise in promises.items():
                check(library, id, promise)
            assert library.ids() <= promises.keys()
            library.close()
            check_files(folder, promises)
    assert sum(promise.deleted for promise in promises.values()) > 5
    assert sum(promise.corrected for promise in promises.values()) > 3
    assert sum(promise.finished for promise in promises.values()) > 20


def leave_going(folder: Path) -> tuple[str, Path]:
    """Return a recording that goes on in a library whose server ends without a word."""
    library = Library.open(folder)
    kept = library.begin("", "live", "toy")
    push(kept, noise(0.5))
    kept.add(final("so far", 0.0, 0.5))
    path = library.audio(kept.id)
    audio = path.read_bytes()
    library.close()
    path.write_bytes(audio)
    with closing(sqlite3.connect(folder / "library.db")) as connection, connection:
        connection.execute("UPDATE recordings SET state = 'recording', samples = 0")
    return kept.id, path


def test_a_torn_sample_and_a_wrong_header_are_put_right(tmp_path: Path) -> None:
    id, path = leave_going(tmp_path)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\0\0\0\0"
    path.write_bytes(content + b"\x07")
    library = Library.open(tmp_path)
    recording = library.recording(id)
    assert (recording.state, recording.duration_s, recording.text) == ("interrupted", 0.5, "so far")
    assert path.stat().st_size == len(content)
    samples, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_array_equal(samples, noise(0.5))
    library.close()


def test_text_whose_audio_is_lost_stays(tmp_path: Path) -> None:
    id, path = leave_going(tmp_path)
    path.unlink()
    library = Library.open(tmp_path)
    assert library.recording(id).text == "so far"
    assert library.recording(id).state == "interrupted"
    library.close()


def test_a_finished_recording_whose_audio_is_lost_is_marked(tmp_path: Path) -> None:
    library = Library.open(tmp_path)
    id = keep(library, ["still said"])
    path = library.audio(id)
    library.close()
    path.unlink()
    library = Library.open(tmp_path)
    recording = library.recording(id)
    assert (recording.state, recording.duration_s) == ("interrupted", 0.0)
    assert recording.text == "still said"
    library.close()


def test_what_a_link_leads_to_is_not_written(tmp_path: Path) -> None:
    id, path = leave_going(tmp_path / "data")
    other = tmp_path / "precious"
    other.write_bytes(b"precious" * 100)
    path.unlink()
    path.symlink_to(other)
    library = Library.open(tmp_path / "data")
    assert library.recording(id).state == "interrupted"
    library.delete(id)
    assert not path.is_symlink()
    assert other.read_bytes() == b"precious" * 100
    library.close()


def test_a_kill_amid_a_deletion_leaves_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library.open(tmp_path / "data")
    id = keep(library, ["goessecretly"])
    with monkeypatch.context() as patch:
        patch.setattr("streamer.web.library.library.Library._remove_audio", lambda *_: None)
        patch.setattr("streamer.web.library.database.Database.forget_deleted", lambda _: None)
        library.delete(id)
    left = tmp_path / "left"
    shutil.copytree(tmp_path / "data", left)
    library.close()
    assert holders(left, "goessecretly")
    library = Library.open(left)
    assert holders(left, "goessecretly") == []
    assert list((left / "audio").glob("*.wav")) == []
    library.close()


def holders(folder: Path, text: str) -> list[str]:
    """Return the names of the files that hold a text."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path.name for path in files if text.encode() in path.read_bytes()]


def test_a_recording_with_neither_audio_nor_text_goes(tmp_path: Path) -> None:
    _, path = leave_going(tmp_path)
    path.write_bytes(b"RIFF")
    with closing(sqlite3.connect(tmp_path / "library.db")) as connection, connection:
        connection.execute("DELETE FROM segments")
    library = Library.open(tmp_path)
    assert library.ids() == set()
    assert not path.exists()
    library.close()


def test_audio_of_no_recording_goes_and_other_files_stay(tmp_path: Path) -> None:
    library = Library.open(tmp_path)
    id = keep(library, ["mine"])
    path = library.audio(id)
    library.close()
    forgotten, other = path.with_name(f"{'0' * 32}.wav"), path.with_name("notes.txt")
    for file in (forgotten, other):
        file.write_text("something")
    Library.open(tmp_path).close()
    assert (path.exists(), forgotten.exists(), other.exists()) == (True, False, True)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from streamer.audio import AudioBlock
from streamer.web.library.errors import LibraryError
from streamer.web.library.library import Library
from tests.streamer.web.library.shelves import final, noise

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
library = Library.open(Path(sys.argv[1]))
kept = library.begin("", "live", "toy")
resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, resource.RLIM_INFINITY))
notices, refused = [], []
for second in range(10):
    notices += kept.push(AudioBlock(noise(1.0, second), second * 16_000))
for place in range(200):
    try:
        kept.add(final(f"number {place}", place, place + 1.0))
    except LibraryError as error:
        refused.append(str(error))
[notice] = notices
print(notice.kind, notice.level, notice.text)
print(refused[0])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
kept.finish()
print(kept.id)
library.close()
"""


def test_a_full_disk_ends_the_audio_and_loses_nothing_before(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    notice, refused, id = done.stdout.splitlines()
    assert notice.startswith("recording_stopped error")
    assert "captions go on" in notice
    assert "see that its disk has room" in refused
    library = Library.open(tmp_path)
    recording = library.recording(id)
    assert recording.state == "finished"
    assert 3.0 < recording.duration_s < 4.0
    segments = recording.segments or ()
    assert [one.text for one in segments] == [f"number {place}" for place in range(200)]
    samples, _ = soundfile.read(library.audio(id), dtype="float32")
    expected = np.concatenate([noise(1.0, second) for second in range(4)])
    np.testing.assert_array_equal(samples, expected[: len(samples)])
    library.close()
