"""Audio from a client as a source."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.web.socket_source import AHEAD_S, SocketSource, TooFast


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def blocks_of(source: SocketSource) -> list[AudioBlock]:
    source.finish()
    blocks = [block for block in source if isinstance(block, AudioBlock)]
    end = 0
    for block in blocks:
        assert block.start == end + block.lost_before
        end = block.end
    return blocks


def pcm(samples: int, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).integers(-9_000, 9_000, samples).astype("<i2").tobytes()


@settings(max_examples=40)
@given(cuts=st.lists(st.integers(0, 4000), max_size=8), samples=st.integers(0, 2000))
def test_however_it_is_cut_the_samples_are_the_same(cuts: list[int], samples: int) -> None:
    source = SocketSource("test", SAMPLE_RATE, 100.0, 100.0)
    data = pcm(samples)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        assert source.push(data[start:end])
    heard = np.concatenate([np.zeros(0, np.float32), *(b.samples for b in blocks_of(source))])
    np.testing.assert_array_equal(heard * 32_768, np.frombuffer(data, "<i2"))


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_any_rate_is_resampled_by_one_resampler(rate: int) -> None:
    source = SocketSource("test", rate, 100.0, 100.0)
    data = pcm(rate)
    for start in range(0, len(data), 1234):
        source.push(data[start : start + 1234])
    heard = np.concatenate([block.samples for block in blocks_of(source)])
    whole = soxr.resample(np.frombuffer(data, "<i2").astype(np.float32) / 32_768, rate, SAMPLE_RATE)
    assert abs(len(heard) - len(whole)) <= 1
    shared = min(len(heard), len(whole))
    assert np.abs(heard[:shared] - whole[:shared]).max() < 1e-3
    np.testing.assert_array_equal(heard * 32_768, np.rint(heard * 32_768))


def test_audio_that_the_client_lost_is_a_gap() -> None:
    source = SocketSource("test", 48_000, 100.0, 100.0)
    source.push(pcm(48_000))
    source.lose(24_000)
    source.push(pcm(48_000))
    blocks = blocks_of(source)
    assert sum(block.lost_before for block in blocks) == pytest.approx(8_000, abs=2)
    assert blocks[-1].end == pytest.approx(40_000, abs=3)


def test_a_slow_stream_loses_the_oldest_audio_and_says_so() -> None:
    source = SocketSource("test", SAMPLE_RATE, 100.0, 1.0)
    for _ in range(30):
        source.push(pcm(1_600))
    blocks = blocks_of(source)
    assert blocks[-1].end == 48_000
    assert sum(len(block.samples) for block in blocks) <= SAMPLE_RATE
    assert blocks[0].lost_before >= 32_000


def test_audio_faster_than_speech_is_refused() -> None:
    clock = Clock()
    source = SocketSource("test", SAMPLE_RATE, 1000.0, 1000.0, clock)
    second = pcm(SAMPLE_RATE)
    for _ in range(int(AHEAD_S)):
        source.push(second)
    with pytest.raises(TooFast):
        source.push(second)
    clock.now = 100.0
    assert source.push(second)


def test_the_longest_stream_ends_at_its_sample() -> None:
    source = SocketSource("test", SAMPLE_RATE, 2.0, 100.0)
    assert source.push(pcm(SAMPLE_RATE))
    assert not source.push(pcm(3 * SAMPLE_RATE))
    assert blocks_of(source)[-1].end == 2 * SAMPLE_RATE


def test_messages_of_a_sample_each_do_not_become_a_block_each() -> None:
    source = SocketSource("test", SAMPLE_RATE, 100.0, 100.0)
    data = pcm(2_000)
    for start in range(0, len(data), 2):
        source.push(data[start : start + 2])
    blocks = blocks_of(source)
    assert len(blocks) <= 2_000 / (0.01 * SAMPLE_RATE) + 1
    heard = np.concatenate([block.samples for block in blocks])
    np.testing.assert_array_equal(heard * 32_768, np.frombuffer(data, "<i2"))


def test_losing_faster_than_speech_is_refused() -> None:
    source = SocketSource("test", SAMPLE_RATE, 100.0, 100.0, Clock())
    with pytest.raises(TooFast):
        source.lose(10**9 - 1)


def test_a_client_that_sends_slowly_has_no_more_time() -> None:
    clock = Clock()
    source = SocketSource("test", SAMPLE_RATE, 100.0, 100.0, clock)
    assert source.push(pcm(100))
    clock.now = 100.0 + AHEAD_S + 1.0
    assert not source.push(pcm(100))
