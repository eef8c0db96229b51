from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model import feature_cache
from model.audio import read_audio
from model.errors import ManifestError, TrainingError
from model.feature_cache import CachedFeatures, cached_features
from model.features import FeatureExtractor, FeatureSettings
from model.manifest import Utterance

SETTINGS = FeatureSettings()


def expected_features(row: Utterance) -> np.ndarray:
    return FeatureExtractor(SETTINGS).extract(read_audio(row.audio, SETTINGS.sample_rate))


def test_cached_features_are_those_of_the_recordings(
    tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    done: list[int] = []
    cached = cached_features(tone_rows, SETTINGS, tmp_path / "new" / "cache", done.append)
    assert done == list(range(1, len(tone_rows) + 1))
    assert len(cached) == len(tone_rows)
    for index, row in enumerate(tone_rows):
        expected = expected_features(row)
        assert cached.lengths()[index] == len(expected)
        assert cached.utterance(index).dtype == np.float32
        np.testing.assert_allclose(cached.utterance(index), expected, atol=0.01)


def test_a_second_call_computes_nothing(tone_rows: Sequence[Utterance], tmp_path: Path) -> None:
    first = cached_features(tone_rows, SETTINGS, tmp_path)
    done: list[int] = []
    second = cached_features(tone_rows, SETTINGS, tmp_path, done.append)
    assert done == [len(tone_rows)]
    np.testing.assert_array_equal(first.frames, second.frames)


def test_other_settings_rows_or_files_are_not_mistaken_for_it(
    tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    cached_features(tone_rows, SETTINGS, tmp_path)
    other = cached_features(tone_rows, FeatureSettings(mels=40), tmp_path)
    assert other.frames.shape[1] == 40
    assert len(cached_features(tone_rows[:3], SETTINGS, tmp_path)) == 3
    reversed_rows = cached_features(tone_rows[::-1], SETTINGS, tmp_path)
    np.testing.assert_array_equal(
        reversed_rows.lengths(), cached_features(tone_rows, SETTINGS, tmp_path).lengths()[::-1]
    )


def test_several_processes_give_the_same_order(
    tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    rows = list(tone_rows) * (feature_cache.POOLED_ROWS // len(tone_rows) + 1)
    pooled = cached_features(rows, SETTINGS, tmp_path / "pool", workers=2)
    single = cached_features(rows, SETTINGS, tmp_path / "single", workers=1)
    np.testing.assert_array_equal(pooled.frames, single.frames)
    np.testing.assert_array_equal(pooled.ends, single.ends)


def test_every_unreadable_recording_is_named_and_no_cache_is_left(tmp_path: Path) -> None:
    rows = []
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_text("no sound")
        rows.append(Utterance(tmp_path / name, "a", 1.0))
    with pytest.raises(ManifestError) as caught:
        cached_features(rows, SETTINGS, tmp_path / "cache")
    assert "a.wav" in str(caught.value)
    assert "b.wav" in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_missing_recordings_are_named_before_any_work(tmp_path: Path) -> None:
    rows = [Utterance(tmp_path / f"{number}.wav", "a", 1.0) for number in range(3)]
    with pytest.raises(ManifestError, match=r"0\.wav: .*no such file\n.*1\.wav"):
        cached_features(rows, SETTINGS, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_damaged_cache_is_named_with_the_remedy(
    tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    cached_features(tone_rows, SETTINGS, tmp_path)
    [frames] = tmp_path.glob("*.frames.npy")
    frames.write_bytes(frames.read_bytes()[:500])
    with pytest.raises(TrainingError, match=r"is damaged .*delete it"):
        cached_features(tone_rows, SETTINGS, tmp_path)


def test_a_cache_that_cannot_be_written_names_the_remedy(
    tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="--cache"):
        cached_features(tone_rows, SETTINGS, tmp_path / "file")


def test_recordings_shorter_than_a_window_have_no_frames(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.zeros(100), 16_000)
    cached = cached_features([Utterance(tmp_path / "short.wav", "a", 0.01)], SETTINGS, tmp_path)
    assert cached.utterance(0).shape == (0, SETTINGS.mels)


def test_statistics_are_those_of_the_frames() -> None:
    random = np.random.default_rng(0)
    utterances = [random.normal(level, 2, (length, 3)) for level, length in ((5, 300), (-1, 100))]
    frames = np.concatenate(utterances).astype(np.float16)
    cached = CachedFeatures(frames, np.array([300, 400]))
    statistics = cached.statistics()
    centred = np.concatenate([u - u.mean(axis=0) for u in utterances])
    np.testing.assert_allclose(statistics.mean, frames.astype(float).mean(axis=0), atol=1e-2)
    np.testing.assert_allclose(statistics.deviation, centred.std(axis=0), atol=1e-2)


def test_a_band_that_never_changes_does_not_explode() -> None:
    cached = CachedFeatures(np.ones((5, 2), np.float16), np.array([5]))
    statistics = cached.statistics()
    assert np.isfinite(statistics.normalise(np.ones((5, 2), np.float32))).all()
    assert statistics.deviation.min() > 0
