"""Utterances in, transcripts out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.events import AudioGap, Event, FinalTranscript, PartialTranscript
from streamer.settings import PartialSettings, VadSettings
from tests.streamer.tone_speech import blocks, caption_stream, say, silence


def events_of(items: list[AudioBlock], partials: PartialSettings | None = None) -> list[Event]:
    """Return every event of a stream of tones, a partial whenever one is due."""
    stream = caption_stream(partials=partials)
    events: list[Event] = []
    for item in items:
        events += stream.recognize(stream.hear(item))
        events += stream.partial(within_budget=False)
    return events + stream.recognize(stream.end_of_audio())


def finals(events: list[Event]) -> list[FinalTranscript]:
    return [event for event in events if isinstance(event, FinalTranscript)]


def test_utterances_become_finals_with_their_words() -> None:
    audio = np.concatenate(
        [silence(0.5), say("abc de"), silence(1.5), say("fag bed"), silence(0.2)]
    )
    first, second = finals(events_of(blocks(audio)))
    assert (first.utterance, first.text, first.reason) == (1, "abc de", "silence")
    assert (second.utterance, second.text, second.reason) == (2, "fag bed", "end")


def test_words_have_the_times_at_which_they_were_said() -> None:
    audio = np.concatenate([silence(2.0), say("abc de"), silence(1.5)])
    (final,) = finals(events_of(blocks(audio)))
    first, second = final.words
    assert first.start_s == pytest.approx(2.0, abs=0.08)
    assert first.end_s == pytest.approx(2.48, abs=0.08)
    assert second.start_s == pytest.approx(2.60, abs=0.08)
    assert second.end_s == pytest.approx(2.92, abs=0.08)


def test_times_stay_true_after_a_gap() -> None:
    speech, lost = say("abc de"), 7 * SAMPLE_RATE
    before = blocks(np.concatenate([silence(0.5), speech]))
    at = before[-1].end + lost
    after = np.concatenate([silence(0.5), speech, silence(1.0)])
    after_blocks = [
        AudioBlock(block.samples, block.start + at, lost if block.start == 0 else 0)
        for block in blocks(after)
    ]
    events = events_of([*before, *after_blocks])
    first, second = finals(events)
    gap = next(event for event in events if isinstance(event, AudioGap))
    assert (first.text, first.reason) == ("abc de", "gap")
    assert gap == AudioGap(before[-1].end / SAMPLE_RATE, 7.0)
    assert events.index(first) < events.index(gap) < events.index(second)
    assert second.text == "abc de"
    assert second.words[0].start_s == pytest.approx(at / SAMPLE_RATE + 0.5, abs=0.08)


def test_a_cut_of_a_long_utterance_loses_and_repeats_nothing() -> None:
    text = " ".join(["abc", "def", "gab", "hed"] * 5)
    audio = np.concatenate([silence(0.5), say(text), silence(1.0)])
    stream = caption_stream(VadSettings(longest_s=4.0, cut_search_s=2.0))
    events: list[Event] = []
    for block in blocks(audio):
        events += stream.recognize(stream.hear(block))
    events += stream.recognize(stream.end_of_audio())
    found = finals(events)
    assert [final.reason for final in found] == ["longest"] * (len(found) - 1) + ["silence"]
    assert len(found) >= 3
    assert " ".join(final.text for final in found) == text


def test_partials_grow_and_settled_words_stay() -> None:
    audio = np.concatenate([silence(0.5), say("abc def gab hed abc"), silence(1.5)])
    events = events_of(blocks(audio), PartialSettings(every_ms=100))
    partials = [event for event in events if isinstance(event, PartialTranscript)]
    assert len(partials) > 10
    for earlier, later in itertools.pairwise(partials):
        assert later.stable.startswith(earlier.stable)
        assert later.audio_s >= earlier.audio_s + 0.1 - 1e-9
    assert partials[-1].stable.startswith("abc def")


def test_partials_wait_for_as_much_audio_as_the_last_one_cost() -> None:
    times = iter(np.arange(0, 1e6, 0.4).tolist())
    stream = caption_stream(partials=PartialSettings(every_ms=100))
    stream._clock = lambda: next(times)
    heard_s = []
    for block in blocks(np.concatenate([silence(0.2), say("abcdefgh" * 4)])):
        stream.recognize(stream.hear(block))
        for event in stream.partial(within_budget=True):
            assert isinstance(event, PartialTranscript)
            heard_s.append(event.audio_s)
    assert len(heard_s) >= 5
    assert min(np.diff(heard_s)) >= 0.4


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 9_000), min_size=1, max_size=30))
def test_finals_do_not_depend_on_the_blocks(sizes: list[int]) -> None:
    audio = np.concatenate(
        [silence(0.4), say("abc de"), silence(1.2), say("fag bed cab"), silence(0.3)]
    )
    starts = np.cumsum([0, *sizes])
    cut = [*(start for start in starts if start < len(audio)), len(audio)]
    items = [AudioBlock(audio[a:b], int(a)) for a, b in itertools.pairwise(cut)]

    def without_delay(events: list[Event]) -> list[tuple[object, ...]]:
        return [(f.utterance, f.words, f.start_s, f.end_s, f.reason) for f in finals(events)]

    assert without_delay(events_of(items)) == without_delay(events_of(blocks(audio)))
