"""Time is counted for what took it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from typing_extensions import Self

from benchmarks.live.clocks import (
    DECODER_FINALS,
    DECODER_PARTIALS,
    NETWORK_FINALS,
    NETWORK_PARTIALS,
    ArrivingSource,
    LiveClock,
    Metered,
    Stopwatch,
    of_final_decoder,
    of_network,
    of_partial_decoder,
)
from streamer.audio import AudioBlock
from streamer.events import Notice


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Slow:
    """Takes a second for a reading, and half a second for a push."""

    name = "slow"

    def __init__(self, hand: Hand) -> None:
        self._hand = hand

    def session(self) -> Slow:
        return Slow(self._hand)

    def read(self, frames: int | None = None) -> int | None:
        self._hand.now_s += 1.0
        return frames

    def log_probs(self, frames: int, final: bool) -> int:
        self._hand.now_s += 4.0
        return frames

    def push(self, features: object) -> None:
        self._hand.now_s += 0.5


def test_inner_stages_are_not_counted_twice() -> None:
    hand = Hand()
    watch = Stopwatch(hand)
    with watch.measure("outer"):
        hand.now_s += 1.0
        with watch.measure("inner"):
            hand.now_s += 2.0
        hand.now_s += 4.0
    with watch.measure("inner"):
        hand.now_s += 8.0
    assert watch.spent_s == {"outer": 5.0, "inner": 10.0}


def test_time_is_counted_where_a_stage_fails_too() -> None:
    hand = Hand()
    watch = Stopwatch(hand)
    with pytest.raises(ValueError, match="broken"), watch.measure("stage"):
        hand.now_s += 1.0
        raise ValueError("broken")
    assert watch.spent_s == {"stage": 1.0}


def test_methods_of_sessions_are_counted_by_what_they_are_for() -> None:
    hand = Hand()
    watch = Stopwatch(hand)
    model: Any = Metered(Slow(hand), watch, of_network)
    assert model.name == "slow"
    session = model.session()
    session.push(None)
    assert session.read() is None
    assert session.read(7) == 7
    assert session.read(frames=8) == 8
    assert session.log_probs(9, final=True) == 9
    assert watch.spent_s[NETWORK_PARTIALS] == 1.5
    assert watch.spent_s[NETWORK_FINALS] == 6.0


def test_what_reads_partials_may_read_a_final() -> None:
    assert of_partial_decoder("best", (), {}) == DECODER_PARTIALS
    assert of_partial_decoder("best", (), {"final": True}) == DECODER_FINALS
    assert of_final_decoder("decode", (), {}) == DECODER_FINALS


class Blocks:
    """A second of audio at a time, each of which takes a tenth of a second to get."""

    name = "blocks"
    lossless = True

    def __init__(self, hand: Hand) -> None:
        self._hand = hand

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __iter__(self) -> Iterator[AudioBlock | Notice]:
        for second in range(3):
            self._hand.now_s += 0.1
            yield AudioBlock(np.zeros(16_000, np.float32), second * 16_000)
            yield Notice("file", "one")

    def stop(self) -> None: ...


def test_a_live_clock_waits_for_audio_and_for_work_but_not_for_files() -> None:
    hand = Hand()
    clock = LiveClock(hand)
    source = ArrivingSource(Blocks(hand), clock)
    seen = []
    for item, works_s in zip(source, [0.25, 0.0, 2.0, 0.0, 0.5, 0.0], strict=True):
        hand.now_s += works_s
        seen.append((type(item).__name__, source.heard_s, clock.now_s))
    assert [name for name, _, _ in seen] == ["AudioBlock", "Notice"] * 3
    assert [heard for _, heard, _ in seen] == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    # The third block is there at 3 s, but the work on the second ends at 4 s only.
    assert [now for _, _, now in seen] == pytest.approx([1.25, 1.25, 4.0, 4.0, 4.5, 4.5])
    hand.now_s += 0.5
    assert clock.now_s == pytest.approx(5.0)
