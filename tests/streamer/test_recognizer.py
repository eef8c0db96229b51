"""Utterances in, transcripts out."""

from __future__ import annotations

import itertools
from collections.abc import Container, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm.decoder import DecodedWord, Hypothesis
from model.acoustic import Reading, Windows
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.events import AudioGap, Event, FinalTranscript, Notice, PartialTranscript
from streamer.listening import Ended
from streamer.recognizer import StreamingRecognizer
from streamer.segments import (
    Evidence,
    LookDue,
    SegmentEvent,
    SpeechEnded,
    SpeechFrames,
    SpeechStarted,
)
from streamer.settings import EndpointSettings, PartialSettings
from tests.streamer.tone_speech import blocks, caption_stream, say, silence


def events_of(
    items: list[AudioBlock],
    partials: PartialSettings | None = None,
    endpoint: EndpointSettings | None = None,
    hurried: Container[int] = (),
) -> list[Event]:
    """Return every event of a stream of tones; there is no time at the ``hurried`` blocks."""
    stream = caption_stream(endpoint, partials)
    events: list[Event] = []
    for place, item in enumerate(items):
        events += stream.recognize(stream.hear(item), place in hurried)
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
    cuts = EndpointSettings(longest_s=4.0, cut_search_s=2.0)
    eager = PartialSettings(every_ms=50, settle_after=1, settle_lag_ms=200)
    events = events_of(blocks(audio), eager, cuts)
    found = finals(events)
    assert [final.reason for final in found] == ["longest"] * (len(found) - 1) + ["silence"]
    assert len(found) >= 3
    assert " ".join(final.text for final in found) == text
    assert any(isinstance(event, PartialTranscript) and event.stable for event in events)


def test_words_that_a_cut_gives_to_the_next_utterance_have_not_settled_in_this_one() -> None:
    # The only true silence lies before the last words, so the cut does as well.
    hum = np.random.default_rng(1).uniform(-1e-4, 1e-4, 10 * SAMPLE_RATE).astype(np.float32)
    said = [say("abc def "), say("gab hed abc def gab hed abc def")]
    noisy = [piece + hum[: len(piece)] for piece in said]
    audio = np.concatenate([silence(0.5), noisy[0], silence(0.2), noisy[1], silence(1.0)])
    cuts = EndpointSettings(longest_s=4.0, cut_search_s=3.5)
    eager = PartialSettings(every_ms=50, settle_after=1, settle_lag_ms=200)
    events = events_of(blocks(audio), eager, cuts)
    first, *others = finals(events)
    assert (first.text, first.reason) == ("abc def", "longest")
    words = " ".join(final.text for final in others)
    assert words == "gab hed abc def gab hed abc def"


def test_partials_grow_and_settled_words_stay() -> None:
    audio = np.concatenate([silence(0.5), say("abc def gab hed abc"), silence(1.5)])
    events = events_of(blocks(audio), PartialSettings(every_ms=100))
    partials = [event for event in events if isinstance(event, PartialTranscript)]
    assert len(partials) > 10
    for earlier, later in itertools.pairwise(partials):
        assert later.stable.startswith(earlier.stable)
        assert later.audio_s > earlier.audio_s
    assert partials[-1].stable.startswith("abc def")


def test_without_time_there_are_fewer_partials_and_the_same_finals() -> None:
    audio = np.concatenate([silence(0.4), say("abc de fag bed"), silence(1.2), say("cab")])
    items = blocks(audio)
    relaxed, hurried = events_of(items), events_of(items, hurried=range(len(items)))
    assert finals(hurried) == finals(relaxed)
    assert len(hurried) < len(relaxed)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 9_000), min_size=1, max_size=30))
def test_events_do_not_depend_on_the_blocks(sizes: list[int]) -> None:
    audio = np.concatenate(
        [silence(0.4), say("abc de"), silence(1.2), say("fag bed cab"), silence(0.3)]
    )
    starts = np.cumsum([0, *sizes])
    cut = [*(start for start in starts if start < len(audio)), len(audio)]
    items = [AudioBlock(audio[a:b], int(a)) for a, b in itertools.pairwise(cut)]
    assert events_of(items) == events_of(blocks(audio))


@settings(max_examples=15, deadline=None)
@given(st.sets(st.integers(0, 150)))
def test_finals_do_not_depend_on_which_partials_are_read(hurried: set[int]) -> None:
    audio = np.concatenate([silence(0.4), say("abc de fag bed"), silence(1.2), say("cab")])
    eager = PartialSettings(settle_after=1, settle_lag_ms=200)
    items = blocks(audio)
    assert finals(events_of(items, eager, hurried=hurried)) == finals(events_of(items))


