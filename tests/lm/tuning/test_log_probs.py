"""Log-probabilities on disk: computed once, never stale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lm.tuning.log_probs import Acoustics, digest_of, score
from model.errors import AudioFileError, BundleError, UsageError
from tests.lm.tuning.material import acoustic_bundle, misheard, recordings, scored
from tests.model.corpus_folders import noise


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return acoustic_bundle(tmp_path / "small")


def test_log_probabilities_come_back_as_computed(bundle: Path, tmp_path: Path) -> None:
    rows = recordings(tmp_path / "speech", 3)
    found, network = scored(rows, bundle, tmp_path / "cache")
    assert network.read == 3
    for item, row in zip(found, rows, strict=True):
        assert item.row == row
        np.testing.assert_array_equal(item.log_probs(), misheard(row.text))
        assert item.log_probs().dtype == np.float32


def test_what_is_on_disk_is_not_computed_again(bundle: Path, tmp_path: Path) -> None:
    rows = recordings(tmp_path / "speech", 4)
    scored(rows[:3], bundle, tmp_path / "cache")
    _, network = scored(rows[:3], bundle, tmp_path / "cache")
    assert network.loaded == 0
    _, network = scored(rows[1:], bundle, tmp_path / "cache")
    assert network.read == 1


def test_where_the_bundle_and_recordings_lie_does_not_matter(bundle: Path, tmp_path: Path) -> None:
    rows = recordings(tmp_path / "speech", 2)
    first, _ = scored(rows, bundle, tmp_path / "cache")
    moved = [
        replace(row, audio=row.audio.rename(tmp_path / f"moved-{row.audio.name}")) for row in rows
    ]
    again, network = scored(moved, bundle.rename(tmp_path / "other"), tmp_path / "cache")
    assert network.loaded == 0
    assert digest_of(again) == digest_of(first)


def test_another_recording_under_the_same_name_is_computed(bundle: Path, tmp_path: Path) -> None:
    rows = recordings(tmp_path / "speech", 3)
    before, _ = scored(rows, bundle, tmp_path / "cache")
    noise(rows[1].audio, 0.2, seed=99)
    after, network = scored(rows, bundle, tmp_path / "cache")
    assert network.read == 1
    assert digest_of(after) != digest_of(before)


def test_other_weights_are_computed_anew(bundle: Path, tmp_path: Path) -> None:
    rows = recordings(tmp_path / "speech", 3)
    scored(rows, bundle, tmp_path / "cache")
    _, network = scored(rows, acoustic_bundle(tmp_path / "new", seed=1), tmp_path / "cache")
    assert network.read == 3


def test_the_name_of_a_bundle_does_not_matter(bundle: Path, tmp_path: Path) -> None:
    renamed = acoustic_bundle(tmp_path / "renamed", name="other")
    assert Acoustics.read(renamed).key == Acoustics.read(bundle).key


def test_a_file_cut_short_is_computed_again(bundle: Path, tmp_path: Path) -> None:
    rows = recordings(tmp_path / "speech", 2)
    found, _ = scored(rows, bundle, tmp_path / "cache")
    found[0].path.write_bytes(found[0].path.read_bytes()[:-9])
    found[1].path.write_bytes(b"")
    _, network = scored(rows, bundle, tmp_path / "cache")
    assert network.read == 2


def test_another_reference_changes_the_digest(bundle: Path, tmp_path: Path) -> None:
    rows = recordings(tmp_path / "speech", 2)
    found, _ = scored(rows, bundle, tmp_path / "cache")
    changed = [replace(found[0], row=replace(rows[0], text="other")), found[1]]
    assert digest_of(changed) != digest_of(found)


def test_recordings_that_cannot_be_used_are_all_named(bundle: Path, tmp_path: Path) -> None:
    rows = recordings(tmp_path / "speech", 3)
    rows[0].audio.unlink()
    rows[2].audio.write_bytes(b"no audio")
    with pytest.raises(AudioFileError, match=r"(?s)00\.wav.*02\.wav.*2 recordings cannot be used"):
        scored(rows, bundle, tmp_path / "cache")


def test_a_folder_without_a_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no model bundle"):
        Acoustics.read(tmp_path)


def test_a_cache_that_is_a_file_is_named(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    rows = recordings(tmp_path / "speech", 1)
    with pytest.raises(UsageError, match=r"cache.* cannot be written"):
        score(rows, Acoustics.read(bundle), tmp_path / "cache")
