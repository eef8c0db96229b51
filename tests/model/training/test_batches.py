from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.alphabet import frames_needed
from model.features import FeatureStatistics
from model.training.batches import Corpus, prefetch
from model.training.feature_cache import CachedFeatures, FeatureShard
from model.variation.augmentation import AugmentationSettings, mask_features

BANDS = 4
UNCHANGED = FeatureStatistics(
    np.zeros(BANDS, np.float32), np.ones(BANDS, np.float32), prior_frames=1e12
)
STATISTICS = FeatureStatistics(np.zeros(BANDS, np.float32), np.ones(BANDS, np.float32), 50.0)


def cached(frames: np.ndarray, lengths: list[int]) -> CachedFeatures:
    return CachedFeatures((FeatureShard(frames, np.cumsum(lengths, dtype=np.int64)),), BANDS)


def corpus(lengths: list[int], labels: list[list[int]] | None = None, stride: int = 2) -> Corpus:
    frames = np.random.default_rng(0).normal(size=(sum(lengths), BANDS)).astype(np.float16)
    features = cached(frames, lengths)
    return Corpus(features, labels or [[1]] * len(lengths), STATISTICS, stride, 200, (20, 40), 0.01)


def corpus_with_views(lengths: list[list[int]], share: float) -> Corpus:
    """Return a corpus whose frames all hold the number of their view."""
    clean, *perturbed = (
        cached(np.full((sum(view), BANDS), number, np.float16), view)
        for number, view in enumerate(lengths)
    )
    return Corpus(
        clean,
        [[1, 2]] * len(lengths[0]),
        UNCHANGED,
        stride=2,
        batch_frames=200,
        bucket_frames=(20, 40),
        frame_s=0.01,
        perturbed=perturbed,
        perturbed_share=share,
    )


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


@pytest.mark.parametrize("weight", [0.01, 1.0, 100.0])
def test_equal_weights_leave_the_loss_as_it_is(weight: float) -> None:
    frames = np.zeros((40, BANDS), np.float16)
    data = Corpus(
        cached(frames, [20, 20]), [[1, 2], [3]], STATISTICS, 2, 40, (20,), 0.01, [weight] * 2
    )
    [batch] = data.plan(np.ones(2, int), seeded())
    np.testing.assert_allclose(data.assemble(batch, None, 0, seeded()).shares, 1 / 3, rtol=1e-6)


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


def test_rows_are_read_from_the_views_that_were_drawn() -> None:
    data = corpus_with_views([[10] * 300, [9] * 300, [12] * 300], share=0.5)
    planned = data.plan(np.ones(300, int), seeded())
    views = np.concatenate([batch.views for batch in planned])
    assert 0.4 < np.mean(views == 0) < 0.6
    assert 0.15 < np.mean(views == 1) < 0.35
    for batch in planned:
        np.testing.assert_array_equal(batch.frames, np.array([10, 9, 12])[batch.views])
        features = data.assemble(batch, None, 0, seeded()).features
        np.testing.assert_allclose(features[:, 0, 0], batch.views, atol=1e-6)


def test_without_a_share_every_row_is_clean_and_with_all_of_it_none_is() -> None:
    for share, views in ((0.0, {0}), (1.0, {1, 2})):
        data = corpus_with_views([[10] * 40] * 3, share)
        planned = data.plan(np.ones(40, int), seeded())
        assert {int(view) for batch in planned for view in batch.views} == views


def test_a_view_too_short_for_its_transcript_gives_way_to_the_clean_one() -> None:
    data = corpus_with_views([[10, 10, 3], [3, 10, 10]], share=1.0)
    np.testing.assert_array_equal(data.usable, [0, 1])
    [batch] = data.plan(np.ones(3, int), seeded())
    assert dict(zip(batch.rows.tolist(), batch.views.tolist(), strict=True)) == {0: 0, 1: 1}


