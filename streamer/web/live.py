"""The captions of the machine's own microphone, for any number of viewers at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal
from uuid import uuid4

from model.errors import CaptionerError
from streamer.audio import AudioSource
from streamer.events import (
    Event,
    EventSink,
    FinalTranscript,
    Notice,
    PartialTranscript,
    Status,
    StreamStarted,
)
from streamer.microphone import MicrophoneSource
from streamer.runner import ThreadedRunner
from streamer.service import Manager, Service
from streamer.web.errors import Busy, Conflict
from streamer.web.keeping import KEEPING_ENDED, Keeper, Shelf
from streamer.web.metrics import Metrics
from streamer.web.model_host import ModelHost
from streamer.writers import event_record

RETRY_S = 5.0
"""Time between two attempts to open a microphone that cannot be opened."""

WAITING_AT_MOST = 500
"""Messages that may wait for a viewer beside those of its beginning; one that falls further
behind is sent away."""

STATUS_EVERY_S = 0.5
"""Time between two statuses for viewers."""

Message = dict[str, Any]


class Viewer:
    """One browser that watches; made by :meth:`LiveHub.watch`."""

    def __init__(self, first: Sequence[Message]) -> None:
        self._waiting: deque[Message] = deque(first)
        self._most = len(first) + WAITING_AT_MOST
        self._changed = threading.Condition()
        self._ended = False

    def give(self, message: Message) -> None:
        """Add a message; a partial or status takes the place of one that still waits."""
        with self._changed:
            if message["type"] in ("partial", "status"):
                self._drop_last(message["type"])
            if len(self._waiting) >= self._most:
                self._ended = True
            else:
                self._waiting.append(message)
            self._changed.notify()

    def take(self, timeout: float) -> Message | None:
        """Return the next message, or None when there is none within ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended, timeout)
            return self._waiting.popleft() if self._waiting and not self._ended else None

    def end(self) -> None:
        """Send it away; it may come again."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    @property
    def ended(self) -> bool:
        """Whether it is to go."""
        with self._changed:
            return self._ended

    def _drop_last(self, kind: str) -> None:
        """Drop the newest message if it is of a kind, or lies under a status that is."""
        for place in range(len(self._waiting) - 1, max(-1, len(self._waiting) - 3), -1):
            if self._waiting[place]["type"] == kind:
                del self._waiting[place]
                return
            if self._waiting[place]["type"] not in ("partial", "status"):
                return


@dataclass(frozen=True)
class Position:
    """How much a viewer has seen.

    Attributes:
        run: The run of the server that it saw; empty for none.
        after: Number of the last event that it saw.
    """

    run: str = ""
    after: int = 0


class LiveHub:
    """Captions one source for as long as the server runs, and remembers what was said.

    Finals, gaps and notices are numbered; a viewer that comes late, or comes back, gets
    those that it has not seen, as far as they are remembered.  Partials and statuses are
    for those who watch.  A microphone that cannot be opened is tried again and again.

    Args:
        models: Whose streams are used; the stream begins anew when the model changes.
        shelf: Where the captions are kept while somebody wants that.
        source: Makes the source anew for each time it is opened; None for no source.
        metrics: Told of what happens.
        ring_s: Audio that may wait, seconds.
        history: Numbered events remembered.
        viewers: How many may watch at once.
        service: Judges by the events whether the captions get on.
        log: Takes every event too.
    """

    def __init__(
        self,
        models: ModelHost,
        shelf: Shelf,
        source: Callable[[], AudioSource] | None,
        metrics: Metrics,
        ring_s: float = 10.0,
        history: int = 2000,
        viewers: int = 200,
        service: Service | None = None,
        log: EventSink | None = None,
    ) -> None:
        self.run = uuid4().hex
        self._log = log
        self._service = service or Service(Manager())
        self._models = models
        self._shelf = shelf
        self._new_source = source
        self._metrics = metrics
        self._ring_s = ring_s
        self._most_viewers = viewers
        self._history: deque[Message] = deque(maxlen=history)
        self._seq = 0
        self._partial: Message | None = None
        self._viewers: set[Viewer] = set()
        self._lock = threading.RLock()
        self._keeper = Keeper(shelf, "live", 0.0)
        self._wanted_title: str | None = None
        self._source: AudioSource | None = None
        self._source_name = ""
        self._status_due_s = 0.0
        self._resting: Literal["waiting", "failed"] = "waiting"
        self._closed = threading.Event()
        self._due = threading.Event()
        self._thread: threading.Thread | None = None
        models.on_exchange(self.restart)

    def start(self) -> None:
        """Begin to caption, in a thread of its own."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="live", daemon=True)
            self._thread.start()

    def play(self, source: Callable[[], AudioSource]) -> None:
        """Caption another source from now on.

        Args:
            source: Makes it.
        """
        self._new_source = source
        self._due.set()
        self._stop_source()

    def restart(self) -> None:
        """Begin a new stream, as another model has come into use; what was heard is finished."""
        if self._source is not None:
            self._due.set()
            self._stop_source()

    def close(self) -> None:
        """Finish what was heard, and what is being kept, and send every viewer away."""
        self._closed.set()
        self._due.set()
        self._stop_source()
        if self._thread is not None:
            self._thread.join(timeout=10.0)
        self.keep(False)
        self.disconnect_all()

    @property
    def state(self) -> Literal["off", "listening", "waiting", "failed"]:
        """Whether it listens; it waits when the source has ended, or cannot be opened yet."""
        if self._new_source is None:
            return "off"
        if isinstance(self._source, MicrophoneSource) and self._source.away:
            return "waiting"
        return "listening" if self._source is not None else self._resting

    @property
    def viewing(self) -> int:
        """How many watch."""
        return len(self._viewers)

    @property
    def recording(self) -> str | None:
        """The id of the recording that is being kept, or None."""
        return self._keeper.recording

    def watch(self, seen: Position = Position()) -> Viewer:
        """Return a new viewer that gets, after a hello, what it has not seen and what comes.

        Raises:
            Busy: If too many watch already.
        """
        with self._lock:
            if len(self._viewers) >= self._most_viewers:
                raise Busy(
                    f"{self._most_viewers} browsers watch already, as many as may; close one, "
                    "or raise web.viewers"
                )
            after = seen.after if seen.run == self.run else 0
            known = [message for message in self._history if message["seq"] > after]
            first_known = self._seq - len(self._history)
            hello = self._hello() | {"missed": after < first_known}
            viewer = Viewer([hello, *known, *([self._partial] if self._partial else [])])
            self._viewers.add(viewer)
            self._metrics.viewers(len(self._viewers))
            return viewer

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer."""
        with self._lock:
            self._viewers.discard(viewer)
            self._metrics.viewers(len(self._viewers))

    def disconnect_all(self) -> None:
        """Send every viewer away; they may come again."""
        with self._lock:
            for viewer in self._viewers:
                viewer.end()

    def keep(self, wanted: bool, title: str = "") -> str | None:
        """Keep what is heard from now on, or end that.

        Args:
            wanted: Whether it is to be kept.
            title: What the user calls it.

        Returns:
            The id of the recording that goes on, or of the one that was ended, if any.

        Raises:
            CaptionerError: If it cannot be kept.
        """
        with self._lock:
            if wanted and self._source is None:
                raise Conflict(
                    "nothing is heard now, so nothing can be kept; look at the microphone"
                )
            kept = self._keeper.keep(title, self._models.name) if wanted else self._keeper.finish()
            self._wanted_title = title if wanted else None
            self._tell({"type": "keeping", "keeping": wanted, "recording": self.recording})
            return kept

    def _hello(self) -> Message:
        return {
            "type": "hello",
            "run": self.run,
            "seq": self._seq,
            "source": self._source_name,
            "model": self._models.name,
            "keeping": self.recording is not None,
            "recording": self.recording,
        }

    def _run(self) -> None:
        while not self._closed.is_set():
            make = self._new_source
            self._due.clear()
            if make is None:
                self._due.wait()
                continue
            try:
                microphone = self._caption(make())
                self._resting = "waiting"
            except Exception as error:
                self._resting = "failed"
                known = isinstance(error, CaptionerError)
                reason = str(error) if known else f"{type(error).__name__}: {error}"
                self._say("live_failed", f"no live captions: {reason}; trying again")
                self._due.wait(RETRY_S)
                continue
            if not microphone:
                self._wanted_title = None
                self._due.wait()

    def _stop_source(self) -> None:
        source = self._source
        if source is not None:
            source.stop()

    def _caption(self, source: AudioSource) -> bool:
        """Caption a source to its end; return whether it is one to be opened again."""
        with source, ExitStack() as stack:
            keeper = Keeper(self._shelf, "live", 0.0)
            stack.callback(keeper.finish)
            stream = self._models.stream(keeper)
            model = self._models.name
            if isinstance(source, MicrophoneSource):
                source.forget()
            with self._lock:
                self._keeper, self._source, self._source_name = keeper, source, source.name
            stack.callback(self._ended)
            sink = stack.enter_context(self._service.watch(self))
            sink.emit(StreamStarted(source.name, model), 0.0)
            for notice in self._models.notices:
                sink.emit(notice, 0.0)
            self._go_on_keeping()
            self._metrics.session_started("live")
            try:
                with self._metrics.following("live", stream.summary):
                    ThreadedRunner(source, stream, sink, self._ring_s).run()
            finally:
                self._metrics.session_ended("live", "finished")
                self._metrics.lag("live", None)
        return isinstance(source, MicrophoneSource)

    def _ended(self) -> None:
        with self._lock:
            self._source = None
            self._partial = None

    def _go_on_keeping(self) -> None:
        """Keep this stream too, if the one before was being kept."""
        if self._wanted_title is not None:
            try:
                self.keep(True, self._wanted_title)
            except CaptionerError as error:
                self._wanted_title = None
                self._say("keeping_failed", str(error))

    def _say(self, kind: str, text: str) -> None:
        """Tell what is wrong, once, until something else is."""
        with self._lock:
            last = next((m for m in reversed(self._history) if m["type"] == "notice"), None)
            if last is None or last["text"] != text:
                with suppress(CaptionerError):
                    self.emit(Notice(kind, text, "error"), 0.0)

    def emit(self, event: Event, emitted_s: float) -> None:
        """Take an event of the stream; see :class:`~streamer.events.EventSink`."""
        if self._log is not None:
            self._log.emit(event, emitted_s)
        if isinstance(event, Status):
            self._metrics.lag("live", event.lag_s)
            if emitted_s < self._status_due_s <= emitted_s + STATUS_EVERY_S:
                return
            self._status_due_s = emitted_s + STATUS_EVERY_S
            self._tell({"type": "status", **_rounded(asdict(event))})
            return
        if isinstance(event, FinalTranscript):
            self._keeper.add(event)
        record = event_record(event, emitted_s) | {"run": self.run}
        with self._lock:
            if isinstance(event, PartialTranscript):
                self._partial = record
            else:
                self._seq += 1
                record["seq"] = self._seq
                self._history.append(record)
                if isinstance(event, FinalTranscript):
                    self._partial = None
            self._tell(record)
            if isinstance(event, Notice) and event.kind == KEEPING_ENDED:
                self._wanted_title = None
                self._tell({"type": "keeping", "keeping": False, "recording": None})

    def _tell(self, message: Message) -> None:
        with self._lock:
            for viewer in self._viewers:
                viewer.give(message)


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in values.items()
    }
