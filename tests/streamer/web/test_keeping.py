"""What is kept of a stream, and from when on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import CaptionerError
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.errors import OutputError
from streamer.events import FinalTranscript, Notice, Word
from streamer.web.keeping import KEEPING_ENDED, Keeper, Origin


@dataclass
class Recording:
    """Holds what it is given; a second of its samples is 100 long."""

    title: str
    blocks: list[AudioBlock] = field(default_factory=list)
    finals: list[FinalTranscript] = field(default_factory=list)
    state: str = "going on"
    failure: CaptionerError | None = None
    id: str = "0" * 32

    @property
    def ended(self) -> bool:
        return self.state != "going on"

    def push(self, block: AudioBlock) -> list[Notice]:
        self.blocks.append(block)
        return []

    def add(self, final: FinalTranscript) -> None:
        if self.failure:
            raise self.failure
        self.finals.append(final)

    def finish(self) -> None:
        self.state = "finished"

    def discard(self) -> None:
        self.state = "discarded"

    @property
    def samples(self) -> np.ndarray:
        """All of them, lost ones as zeros."""
        whole = np.zeros(self.blocks[-1].end if self.blocks else 0, np.float32)
        for block in self.blocks:
            whole[block.start : block.end] = block.samples
        return whole


class Recordings:
    def __init__(self) -> None:
        self.all: list[Recording] = []

    def begin(self, title: str, origin: Origin, model: str) -> Recording:
        self.all.append(Recording(title))
        return self.all[-1]


def block(start_s: float, length_s: float, value: float = 0.5) -> AudioBlock:
    start = round(start_s * SAMPLE_RATE)
    return AudioBlock(np.full(round(length_s * SAMPLE_RATE), value, np.float32), start)


def final(start_s: float, end_s: float, *words: tuple[str, float]) -> FinalTranscript:
    heard = tuple(Word(word, at_s, at_s + 0.1, 0.9) for word, at_s in words)
    text = " ".join(word for word, _ in words)
    return FinalTranscript(1, text, heard, start_s, end_s, end_s, "silence")


def test_nothing_is_begun_before_somebody_asks() -> None:
    shelf = Recordings()
    keeper = Keeper(shelf, "microphone", 100.0)
    keeper.push(block(0, 1))
    keeper.add(final(0.1, 0.9, ("hello", 0.2)))
    assert keeper.finish() is None
    assert shelf.all == []
    assert keeper.recording is None


def test_what_was_heard_before_is_kept_too() -> None:
    shelf = Recordings()
    keeper = Keeper(shelf, "microphone", 100.0)
    keeper.push(block(0, 1, 0.25))
    keeper.add(final(0.1, 0.9, ("hello", 0.2)))
    assert keeper.keep("talk", "english") == "0" * 32
    keeper.push(block(1, 1, 0.75))
    keeper.add(final(1.1, 1.9, ("world", 1.2)))
    assert keeper.finish() == "0" * 32
    (kept,) = shelf.all
    assert kept.title == "talk"
    assert kept.state == "finished"
    assert [final.text for final in kept.finals] == ["hello", "world"]
    assert kept.samples[[0, -1]].tolist() == [0.25, 0.75]
    assert len(kept.samples) == 2 * SAMPLE_RATE


def test_times_count_from_the_first_sample_that_is_kept() -> None:
    shelf = Recordings()
    keeper = Keeper(shelf, "live", 0.0)
    keeper.push(block(0, 10))
    keeper.keep("", "english")
    keeper.push(block(10, 2))
    keeper.add(final(9.5, 11.5, ("before", 9.6), ("across", 9.95), ("after", 10.5)))
    keeper.add(final(3.0, 9.0, ("past", 4.0)))
    (kept,) = shelf.all
    assert kept.blocks[0].start == 0
    (only,) = kept.finals
    assert only.text == "after"
    assert (only.start_s, only.end_s) == (0.0, 1.5)
    assert only.words[0].start_s == pytest.approx(0.5)


@given(
    lengths=st.lists(st.integers(1, 400), min_size=1, max_size=30),
    remembered=st.integers(0, 2000),
)
def test_the_last_part_is_remembered_and_no_more(lengths: list[int], remembered: int) -> None:
    shelf = Recordings()
    keeper = Keeper(shelf, "microphone", remembered / SAMPLE_RATE)
    whole = np.arange(1, sum(lengths) + 1, dtype=np.float32) / 32_768
    start = 0
    for length in lengths:
        keeper.push(AudioBlock(whole[start : start + length], start))
        start += length
    keeper.keep("", "english")
    (kept,) = shelf.all
    held = kept.samples
    assert len(held) <= remembered
    assert len(held) > min(remembered, start) - max(lengths)
    np.testing.assert_array_equal(held, whole[start - len(held) :])


def test_an_utterance_that_is_half_forgotten_keeps_its_rest() -> None:
    shelf = Recordings()
    keeper = Keeper(shelf, "microphone", 5.0)
    keeper.push(block(0, 5))
    keeper.add(final(3.0, 6.0, ("gone", 3.5), ("held", 5.5)))
    keeper.add(final(1.0, 2.0, ("past", 1.5)))
    keeper.push(block(5, 5))
    keeper.keep("", "english")
    assert [final.text for final in shelf.all[0].finals] == ["held"]


def test_the_next_recording_has_nothing_of_the_one_before() -> None:
    shelf = Recordings()
    keeper = Keeper(shelf, "microphone", 100.0)
    keeper.push(block(0, 2, 0.25))
    keeper.add(final(0.1, 0.9, ("hello", 0.2)))
    keeper.keep("", "english")
    keeper.finish()
    keeper.push(block(2, 1, 0.75))
    keeper.keep("", "english")
    assert shelf.all[1].finals == []
    assert len(shelf.all[1].samples) == SAMPLE_RATE


def test_what_the_user_threw_away_is_not_kept_later() -> None:
    shelf = Recordings()
    keeper = Keeper(shelf, "microphone", 100.0)
    keeper.push(block(0, 1))
    keeper.keep("", "english")
    keeper.discard()
    assert shelf.all[0].state == "discarded"
    keeper.push(block(1, 1))
    keeper.keep("", "english")
    assert len(shelf.all[1].samples) == SAMPLE_RATE


def test_a_recording_that_was_deleted_is_kept_no_more() -> None:
    shelf = Recordings()
    keeper = Keeper(shelf, "microphone", 100.0)
    keeper.keep("", "english")
    keeper.push(block(0, 1))
    shelf.all[0].state = "deleted"
    assert keeper.recording is None
    (notice,) = keeper.push(block(1, 1))
    assert (notice.kind, notice.level) == (KEEPING_ENDED, "warning")
    assert keeper.push(block(2, 1)) == []
    assert len(shelf.all[0].blocks) == 1
    assert keeper.finish() is None
    assert shelf.all[0].state == "deleted"


def test_after_a_deletion_another_recording_can_be_kept() -> None:
    shelf = Recordings()
    keeper = Keeper(shelf, "microphone", 0.0)
    keeper.keep("first", "english")
    shelf.all[0].state = "deleted"
    keeper.keep("second", "english")
    assert keeper.push(block(0, 1)) == []
    assert [kept.title for kept in shelf.all] == ["first", "second"]
    assert len(shelf.all[1].samples) == SAMPLE_RATE
    assert keeper.finish() is not None
    assert [kept.state for kept in shelf.all] == ["deleted", "finished"]


def test_finishing_says_whether_anything_was_kept() -> None:
    shelf = Recordings()
    keeper = Keeper(shelf, "microphone", 100.0)
    keeper.keep("", "english")
    shelf.all[0].state = "deleted"
    assert keeper.begun
    assert keeper.finish() is None
    assert not keeper.begun


def test_a_full_disk_is_told_and_ends_nothing() -> None:
    shelf = Recordings()
    keeper = Keeper(shelf, "microphone", 100.0)
    keeper.keep("", "english")
    shelf.all[0].failure = OutputError("the disk is full; make room")
    keeper.add(final(0, 1, ("lost", 0.1)))
    (notice,) = keeper.push(block(0, 1))
    assert notice.level == "error"
    assert "make room" in notice.text
    assert keeper.push(block(1, 1)) == []


def test_what_is_remembered_takes_two_bytes_a_sample() -> None:
    shelf = Recordings()
    keeper = Keeper(shelf, "microphone", 5.0)
    every = np.arange(-32_768, 32_768, dtype=np.float32) / 32_768
    keeper.push(AudioBlock(every, 0))
    assert sum(block.samples.nbytes for block in keeper._blocks) == 2 * len(every)
    keeper.keep("", "english")
    np.testing.assert_array_equal(shelf.all[0].samples, every)
    assert shelf.all[0].samples.dtype == np.float32
