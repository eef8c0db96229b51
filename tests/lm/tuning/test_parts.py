"""Parts of the recordings: halves without a speaker in common, slices alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from lm.tuning.log_probs import Scored
from lm.tuning.parts import SLICES, cut, slices, speaker_of
from tests.lm.tuning.planted import one_word_recordings


@pytest.fixture
def recordings(tmp_path: Path) -> list[Scored]:
    return one_word_recordings(tmp_path, 160, 8)


def test_every_recording_is_in_one_part(recordings: list[Scored]) -> None:
    found = [item.identity for part in cut(recordings).values() for item in part]
    assert sorted(found) == sorted(item.identity for item in recordings)


def test_no_speaker_is_in_both_halves(recordings: list[Scored]) -> None:
    parts = cut(recordings)
    first, second = (
        {speaker_of(item) for part in slices(SLICES, [half]) for item in parts[part]}
        for half in (0, 1)
    )
    assert first and second and not first & second


def test_parts_are_alike_in_their_corpora(recordings: list[Scored]) -> None:
    for part in cut(recordings).values():
        assert Counter(item.row.corpus for item in part) == {"books": 5, "phones": 5}


def test_the_order_of_recordings_does_not_matter(recordings: list[Scored]) -> None:
    assert cut(recordings[::-1]) == cut(recordings)


def test_recordings_without_a_speaker_are_speakers_of_their_own(recordings: list[Scored]) -> None:
    unnamed = [replace(item, row=replace(item.row, speaker="")) for item in recordings]
    sizes = [sum(len(cut(unnamed)[part]) for part in slices(SLICES, [half])) for half in (0, 1)]
    assert sizes == [80, 80]


def test_few_recordings_leave_parts_empty(recordings: list[Scored]) -> None:
    assert sum(map(len, cut(recordings[:1]).values())) == 1
    assert cut(recordings[:1]).keys() == set(slices(SLICES))