def test_a_seed_decides_the_views() -> None:
    data = corpus_with_views([[10] * 40] * 3, share=0.5)
    one, same, other = (
        np.concatenate([b.views for b in data.plan(np.ones(40, int), seeded(seed))])
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_longest_view_has_a_bucket() -> None:
    data = corpus_with_views([[50], [60]], share=1.0)
    [batch] = data.plan(np.ones(1, int), seeded())
    assert batch.shape[0] == 60


@pytest.mark.parametrize("multiple", [1, 2, 3, 16])
def test_batches_can_be_shared_by_several_devices(multiple: int) -> None:
    data = corpus([int(n) for n in np.random.default_rng(1).integers(4, 60, 100)])
    for batch in data.plan(np.ones(100, int), seeded(), multiple=multiple):
        size = len(batch.rows)
        assert size % multiple == 0
        assert size == multiple or size * batch.shape[0] <= 200


def test_parts_of_a_batch_are_those_of_the_whole() -> None:
    data = corpus([18, 19, 20, 20, 15], [[1], [1, 2], [3], [2, 1, 2], [1]])
    augmentation = AugmentationSettings(band_masks=2, band_mask_size=2, time_masks_per_s=20)
    planned = max(data.plan(np.ones(5, int), seeded(), tempo=0.1), key=lambda b: len(b.rows))
    whole, *parts = (
        data.assemble(planned, augmentation, 1.0, seeded(4), part)
        for part in (slice(None), slice(0, 3), slice(3, None))
    )
    for name in ("features", "lengths", "labels", "label_lengths", "shares"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, name))
    assert (whole.shares @ whole.label_lengths) == pytest.approx(1)


def test_paired_batches_hold_every_utterance_twice_masked_apart() -> None:
    lengths = [18, 19, 20, 20, 15]
    frames = np.random.default_rng(0).normal(size=(sum(lengths), BANDS)).astype(np.float16)
    paired, plain = (
        Corpus(
            cached(frames, lengths),
            [[1], [1, 2], [3], [2, 1, 2], [1]],
            STATISTICS,
            stride=2,
            batch_frames=80,
            bucket_frames=(20, 40),
            frame_s=0.01,
            paired=paired,
        )
        for paired in (True, False)
    )
    augmentation = AugmentationSettings(vocal_tract=0, band_masks=1, band_mask_size=3)
    plans = paired.plan(np.ones(5, int), seeded())
    assert {len(planned.rows) for planned in plans} == {2}
    assert {len(planned.rows) for planned in plain.plan(np.ones(5, int), seeded())} == {4}
    planned = plans[0]
    batch, single = (data.assemble(planned, augmentation, 1, seeded(3)) for data in (paired, plain))
    for name in ("lengths", "labels", "label_lengths"):
        values = getattr(batch, name)
        np.testing.assert_array_equal(values[::2], getattr(single, name))
        np.testing.assert_array_equal(values[1::2], values[::2])
    np.testing.assert_allclose(batch.shares[::2] + batch.shares[1::2], single.shares)
    unmasked = plain.assemble(planned, None, 0, seeded()).features
    differing = False
    for row, features in enumerate(batch.features):
        hidden = features != unmasked[row // 2]
        assert not features[hidden].any()
        differing |= not np.array_equal(features, batch.features[row ^ 1])
    assert differing
    judged = paired.assemble(planned, None, 0, seeded())
    np.testing.assert_array_equal(judged.features, unmasked)


def test_masks_grow_over_the_training() -> None:
    settings = AugmentationSettings(masks_from=0.2, masks_full=0.6)
    strengths = [settings.mask_strength(share) for share in (0, 0.19, 0.2, 0.4, 0.6, 1)]
    np.testing.assert_allclose(strengths, [0, 0, 0, 0.5, 1, 1], atol=1e-9)
    at_once = AugmentationSettings(masks_from=0.3, masks_full=0)
    assert [at_once.mask_strength(share) for share in (0.29, 0.3)] == [0, 1]


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_no_mask_is_larger_than_its_strength_allows(strength: float) -> None:
    settings = AugmentationSettings(band_masks=1, band_mask_size=20)
    sizes = [
        int((mask_features(np.ones((3, 40)), settings, 0.01, seeded(i), strength) == 0)[0].sum())
        for i in range(200)
    ]
    assert max(sizes) == round(20 * strength)


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
