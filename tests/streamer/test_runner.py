"""Inline and threaded runs, overload and failures."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from model.acoustic import Windows
from model.errors import CaptionerError
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.errors import StageFailed
from streamer.event_queue import EventQueue
from streamer.events import (
    AudioGap,
    Event,
    FinalTranscript,
    Notice,
    PartialTranscript,
    Status,
    Summary,
)
from streamer.runner import HEARD_AHEAD, ThreadedRunner, run_inline
from tests.streamer.tone_speech import (
    BlockSource,
    EventList,
    ToneModel,
    ToneSession,
    blocks,
    caption_stream,
    say,
    silence,
)

SPEECH = np.concatenate(
    [silence(0.4), say("abc de"), silence(1.2), say("fag bed cab"), silence(1.0), say("had")]
)


def finals(sink: EventList) -> list[FinalTranscript]:
    return [event for event in sink.events if isinstance(event, FinalTranscript)]


def inline(source: BlockSource) -> EventList:
    sink = EventList()
    run_inline(source, caption_stream(), sink)
    return sink


def threaded(source: BlockSource, model: ToneModel | None = None) -> EventList:
    sink = EventList()
    ThreadedRunner(source, caption_stream(model=model), sink, ring_s=2.0).run()
    return sink


def test_inline_and_threaded_runs_give_identical_finals() -> None:
    one = inline(BlockSource(blocks(SPEECH)))
    other = threaded(BlockSource(blocks(SPEECH)))
    assert [final.text for final in finals(one)] == ["abc de", "fag bed cab", "had"]
    assert finals(one) == finals(other)


def test_the_summary_comes_last_and_adds_up() -> None:
    for sink in (inline(BlockSource(blocks(SPEECH))), threaded(BlockSource(blocks(SPEECH)))):
        summary = sink.events[-1]
        assert isinstance(summary, Summary)
        assert summary.audio_s == pytest.approx(len(SPEECH) / SAMPLE_RATE)
        assert summary.utterances == 3
        assert summary.words == 6
        assert summary.lost_s == 0
        spoken = sum(final.end_s - final.start_s for final in finals(sink))
        assert summary.speech_s == pytest.approx(spoken)
        partials = [event for event in sink.events if isinstance(event, PartialTranscript)]
        assert len(partials) <= summary.partials


class SlowSink(EventList):
    """Takes so long for everything that a status is always due."""

    def __init__(self, clock: list[float]) -> None:
        super().__init__()
        self._clock = clock

    def emit(self, event: Event, emitted_s: float) -> None:
        super().emit(event, emitted_s)
        self._clock[0] += 1.0


def test_no_status_follows_the_summary() -> None:
    clock = [0.0]
    sink = SlowSink(clock)
    source = BlockSource(blocks(SPEECH))
    ThreadedRunner(source, caption_stream(), sink, 2.0, clock=lambda: clock[0]).run()
    assert any(isinstance(event, Status) for event in sink.events)
    assert isinstance(sink.events[-1], Summary)


def test_two_inline_runs_give_the_same_events() -> None:
    def lasting(sink: EventList) -> list[Event]:
        return [event for event in sink.events if type(event).__name__ != "Status"]

    source = blocks(SPEECH)
    assert lasting(inline(BlockSource(source))) == lasting(inline(BlockSource(source)))


class GatedModel(ToneModel):
    """Reads nothing before it is let go: a model that is too slow for the stream."""

    def __init__(self) -> None:
        self.reading = threading.Event()
        self.go_on = threading.Event()

    def session(self, windows: Windows | None = None) -> ToneSession:
        self.reading.set()
        assert self.go_on.wait(20)
        return super().session(windows)


def test_overload_drops_audio_and_says_where() -> None:
    model = GatedModel()

    class Fast(BlockSource):
        """Gives the rest only when the ring has long been full, as a microphone would."""

        def __iter__(self) -> Iterator[AudioBlock | Notice]:
            yield from super().__iter__()
            model.go_on.set()

    audio = np.concatenate([silence(0.2), *[say("abc de fag ") for _ in range(20)]])
    source = Fast(blocks(audio), lossless=False)
    sink = threaded(source, model)
    gaps = [event for event in sink.events if isinstance(event, AudioGap)]
    summary = sink.events[-1]
    assert isinstance(summary, Summary)
    assert gaps and summary.lost_s == pytest.approx(sum(gap.lost_s for gap in gaps))
    assert summary.lost_s > 1
    assert summary.audio_s == pytest.approx(len(audio) / SAMPLE_RATE)
    kept = sum(final.end_s - final.start_s for final in finals(sink))
    assert kept + summary.lost_s <= summary.audio_s + 1e-6
    # Recognition hung from the first speech to the end, so what it read is what may ever wait.
    before_speech_s, ring_s, block_s = 0.7, 2.0, 512 / SAMPLE_RATE
    waiting_s = ring_s + (HEARD_AHEAD + 1) * block_s
    assert summary.audio_s - summary.lost_s < before_speech_s + waiting_s


def test_late_recognition_leaves_out_partials_and_nothing_else() -> None:
    model = GatedModel()

    class Late(BlockSource):
        """Lets the model read when all of the stream waits for it."""

        def __iter__(self) -> Iterator[AudioBlock | Notice]:
            yield from super().__iter__()
            model.go_on.set()

    sink = EventList()
    source = Late(blocks(SPEECH), lossless=False)
    ThreadedRunner(source, caption_stream(model=model), sink, ring_s=30.0).run()
    one = inline(BlockSource(blocks(SPEECH)))
    assert finals(sink) == finals(one)
    assert not any(isinstance(event, AudioGap) for event in sink.events)
    summaries = [each.events[-1] for each in (sink, one)]
    partials = [event.partials for event in summaries if isinstance(event, Summary)]
    assert partials[0] < partials[1]


def test_a_replay_waits_and_loses_nothing_when_recognition_is_slow() -> None:
    model = GatedModel()
    threading.Timer(0.3, model.go_on.set).start()
    sink = threaded(BlockSource(blocks(SPEECH), lossless=True), model)
    assert finals(sink) == finals(inline(BlockSource(blocks(SPEECH))))


def test_stop_finishes_what_was_heard() -> None:
    stopped = threading.Event()

    class Endless(BlockSource):
        """Silence for ever after some speech, in the middle of a word."""

        def __iter__(self) -> Iterator[AudioBlock]:
            yield from blocks(say("abc de"))
            stopped.set()
            start = len(say("abc de"))
            while not self.stopped:
                yield AudioBlock(np.zeros(160, np.float32), start)
                start += 160

    source = Endless([])
    sink = EventList()
    runner = ThreadedRunner(source, caption_stream(), sink, ring_s=2.0)
    thread = threading.Thread(target=runner.run)
    thread.start()
    assert stopped.wait(20)
    source.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert [final.text for final in finals(sink)] == ["abc de"]
    assert isinstance(sink.events[-1], Summary)


class FailingSource(BlockSource):
    """Fails after its items."""

    def __init__(self, items: list[AudioBlock], error: Exception) -> None:
        super().__init__(items)
        self._error = error

    def __iter__(self) -> Iterator[AudioBlock | Notice]:
        yield from super().__iter__()
        raise self._error


def test_a_failing_capture_is_named_and_what_was_heard_is_shown() -> None:
    sink = EventList()
    source = FailingSource(blocks(say("abc de")), ValueError("broken cable"))
    runner = ThreadedRunner(source, caption_stream(), sink, ring_s=2.0)
    with pytest.raises(StageFailed, match="capture failed: ValueError: broken cable"):
        runner.run()
    assert [final.text for final in finals(sink)] == ["abc de"]


def test_an_error_with_a_remedy_reaches_the_user_as_it_is() -> None:
    source = FailingSource(blocks(say("abc")), CaptionerError("the device is gone; plug it in"))
    runner = ThreadedRunner(source, caption_stream(), EventList(), ring_s=2.0)
    with pytest.raises(CaptionerError, match="plug it in"):
        runner.run()


class BrokenModel(ToneModel):
    """Fails at the second utterance."""

    def __init__(self) -> None:
        self.sessions = 0

    def session(self, windows: Windows | None = None) -> ToneSession:
        self.sessions += 1
        if self.sessions == 2:
            raise MemoryError("no room")
        return super().session(windows)


def test_a_failing_recognition_ends_every_thread() -> None:
    before = threading.active_count()
    sink = EventList()
    runner = ThreadedRunner(
        BlockSource(blocks(np.tile(SPEECH, 20))), caption_stream(model=BrokenModel()), sink, 2.0
    )
    with pytest.raises(StageFailed, match="recognition failed: MemoryError"):
        runner.run()
    assert [final.text for final in finals(sink)] == ["abc de"]
    assert threading.active_count() == before


def test_an_interrupted_display_ends_every_thread() -> None:
    class Interrupted(EventList):
        def emit(self, event: Event, emitted_s: float) -> None:
            raise KeyboardInterrupt

    source = BlockSource(blocks(np.tile(SPEECH, 20)))
    runner = ThreadedRunner(source, caption_stream(), Interrupted(), ring_s=2.0)
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        runner.run()
    assert source.stopped
    for thread in set(threading.enumerate()) - before:
        thread.join(20)
        assert not thread.is_alive()


def test_notices_keep_their_place_and_a_lost_device_ends_the_utterance() -> None:
    lost = Notice("device_lost", "the microphone is gone")
    items: list[AudioBlock | Notice] = [*blocks(say("abc de")), lost]
    sink = EventList()
    run_inline(BlockSource(items), caption_stream(), sink)
    kinds = [type(event).__name__ for event in sink.events if type(event).__name__ != "Status"]
    assert kinds[-3:] == ["Notice", "FinalTranscript", "Summary"]
    assert [final.reason for final in finals(sink)] == ["gap"]


def partial(text: str) -> PartialTranscript:
    return PartialTranscript(1, "", text, 0.0, 1.0)


def final(text: str) -> FinalTranscript:
    return FinalTranscript(1, text, (), 0.0, 1.0, 1.0, "silence")


def test_a_slow_display_gets_the_latest_partial_and_every_final() -> None:
    events = EventQueue(10)
    for event in (partial("a"), partial("a b"), final("a b c"), partial("d"), partial("d e")):
        events.put(event, 0.0)
    events.close()
    shown = []
    while not events.finished:
        taken = events.get(timeout=1)
        assert taken is not None
        shown.append(taken[0])
    assert shown == [partial("a b"), final("a b c"), partial("d e")]
