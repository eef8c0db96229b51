"""The corrected speech as training data."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest
import soundfile

from model.corpora.manifest import Utterance, read_manifest
from model.corpora.recordings import check_apart, duration_of
from streamer.web.errors import Conflict
from streamer.web.learning.learning import Learning
from tests.streamer.web.learning.toys import Shop, fill, id_of, make_shop
from train import main


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return make_shop(tmp_path)


@pytest.fixture
def learning(shop: Shop) -> Learning:
    fill(shop.library)
    return shop.open()


def unpacked(learning: Learning, folder: Path) -> Path:
    export = learning.speech.export()
    pieces = list(export)
    export.close()
    assert len(pieces) > 3
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return folder


def sides(folder: Path) -> tuple[list[Utterance], list[Utterance]]:
    return read_manifest(folder / "train.jsonl"), read_manifest(folder / "dev.jsonl")


def test_no_recording_is_on_both_sides_and_every_clip_is_as_long_as_it_says(
    learning: Learning, shop: Shop, tmp_path: Path
) -> None:
    train, dev = sides(unpacked(learning, tmp_path / "out"))
    assert {row.speaker for row in train} | {row.speaker for row in dev} == shop.library.ids()
    assert check_apart(train, dev) == ""
    for row in [*train, *dev]:
        assert duration_of(row.audio, whole=True) == pytest.approx(row.duration, abs=1e-3)
    texts = sorted(row.text for row in [*train, *dev])
    assert texts == sorted(
        segment.text for one in shop.library.corrected() for segment in one.segments
    )


def test_nothing_of_an_export_stays_on_the_disk(learning: Learning, shop: Shop) -> None:
    export = learning.speech.export()
    assert stat.S_IMODE(export.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in export.folder.rglob("*.*")} == {0o600}
    next(iter(export))
    export.close()
    assert list((shop.folder / "learning").iterdir()) == []


def test_train_py_takes_what_was_exported(
    learning: Learning, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    folder = unpacked(learning, tmp_path / "out")
    manifests = [str(folder / name) for name in ("train.jsonl", "dev.jsonl")]
    cache = ["--cache", str(tmp_path / "cache")]
    assert main(["stats", *manifests, "--output", str(tmp_path / "stats.npz"), *cache]) == 0
    recipe = ["--config", str(shop.settings.learning.recipe), "--set", "training.passes=1"]
    fit = ["fit", "--init", str(shop.models.path), "--manifest", manifests[0]]
    where = ["--dev", manifests[1], "--output", str(tmp_path / "run")]
    assert main([*fit, *where, *cache, *recipe]) == 0
    assert (tmp_path / "run" / "bundle" / "weights.npz").is_file()


def test_a_corrected_transcript_takes_the_place_of_the_one_before(
    learning: Learning, shop: Shop, tmp_path: Path
) -> None:
    learning.speech.material()
    shop.library.add(id_of("0"), "ba", "ab", heard=("ab", "ba cab"))
    train, dev = sides(unpacked(learning, tmp_path / "out"))
    mine = [row.text for row in [*train, *dev] if row.speaker == id_of("0")]
    assert mine == ["ba", "ab"]


def test_recordings_without_a_usable_segment_take_no_side(shop: Shop) -> None:
    shop.library.add(id_of("silent"), "", heard=("ab",))
    shop.library.add(id_of("one"), "ab")
    learning = shop.open()
    speech = learning.speech
    assert "one more recording" in speech.lacking(speech.material())
    shop.library.add(id_of("two"), "ba")
    assert speech.lacking(speech.material()) == ""
    assert id_of("silent") not in learning.registry.state.sides


def test_with_nothing_corrected_there_is_nothing_to_export(shop: Shop) -> None:
    with pytest.raises(Conflict, match="nothing to export"):
        shop.open().speech.export()


def test_a_deleted_recording_goes_from_an_export_that_is_being_sent(
    learning: Learning, shop: Shop
) -> None:
    export = learning.speech.export()
    pieces = iter(export)
    next(pieces)
    shop.library.delete(id_of("0"))
    assert not export.folder.exists()
    assert id_of("0") not in learning.registry.state.sides
    with pytest.raises(FileNotFoundError):
        list(pieces)


def test_what_a_killed_server_left_is_gone_after_the_next_start(
    learning: Learning, shop: Shop
) -> None:
    left = learning.speech.export()
    (shop.folder / "learning" / "mine-9").mkdir()
    (shop.folder / "models" / "mine-9").mkdir()
    assert soundfile.info(str(next(left.folder.rglob("*.flac")))).frames
    shop.library.recordings.pop(id_of("1"))
    again = shop.open()
    assert list((shop.folder / "learning").iterdir()) == []
    assert [path.name for path in (shop.folder / "models").iterdir()] == ["models.json"]
    assert id_of("1") not in again.registry.state.sides
