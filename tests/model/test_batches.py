from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.augmentation import AugmentationSettings
from model.batches import Corpus, frames_needed, prefetch
from model.feature_cache import CachedFeatures
from model.features import FeatureStatistics

BANDS = 4
STATISTICS = FeatureStatistics(np.zeros(BANDS, np.float32), np.ones(BANDS, np.float32), 50.0)


def corpus(lengths: list[int], labels: list[list[int]] | None = None, stride: int = 2) -> Corpus:
    frames = np.random.default_rng(0).normal(size=(sum(lengths), BANDS)).astype(np.float16)
    features = CachedFeatures(frames, np.cumsum(lengths, dtype=np.int64))
    return Corpus(features, labels or [[1]] * len(lengths), STATISTICS, stride, 200, (20, 40), 0.01)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


lengths_strategy = st.lists(st.integers(0, 70), min_size=1, max_size=25).filter(
    lambda lengths: max(lengths) >= 4
)


@settings(deadline=None, max_examples=50)
@given(lengths_strategy, st.floats(0, 0.4), st.integers(0, 9))
def test_every_usable_row_is_planned_and_fits(lengths: list[int], tempo: float, seed: int) -> None:
    labels = [list(range(1, 1 + length // 3)) for length in lengths]
    data = corpus(lengths, labels)
    planned = data.plan(np.ones(len(lengths), int), seeded(seed), tempo=tempo)
    assert {int(row) for batch in planned for row in batch.rows} == set(data.usable)
    for batch in planned:
        assembled = data.assemble(batch, AugmentationSettings(tempo=tempo), True, seeded(seed))
        assert assembled.features.shape[1:] == (batch.shape[0], BANDS)
        assert assembled.labels.shape[1] == batch.shape[1]
        assert assembled.lengths.max() <= batch.shape[0]
        for place, row in enumerate(batch.rows):
            count = assembled.label_lengths[place]
            assert list(assembled.labels[place, :count]) == labels[row]
            assert not assembled.labels[place, count:].any()
            assert not assembled.features[place, assembled.lengths[place] :].any()
            assert assembled.lengths[place] >= 2 * frames_needed(np.array(labels[row]))


def test_utterances_too_short_for_their_transcript_are_left_out() -> None:
    data = corpus([0, 5, 6, 40], [[1], [1, 1], [1, 1], [1, 2, 3]])
    np.testing.assert_array_equal(data.usable, [2, 3])


def test_rows_are_normalised_like_live_audio() -> None:
    data = corpus([30])
    [batch] = data.plan(np.ones(1, int), seeded())
    assembled = data.assemble(batch, None, False, seeded())
    raw = np.random.default_rng(0).normal(size=(30, BANDS)).astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(
        assembled.features[0, : assembled.lengths[0]], STATISTICS.normalise(raw), atol=1e-6
    )


def test_a_seed_decides_the_plan_and_the_batches() -> None:
    data = corpus([10, 20, 30, 40, 50, 12])
    copies = np.ones(6, int)
    plans = [data.plan(copies, seeded(5), tempo=0.2) for _ in range(2)]
    for one, other in zip(*plans, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(
            data.assemble(one, AugmentationSettings(), True, seeded(1)).features,
            data.assemble(other, AugmentationSettings(), True, seeded(1)).features,
        )
    assert [batch.number for batch in plans[0]] == list(range(len(plans[0])))


def test_short_utterances_come_first_when_asked() -> None:
    random = np.random.default_rng(3)
    data = corpus([int(length) for length in random.integers(4, 60, 200)])
    rooms = [b.shape[0] for b in data.plan(np.ones(200, int), seeded(), by_length=True)]
    assert rooms == sorted(rooms)
    shuffled = [b.shape[0] for b in data.plan(np.ones(200, int), seeded())]
    assert sorted(shuffled) == rooms
    assert shuffled != rooms


def test_copies_repeat_a_row_and_zero_leaves_it_out() -> None:
    data = corpus([20] * 12)
    copies = np.array([0, 3] + [1] * 10)
    planned = data.plan(copies, seeded())
    counts = np.bincount(np.concatenate([batch.rows for batch in planned]), minlength=12)
    assert counts[0] == 0
    assert counts[1] >= 3


def test_batches_have_few_shapes() -> None:
    data = corpus([int(n) for n in np.random.default_rng(1).integers(4, 60, 300)])
    planned = data.plan(np.ones(300, int), seeded(), tempo=0.3)
    assert len({(len(batch.rows), batch.shape) for batch in planned}) <= 3


@pytest.mark.parametrize(
    ("labels", "frames"), [([], 0), ([1], 1), ([1, 2, 1], 3), ([1, 1], 3), ([2, 2, 2], 5)]
)
def test_equal_neighbours_need_a_blank_between(labels: list[int], frames: int) -> None:
    assert frames_needed(np.array(labels, np.int32)) == frames


def test_prefetching_keeps_the_order() -> None:
    assert list(prefetch(range(100), ahead=3)) == list(range(100))


def test_an_error_while_prefetching_reaches_the_consumer_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise RuntimeError("broken row")

    taken: list[int] = []
    with pytest.raises(RuntimeError, match="broken row"):
        for item in prefetch(items()):
            taken.append(item)
    assert taken == [1]


def test_closing_ends_the_thread_even_when_it_waits_for_room() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    items = prefetch(endless(), ahead=2)
    assert next(items) == 1
    items.close()
    assert "prefetch" not in {thread.name for thread in threading.enumerate()}
