from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.audio import read_audio
from model.corpora.manifest import Utterance
from model.errors import ManifestError, TrainingError
from model.features import KINDS, FeatureExtractor, FeatureSettings, Kind
from model.training import extraction, feature_cache
from model.training.feature_cache import CachedFeatures, FeatureShard, cached_features

SETTINGS = FeatureSettings()


@dataclass(frozen=True)
class Louder:
    """A change of the audio that depends on the place of the recording."""

    gain: float = 2.0

    def key(self) -> str:
        return f"louder {self.gain}"

    def apply(self, samples: np.ndarray, sample_rate: int, index: int) -> np.ndarray:
        assert sample_rate == SETTINGS.sample_rate
        return (self.gain + index) * samples[: len(samples) // 2]


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch, tone_rows: Sequence[Utterance]) -> None:
    """Make a full shard hold about three of the recordings."""
    frames = max(row.duration for row in tone_rows) / SETTINGS.frame_s
    monkeypatch.setattr(feature_cache, "SHARD_BYTES", int(3 * frames * 2 * SETTINGS.size))


def expected_features(row: Utterance, settings: FeatureSettings = SETTINGS) -> np.ndarray:
    return FeatureExtractor(settings).extract(read_audio(row.audio, settings.sample_rate))


def in_memory(*shards: Sequence[np.ndarray]) -> CachedFeatures:
    """Return a view over shards of utterances (frames, size) each."""
    return CachedFeatures(
        tuple(
            FeatureShard(
                np.concatenate(utterances).astype(np.float16), np.cumsum([*map(len, utterances)])
            )
            for utterances in shards
        ),
        shards[0][0].shape[1],
    )


def utterances(cached: CachedFeatures) -> list[np.ndarray]:
    return [cached.utterance(index) for index in range(len(cached))]


