"""What is kept is there again, for its owner alone; what is deleted is nowhere."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateTable

from model.errors import CaptionerError, UsageError
from streamer.audio import AudioBlock
from streamer.web.errors import Conflict, NotFound, Unprocessable
from streamer.web.library import database, shelf, tables
from streamer.web.library.audio_files import KeptAudio, WavSamples, WavSnapshot
from streamer.web.library.errors import LibraryError
from streamer.web.library.library import Library
from streamer.web.library.searching import matching
from tests.streamer.web.library.shelves import Hears, final, keep, noise, push


def files_with(folder: Path, text: str) -> list[Path]:
    """Return the files that hold a text anywhere."""
    return [
        path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()
    ]


def test_a_recording_is_there_as_it_was_kept(library: Library) -> None:
    audio = noise(2.5)
    kept = library.begin(" My talk\n", "upload", "toy")
    push(kept, audio)
    kept.add(final("hello world", 0.25, 1.0))
    kept.add(final("", 1.5, 2.0))
    kept.finish()
    kept.finish()
    recording = library.recording(kept.id)
    assert (recording.title, recording.origin, recording.model) == ("My talk", "upload", "toy")
    assert (recording.state, recording.reviewed, recording.revision) == ("finished", False, 0)
    assert recording.duration_s == 2.5
    assert recording.text == "hello world"
    assert recording.segments is not None
    assert [segment.text for segment in recording.segments] == ["hello world", ""]
    assert recording.segments[0].words == final("hello world", 0.25, 1.0).words
    samples, rate = soundfile.read(library.audio(kept.id), dtype="float32")
    assert rate == 16_000
    np.testing.assert_array_equal(samples, audio)


def test_it_is_there_after_the_library_was_opened_again(folder: Path) -> None:
    library = Library.open(folder)
    id = keep(library, ["one two", "three"])
    before = library.recording(id)
    library.close()
    library.close()
    library = Library.open(folder)
    assert library.recording(id) == before
    assert library.ids() == {id}
    assert library.count() == 1
    library.close()


def test_lost_audio_is_silence(library: Library) -> None:
    kept = library.begin("", "live", "toy")
    push(kept, noise(0.1))
    kept.push(AudioBlock(noise(0.1), 4800, lost_before=3200))
    kept.finish()
    with WavSamples(library.audio(kept.id)) as samples:
        assert len(samples) == 6400
        np.testing.assert_array_equal(samples[1600:4800], np.zeros(3200))
        np.testing.assert_array_equal(samples[4800:], noise(0.1))


def test_an_empty_recording_is_dropped(library: Library) -> None:
    kept = library.begin("nothing", "microphone", "toy")
    kept.finish()
    assert library.ids() == set()
    with pytest.raises(NotFound):
        library.audio(kept.id)


def test_text_without_audio_is_kept(library: Library) -> None:
    kept = library.begin("", "microphone", "toy")
    kept.add(final("heard", 0.0, 1.0))
    kept.finish()
    assert library.recording(kept.id).text == "heard"


def test_a_discarded_recording_is_gone(library: Library) -> None:
    kept = library.begin("", "microphone", "toy")
    push(kept, noise(0.1))
    kept.discard()
    kept.discard()
    assert kept.ended
    assert library.ids() == set()


def test_nothing_is_written_before_it_is_asked_for(library: Library, folder: Path) -> None:
    assert [path.name for path in (folder / "audio").iterdir()] == ["library-id"]
    names = {path.name for path in folder.iterdir()}
    assert names == {"audio", "library.db", "library.db-wal", "library.db-shm", "lock"}


def test_only_the_owner_can_read_it_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        library = Library.open(folder)
        keep(library, ["mine"])
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]
        }
        library.close()
    finally:
        os.umask(before)
    assert {name for name, mode in modes.items() if mode == 0o700} == {"data", "audio"}
    assert set(modes.values()) == {0o700, 0o600}
    assert {"library.db", "library.db-wal", "library.db-shm"} <= modes.keys()


def test_the_folder_is_closed_to_others_if_it_was_there(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    Library.open(tmp_path).close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_what_was_deleted_is_in_no_file(library: Library, folder: Path) -> None:
    stays, goes = keep(library, ["stays here"], "stays"), keep(library, ["goessecretly away"])
    library.correct(goes, 0, ["goesneversaid 77"], Hears())
    library.rename(goes, "goestitled")
    assert files_with(folder, "goes")
    library.delete(goes)
    assert files_with(folder, "goes") == []
    assert files_with(folder, goes) == []
    assert [path.stem for path in (folder / "audio").glob("*.wav")] == [stays]
    assert files_with(folder, "stays")
    for use in (library.recording, library.delete, library.audio, library.revisions):
        with pytest.raises(NotFound):
            use(goes)


def test_deleting_what_goes_on_ends_it(library: Library) -> None:
    kept = library.begin("", "live", "toy")
    push(kept, noise(0.1))
    assert not kept.ended
    library.delete(kept.id)
    assert kept.ended
    assert kept.push(AudioBlock(noise(0.1), 1600)) == []
    kept.add(final("too late", 0.0, 1.0))
    kept.finish()
    assert library.ids() == set()


def test_deleting_makes_room_on_a_full_disk(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes = keep(library, ["a"])
    audio, remove = library.audio(goes), shelf.remove_recording

    def needs_room(session: Session, id: str) -> None:
        if audio.exists():
            raise LibraryError("the disk is full")
        remove(session, id)

    monkeypatch.setattr(shelf, "remove_recording", needs_room)
    library.delete(goes)
    assert library.ids() == set()


def test_what_another_program_still_reads_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PRAGMAS", (*database.PRAGMAS, "busy_timeout = 20"))
    library = Library.open(folder)
    goes, later = keep(library, ["goessecretly"]), keep(library, ["later"])
    with closing(sqlite3.connect(folder / "library.db")) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM recordings").fetchall()
        with pytest.raises(LibraryError, match="another program reads it"):
            library.delete(goes)
    assert library.ids() == {later}
    library.delete(later)
    assert files_with(folder, "goessecretly") == []
    library.close()


def test_nothing_is_written_of_a_recording_that_is_gone(library: Library, folder: Path) -> None:
    kept = library.begin("", "live", "toy")
    with closing(sqlite3.connect(folder / "library.db")) as other, other:
        other.execute("DELETE FROM recordings")
    with pytest.raises(LibraryError):
        kept.add(final("too late", 0.0, 1.0))
    kept.finish()


def test_those_who_want_to_know_are_told_of_a_deletion(library: Library) -> None:
    told: list[tuple[str, set[str]]] = []
    library.on_delete(lambda id: told.append((id, library.ids())))
    stays, goes = keep(library, ["a"]), keep(library, ["b"])
    library.delete(goes)
    assert told == [(goes, {stays})]


def test_a_recording_that_goes_on_can_be_read(library: Library) -> None:
    kept = library.begin("", "live", "toy")
    push(kept, noise(1.0))
    kept.add(final("so far", 0.0, 1.0))
    recording = library.recording(kept.id)
    assert (recording.state, recording.duration_s, recording.text) == ("recording", 1.0, "so far")
    assert library.recordings("FAR").recordings[0].duration_s == 1.0
    with pytest.raises(Conflict, match="still being recorded"):
        library.correct(kept.id, 0, ["so far"], Hears())
    with pytest.raises(Conflict, match="still being recorded"):
        library.restore(kept.id, 0)
    snapshot = WavSnapshot(library.audio(kept.id))
    push(kept, noise(1.0), 16_000)
    content = snapshot.read()
    snapshot.close()
    assert len(content) == 44 + 32_000
    assert int.from_bytes(content[40:44], "little") == 32_000
    kept.finish()
    assert library.recording(kept.id).state == "finished"


def test_closing_finishes_what_goes_on(folder: Path) -> None:
    library = Library.open(folder)
    kept = library.begin("", "live", "toy")
    push(kept, noise(0.5))
    library.close()
    library = Library.open(folder)
    assert library.recording(kept.id).state == "finished"
    library.close()


def test_a_second_server_is_refused(library: Library, folder: Path) -> None:
    with pytest.raises(LibraryError, match="another program serves this library"):
        Library.open(folder)
    keep(library, ["goes on"])


def test_a_correction_keeps_the_history(library: Library) -> None:
    id = keep(library, ["first words", "second", "third one"])
    before = library.recording(id)
    after = library.correct(id, 0, ["first words", "  Zweiter\tTeil 2 ", ""], Hears())
    assert before.segments is not None and after.segments is not None
    assert [segment.text for segment in after.segments] == ["first words", "Zweiter Teil 2", ""]
    assert after.segments[0] == before.segments[0]
    assert [word.word for word in after.segments[1].words] == ["Zweiter", "Teil", "2"]
    assert {word.confidence for word in after.segments[1].words} == {1.0}
    assert (after.revision, after.reviewed) == (1, True)
    assert library.recording(id, 0) == before
    assert library.recording(id, 1) == library.recording(id) == after
    with pytest.raises(NotFound, match="no revision 2"):
        library.recording(id, 2)


def test_a_transcript_can_be_confirmed(library: Library) -> None:
    id = keep(library, ["right as it is"])
    confirmed = library.correct(id, 0, ["right as it is"], Hears())
    assert (confirmed.revision, confirmed.reviewed) == (1, True)
    assert confirmed.segments == library.recording(id, 0).segments


def test_only_the_newest_revision_can_be_corrected(library: Library) -> None:
    id = keep(library, ["words"])
    library.correct(id, 0, ["other words"], Hears())
    with pytest.raises(Conflict, match="is not the newest one, that is 1"):
        library.correct(id, 0, ["mine"], Hears())
    assert library.recording(id).text == "other words"


def test_a_correction_has_a_text_for_each_segment(library: Library) -> None:
    id = keep(library, ["one", "two"])
    with pytest.raises(Unprocessable, match="must be 2 texts"):
        library.correct(id, 0, ["one"], Hears())


def test_an_old_revision_comes_back_as_a_new_one(library: Library) -> None:
    id = keep(library, ["a", "b"])
    library.correct(id, 0, ["a", "B"], Hears())
    library.correct(id, 1, ["A", "B"], Hears())
    restored = library.restore(id, 1)
    assert (restored.revision, restored.reviewed, restored.text) == (3, True, "a B")
    assert restored.segments == library.recording(id, 1).segments
    original = library.restore(id, 0)
    assert (original.revision, original.reviewed, original.text) == (4, False, "a b")
    history = [(one.number, one.kind, one.restored) for one in library.revisions(id)]
    assert history == [
        (4, "restore", 0),
        (3, "restore", 1),
        (2, "correction", None),
        (1, "correction", None),
        (0, "model", None),
    ]
    assert library.recording(id, 2).text == "A B"


def test_what_was_corrected_can_be_learned_from(library: Library) -> None:
    keep(library, ["never looked at"])
    right, undone = keep(library, ["wrong", "noise"], "Talk"), keep(library, ["x"])
    library.correct(right, 0, ["Right!", ""], Hears())
    library.correct(undone, 0, ["y"], Hears())
    library.restore(undone, 0)
    [corrected] = library.corrected()
    assert (corrected.id, corrected.title) == (right, "Talk")
    assert corrected.audio == library.audio(right)
    assert [(s.start_s, s.end_s, s.text) for s in corrected.segments] == [
        (0.0, 1.0, "Right!"),
        (1.0, 2.0, ""),
    ]


def test_pages_follow_each_other_without_gap_or_overlap(library: Library) -> None:
    ids = [keep(library, [f"number {n}"]) for n in range(7)]
    found: list[str] = []
    before: str | None = ""
    while before is not None:
        page = library.recordings(limit=3, before=before)
        found += [recording.id for recording in page.recordings]
        before = page.next
        if len(found) == 3:
            # Neither what is new nor what is gone moves the rest.
            keep(library, ["newer"])
            library.delete(found[-1])
    assert found == ids[::-1]


def test_a_page_that_holds_the_rest_is_the_last(library: Library) -> None:
    for text in ("a", "b"):
        keep(library, [text])
    assert library.recordings(limit=2).next is None


def test_a_title_is_kept_on_one_line(library: Library) -> None:
    id = keep(library, ["a"])
    assert library.rename(id, " Two\nlines\x1b[31m ").title == "Two lines[31m"
    assert library.recordings("LINES").recordings[0].id == id


@pytest.mark.parametrize("version", [0, 2])
def test_a_database_of_another_version_is_refused(folder: Path, version: int) -> None:
    Library.open(folder).close()
    with closing(sqlite3.connect(folder / "library.db")) as connection, connection:
        connection.execute("UPDATE about SET schema = ?", (version,))
    with pytest.raises(LibraryError, match=f"have version {version}, this program knows version 1"):
        Library.open(folder)


def test_a_file_that_is_no_database_is_refused_and_stays(folder: Path) -> None:
    folder.mkdir()
    (folder / "library.db").write_bytes(b"my thesis" * 1000)
    with pytest.raises(LibraryError, match="not a database"):
        Library.open(folder)
    assert (folder / "library.db").read_bytes() == b"my thesis" * 1000


def test_audio_is_never_taken_for_that_of_another_database(folder: Path, tmp_path: Path) -> None:
    library = Library.open(folder)
    id = keep(library, ["precious"])
    library.close()
    other = f"sqlite:///{tmp_path / 'other.db'}"
    with pytest.raises(LibraryError, match="do not belong together"):
        Library.open(folder, other)
    with pytest.raises(LibraryError, match="do not belong together"):
        Library.open(tmp_path / "elsewhere", f"sqlite:///{folder / 'library.db'}")
    library = Library.open(folder)
    assert library.audio(id).stat().st_size > 44
    library.close()


def test_another_database_can_be_named(folder: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'named.db'}"
    library = Library.open(folder, url)
    id = keep(library, ["there"])
    library.close()
    assert not (folder / "library.db").exists()
    library = Library.open(folder, url)
    assert library.recording(id).text == "there"
    library.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "is no URL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("wonderbase://host/name", "driver of wonderbase is missing"),
    ],
)
def test_a_database_that_cannot_be_is_refused(folder: Path, url: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        Library.open(folder, url)
    Library.open(folder).close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CaptionerError, match="cannot be written"):
        Library.open(tmp_path / "file" / "data")


def test_whether_it_can_be_written_is_known(library: Library, folder: Path) -> None:
    library.check()
    (folder / "audio").rename(folder / "away")
    (folder / "audio").write_text("in the way")
    with pytest.raises(LibraryError, match="cannot be written"):
        library.check()
    with pytest.raises(LibraryError, match="cannot be written"):
        library.begin("", "live", "toy")


def test_a_folder_that_was_removed_is_told(library: Library, folder: Path) -> None:
    shutil.rmtree(folder)
    for use in (library.check, lambda: library.begin("", "live", "toy")):
        with pytest.raises(LibraryError, match="removed or replaced"):
            use()
        folder.mkdir(exist_ok=True)
        (folder / "lock").write_text("another's")


def test_a_recording_whose_audio_cannot_be_made_is_not_begun(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("streamer.web.library.audio_files.make_private_file", full)
    with pytest.raises(LibraryError, match="No space left"):
        library.begin("", "live", "toy")
    assert library.ids() == set()


def test_finals_that_had_to_wait_come_in_order(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise LibraryError("the disk is full")

    kept = library.begin("", "live", "toy")
    with monkeypatch.context() as patch:
        patch.setattr("streamer.web.library.kept.add_segment", full)
        for place in range(2):
            with pytest.raises(LibraryError):
                kept.add(final(f"number {place}", place, place + 1.0))
    for place in range(2, 5):
        kept.add(final(f"number {place}", place, place + 1.0))
    kept.finish()
    segments = library.recording(kept.id).segments or ()
    assert [one.text for one in segments] == [f"number {place}" for place in range(5)]


def test_the_disk_gets_the_audio_while_it_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = threading.Event()
    monkeypatch.setattr("streamer.web.library.library.SYNC_S", 0.01)
    library = Library.open(folder)
    monkeypatch.setattr(KeptAudio, "sync", lambda _: synced.set())
    kept = library.begin("", "live", "toy")
    push(kept, noise(0.1))
    assert synced.wait(60.0)
    library.close()


def test_corrections_at_the_same_moment_do_not_overwrite_each_other(library: Library) -> None:
    id = keep(library, ["as heard"])

    class Interrupted(Hears):
        def log_probs(self, features: np.ndarray, final: bool = False) -> np.ndarray:
            library.correct(id, 0, ["theirs"], Hears())
            return super().log_probs(features, final)

    with pytest.raises(Conflict):
        library.correct(id, 0, ["mine"], Interrupted())
    assert [revision.number for revision in library.revisions(id)] == [1, 0]
    assert library.recording(id).text == "theirs"


def test_what_comes_back_has_its_own_words(library: Library) -> None:
    id = keep(library, ["one two"])
    before = library.recording(id).segments
    for base, text in enumerate(["other", "one two"]):
        library.correct(id, base, [text], Hears())
    assert library.recording(id).segments != before
    assert library.restore(id, 0).segments == before


def test_nothing_is_learned_from_what_has_no_audio(library: Library) -> None:
    stays, lost = keep(library, ["a"]), keep(library, ["b"])
    for id, text in ((stays, "a"), (lost, "b")):
        library.correct(id, 0, [text], Hears())
    library.audio(lost).unlink()
    assert [recording.id for recording in library.corrected()] == [stays]


def test_an_empty_database_takes_to_an_empty_folder_for_good(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Library.open(tmp_path / name).close()
    url = f"sqlite:///{tmp_path / 'two' / 'library.db'}"
    library = Library.open(tmp_path / "one", url)
    id = keep(library, ["a"])
    library.close()
    library = Library.open(tmp_path / "one", url)
    assert library.ids() == {id}
    library.close()


def test_tables_and_searches_can_be_said_to_other_databases() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in tables.Table.metadata.sorted_tables:
        assert str(CreateTable(table).compile(dialect=dialect)).strip().startswith("CREATE TABLE")
    search = matching(["50%", "off"], f"1700000000000000-{'0' * 32}")
    assert "LIKE" in str(search.compile(dialect=dialect))
