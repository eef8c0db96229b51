"""A file on its way through the captioner, and into the library if that was asked for."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import Self

from model.errors import CaptionerError
from streamer.events import Event, FinalTranscript, Notice, StreamStarted, Summary
from streamer.runner import inline_events
from streamer.web.decoding import ClientGone, DecodedUpload
from streamer.web.desk import Seat
from streamer.web.errors import Busy, WebError
from streamer.web.keeping import Kept
from streamer.web.services import Services
from streamer.web.transcribing.forms import Wish

Emitted = tuple[Event, float]
"""An event, and seconds since the stream began."""


class Transcription:
    """The work on one file; a context manager, so that a recording is finished in any case.

    Of a client that goes away nothing is kept: it has the file, and did not wait for it.

    Args:
        parts: The server's.
        source: The file, entered.
        wish: What the client wants.
        seat: Its place at the desk.

    Attributes:
        model: Name of the model that reads it.
        summary: The accounts, once they are known.
    """

    def __init__(self, parts: Services, source: DecodedUpload, wish: Wish, seat: Seat) -> None:
        self.model = parts.models.name
        self.summary: Summary | None = None
        self._source = source
        self._seat = seat
        self._ended = False
        self._kept: Kept | None = None
        if wish.keep:
            self._kept = parts.shelf.begin(wish.title, "upload", self.model)
        self._stream = parts.models.stream(self._kept, wish.form == "jsonl", thrifty=False)
        seat.end = self.end

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept is not None:
            self._kept.finish()

    @property
    def duration_s(self) -> float | None:
        """Length that the file declares, seconds; None if it does not tell."""
        return self._source.duration_s

    @property
    def recording(self) -> str | None:
        """Id of the recording that is kept."""
        return self._kept.id if self._kept else None

    @property
    def trouble(self) -> WebError | None:
        """Why not all of the file was transcribed, once that is known."""
        if self._ended:
            return Busy("the server is being stopped; send the file again when it is back")
        return self._source.trouble

    def accounts(self) -> Summary:
        """Return the accounts so far."""
        return self._stream.summary()

    def end(self) -> None:
        """End soon with what was heard; may be called from any thread."""
        self._ended = True
        self._source.stop()

    def events(self) -> Iterator[Emitted]:
        """Yield everything from the start to the summary; closing it abandons the work.

        Raises:
            ClientGone: If the client went.
        """
        try:
            yield StreamStarted(self._source.name, self.model), 0.0
            for event, emitted_s in inline_events(self._source, self._stream):
                yield from self._noted(event, emitted_s)
                yield event, emitted_s
        except (ClientGone, GeneratorExit):
            self._abandon()
            raise

    def _noted(self, event: Event, emitted_s: float) -> Iterator[Emitted]:
        """Take note of an event, and yield what is to be said before it."""
        if isinstance(event, FinalTranscript) and self._kept is not None:
            try:
                self._kept.add(event)
            except CaptionerError as error:
                yield Notice("keeping_failed", str(error), "error"), emitted_s
        if isinstance(event, Summary):
            self.summary = event
            self._seat.reason = "failed" if self.trouble else "finished"
            if self._ended:
                yield Notice("stopped", str(self.trouble), "error"), emitted_s

    def _abandon(self) -> None:
        if self.summary is not None:
            return
        self._seat.reason = "gone"
        if self._kept is not None:
            self._kept.discard()
