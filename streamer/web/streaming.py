"""WebSockets: a client's audio transcribed live, and the live captions of the machine."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, request
from flask_sock import Sock
from simple_websocket import ConnectionClosed, Server

from model.errors import CaptionerError
from streamer.errors import ReaderGone
from streamer.events import Event, FinalTranscript, Notice, Status, StreamStarted
from streamer.runner import ThreadedRunner
from streamer.web.body import read_json, read_object
from streamer.web.desk import Seat
from streamer.web.errors import BadRequest, Busy, NothingKept, Unprocessable
from streamer.web.keeping import KEEPING_ENDED, Keeper
from streamer.web.library.shelf import TITLE_CHARACTERS
from streamer.web.live import Position
from streamer.web.services import Services, services
from streamer.web.socket_source import HIGHEST_RATE, LOWEST_RATE, SocketSource, TooFast
from streamer.web.web_socket import bound
from streamer.writers import event_record, printable

IDLE_S = 60.0
"""A client that sends hardly any audio for so long is no microphone, or has gone; seconds."""

SLOWEST = 0.02
"""Audio that must come in a second at least, seconds."""

LOOK_S = 1.0
"""Seconds between two looks whether a stream is to end though its client says nothing."""

LATE_KEEP_S = 120.0
"""Time after the end of the audio in which it can still be kept, seconds."""

POLICY, TRY_AGAIN = 1008, 1013
"""Close codes of RFC 6455: a rule was broken; the server is full."""

blueprint = Blueprint("streaming", __name__)
sock = Sock()


@dataclass(frozen=True)
class StreamRequest:
    """What a client asks for when it opens a stream.

    Attributes:
        rate: Of its samples, Hz.
        title: Of the recording, if it is kept.
        keep: Whether it is to be kept from its beginning.
    """

    rate: int
    title: str = ""
    keep: bool = False

    @classmethod
    def of(cls, query: dict[str, str]) -> StreamRequest:
        """Read it from the query of the address.

        Raises:
            BadRequest: If a value cannot be used.
        """
        rate = query.get("rate", "16000")
        if not (rate.isascii() and rate.isdigit() and len(rate) < 7):
            raise BadRequest(f"rate: must be a whole number of Hz, got {printable(rate)[:20]!r}")
        if not LOWEST_RATE <= int(rate) <= HIGHEST_RATE:
            raise BadRequest(f"rate: must be {LOWEST_RATE} to {HIGHEST_RATE} Hz, got {rate}")
        keep = query.get("keep", "false")
        if keep not in ("true", "false"):
            raise BadRequest("keep: must be true or false")
        return cls(int(rate), query.get("title", "")[:TITLE_CHARACTERS], keep == "true")


class SocketSink:
    """Sends events to a client, and what of them is kept to the keeper."""

    def __init__(self, socket: Server, keeper: Keeper) -> None:
        self._socket = socket
        self._keeper = keeper
        self.lag: Callable[[float], None] = lambda lag_s: None

    def emit(self, event: Event, emitted_s: float) -> None:
        """Send an event; see :class:`~streamer.events.EventSink`.

        Raises:
            ReaderGone: If the client has gone.
        """
        if isinstance(event, Status):
            self.lag(event.lag_s)
            return
        if isinstance(event, FinalTranscript):
            self._keeper.add(event)
        try:
            self.send(event_record(event, emitted_s))
            if isinstance(event, Notice) and event.kind == KEEPING_ENDED:
                self.send({"type": "kept", "recording": None})
        except ReaderGone:
            # What is kept is transcribed to its end, whoever watches.
            if self._keeper.recording is None:
                raise

    def send(self, message: dict[str, Any]) -> None:
        """Send an object.

        Raises:
            ReaderGone: If the client has gone.
        """
        try:
            self._socket.send(json.dumps(message))
        except (ConnectionClosed, OSError) as error:
            raise ReaderGone("the client has gone") from error

    def close(self) -> None:
        """Nothing to finish: every event was sent as it came."""


class StreamSession:
    """One client's stream, from its first sample to its last word.

    The thread that calls :meth:`serve` receives; captions run in threads of their own.

    Args:
        socket: The client's.
        wanted: What it asked for.
        parts: The server's.
        seat: Its place at the desk.
    """

    def __init__(self, socket: Server, wanted: StreamRequest, parts: Services, seat: Seat) -> None:
        web = parts.settings.web
        self._socket = socket
        self._models = parts.models
        self._metrics = parts.metrics
        self._seat = seat
        seat.end = self._end
        self._ending = False
        self._title = wanted.title
        remembered_s = 0.0 if parts.private else web.remembered_s
        self._keeper = Keeper(parts.shelf, "microphone", remembered_s)
        ring_s = parts.settings.audio.ring_s
        self._source = SocketSource("browser", wanted.rate, web.longest_s, ring_s)
        self._sink = SocketSink(socket, self._keeper)
        self._sink.lag = lambda lag_s: self._metrics.lag(self._key, lag_s)
        self._key = f"stream-{id(self)}"
        self._stream = self._models.stream(self._keeper)
        self._runner = ThreadedRunner(self._source, self._stream, self._sink, ring_s)
        self._captions = threading.Thread(target=self._caption, name="captions", daemon=True)
        self._from_beginning = wanted.keep
        self._timely_s = 0.0
        self._idle_at = 0.0

    def serve(self) -> None:
        """Receive until the audio ends, and let it be transcribed to its end."""
        if self._from_beginning:
            self._keep(self._title)
        self._sink.send(event_record(StreamStarted("browser", self._models.name), 0.0))
        for notice in self._models.notices:
            self._sink.send(event_record(notice, 0.0))
        with self._metrics.following("stream", self._stream.summary):
            self._captions.start()
            self._idle_at = time.monotonic() + IDLE_S
            try:
                self._receive()
            except ConnectionClosed:
                self._seat.reason = "gone"
            finally:
                self._source.finish()
                self._captions.join()
                self._metrics.lag(self._key, None)

    def wait_for_keep(self) -> None:
        """Let the client decide, for a while, to keep what was heard."""
        until = time.monotonic() + LATE_KEEP_S
        try:
            if self._keeper.begun:
                self._finish_keeping()
            while self._socket.connected and not self._ending and time.monotonic() < until:
                message = self._socket.receive(timeout=LOOK_S)
                if isinstance(message, str) and not self._obey(message):
                    return
                if self._keeper.recording is not None:
                    self._finish_keeping()
        except (ConnectionClosed, ReaderGone, TooFast):
            return

    def close(self) -> None:
        """Finish what is being kept."""
        self._keeper.finish()

    def leave(self) -> None:
        """Wait for no late decision any more; may be called from any thread."""
        self._ending = True

    def _end(self) -> None:
        """End the stream, as the server stops."""
        self._ending = True
        self._source.finish()

    def _receive(self) -> None:
        while self._captions.is_alive() and not self._ending:
            message = self._next()
            if message is None:
                if self._captions.is_alive() and not self._ending:
                    self._say("idle", f"hardly any audio came for {IDLE_S:g} s, so it ends")
                return
            try:
                if not self._take(message):
                    return
            except TooFast:
                self._say(
                    "too_fast",
                    "audio came faster than it is spoken; send it at its own pace, or POST a "
                    "whole file to /api/transcribe",
                )
                return

    def _take(self, message: str | bytes) -> bool:
        """Take a message; return whether more audio is to come."""
        if isinstance(message, str):
            return self._obey(message)
        if not self._source.push(message):
            self._say("too_long", "this is the longest stream that is taken; start another")
            return False
        if self._source.received_s >= self._timely_s + IDLE_S * SLOWEST:
            self._timely_s = self._source.received_s
            self._idle_at = time.monotonic() + IDLE_S
        return True

    def _next(self) -> str | bytes | None:
        """Return the next message, or None when hardly any audio came for ``IDLE_S``."""
        while self._captions.is_alive() and not self._ending and time.monotonic() < self._idle_at:
            message: str | bytes | None = self._socket.receive(timeout=LOOK_S)
            if message is not None:
                return message
        return None

    def _obey(self, message: str) -> bool:
        """Do what a message asks for; return whether more audio is to come."""
        try:
            order = read_object(message)
            kind = order.get("type")
            if kind == "keep":
                title = order.get("title", self._title)
                if not isinstance(title, str):
                    raise BadRequest("title: must be a text")
                self._keep(title[:TITLE_CHARACTERS])
            elif kind == "discard":
                self._keeper.discard()
                self._sink.send({"type": "kept", "recording": None})
            elif kind == "lost":
                self._source.lose(_samples(order))
            elif kind == "end":
                return False
            else:
                raise BadRequest("type: must be keep, discard, lost or end")
        except CaptionerError as error:
            if isinstance(error, ReaderGone):
                raise ConnectionClosed() from error
            self._say("refused", str(error))
        return True

    def _keep(self, title: str) -> None:
        recording = self._keeper.keep(title, self._models.name)
        self._sink.send({"type": "kept", "recording": recording})

    def _finish_keeping(self) -> None:
        recording = self._keeper.finish()
        self._sink.send({"type": "kept", "recording": recording, "finished": recording is not None})

    def _say(self, kind: str, text: str) -> None:
        self._sink.send(event_record(Notice(kind, text, "warning"), self._source.received_s))

    def _caption(self) -> None:
        try:
            self._runner.run()
            self._seat.reason = "finished"
        except ReaderGone:
            self._seat.reason = "gone"
        except CaptionerError as error:
            self._tell_failure(error)

    def _tell_failure(self, error: CaptionerError) -> None:
        try:
            self._sink.send(event_record(Notice("failed", str(error), "error"), 0.0))
        except ReaderGone:
            return


def _samples(order: dict[str, Any]) -> int:
    samples = order.get("samples")
    if not isinstance(samples, int) or isinstance(samples, bool) or not 0 < samples < 10**9:
        raise BadRequest("samples: must be a whole number above 0")
    return samples


@sock.route("/api/stream", bp=blueprint)  # type: ignore[untyped-decorator]
def stream(socket: Server) -> None:
    """Transcribe what a client sends, live."""
    bound(socket)
    parts = services()
    try:
        wanted = StreamRequest.of(request.args.to_dict())
    except BadRequest as error:
        _turn_away(socket, "refused", str(error), POLICY)
        return
    with ExitStack() as stack:
        try:
            with parts.desk.seat("stream") as seat:
                session = StreamSession(socket, wanted, parts, seat)
                stack.callback(session.close)
                session.serve()
            if not parts.private:
                with parts.desk.lingering(session.leave):
                    session.wait_for_keep()
        except ReaderGone:
            return
        except Busy as error:
            _turn_away(socket, "busy", str(error), TRY_AGAIN)
        except CaptionerError as error:
            _turn_away(socket, "failed", str(error), POLICY)


@sock.route("/api/live", bp=blueprint)  # type: ignore[untyped-decorator]
def live(socket: Server) -> None:
    """Send the live captions of the machine."""
    bound(socket)
    hub = services().live
    after = request.args.get("after", "0")
    known = int(after) if after.isascii() and after.isdigit() and len(after) < 16 else 0
    try:
        viewer = hub.watch(Position(request.args.get("run", ""), known))
    except Busy as error:
        _turn_away(socket, "busy", str(error), TRY_AGAIN)
        return
    try:
        while socket.connected and not viewer.ended:
            message = viewer.take(timeout=1.0)
            if message is not None:
                socket.send(json.dumps(message))
            # A viewer has nothing to say.
            socket.input_buffer.clear()
    except OSError:
        return
    finally:
        hub.leave(viewer)


@blueprint.post("/api/live/keep")
def keep_live() -> dict[str, Any]:
    """Keep the live captions and their audio from now on, or end that."""
    order = read_json({"keep": bool, "title": str}, ("keep",))
    title = order.get("title", "")
    if len(title) > TITLE_CHARACTERS:
        raise Unprocessable(f"title: must have at most {TITLE_CHARACTERS} characters")
    parts = services()
    hub = parts.live
    if order["keep"] and parts.private:
        raise NothingKept
    recording = hub.keep(order["keep"], title)
    return {"keeping": hub.recording is not None, "recording": recording}


def _turn_away(socket: Server, kind: str, text: str, code: int) -> None:
    try:
        socket.send(json.dumps(event_record(Notice(kind, text, "error"), 0.0)))
        socket.close(code, text[:100])
    except (ConnectionClosed, OSError):
        return
