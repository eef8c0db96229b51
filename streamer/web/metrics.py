"""What the server counts, in the text format of Prometheus.

The counts are the server's own: nothing of them is in the library's registry that all
programs of a process share.  No label has a value that a client chooses.
"""

from __future__ import annotations

import threading

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


class Metrics:
    """Counts sessions, their audio and their words, and requests; safe from any thread.

    A session is a stream or a file that is transcribed; its ``kind`` says which, such as
    ``stream`` or ``upload``.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._lags: dict[str, float] = {}
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

    def session_ended(self, kind: str, reason: str, summary: Summary | None) -> None:
        """Count a session that began before and has ended.

        Args:
            kind: As it began.
            reason: A short name, such as ``finished``, ``failed`` or ``gone``.
            summary: Its accounts, if there are any.
        """
        self._at_work.labels(kind).dec()
        self._ended.labels(kind, reason).inc()
        if summary is None:
            return
        self._audio.labels(kind).inc(summary.audio_s)
        self._computing.labels(kind).inc(summary.rtf * summary.audio_s)
        self._lost.labels(kind).inc(summary.lost_s)
        self._finals.labels(kind).inc(summary.utterances)
        self._words.labels(kind).inc(summary.words)
        self._rtf.labels(kind).set(summary.rtf)

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
            "captioner_audio_seconds", "Audio of sessions that ended.", kind, registry=own
        )
        self._computing = Counter(
            "captioner_computing_seconds", "Computing for that audio.", kind, registry=own
        )
        self._rtf = Gauge(
            "captioner_rtf",
            "Computing for each second of audio, of the session that ended last.",
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

    def _most_lag(self) -> float:
        with self._change:
            return max(self._lags.values(), default=0.0)
