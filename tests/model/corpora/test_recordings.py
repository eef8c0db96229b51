"""Lengths from headers against lengths by decoding, and training kept apart from judging."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model.corpora.manifest import Utterance
from model.corpora.recordings import SHOWN_SPEAKERS, Recordings, check_apart, duration_of
from model.errors import AudioFileError, ManifestError
from tests.model.corpus_folders import clips, convert, noise


@pytest.mark.parametrize("suffix", ["flac", "wav", "ogg", "mp3"])
def test_the_header_tells_what_decoding_gives(tmp_path: Path, suffix: str) -> None:
    path = convert(clips()[0], tmp_path / f"a.{suffix}")
    assert duration_of(path) == pytest.approx(duration_of(path, whole=True), abs=1e-9)
    assert duration_of(path) == pytest.approx(clips()[0].duration, abs=0.1)


def test_clips_are_as_long_as_their_manifest_says() -> None:
    for clip in clips():
        for whole in (False, True):
            assert duration_of(clip.audio, whole) == pytest.approx(clip.duration, abs=0.01)


def test_a_stream_of_unknown_length_is_decoded(tmp_path: Path) -> None:
    path = convert(clips()[0], tmp_path / "a.flac")
    content = bytearray(path.read_bytes())
    # The last 36 of the 64 bits that hold rate, channels, depth and length.
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert duration_of(path) == pytest.approx(clips()[0].duration, abs=0.01)


def test_an_mp3_that_was_cut_off_is_as_long_as_its_rest(tmp_path: Path) -> None:
    path = convert(clips()[0], tmp_path / "a.mp3")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert duration_of(path) == pytest.approx(clips()[0].duration / 2, abs=0.3)


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("no sound")
    for name in ("a.wav", "gone.wav"):
        with pytest.raises(AudioFileError, match=name):
            duration_of(tmp_path / name)


def test_many_recordings_of_one_size_are_told_apart(tmp_path: Path) -> None:
    known = Recordings()
    for seed in range(4):
        path = noise(tmp_path / f"{seed}.wav", 0.1, seed)
        assert known.find(path) is None
        known.add(path, f"place {seed}")
    for seed in range(4):
        copy = noise(tmp_path / f"copy-{seed}.wav", 0.1, seed)
        assert known.find(copy) == f"place {seed}"
    # A difference between the bytes that are sampled.
    content = bytearray(noise(tmp_path / "long.wav", 3).read_bytes())
    known.add(tmp_path / "long.wav", "long")
    content[10_000] ^= 1
    (tmp_path / "near.wav").write_bytes(content)
    assert known.find(tmp_path / "near.wav") is None


def test_what_is_not_there_is_never_found(tmp_path: Path) -> None:
    known = Recordings()
    known.add(tmp_path / "gone.wav", "place")
    assert known.find(tmp_path / "gone.wav") is None


def test_recordings_to_learn_from_may_not_judge(tmp_path: Path) -> None:
    copy = tmp_path / "copy.opus"
    copy.write_bytes(clips()[0].audio.read_bytes())
    train = [replace(clips()[0], audio=copy), *clips()[1:4]]
    with pytest.raises(ManifestError) as caught:
        check_apart(train, [clips()[0], clips()[2]])
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines[:2]] == [str(copy), str(clips()[2].audio)]
    assert lines[2].startswith("2 recordings to learn from are in --dev as well; ")


def test_speakers_in_both_are_named_in_a_warning() -> None:
    rows = [Utterance(Path(f"{i}"), "a", 1.0, f"s{i:02}", "c") for i in range(SHOWN_SPEAKERS + 2)]
    assert check_apart(rows[:2], rows[2:]) == ""
    assert "--dev as well: c s00, c s01; " in check_apart(rows[:2], rows)
    assert "c s09 and 2 more;" in check_apart(rows, rows)
    nameless = [replace(row, speaker="") for row in rows]
    assert check_apart(nameless, nameless) == ""
