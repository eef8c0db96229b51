"""What the server counts, in the text format of Prometheus.

The counts are the server's own: nothing of them is in the library's registry that all
programs of a process share.  No label has a value that a client chooses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from streamer.events import Summary

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""Of :meth:`Metrics.exposition`."""

REQUEST_SECONDS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0)
"""Upper bounds of the histogram of requests; uploads and sockets last for minutes."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Those that are told apart; a client may send any other word."""

NOTHING = Summary(0.0, 0.0, 0.0, 0.0, 0, 0, 0)
"""The accounts of a session that has heard nothing yet."""


@dataclass(eq=False)
class _Followed:
    """A session that goes on.

    Attributes:
        kind: As it began.
        accounts: Returns its accounts so far.
        counted: What of them is in the counts.
    """

    kind: str
    accounts: Callable[[], Summary]
    counted: Summary = NOTHING


class Metrics:
    """Counts sessions, their audio and their words, and requests; safe from any thread.

    A session is a stream or a file that is transcribed; its ``kind`` says which, such as
    ``stream`` or ``upload``.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._lags: dict[str, float] = {}
        self._followed: set[_Followed] = set()
        self._change = threading.Lock()
        self._scrape = threading.Lock()
        ProcessCollector(registry=self.registry)
        self._add_sessions()
        self._add_audio()
        self._add_server()

    def session_started(self, kind: str) -> None:
        """Count a session that begins."""
        self._at_work.labels(kind).inc()
        self._begun.labels(kind).inc()

    def session_ended(self, kind: str, reason: str) -> None:
        """Count a session that began before and has ended.

        Args:
            kind: As it began.
            reason: A short name, such as ``finished``, ``failed`` or ``gone``.
        """
        self._at_work.labels(kind).dec()
        self._ended.labels(kind, reason).inc()

    @contextmanager
    def following(self, kind: str, accounts: Callable[[], Summary]) -> Iterator[None]:
        """Count what a session hears and says for as long as the context lasts.

        Live captions may go on for months, so each exposition counts how far they are.

        Args:
            kind: As it began.
            accounts: Returns its accounts so far; called from any thread.
        """
        session = _Followed(kind, accounts)
        with self._change:
            self._followed.add(session)
        try:
            yield
        finally:
            with self._change:
                self._followed.discard(session)
                self._count(session)

    def refused(self, kind: str) -> None:
        """Count a session for which there was no place."""
        self._refused.labels(kind).inc()

    def lag(self, session: str, lag_s: float | None) -> None:
        """Note how far a session that goes on is behind.

        Args:
            session: Tells it from the others; appears nowhere.
            lag_s: Audio captured and not yet recognised, seconds; None once it ends.
        """
        with self._change:
            if lag_s is None:
                self._lags.pop(session, None)
            else:
                self._lags[session] = lag_s

    def viewers(self, count: int) -> None:
        """Note how many watch the live captions."""
        self._viewers.set(count)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: The template that it matched, never the path that was asked for.
            method: HTTP's.
            status: HTTP's.
            seconds: From its arrival to the beginning of the answer.
        """
        method = method if method in METHODS else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def exposition(self, model: str, seats: int, taken: int, recordings: int) -> bytes:
        """Return all counts as text of :data:`CONTENT_TYPE`.

        Args:
            model: Name of the model in use.
            seats: How many sessions there may be at once.
            taken: How many of the places are in use.
            recordings: How many the library holds.
        """
        with self._scrape:
            self._seats.set(seats)
            self._taken.set(taken)
            self._recordings.set(recordings)
            self._model.clear()
            self._model.labels(model).set(1)
            self._count_followed()
            return generate_latest(self.registry)

    def _add_sessions(self) -> None:
        kind, own = ("kind",), self.registry
        name = "captioner_sessions"
        self._at_work = Gauge(name, "Sessions at work.", kind, registry=own)
        self._begun = Counter(f"{name}_begun", "Sessions that began.", kind, registry=own)
        self._ended = Counter(
            f"{name}_ended", "Sessions that ended.", ("kind", "reason"), registry=own
        )
        self._refused = Counter(
            f"{name}_refused", "Sessions for which there was no place.", kind, registry=own
        )
        self._seats = Gauge("captioner_seats", "Sessions that may be at once.", registry=own)
        self._taken = Gauge("captioner_seats_taken", "Places in use.", registry=own)
        lag = Gauge("captioner_lag_seconds", "Most lag of a session at work.", registry=own)
        lag.set_function(self._most_lag)

    def _add_audio(self) -> None:
        kind, own = ("kind",), self.registry
        self._audio = Counter(
            "captioner_audio_seconds", "Audio that sessions heard.", kind, registry=own
        )
        self._computing = Counter(
            "captioner_computing_seconds", "Computing for that audio.", kind, registry=own
        )
        self._rtf = Gauge(
            "captioner_rtf",
            "Computing for each second of audio since a session began: the most of those at "
            "work, or else of the one that ended last.",
            kind,
            registry=own,
        )
        self._lost = Counter("captioner_lost_seconds", "Audio lost.", kind, registry=own)
        self._finals = Counter("captioner_finals", "Utterances.", kind, registry=own)
        self._words = Counter("captioner_words", "Words of finals.", kind, registry=own)

    def _add_server(self) -> None:
        own = self.registry
        self._viewers = Gauge("captioner_viewers", "Watching the live captions.", registry=own)
        self._recordings = Gauge("captioner_recordings", "Recordings kept.", registry=own)
        self._model = Gauge("captioner_model_info", "The model in use.", ("model",), registry=own)
        self._requests = Counter(
            "captioner_requests", "Requests answered.", ("route", "method", "status"), registry=own
        )
        self._request_seconds = Histogram(
            "captioner_request_seconds",
            "Time to the beginning of the answer.",
            ("route",),
            buckets=REQUEST_SECONDS,
            registry=own,
        )

    def _count_followed(self) -> None:
        with self._change:
            # The slowest one comes last, so that its factor is the one that is told.
            for session in sorted(self._followed, key=lambda session: session.accounts().rtf):
                self._count(session)

    def _count(self, session: _Followed) -> None:
        """Count what a session has done since it was counted before."""
        before, now = session.counted, session.accounts()
        session.counted = now
        computing_s = now.rtf * now.audio_s - before.rtf * before.audio_s
        for counter, more in (
            (self._audio, now.audio_s - before.audio_s),
            (self._computing, max(0.0, computing_s)),  # it may round to less than before
            (self._lost, now.lost_s - before.lost_s),
            (self._finals, now.utterances - before.utterances),
            (self._words, now.words - before.words),
        ):
            counter.labels(session.kind).inc(more)
        self._rtf.labels(session.kind).set(now.rtf)

    def _most_lag(self) -> float:
        with self._change:
            return max(self._lags.values(), default=0.0)