STRIDE = 4


class CountingModel:
    """Tells for each of its frames only which one it is."""

    frame_samples = STRIDE * 160
    stride = STRIDE
    pauses = ()

    def session(self, windows: Windows | None = None) -> CountingSession:
        assert windows is not None
        return CountingSession(windows)


class CountingSession:
    """Freezes as :class:`~model.acoustic.AcousticSession` does."""

    def __init__(self, windows: Windows) -> None:
        self.windows = windows
        self.frames = 0
        self.frozen = 0

    def push(self, features: np.ndarray) -> None:
        self.frames += len(features)

    def read(self) -> Reading:
        log_probs = self.log_probs()
        while self.frozen + self.windows.every + self.windows.after <= len(log_probs):
            self.frozen += self.windows.every
        return Reading(log_probs, self.frozen)

    def log_probs(self, frames: int | None = None, final: bool = False) -> np.ndarray:
        taken = self.frames if frames is None else min(frames, self.frames)
        return np.arange(0, taken, STRIDE, dtype=np.float32)[:, None] / STRIDE


class FickleDecoder:
    """Reads another text each time, its words spread over the frames.

    Where it ``obeys``, every reading begins with the settled words.
    """

    def __init__(self, readings: Sequence[str], obeys: bool = True) -> None:
        self._readings = itertools.cycle(readings)
        self._obeys = obeys
        self.sessions: list[FickleSession] = []

    def decode(self, log_probs: np.ndarray, settled: Sequence[str] = ()) -> Hypothesis:
        return self.session().best(log_probs, settled)

    def session(self) -> FickleSession:
        self.sessions.append(FickleSession(self))
        return self.sessions[-1]

    def read(self, frames: int, settled: Sequence[str]) -> Hypothesis:
        words = next(self._readings).split()
        words = [*settled, *words[len(settled) :]] if self._obeys else words
        words = words[:frames]
        edges = np.linspace(0, frames, len(words) + 1).astype(int).tolist()
        return Hypothesis(
            tuple(
                DecodedWord(word, start, end, 1.0)
                for word, (start, end) in zip(words, itertools.pairwise(edges), strict=True)
            ),
            0.0,
        )


class FickleSession:
    def __init__(self, decoder: FickleDecoder) -> None:
        self._decoder = decoder
        self.pushed: list[float] = []
        self.tails: list[list[float]] = []
        self.shown: list[tuple[Sequence[str], float]] = []

    def push(self, log_probs: np.ndarray) -> None:
        self.pushed += log_probs[:, 0].tolist()

    def best(
        self,
        tail: np.ndarray | None = None,
        settled: Sequence[str] = (),
        final: bool = False,
        shown: Sequence[str] = (),
        margin: float = 0.0,
    ) -> Hypothesis:
        self.tails.append([] if tail is None else tail[:, 0].tolist())
        self.shown.append((shown, margin))
        return self._decoder.read(len(self.pushed) + len(self.tails[-1]), settled)


class ReadySegmenter:
    """Has found everything already, and keeps what it is told."""

    def __init__(self, events: Sequence[SegmentEvent]) -> None:
        self._events = list(events)
        self.told: list[Evidence] = []

    def push(self, listened: object) -> None:
        raise AssertionError("nothing is to be listened to")

    def close(self, reason: str) -> None:
        """All that there is comes out."""

    def step(self) -> SegmentEvent | None:
        return self._events.pop(0) if self._events else None

    def tell(self, evidence: Evidence) -> None:
        self.told.append(evidence)


def utterance(seconds: int, frames: int | None = None, start: int = 0) -> list[SegmentEvent]:
    """Return an utterance with a look each quarter of a second, ``frames`` of it kept at last."""
    quarter = SAMPLE_RATE // 4
    events: list[SegmentEvent] = [SpeechStarted(1, start)]
    for n in range(1, 4 * seconds + 1):
        piece = SpeechFrames(1, np.zeros((25, 1), np.float32), start + n * quarter)
        events += [piece, LookDue(1, 25 * n, urgent=False)]
    end = start + seconds * SAMPLE_RATE
    kept = seconds * 100 if frames is None else frames
    return [*events, SpeechEnded(1, end, "silence", kept, end)]


def recognizer_of(
    events: Sequence[SegmentEvent],
    decoder: FickleDecoder,
    settings: PartialSettings,
    **others: Any,
) -> StreamingRecognizer:
    segmenter: Any = ReadySegmenter(events)
    return StreamingRecognizer(CountingModel(), decoder, segmenter, settings, **others)


