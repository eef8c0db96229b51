"""Slowness on purpose, and the accounts of what it costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from benchmarks import overload
from benchmarks.overload import Ledger, Screen, common, outcome, slowed
from streamer.audio import AudioBlock
from streamer.events import AudioGap, FinalTranscript, Notice, Status, Summary
from streamer.recorder import AudioRecorder
from streamer.runner import ThreadedRunner
from tests.streamer.test_runner import GatedModel
from tests.streamer.tone_speech import BlockSource, blocks, caption_stream, say


class Reader:
    """Reads what it is given."""

    def read(self, number: int, more: int = 0) -> int:
        return number + more


def test_a_slowed_method_does_the_same_and_is_itself_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([0.0, 0.25, 1.0, 1.5])
    monkeypatch.setattr(time, "thread_time", lambda: next(clock))
    waited: list[float] = []
    monkeypatch.setattr(overload.threading.Event, "wait", lambda event, s: waited.append(s))
    with slowed(Reader, ["read"], 5.0):
        assert Reader().read(1) == 1
        assert Reader().read(1, more=2) == 3
    assert Reader().read(4) == 4
    assert waited == [1.0, 2.0]


def test_the_ledger_finds_what_did_not_arrive() -> None:
    ledger = Ledger()
    for start in (100, 200, 450, 600):
        ledger.push(AudioBlock(np.zeros(100, np.float32), start))
    assert ledger.holes() == [(0, 100), (300, 450), (550, 600)]


def test_each_wanted_text_counts_once() -> None:
    assert common(["a", "b", "a"], ["a", "b", "c"]) == 2
    assert common([], ["a"]) == 0


SUMMARY = Summary(4.0, 2.0, 1.0, 0.5, 1, 1, 0)


def final(text: str) -> FinalTranscript:
    return FinalTranscript(1, text, (), 0.0, 1.0, 1.0, "silence")


def seen(gap: AudioGap) -> Screen:
    """Return a screen on which a final came 2 s late, and one second was lost."""
    screen = Screen()
    for lag_s in (0.1, 0.3, 2.5):
        screen.emit(Status(1.0, -20.0, lag_s, 0.0, False), 1.0)
    screen.emit(gap, 2.0)
    screen.emit(final("one"), 3.0)
    screen.emit(SUMMARY, 4.0)
    screen.memory_mb[:] = [100.0, 100.0, 103.0]
    return screen


def ledger_with_hole() -> Ledger:
    ledger = Ledger()
    ledger.push(AudioBlock(np.zeros(16_000, np.float32), 0))
    ledger.push(AudioBlock(np.zeros(32_000, np.float32), 32_000, 16_000))
    return ledger


def test_an_honest_overload_has_no_problem() -> None:
    found = outcome((50.0, 1.0), seen(AudioGap(1.0, 1.0)), ledger_with_hole(), ["one", "two"])
    assert found.problems == ()
    assert (found.lag_s, found.lag_most_s, found.growth_mb) == (0.3, 2.5, 3.0)
    assert (found.finals, found.same, found.wanted) == (1, 1, 2)
    assert found.late_s == found.late_most_s == 2.0
    assert found.lost_s == found.told_s == found.lacking_s == 1.0


def test_a_gap_in_a_wrong_place_is_found() -> None:
    found = outcome((50.0, 1.0), seen(AudioGap(1.5, 1.0)), ledger_with_hole(), ["one"])
    assert found.problems == ("gaps are not where audio is lacking",)


def test_accounts_that_differ_are_found() -> None:
    found = outcome((50.0, 1.0), seen(AudioGap(1.0, 0.5)), ledger_with_hole(), ["one"])
    assert any("0.500 s by the gaps" in problem for problem in found.problems)


def test_little_slowness_must_lose_nothing() -> None:
    found = outcome((5.0, 1.0), seen(AudioGap(1.0, 1.0)), ledger_with_hole(), ["one", "two"])
    assert found.problems == ("1.0 s were lost", "1 finals came of 2")
    screen = seen(AudioGap(1.0, 1.0))
    screen.events[0] = replace(cast(Status, screen.events[0]), lag_s=4.0)
    assert (
        "the lag came to 4.0 s" in outcome((5.0, 1.0), screen, ledger_with_hole(), ["one"]).problems
    )


def test_gaps_of_a_real_overload_are_where_audio_lacks() -> None:
    """The model hangs until the ring has long been full, twice as long as the ring is."""
    model = GatedModel()

    class Fast(BlockSource):
        def __iter__(self) -> Iterator[AudioBlock | Notice]:
            yield from super().__iter__()
            model.go_on.set()

    screen, ledger = Screen(), Ledger()
    stream = caption_stream(model=model, recorder=cast(AudioRecorder, ledger))
    audio = np.concatenate([say("abc de fag ") for _ in range(6)])
    source = Fast(blocks(audio), lossless=False)
    ThreadedRunner(source, stream, screen, ring_s=2.0).run()
    found = outcome((50.0, 1.0), screen, ledger, [])
    assert found.problems == ()
    assert found.lost_s > 1 and found.gaps >= 1
    arrived_s = sum(end - start for start, end in ledger.spans) / 16_000
    assert arrived_s + found.lost_s == pytest.approx(len(audio) / 16_000)
