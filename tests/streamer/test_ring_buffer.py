"""The ring buffer: order, honest counting of losses, waiting and waking."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.audio import AudioBlock
from streamer.events import Notice
from streamer.ring_buffer import RingBuffer

TIMEOUT_S = 10.0

Operation = tuple[str, int, int]


def block(start: int, samples: int, lost: int = 0) -> AudioBlock:
    """A block whose samples are their own indices, so that a wrong start shows."""
    return AudioBlock(np.arange(start, start + samples, dtype=np.float32), start, lost)


def stream_of(sizes: Sequence[int]) -> list[AudioBlock]:
    starts = np.cumsum([0, *sizes])
    return [block(int(start), size) for start, size in zip(starts, sizes, strict=False)]


def in_thread(target: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


operations = st.lists(
    st.one_of(
        st.tuples(st.just("block"), st.integers(0, 12), st.sampled_from([0, 0, 0, 5])),
        st.tuples(st.just("notice"), st.integers(0, 99), st.just(0)),
        st.tuples(st.just("pop"), st.just(0), st.just(0)),
    ),
    max_size=60,
)


class Model:
    """The same in the plainest way: a list, searched and summed anew every time."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.items: list[Any] = []
        self.dropped = 0

    def push(self, item: AudioBlock | Notice) -> None:
        if isinstance(item, AudioBlock):
            kept = item.samples[-self.capacity :]
            self.dropped += len(item.samples) - len(kept)
            while self.held() + len(kept) > self.capacity:
                blocks = [i for i, held in enumerate(self.items) if isinstance(held, AudioBlock)]
                self.dropped += len(self.items.pop(blocks[0]).samples)
            item = AudioBlock(kept, item.end - len(kept))
        self.items.append(item)

    def held(self) -> int:
        return sum(len(i.samples) for i in self.items if isinstance(i, AudioBlock))


@given(operations, st.integers(1, 20))
def test_dropping_ring_agrees_with_a_plain_list(steps: list[Operation], capacity: int) -> None:
    ring, model = RingBuffer(capacity, "drop"), Model(capacity)
    pushed = given_out = 0
    for kind, number, lost in [*steps, *[("pop", 0, 0)] * len(steps)]:
        if kind == "block":
            item = block(pushed + lost, number, lost)
            pushed = item.end
            assert ring.push(item)
            model.push(item)
        elif kind == "notice":
            assert ring.push(Notice("n", str(number)))
            model.push(Notice("n", str(number)))
        else:
            got = ring.pop(timeout=0)
            expected = model.items.pop(0) if model.items else None
            if not isinstance(expected, AudioBlock):
                assert got == expected
                continue
            assert isinstance(got, AudioBlock)
            np.testing.assert_array_equal(got.samples, np.arange(got.start, got.end))
            np.testing.assert_array_equal(got.samples, expected.samples)
            assert got.start == given_out + got.lost_before
            given_out = got.end
        assert ring.dropped == model.dropped
    assert given_out == pushed


def test_losses_are_told_by_the_next_block_and_notices_stay() -> None:
    ring = RingBuffer(10, "drop")
    ring.push(block(0, 6))
    ring.push(Notice("device_back", "text"))
    ring.push(block(6, 6))
    ring.push(block(12, 6))
    assert ring.pop() == Notice("device_back", "text")
    newest = ring.pop()
    assert isinstance(newest, AudioBlock)
    assert (newest.start, newest.lost_before, ring.dropped) == (12, 12, 12)


def test_newest_samples_of_a_block_larger_than_the_ring_are_kept() -> None:
    ring = RingBuffer(4, "drop")
    ring.push(block(0, 10))
    kept = ring.pop()
    assert isinstance(kept, AudioBlock)
    assert kept.samples.tolist() == [6, 7, 8, 9]
    assert (kept.start, kept.lost_before, ring.dropped) == (6, 6, 6)


def test_pop_returns_none_when_nothing_comes_in_time() -> None:
    ring = RingBuffer(10, "drop")
    assert ring.pop(timeout=0.001) is None
    assert not ring.finished


@pytest.mark.parametrize("on_full", ["drop", "block"])
def test_closing_lets_out_what_is_held_and_nothing_in(on_full: str) -> None:
    ring = RingBuffer(10, on_full)  # type: ignore[arg-type]
    ring.push(block(0, 4))
    ring.close()
    assert not ring.push(block(4, 20))
    assert not ring.push(Notice("n", "text"))
    assert not ring.finished
    held = ring.pop()
    assert isinstance(held, AudioBlock)
    assert held.end == 4
    assert ring.finished
    assert ring.pop() is None
    assert ring.dropped == 0


def test_closing_wakes_a_waiting_consumer() -> None:
    ring = RingBuffer(10, "drop")
    popped: list[object] = []
    consumer = in_thread(lambda: popped.append(ring.pop()))
    ring.close()
    consumer.join(TIMEOUT_S)
    assert popped == [None]


@pytest.mark.parametrize("end", [RingBuffer.close, RingBuffer.abandon])
def test_ending_wakes_a_waiting_producer_and_refuses_its_block(
    end: Callable[[RingBuffer], None],
) -> None:
    ring = RingBuffer(4, "block")
    ring.push(block(0, 4))
    pushed: list[bool] = []
    producer = in_thread(lambda: pushed.append(ring.push(block(4, 4))))
    end(ring)
    producer.join(TIMEOUT_S)
    assert pushed == [False]


def test_an_abandoned_ring_is_finished_at_once() -> None:
    ring = RingBuffer(4, "drop")
    ring.push(block(0, 4))
    ring.abandon()
    assert ring.finished
    assert ring.pop() is None


def test_waiting_ring_takes_a_block_larger_than_itself_whole() -> None:
    ring = RingBuffer(4, "block")
    assert ring.push(block(0, 10))
    whole = ring.pop()
    assert isinstance(whole, AudioBlock)
    assert len(whole.samples) == 10


@given(st.lists(st.integers(1, 30), max_size=30), st.integers(1, 20))
def test_waiting_ring_loses_nothing_between_threads(sizes: list[int], capacity: int) -> None:
    ring = RingBuffer(capacity, "block")
    blocks = stream_of(sizes)

    def produce() -> None:
        for item in blocks:
            ring.push(item)
        ring.close()

    producer = in_thread(produce)
    got = []
    while not ring.finished:
        item = ring.pop(timeout=TIMEOUT_S)
        if isinstance(item, AudioBlock):
            got.append((item.start, item.end, item.lost_before))
    producer.join(TIMEOUT_S)
    assert got == [(item.start, item.end, 0) for item in blocks]
    assert ring.dropped == 0


def test_dropping_ring_never_makes_its_producer_wait() -> None:
    ring = RingBuffer(100, "drop")
    for item in stream_of([30] * 1000):
        assert ring.push(item)
    ring.close()
    starts = []
    while isinstance(held := ring.pop(), AudioBlock):
        starts.append((held.start, held.lost_before))
    assert starts == [(29_910, 29_910), (29_940, 0), (29_970, 0)]
    assert ring.dropped == 29_910
