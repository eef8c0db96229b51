"""What the benchmark of rolling captions counts."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from streamer.events import FinalTranscript, PartialTranscript, Word

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "rolling.py"


@pytest.fixture(scope="module")
def rolling() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rolling", BENCHMARK)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["rolling"] = module
    spec.loader.exec_module(module)
    return module


def partial(stable: str, tail: str, audio_s: float) -> PartialTranscript:
    return PartialTranscript(1, stable, tail, 0.0, audio_s)


def final(text: str, audio_s: float) -> FinalTranscript:
    """Return a final whose words are half a second long each."""
    words = tuple(
        Word(word, place / 2, place / 2 + 0.5, 1.0) for place, word in enumerate(text.split())
    )
    return FinalTranscript(1, text, words, 0.0, 2.0, audio_s, "silence")


@pytest.mark.parametrize(
    ("earlier", "later", "lost"),
    [
        ("", "the cat", 0),
        ("the cat", "the cat sat", 0),
        ("the cat", "the hat", 1),
        ("the cat sat", "the sat", 1),
        ("the cat", "the", 1),
        ("the cat", "oh the cat", 0),
        ("a b c", "x y z", 3),
        ("the cat", "", 2),
    ],
)
def test_words_changed_or_withdrawn_are_counted(
    rolling: ModuleType, earlier: str, later: str, lost: int
) -> None:
    assert rolling.words_lost(earlier.split(), later.split()) == lost


def test_a_recording_is_measured_from_its_partials_and_its_final(rolling: ModuleType) -> None:
    kept, free = rolling.Transcripts(), rolling.Transcripts()
    for event in (
        partial("", "the cap", 1.0),
        partial("the", "cat sap", 1.5),
        partial("the cat", "sat", 2.0),
        final("the cat sat on", 2.5),
    ):
        kept.emit(event, 0.0)
    free.emit(final("the cat sat", 2.5), 0.0)
    outcome = rolling.Outcome()
    outcome.add("the cat sat", free, kept)
    measures = outcome.measures()
    # Settled at 1.5 s, 2.0 s and, by the final, twice at 2.5 s.
    assert outcome.delays_s == [1.0, 1.0, 1.0, 0.5]
    assert measures["settling_delay_p50_s"] == 1.0
    assert measures["settled_early"] == 0.5
    assert measures["unstable_partial_word_ratio"] == 2 / 4
    assert measures["revisions_per_s"] == 2 / 2.0
    assert (measures["wer_free"], measures["wer_kept"]) == (0.0, round(1 / 3, 4))
