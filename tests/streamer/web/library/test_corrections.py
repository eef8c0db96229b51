"""The words of a correction get the times at which they were said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.acoustic import AcousticModel
from model.audio import read_audio
from model.corpora.manifest import read_manifest
from streamer.audio import SAMPLE_RATE
from streamer.web.library import corrections
from streamer.web.library.corrections import Aligner, frames_needed, spread
from streamer.web.library.transcripts import Segment
from tests.lm.toys import path_of
from tests.streamer.web.library.shelves import Hears, noise

REPOSITORY = Path(__file__).resolve().parents[4]

FRAME_S = 0.1
"""Of the symbols that :class:`Hears` hears."""


def segment(start_s: float, end_s: float, text: str = "as it was") -> Segment:
    return Segment(start_s, end_s, text, ())


def times(found: Segment) -> list[tuple[str, float, float]]:
    return [(word.word, round(word.start_s, 3), round(word.end_s, 3)) for word in found.words]


def test_words_lie_where_the_model_hears_them() -> None:
    models = Hears(path_of("__the__c_at"))
    aligner = Aligner(models.acoustic, noise(3.0), [segment(1.0, 2.1)])
    found = aligner.corrected(0, "The cat!")
    assert (found.start_s, found.end_s, found.text) == (1.0, 2.1, "The cat!")
    # The audio that is read begins a quarter of a second before the utterance.
    assert times(found) == [("The", 0.95, 1.25), ("cat!", 1.45, 1.85)]
    assert {word.confidence for word in found.words} == {1.0}


def test_a_word_of_several_lies_where_they_all_are() -> None:
    models = Hears(path_of("wel_l known_ cat_"))
    found = Aligner(models.acoustic, noise(3.0), [segment(0.0, 2.0)]).corrected(
        0, "Well-known - cat"
    )
    assert times(found) == [("Well-known", 0.0, 1.1), ("-", 1.1, 1.1), ("cat", 1.3, 1.6)]


def test_a_pause_is_shared_by_the_neighbours() -> None:
    models = Hears(path_of("a"))
    segments = [segment(0.0, 1.0), segment(1.1, 2.0), segment(2.5, 3.0)]
    aligner = Aligner(models.acoustic, np.arange(4 * SAMPLE_RATE, dtype=np.float32), segments)
    expected = {0: (0.0, 1.05), 1: (1.05, 2.25), 2: (2.25, 3.25)}
    for place, (start_s, end_s) in expected.items():
        aligner.corrected(place, "a")
        assert (models.heard[0], models.heard[-1] + 1) == (
            round(start_s * SAMPLE_RATE),
            round(end_s * SAMPLE_RATE),
        )


def test_words_of_neighbours_do_not_overlap() -> None:
    models = Hears(path_of("a____________b"))
    segments = [segment(0.0, 1.0), segment(1.2, 2.2)]
    aligner = Aligner(models.acoustic, noise(3.0), segments)
    first, second = (aligner.corrected(place, "a b") for place in range(2))
    assert first.words[-1].end_s <= second.words[0].start_s


@pytest.mark.parametrize(
    ("heard", "text"),
    [
        ("_____________", "room 1234"),
        ("ab", "long text"),
        ("", "long text"),
        ("aaaaaaaaaa", "aaaaaaaa bbbb"),
    ],
)
def test_words_that_cannot_be_aligned_are_spread_evenly(heard: str, text: str) -> None:
    models = Hears(path_of(heard))
    found = Aligner(models.acoustic, noise(4.0), [segment(1.0, 3.0)]).corrected(0, text)
    first, second = text.split()
    middle = round(1.0 + 2.0 * len(first) / len(first + second), 3)
    assert times(found) == [(first, 1.0, middle), (second, middle, 3.0)]


def test_words_without_audio_are_spread_evenly() -> None:
    aligner = Aligner(Hears(path_of("ab")).acoustic, noise(0.0), [segment(1.0, 3.0)])
    assert times(aligner.corrected(0, "a b")) == [("a", 1.0, 2.0), ("b", 2.0, 3.0)]


def test_nothing_said_has_no_words() -> None:
    aligner = Aligner(Hears(path_of("ab")).acoustic, noise(1.0), [segment(0.0, 1.0)])
    assert aligner.corrected(0, "") == Segment(0.0, 1.0, "", ())
    assert times(aligner.corrected(0, "...")) == [("...", 0.0, 1.0)]


def test_a_correction_reads_so_much_audio_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "LONGEST_ALIGNED_S", 2.0)
    models = Hears(path_of("_a_b_"))
    segments = [segment(float(place), place + 1.0) for place in range(3)]
    aligner = Aligner(models.acoustic, noise(3.0), segments)
    found = [times(aligner.corrected(place, "ab")) for place in range(3)]
    assert found == [[("ab", 0.1, 0.4)], [("ab", 1.1, 1.4)], [("ab", 2.0, 3.0)]]


@settings(deadline=None)
@given(st.lists(st.text("abc'-", min_size=1, max_size=6), min_size=1, max_size=12))
def test_times_follow_each_other_whatever_is_typed(tokens: list[str]) -> None:
    models = Hears(path_of("_ab_c_a_ba_ccb_aa_b_c_" * 2))
    found = Aligner(models.acoustic, noise(5.0), [segment(0.5, 4.5)]).corrected(0, " ".join(tokens))
    assert [word.word for word in found.words] == tokens
    edges = [edge for word in found.words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges)
    assert edges[0] >= 0.25 and edges[-1] <= 4.75


def test_even_times_fill_the_segment() -> None:
    assert spread(["a", "bcd"], 1.0, 3.0) == [(1.0, 1.5), (1.5, 3.0)]
    assert spread([], 1.0, 3.0) == []


def test_equal_symbols_need_a_blank_between() -> None:
    assert frames_needed(["abba"]) == 5
    assert frames_needed(["ab", "bb"]) == 6


def test_the_shipped_model_finds_the_words_of_recordings() -> None:
    model = AcousticModel.load(REPOSITORY / "models" / "default")
    rows = read_manifest(REPOSITORY / "tests" / "data" / "speech" / "manifest.jsonl")[:2]
    clips = [read_audio(row.audio, SAMPLE_RATE) for row in rows]
    seam_s, end_s = (len(clips[0]) / SAMPLE_RATE, sum(map(len, clips)) / SAMPLE_RATE)
    aligner = Aligner(model, np.concatenate(clips), [segment(0.0, end_s)])
    found = aligner.corrected(0, f"{rows[0].text.capitalize()}. {rows[1].text}!")
    first = len(rows[0].text.split())
    assert len(found.words) == first + len(rows[1].text.split())
    assert all(word.start_s < word.end_s <= end_s for word in found.words)
    assert found.words[first - 1].end_s < seam_s + 0.2
    assert found.words[first].start_s > seam_s - 0.2
