"""Partials by a cheaper decoder while decoding costs too much."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from lm.decoder import DecodedWord, Hypothesis
from streamer.events import Notice
from streamer.thrift import CHEAP_IN_A_ROW, TOLD_EVERY_S, ThriftyDecoder

FRAME_S = 0.04
UTTERANCE = np.zeros((100, 3), np.float32)
"""Four seconds."""


class CostlyDecoder:
    """Reads its own name, and spends seconds of the clock for each call."""

    def __init__(self, name: str, clock: list[float], cost_s: float) -> None:
        self.name = name
        self.clock = clock
        self.cost_s = cost_s

    def decode(self, log_probs: np.ndarray, settled: Sequence[str] = ()) -> Hypothesis:
        return Hypothesis((DecodedWord(self.name, 0, 1, 1.0),), 0.0)

    def session(self) -> CostlyDecoder:
        return self

    def push(self, log_probs: np.ndarray) -> None:
        self.clock[0] += self.cost_s

    def best(
        self,
        tail: np.ndarray | None = None,
        settled: Sequence[str] = (),
        final: bool = False,
        shown: Sequence[str] = (),
        margin: float = 0.0,
    ) -> Hypothesis:
        self.clock[0] += self.cost_s
        return self.decode(UTTERANCE)


class Setting:
    """Three decoders, the last one free, and what was told."""

    def __init__(self) -> None:
        self.clock = [0.0]
        self.decoders = [CostlyDecoder(name, self.clock, 8.0) for name in ("wide", "narrow")]
        self.decoders += [CostlyDecoder("greedy", self.clock, 0.0)]
        names = ["a beam of 64", "a beam of 8", "the greedy reading"]
        self.thrifty = ThriftyDecoder(self.decoders, names, FRAME_S, lambda: self.clock[0])
        self.notices: list[Notice] = []

    def utterance(self, stream_s: float = 0.0) -> str:
        """Read an utterance and return the name of its decoder."""
        self.notices += self.thrifty.utterance_starts(stream_s)
        session = self.thrifty.session()
        session.push(UTTERANCE[:50])
        return session.best(UTTERANCE[50:]).text


def test_a_decoder_that_costs_too_much_gives_way_to_the_next() -> None:
    setting = Setting()
    assert [setting.utterance() for _ in range(4)] == ["wide", "narrow", "greedy", "greedy"]
    assert setting.thrifty.decode(UTTERANCE).text == "wide"


def test_slowness_is_told_once_a_minute_with_what_to_do() -> None:
    setting = Setting()
    for stream_s in (0, 10, 20):
        setting.utterance(stream_s)
    [notice] = setting.notices
    assert (notice.kind, notice.level) == ("decoding_slow", "warning")
    assert "a beam of 8" in notice.text and "decoder.beam_width" in notice.text


def test_the_better_decoder_comes_back_when_there_is_time_for_it() -> None:
    setting = Setting()
    setting.utterance()
    setting.utterance()
    for decoder in setting.decoders:
        decoder.cost_s = 0.01
    read = [setting.utterance(1.0) for _ in range(2 * CHEAP_IN_A_ROW + 1)]
    assert read == ["greedy"] * CHEAP_IN_A_ROW + ["narrow"] * CHEAP_IN_A_ROW + ["wide"]
    assert [notice.kind for notice in setting.notices] == ["decoding_slow", "decoding_recovered"]
    assert setting.notices[-1].level == "info"


def test_slowness_that_comes_back_is_told_again_after_a_minute() -> None:
    setting = Setting()
    setting.utterance(0.0)
    setting.utterance(5.0)
    setting.utterance(5.0 + TOLD_EVERY_S)
    assert [notice.kind for notice in setting.notices] == ["decoding_slow"] * 2


@pytest.mark.parametrize("cost_s", [0.01, 0.5])
def test_a_decoder_that_is_fast_enough_stays(cost_s: float) -> None:
    setting = Setting()
    for decoder in setting.decoders:
        decoder.cost_s = cost_s
    assert {setting.utterance() for _ in range(20)} == {"wide"}
    assert setting.notices == []


def test_an_utterance_that_nothing_was_read_of_changes_nothing() -> None:
    setting = Setting()
    for _ in range(3):
        assert setting.thrifty.utterance_starts(0.0) == []
        setting.thrifty.session()
    assert setting.utterance() == "wide"