def captioned(recognizer: StreamingRecognizer) -> tuple[list[PartialTranscript], FinalTranscript]:
    """Return the partials and the final."""
    events = recognizer.push(Ended("end"))
    [final] = finals(events)
    return [event for event in events if isinstance(event, PartialTranscript)], final


texts = st.lists(st.sampled_from(["a", "b", "c"]), max_size=8).map(" ".join)


@settings(deadline=None)
@given(
    readings=st.lists(texts, min_size=1, max_size=8),
    obeys=st.booleans(),
    agreeing=st.integers(1, 3),
    lag_ms=st.integers(0, 1500),
    frames=st.none() | st.integers(0, 400),
)
def test_nothing_settled_ever_changes(
    readings: list[str], obeys: bool, agreeing: int, lag_ms: int, frames: int | None
) -> None:
    chosen = PartialSettings(settle_after=agreeing, settle_lag_ms=lag_ms, settle_late_ms=2_000)
    items = utterance(4, frames, start=8_000)
    partials, final = captioned(recognizer_of(items, FickleDecoder(readings, obeys), chosen))
    shown = [partial.stable.split() for partial in partials] + [final.text.split()]
    for earlier, later in itertools.pairwise(shown):
        assert later[: len(earlier)] == earlier
    assert final.text == " ".join(word.word for word in final.words)
    times = [time for word in final.words for time in (word.start_s, word.end_s)]
    assert times == sorted(times)


def test_the_decoder_is_asked_for_readings_that_begin_with_what_is_settled() -> None:
    decoder = FickleDecoder(["", "a b c d", "a b c d", "c c c c", "c c c c"])
    chosen = PartialSettings(settle_after=2, settle_lag_ms=0, stability=0)
    partials, final = captioned(recognizer_of(utterance(1), decoder, chosen))
    assert (partials[1].stable, partials[1].tail) == ("a b c", "d")
    assert (partials[2].stable, partials[2].tail) == ("a b c", "c")
    assert final.text == "a b c c"


def test_an_empty_final_keeps_what_was_settled() -> None:
    decoder = FickleDecoder(["a b c"] * 8 + [""], obeys=False)
    chosen = PartialSettings(settle_after=2, settle_lag_ms=0, stability=0)
    _, final = captioned(recognizer_of(utterance(2, frames=0), decoder, chosen))
    assert final.text == "a b"


@pytest.mark.parametrize(("every_ms", "after_ms"), [(100, 0), (1_000, 1_200), (400, 2_000)])
def test_frames_are_frozen_once_and_a_partial_costs_the_same_in_a_long_utterance(
    every_ms: int, after_ms: int
) -> None:
    decoder = FickleDecoder([""])
    chosen = PartialSettings(freeze_every_ms=every_ms, freeze_after_ms=after_ms)
    captioned(recognizer_of(utterance(20), decoder, chosen))
    rolling, final = decoder.sessions
    assert rolling.pushed + rolling.tails[-1] == list(range(500))
    assert max(map(len, rolling.tails)) <= (every_ms + after_ms) / 40
    assert final.tails == [list(range(500))]


def test_segmenter_is_told_what_is_heard_in_all_frames() -> None:
    model = CountingModel()
    model.pauses = (0,)
    segmenter: Any = ReadySegmenter(utterance(1))
    decoder = FickleDecoder(["a"])
    captioned(StreamingRecognizer(model, decoder, segmenter, PartialSettings()))
    assert [len(evidence.blank) for evidence in segmenter.told] == [25, 50, 75, 100]
    assert all(evidence.blank.all() for evidence in segmenter.told)


def test_partials_are_asked_to_keep_what_was_read_but_for_its_last_word() -> None:
    decoder = FickleDecoder(["a b c", "", "b", "c a"])
    chosen = PartialSettings(stickiness=2.5, settle_after=20)
    captioned(recognizer_of(utterance(1), decoder, chosen))
    rolling, _ = decoder.sessions
    assert rolling.shown == [((), 2.5), (("a", "b"), 2.5), ((), 2.5), ((), 2.5)]


class EndingDecoder(FickleDecoder):
    """Takes three words for a whole sentence."""

    def read(self, frames: int, settled: Sequence[str]) -> Hypothesis:
        hypothesis = super().read(frames, settled)
        return replace(hypothesis, sentence_end=0.7 if len(hypothesis.words) == 3 else 0.0)


def test_segmenter_is_told_how_probably_the_sentence_ends() -> None:
    segmenter: Any = ReadySegmenter(utterance(1))
    decoder = EndingDecoder(["a", "a b c", "a b c", "a b"])
    captioned(StreamingRecognizer(CountingModel(), decoder, segmenter, PartialSettings()))
    assert [evidence.sentence_end for evidence in segmenter.told] == [0.0, 0.7, 0.7, 0.0]


