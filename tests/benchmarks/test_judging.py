"""What is measured on hand-made streams, and where words end on real ones."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import librosa
import numpy as np
import pytest

from benchmarks.live.captions import Flicker
from benchmarks.live.figures import clocked, errors, figures_of, repeatable
from benchmarks.live.judging import (
    Delay,
    Judged,
    Texts,
    clips_of,
    correct_words,
    judge,
    judge_caption,
    sound_end,
)
from benchmarks.live.playing import Play
from benchmarks.live.tapes import Clip, Tape
from lm.alignment import align_whole
from model.acoustic import AcousticModel
from model.audio import read_audio
from model.corpora.manifest import Utterance, read_manifest
from streamer.events import AudioGap, Event, Summary, Word
from tests.benchmarks.events import caption, final, partial, told

RATE = 16_000
ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "tests" / "data" / "speech" / "manifest.jsonl"


def row(text: str, corpus: str = "spoken") -> Utterance:
    """Return a recording that says something."""
    return Utterance(Path("a.wav"), text, 2.0, corpus=corpus)


def tape(*texts: str) -> Tape:
    """Return a tape of recordings of 2 s, a second from one to the next."""
    clips = tuple(
        Clip(row(text), 3 * place * RATE, (3 * place + 2) * RATE)
        for place, text in enumerate(texts)
    )
    samples = np.zeros(clips[-1].end, np.float32)
    samples[:RATE] = 1.0
    return Tape("tape", Path("a.wav"), samples, clips)


def play(seconds: float, *events: Event, lost_s: float = 0.0) -> Play:
    """Return what came of a tape, each event a tenth of a second behind its audio."""
    partials = sum(isinstance(event, type(partial("", 0.0))) for event in events)
    summary = Summary(seconds, 1.0, lost_s, 0.1, 1, 2, partials)
    shown = tuple(told(event, getattr(event, "audio_s", 0.0) + 0.1) for event in events)
    return Play(shown, summary, {"listening": 0.2})


def test_latency_counts_from_the_end_of_a_word_to_where_it_stays() -> None:
    judged = judge_caption(
        caption("the", "the cap", "the cat sat"), [0.5, 1.2, 2.0], [True, True, False]
    )
    assert [word.latency.stream_s for word in judged.words] == pytest.approx([0.5, 1.8, 1.0])
    assert [word.latency.wall_s for word in judged.words] == pytest.approx([0.6, 1.9, 1.1])
    assert [word.latency.cpu_s for word in judged.words] == [None] * 3
    assert [word.correct for word in judged.words] == [True, True, False]


def test_final_latency_is_given_with_the_silence_and_without() -> None:
    (times,) = judge_caption(caption("the", "the cat"), [0.5, 1.2], [True, True]).finals
    assert times.latency.stream_s == pytest.approx(0.8)
    assert times.latency.wall_s == pytest.approx(0.9)
    assert times.computing.stream_s == 0.0
    assert times.computing.wall_s == pytest.approx(0.1)


def test_an_empty_final_ends_an_utterance_and_has_no_latency() -> None:
    judged = judge_caption(caption("the", ""), [], [])
    assert (judged.words, judged.finals, judged.ended) == ([], [], {"silence": 1})
    assert judged.flicker == Flicker(1, 1, 1)


@pytest.mark.parametrize(
    ("reference", "words", "right"),
    [
        ("the cat sat", "the cat sat", [True] * 3),
        ("the cat sat", "the sat", [True, True]),
        ("the cat", "oh the hat", [False, True, False]),
        ("the cat", "", []),
        ("", "the", [False]),
    ],
)
def test_words_are_right_where_the_reference_has_them(
    reference: str, words: str, right: list[bool]
) -> None:
    assert correct_words(reference, words.split()) == right


def test_words_of_a_session_go_to_the_recording_that_they_lie_in_or_next_to() -> None:
    clips = tape("a", "b", "c").clips
    places = [(0.0, 0.5), (1.9, 2.3), (2.4, 2.7), (3.5, 4.0), (2.0, 2.2), (9.0, 9.5)]
    words = [Word("word", start, end, 1.0) for start, end in places]
    assert clips_of(words, clips) == [0, 0, 1, 1, 1, 2]


def test_a_session_is_judged_by_recording() -> None:
    events: list[Event] = [
        partial("the", 0.5),
        final("the cap", 1.5),
        AudioGap(2.0, 0.5),
        final("a dog", 4.5, 2, start_s=3.0),
    ]
    judged = judge(
        tape("the cat", "a dog"),
        play(5.0, *events, lost_s=0.5),
        [[0.5, 1.0], [3.5, 4.0]],
        ["the cat", "the dog"],
    )
    assert [(text.live, text.offline) for text in judged.texts] == [
        ("the cap", "the cat"),
        ("a dog", "the dog"),
    ]
    assert [word.correct for word in judged.words] == [True, False, True, True]
    assert (judged.gaps, judged.lost_samples, judged.partials) == (1, RATE // 2, 1)
    assert judged.end_offsets_s == []


def test_the_end_of_a_recording_alone_is_held_against_its_sound() -> None:
    judged = judge(tape("the cat"), play(2.0, final("the cat", 1.9)), [[0.5, 1.2]], ["the cat"])
    assert judged.end_offsets_s == pytest.approx([0.2], abs=0.02)
    wrong = judge(tape("the cat"), play(2.0, final("the hat", 1.9)), [[0.5, 1.2]], [""])
    assert wrong.end_offsets_s == []


def test_figures_of_some_recordings() -> None:
    judged = judge_caption(
        caption("the cap", "the | cat", "the cat sat on"), [0.5, 1.0, 1.5, 2.0], [True] * 4
    )
    judged.texts = [Texts("spoken", "the cat sat", "the cat sat on", "the cat")]
    judged.audio_s, judged.spent_s = 10.0, {"listening": 0.1, "decoder_partials": 0.3}
    figures = figures_of(judged)
    assert figures["errors"]["live"]["insertions"] == 1
    assert figures["errors"]["offline"]["deletions"] == 1
    assert figures["errors"]["relative"] == 0.0
    assert figures["word_latency"]["all"]["stream_s"] == pytest.approx(
        {"p50": 1.0, "p90": 1.35, "p99": 1.485}
    )
    assert figures["flicker"] == {
        "upwr": 0.25,
        "by_finals": 0.0,
        "revisions_a_second": 0.5,
        "words_lost": 1,
    }
    assert figures["settling"]["early"] == 0.25
    assert figures["rtf"]["listening"] == 0.01
    assert figures["rtf"]["all"] == pytest.approx(0.04)


def test_the_interval_of_the_difference_is_of_pairs() -> None:
    same = [Texts("spoken", "a b c d", text, text, str(n)) for n, text in enumerate(["a", "a b"])]
    assert errors(same)["relative_interval"] == [0.0, 0.0]
    worse = [Texts("spoken", "a b c d", "a b", "a b c", str(n)) for n in range(3)]
    assert errors(worse)["relative"] == 1.0
    assert errors(worse)["relative_interval"] == [1.0, 1.0]
    mixed = errors([*same, *worse])
    low, high = mixed["relative_interval"]
    assert low < mixed["relative"] < high
    assert errors(worse[:1])["relative_interval"] is None
    perfect = [Texts("spoken", "a b", "a", "a b", str(n)) for n in range(3)]
    assert errors(perfect)["relative"] is errors(perfect)["relative_interval"] is None


def test_nothing_heard_has_figures_too() -> None:
    figures = figures_of(Judged(texts=[Texts("spoken", "the cat", "", "")], audio_s=1.0))
    assert figures["errors"]["live"]["deletions"] == 2
    assert figures["word_latency"]["all"]["stream_s"]["p50"] is None
    assert figures["flicker"]["upwr"] == 0.0


def test_what_clocks_say_stands_under_keys_that_tell() -> None:
    for key in ("computed_wall_s", "startup_wall_s", "cpu_s", "rtf", "memory_peak_mb"):
        assert clocked(key)
    for key in ("stream_s", "delay_s", "errors", "partials", "words"):
        assert not clocked(key)
    assert repeatable({"a": {"rtf": {"all": 1}, "b": 2}, "cpu_s": 1}) == {"a": {"b": 2}}


def test_clocks_touch_no_other_figures() -> None:
    judged = judge_caption(caption("the", "the cat"), [0.5, 1.0], [True, True])
    slower = Judged()
    slower.add(judged)
    slower.words = [
        replace(word, latency=Delay(word.latency.stream_s, 99.0, 98.0)) for word in judged.words
    ]
    slower.finals = [replace(one, computing=Delay(0.0, 9.0, 9.0)) for one in judged.finals]
    slower.spent_s = {"rest": 7.0}
    assert repeatable(figures_of(slower)) == repeatable(figures_of(judged))
    assert figures_of(slower) != figures_of(judged)


@pytest.fixture(scope="module")
def model() -> AcousticModel:
    return AcousticModel.load(ROOT / "models" / "default")


def test_words_end_where_the_sound_does(model: AcousticModel) -> None:
    offsets = []
    for one in read_manifest(SPEECH):
        samples = read_audio(one.audio, RATE)
        log_probs = model.log_probs(model.extractor.extract(samples))
        spans = align_whole(log_probs, one.text.split(), model.bundle.alphabet)
        assert all(start < end for start, end in spans)
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
        ends = librosa.effects.split(samples, top_db=25, frame_length=400, hop_length=160)
        assert sound_end(samples) == pytest.approx(ends[-1][1] / RATE, abs=0.03)
        offsets.append(spans[-1][1] * model.frame_samples / RATE - ends[-1][1] / RATE)
    assert abs(np.mean(offsets)) < 0.1
    assert np.max(np.abs(offsets)) < 0.3
