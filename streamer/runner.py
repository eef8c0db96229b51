"""Run a caption stream: in one loop, or live with threads.

Both end with a :class:`Summary`, and on a source that loses nothing, and a machine that
keeps up with it, both give the same transcripts.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator

from model.errors import CaptionerError
from streamer.audio import SAMPLE_RATE, AudioBlock, AudioSource
from streamer.caption_stream import CaptionStream, Heard
from streamer.errors import StageFailed
from streamer.event_queue import EventQueue
from streamer.events import Event, EventSink
from streamer.ring_buffer import RingBuffer

STATUS_EVERY_S = 0.1
"""Time between two statuses on a display."""

HEARD_AHEAD = 8
"""Steps that the feature thread may be ahead of the recognition thread."""

MOST_WAITING = 1000
"""Events that may wait for the sink before recognition does."""

HURRY_AT_S = 0.3
"""Audio that waits for the recognition thread, in seconds, from which on it leaves out
partials."""


def run_inline(
    source: AudioSource,
    stream: CaptionStream,
    sink: EventSink,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Caption a source in one loop, as fast as it gives audio.

    Args:
        source: An entered source.
        stream: Fresh.
        sink: Takes the events.
        clock: Seconds that only rise.
    """
    for event, emitted_s in inline_events(source, stream, clock):
        sink.emit(event, emitted_s)


def inline_events(
    source: AudioSource, stream: CaptionStream, clock: Callable[[], float] = time.monotonic
) -> Iterator[tuple[Event, float]]:
    """Yield what :func:`run_inline` emits, each event with the seconds since the beginning."""
    began = clock()
    shown = began
    captured = 0
    for item in source:
        for event in stream.recognize(stream.hear(item)):
            yield event, clock() - began
        if isinstance(item, AudioBlock):
            captured = item.end
        if clock() - shown >= STATUS_EVERY_S:
            shown = clock()
            yield stream.status(captured), shown - began
    for event in stream.recognize(stream.end_of_audio()):
        yield event, clock() - began
    yield stream.summary(), clock() - began


class ThreadedRunner:
    """Captures, listens and recognises in a thread each; shows in the caller's.

    The capture thread copies audio from the source to a ring buffer.  The
    feature thread computes features and finds voice activity.  The recognition thread
    finds utterances and runs the network and the decoder: finals always, partials while
    little audio waits.  When recognition is too slow, partials become fewer, then a
    :class:`~streamer.thrift.ThriftyDecoder` reads them with a narrower search, then the
    feature thread waits, then the ring drops the oldest audio and says so.  The same happens
    when the sink takes nothing for long: no more than ``MOST_WAITING`` events wait for it.

    Args:
        source: An entered source.
        stream: Fresh.
        sink: Takes the events, from the thread that calls :meth:`run`.
        ring_s: Audio that may wait, seconds.
        clock: Seconds that only rise.
    """

    def __init__(
        self,
        source: AudioSource,
        stream: CaptionStream,
        sink: EventSink,
        ring_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._stream = stream
        self._sink = sink
        self._clock = clock
        self._ring = RingBuffer(round(ring_s * SAMPLE_RATE), "block" if source.lossless else "drop")
        self._heard: queue.Queue[Heard | None] = queue.Queue(HEARD_AHEAD)
        self._events = EventQueue(MOST_WAITING)
        self._abandoned = threading.Event()
        self._failure: tuple[str, BaseException] | None = None
        self._failing = threading.Lock()
        self._captured = 0
        self._began = 0.0

    def run(self) -> None:
        """Caption until the source ends; what was heard is finished and shown.

        Raises:
            CaptionerError: If a stage failed; the first failure wins, and what was
                recognised before it has been shown.
            KeyboardInterrupt: As it comes; all threads are told to end at once.
        """
        self._began = self._clock()
        threads = [
            threading.Thread(target=self._guard, args=(name, stage), name=name, daemon=True)
            for name, stage in (
                ("capture", self._capture),
                ("features", self._listen),
                ("recognition", self._recognize),
            )
        ]
        for thread in threads:
            thread.start()
        try:
            self._show()
        except BaseException:
            self._abandon()
            # The first two use what the caller closes now; the network may be busy for long.
            for thread in threads[:2]:
                thread.join(1.0)
            raise
        finally:
            self._source.stop()
        for thread in threads:
            thread.join()
        if self._failure is not None:
            stage, error = self._failure
            if isinstance(error, CaptionerError):
                raise error
            raise StageFailed(f"{stage} failed: {type(error).__name__}: {error}") from error

    def _capture(self) -> None:
        try:
            for item in self._source:
                if isinstance(item, AudioBlock):
                    self._captured = item.end
                if not self._ring.push(item):
                    return
        finally:
            self._ring.close()

    def _listen(self) -> None:
        try:
            while not self._abandoned.is_set():
                item = self._ring.pop(timeout=STATUS_EVERY_S)
                if item is not None:
                    self._pass_on(self._stream.hear(item))
                elif self._ring.finished:
                    break
            self._pass_on(self._stream.end_of_audio())
        finally:
            self._pass_on(None)

    def _pass_on(self, heard: Heard | None) -> None:
        while not self._abandoned.is_set():
            try:
                self._heard.put(heard, timeout=STATUS_EVERY_S)
                return
            except queue.Full:
                continue

    def _recognize(self) -> None:
        try:
            while not self._abandoned.is_set():
                try:
                    heard = self._heard.get(timeout=STATUS_EVERY_S)
                except queue.Empty:
                    continue
                if heard is None:
                    break
                hurried = self._captured - heard.end >= HURRY_AT_S * SAMPLE_RATE
                self._emit(self._stream.recognize(heard, hurried))
        finally:
            self._events.put(self._stream.summary(), self._elapsed())
            self._events.close()

    def _emit(self, events: list[Event]) -> None:
        for event in events:
            self._events.put(event, self._elapsed())

    def _elapsed(self) -> float:
        return self._clock() - self._began

    def _show(self) -> None:
        next_status_s = 0.0
        while not self._events.finished:
            if self._elapsed() >= next_status_s:
                next_status_s = self._elapsed() + STATUS_EVERY_S
                self._sink.emit(self._stream.status(self._captured), self._elapsed())
            event = self._events.get(timeout=STATUS_EVERY_S)
            if event is not None:
                self._sink.emit(*event)

    def _guard(self, name: str, stage: Callable[[], None]) -> None:
        """Run a stage; its failure ends the others in order."""
        try:
            stage()
        except BaseException as error:
            with self._failing:
                self._failure = self._failure or (name, error)
            self._source.stop()
            self._ring.close()
            if name == "recognition":
                self._abandon()

    def _abandon(self) -> None:
        """Make every thread return at once."""
        self._abandoned.set()
        self._source.stop()
        self._ring.abandon()
        self._events.close()