@pytest.mark.parametrize("urgent", [False, True])
def test_without_partials_words_are_read_only_where_an_utterance_may_end(urgent: bool) -> None:
    started, frames, _, *_, ended = utterance(1)
    segmenter: Any = ReadySegmenter([started, frames, LookDue(1, 25, urgent), ended])
    recognizer = StreamingRecognizer(
        CountingModel(), EndingDecoder(["a b c"]), segmenter, PartialSettings(), partials=False
    )
    captioned(recognizer)
    assert [evidence.sentence_end for evidence in segmenter.told] == [0.7 if urgent else 0.0]


class CarefulModel(CountingModel):
    """Tells for every frame whether it was asked for a final reading."""

    def session(self, windows: Windows | None = None) -> CarefulSession:
        assert windows is not None
        return CarefulSession(windows)


class CarefulSession(CountingSession):
    def log_probs(self, frames: int | None = None, final: bool = False) -> np.ndarray:
        return np.full_like(super().log_probs(frames), final)


def test_finals_are_read_with_more_care_than_partials() -> None:
    decoder = FickleDecoder(["a"])
    segmenter: Any = ReadySegmenter(utterance(1, frames=40))
    captioned(StreamingRecognizer(CarefulModel(), decoder, segmenter, PartialSettings()))
    rolling, final = decoder.sessions
    assert not any(map(any, [rolling.pushed, *rolling.tails]))
    assert final.tails == [[1.0] * 10]


class DoubtfulDecoder(FickleDecoder):
    """Is not sure of any word."""

    def read(self, frames: int, settled: Sequence[str]) -> Hypothesis:
        hypothesis = super().read(frames, settled)
        doubted = tuple(replace(word, confidence=0.1) for word in hypothesis.words)
        return replace(hypothesis, words=doubted)


@pytest.mark.parametrize(("least", "text"), [(0.2, ""), (0.1, "a b"), (0.0, "a b")])
def test_an_utterance_of_doubtful_words_is_read_as_empty(least: float, text: str) -> None:
    settings = PartialSettings(settle_lag_ms=0, settle_late_ms=0, stability=0)
    partials, final = captioned(
        recognizer_of(utterance(2), DoubtfulDecoder(["a b"]), settings, least_confidence=least)
    )
    assert final.text == text
    assert bool(partials) == bool(text)


def test_words_that_are_all_withdrawn_are_taken_from_the_screen_once() -> None:
    settings = PartialSettings(settle_lag_ms=10_000, settle_late_ms=10_000, stability=0)
    decoder = FickleDecoder(["", "a b", "", "", "c"])
    partials, _ = captioned(recognizer_of(utterance(2), decoder, settings))
    assert [partial.tail for partial in partials] == ["a b", "", "c", "", "a b", ""]


def test_words_end_where_a_cut_ends_their_utterance() -> None:
    *before, ended = utterance(2, frames=101)
    assert isinstance(ended, SpeechEnded)
    cut = replace(ended, reason="longest", end=101 * SAMPLE_RATE // 100)
    _, final = captioned(
        recognizer_of([*before, cut], FickleDecoder(["a b"]), PartialSettings(settle_after=20))
    )
    assert final.words[-1].end_s == final.end_s == 1.01
    assert final.audio_s == 2


class Announcer:
    """Says something before every utterance."""

    def utterance_starts(self, stream_s: float) -> list[Notice]:
        return [Notice("hotwords", f"at {stream_s:g}")]


def test_listeners_are_asked_before_an_utterance_starts() -> None:
    recognizer = recognizer_of(
        [SpeechStarted(1, 32_000)],
        FickleDecoder(["a"]),
        PartialSettings(),
        listeners=[Announcer(), Announcer()],
    )
    assert recognizer.push(Ended("end")) == [Notice("hotwords", "at 2")] * 2


def test_partials_may_be_read_by_another_decoder_than_finals() -> None:
    recognizer = recognizer_of(
        utterance(2),
        FickleDecoder(["a b c"]),
        PartialSettings(settle_lag_ms=10_000, settle_late_ms=10_000, stability=0),
        partial_decoder=FickleDecoder(["x"]),
    )
    partials, final = captioned(recognizer)
    assert {partial.tail for partial in partials} == {"x"}
    assert final.text == "a b c"


def test_partials_that_nobody_wants_are_not_read() -> None:
    decoder = FickleDecoder(["a b c"])
    partials, final = captioned(
        recognizer_of(utterance(2), decoder, PartialSettings(), partials=False)
    )
    assert partials == []
    assert final.text == "a b c"
    assert [len(session.tails) for session in decoder.sessions] == [0, 1]