def assert_equal(one: CachedFeatures, other: CachedFeatures) -> None:
    np.testing.assert_array_equal(one.lengths(), other.lengths())
    for mine, theirs in zip(utterances(one), utterances(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_cached_features_are_those_of_the_recordings(
    tone_rows: Sequence[Utterance], tmp_path: Path, kind: Kind
) -> None:
    done: list[int] = []
    settings = FeatureSettings(kind=kind)
    cached = cached_features(tone_rows, settings, tmp_path / "new" / "cache", done.append)
    assert done == list(range(1, len(tone_rows) + 1))
    assert len(cached) == len(tone_rows)
    assert cached.frame_count == cached.lengths().sum()
    for index, row in enumerate(tone_rows):
        expected = expected_features(row, settings)
        assert cached.lengths()[index] == len(expected)
        assert cached.utterance(index).dtype == np.float32
        np.testing.assert_allclose(cached.utterance(index), expected, rtol=1e-3, atol=0.01)


def test_a_second_call_computes_nothing(tone_rows: Sequence[Utterance], tmp_path: Path) -> None:
    first = cached_features(tone_rows, SETTINGS, tmp_path)
    done: list[int] = []
    second = cached_features(tone_rows, SETTINGS, tmp_path, done.append)
    assert done == [len(tone_rows)]
    assert_equal(first, second)


def test_a_copied_and_renamed_folder_finds_its_cache(
    tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    cached_features(tone_rows, SETTINGS, tmp_path / "cache")
    copies = []
    for number, row in enumerate(tone_rows):
        copies.append(dataclasses.replace(row, audio=tmp_path / f"copy-{number}.wav"))
        shutil.copyfile(row.audio, copies[-1].audio)
        os.utime(copies[-1].audio, (number, number))
    done: list[int] = []
    cached_features(copies, SETTINGS, tmp_path / "cache", done.append)
    assert done == [len(tone_rows)]


def test_a_recording_that_changed_is_computed_again(
    tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    row = dataclasses.replace(tone_rows[0], audio=tmp_path / "changing.wav")
    samples = np.random.default_rng(0).normal(0, 0.1, 16_000)
    features = []
    for gain in (1.0, 0.5):
        soundfile.write(row.audio, gain * samples, SETTINGS.sample_rate)
        os.utime(row.audio, (0, 0))
        features.append(cached_features([row], SETTINGS, tmp_path / "cache").utterance(0))
    assert features[0].mean() > features[1].mean() + 1


def test_other_settings_rows_or_order_are_not_mistaken_for_it(
    tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    cached = cached_features(tone_rows, SETTINGS, tmp_path)
    assert cached_features(tone_rows, FeatureSettings(mels=40), tmp_path).size == 40
    assert len(cached_features(tone_rows[:3], SETTINGS, tmp_path)) == 3
    reversed_rows = cached_features(tone_rows[::-1], SETTINGS, tmp_path)
    np.testing.assert_array_equal(reversed_rows.lengths(), cached.lengths()[::-1])


def test_shards_are_bounded_and_invisible(
    tone_rows: Sequence[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cached_features(tone_rows, SETTINGS, tmp_path)
    limit = int(whole.frame_count * 2 * SETTINGS.size // 4)
    monkeypatch.setattr(feature_cache, "SHARD_BYTES", limit)
    cut = cached_features(tone_rows, SETTINGS, tmp_path)
    assert len(cut.shards) >= 4
    # A manifest's durations are a window longer than their whole frames.
    assert max(shard.frames.nbytes for shard in cut.shards) <= limit
    assert_equal(cut, whole)
    assert cut.frame_count == whole.frame_count


@pytest.mark.usefixtures("small_shards")
def test_rows_that_are_added_leave_most_shards_as_they_are(
    tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    older, newer = tone_rows[:-2], tone_rows
    shards = len(cached_features(older, SETTINGS, tmp_path).shards)
    assert shards >= 3
    done: list[int] = []
    cached_features(newer, SETTINGS, tmp_path, done.append)
    kept = cached_features(older, SETTINGS, tmp_path).shards[:-1]
    assert done[0] >= sum(len(shard.ends) for shard in kept)


@pytest.mark.usefixtures("small_shards")
def test_an_interrupted_computation_goes_on_after_its_whole_shards(
    tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    def interrupt(done: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_features(tone_rows, SETTINGS, tmp_path / "cut", interrupt)
    assert list((tmp_path / "cut").glob("*.partial")) == []
    done: list[int] = []
    cached = cached_features(tone_rows, SETTINGS, tmp_path / "cut", done.append)
    assert 0 < done[0] < 8
    assert done == list(range(done[0], len(tone_rows) + 1))
    assert_equal(cached, cached_features(tone_rows, SETTINGS, tmp_path / "whole"))


def test_what_a_killed_run_left_is_deleted_once_it_is_old(
    tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    old, new = tmp_path / "old.partial", tmp_path / "new.partial"
    old.write_bytes(b"left")
    new.write_bytes(b"being written by another")
    long_ago = time.time() - 2 * feature_cache.STALE_S
    os.utime(old, (long_ago, long_ago))
    cached_features(tone_rows[:1], SETTINGS, tmp_path)
    assert not old.exists()
    assert new.exists()


def test_several_processes_give_the_same_order(
    tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    rows = list(tone_rows) * (extraction.POOLED_JOBS // len(tone_rows) + 1)
    pooled = cached_features(rows, SETTINGS, tmp_path / "a", workers=2, perturbation=Louder())
    single = cached_features(rows, SETTINGS, tmp_path / "b", workers=1, perturbation=Louder())
    assert_equal(pooled, single)


class Deadly(Louder):
    """Ends the process that applies it, as a lack of memory does."""

    def apply(self, samples: np.ndarray, sample_rate: int, index: int) -> np.ndarray:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def test_a_process_that_was_ended_is_said_with_the_remedy(
    tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    rows = list(tone_rows) * (extraction.POOLED_JOBS // len(tone_rows) + 1)
    with pytest.raises(TrainingError, match=r"was ended.*start again"):
        cached_features(rows, SETTINGS, tmp_path, workers=2, perturbation=Deadly())


def test_perturbed_features_are_those_of_the_perturbed_audio(
    tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    clean = cached_features(tone_rows, SETTINGS, tmp_path)
    louder = cached_features(tone_rows, SETTINGS, tmp_path, perturbation=Louder())
    assert_equal(clean, cached_features(tone_rows, SETTINGS, tmp_path))
    for index, row in enumerate(tone_rows):
        samples = read_audio(row.audio, SETTINGS.sample_rate)
        changed = Louder().apply(samples, SETTINGS.sample_rate, index)
        expected = FeatureExtractor(SETTINGS).extract(changed)
        np.testing.assert_allclose(louder.utterance(index), expected, atol=0.01)
    done: list[int] = []
    cached_features(tone_rows, SETTINGS, tmp_path, done.append, perturbation=Louder(3.0))
    assert done[0] == 1
    cached_features(tone_rows[1:], SETTINGS, tmp_path, done.append, perturbation=Louder())
    assert done[len(tone_rows)] == 1


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
    (tmp_path / "3.wav").mkdir()
    with pytest.raises(ManifestError, match=r"3\.wav: .*cannot be read"):
        cached_features([Utterance(tmp_path / "3.wav", "a", 1.0)], SETTINGS, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("suffix", ["frames", "ends"])
def test_a_damaged_shard_alone_is_computed_again(
    tone_rows: Sequence[Utterance], tmp_path: Path, suffix: str
) -> None:
    first = cached_features(tone_rows, SETTINGS, tmp_path)
    kept = utterances(first)
    path = sorted(tmp_path.glob(f"*.{suffix}.npy"))[0]
    path.write_bytes(path.read_bytes()[:100])
    done: list[int] = []
    second = cached_features(tone_rows, SETTINGS, tmp_path, done.append)
    assert 0 < done[0] < len(tone_rows)
    for mine, theirs in zip(utterances(second), kept, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_cache_that_cannot_be_written_names_the_remedy(
    tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="--cache"):
        cached_features(tone_rows, SETTINGS, tmp_path / "file")


def test_a_full_disk_names_the_remedy_and_leaves_no_half_file(
    tone_rows: Sequence[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingError, match=r"No space left on device.*free some space.*--cache"):
        cached_features(tone_rows, SETTINGS, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_recordings_shorter_than_a_window_have_no_frames(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.zeros(100), 16_000)
    rows = [Utterance(tmp_path / "short.wav", "a", 0.01)]
    for _ in range(2):
        cached = cached_features(rows, SETTINGS, tmp_path)
        assert cached.utterance(0).shape == (0, SETTINGS.size)
        assert cached.statistics().mean.shape == (SETTINGS.size,)


def test_no_rows_are_no_features(tmp_path: Path) -> None:
    cached = cached_features([], SETTINGS, tmp_path)
    assert (len(cached), cached.frame_count, list(cached.lengths())) == (0, 0, [])


def test_statistics_are_those_of_the_frames_in_any_shards() -> None:
    random = np.random.default_rng(0)
    spoken = [
        random.normal(level, 2, (length, 3)).astype(np.float16)
        for level, length in ((5, 300), (-1, 100), (0, 1), (40, 200))
    ]
    frames = np.concatenate(spoken).astype(float)
    centred = np.concatenate([u.astype(float) - u.astype(float).mean(axis=0) for u in spoken])
    for cached in (in_memory(spoken), in_memory(spoken[:1], spoken[1:3], spoken[3:])):
        statistics = cached.statistics()
        np.testing.assert_allclose(statistics.mean, frames.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(statistics.deviation, centred.std(axis=0), rtol=1e-5)


def test_statistics_do_not_suffer_from_a_large_mean() -> None:
    random = np.random.default_rng(0)
    frames = (1000 + random.integers(0, 2, (2_000, 2))).astype(np.float16)
    np.testing.assert_allclose(in_memory([frames]).statistics().deviation, 0.5, atol=1e-3)


def test_a_band_that_never_changes_does_not_explode() -> None:
    statistics = in_memory([np.ones((5, 2))]).statistics()
    assert np.isfinite(statistics.normalise(np.ones((5, 2), np.float32))).all()
    assert statistics.deviation.min() > 0


def test_memory_does_not_grow_with_the_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A corpus of over 6 MB, in shards of 0.5 MB."""
    monkeypatch.setattr(feature_cache, "SHARD_BYTES", 2**19)
    samples = np.random.default_rng(0).normal(0, 0.1, 5 * SETTINGS.sample_rate)
    soundfile.write(tmp_path / "noise.wav", samples, SETTINGS.sample_rate)
    rows = [Utterance(tmp_path / "noise.wav", "a", 5.0)] * 80
    tracemalloc.start()
    cached = cached_features(rows, SETTINGS, tmp_path, workers=1)
    cached.statistics()
    for index in range(len(cached)):
        cached.utterance(index)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert cached.frame_count * 2 * cached.size > 6 * 2**20
    assert peak < 3 * 2**20
