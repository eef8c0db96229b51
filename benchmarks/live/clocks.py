"""Where the time goes: stopwatches around the parts of the live path, and a live clock."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from typing_extensions import Self

from streamer.audio import SAMPLE_RATE, AudioBlock, AudioSource
from streamer.events import Notice

LISTENING = "listening"
NETWORK_PARTIALS = "network_partials"
DECODER_PARTIALS = "decoder_partials"
NETWORK_FINALS = "network_finals"
DECODER_FINALS = "decoder_finals"
REST = "rest"

STAGES = (LISTENING, NETWORK_PARTIALS, DECODER_PARTIALS, NETWORK_FINALS, DECODER_FINALS, REST)
"""Parts of the live path; the rest is cutting utterances, settling words, making events."""

Clock = Callable[[], float]
Stage = Callable[[str, Sequence[Any], Mapping[str, Any]], str | None]
"""From a method's name and its arguments to the stage that it belongs to, if any."""


class Stopwatch:
    """Seconds spent by stage; time inside an inner stage does not count for the outer.

    Args:
        clock: Seconds that only rise; may be one of each thread's own.
    """

    def __init__(self, clock: Clock) -> None:
        self.spent_s: dict[str, float] = defaultdict(float)
        self._clock = clock
        self._threads = threading.local()

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Count the time until the context is left."""
        inner: list[float] = self._threads.__dict__.setdefault("inner", [])
        inner.append(0.0)
        began = self._clock()
        try:
            yield
        finally:
            took = self._clock() - began
            self.spent_s[stage] += took - inner.pop()
            if inner:
                inner[-1] += took


class Metered:
    """Stands for an object, and counts the time of its methods and of its sessions'.

    Args:
        inner: The object.
        watch: Counts.
        stage: Says for what.
    """

    def __init__(self, inner: Any, watch: Stopwatch, stage: Stage) -> None:
        self._inner = inner
        self._watch = watch
        self._stage = stage

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not callable(value):
            return value

        def call(*arguments: Any, **options: Any) -> Any:
            stage = self._stage(name, arguments, options)
            if stage is None:
                return value(*arguments, **options)
            with self._watch.measure(stage):
                found = value(*arguments, **options)
            return Metered(found, self._watch, self._stage) if name == "session" else found

        return call


def of_network(name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> str:
    """Return the stage of a method of an acoustic session.

    A final is read by ``log_probs``, or with the number of frames that belong to it.
    """
    whole = name == "log_probs" or (name == "read" and (arguments or options))
    return NETWORK_FINALS if whole else NETWORK_PARTIALS


def of_final_decoder(name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> str:
    """Return the stage of a method of what reads finals."""
    return DECODER_FINALS


def of_partial_decoder(name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> str:
    """Return the stage of a method of what reads partials, which may read a final too."""
    return DECODER_FINALS if options.get("final") else DECODER_PARTIALS


def of_stream(name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> str | None:
    """Return the stage of a method of the caption stream."""
    return {
        "hear": LISTENING,
        "end_of_audio": LISTENING,
        "recognize": REST,
    }.get(name)


class LiveClock:
    """When things would happen live, of a stream that is read as fast as it goes.

    One worker takes the blocks in order, each from its last sample's time on, or when it
    has done with those before; time spent getting a block from its file counts nothing.

    Args:
        clock: Seconds that only rise.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._live_s = 0.0
        self._since_s = clock()

    @property
    def now_s(self) -> float:
        """Seconds since the stream began."""
        return self._live_s + self._clock() - self._since_s

    def go_on(self, live_s: float) -> None:
        """Let the worker begin something at a time."""
        self._live_s = live_s
        self._since_s = self._clock()


class ArrivingSource:
    """A source whose blocks move live clocks on; otherwise as it is.

    Args:
        source: Gives audio as fast as it is taken.
        clocks: Moved.

    Attributes:
        heard_s: Stream time of the newest audio given out.
    """

    def __init__(self, source: AudioSource, *clocks: LiveClock) -> None:
        self._source = source
        self._clocks = clocks
        self.name = source.name
        self.lossless = source.lossless
        self.heard_s = 0.0

    def __enter__(self) -> Self:
        self._source.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._source.__exit__(*error)

    def __iter__(self) -> Iterator[AudioBlock | Notice]:
        items = iter(self._source)
        while True:
            done = [clock.now_s for clock in self._clocks]
            item = next(items, None)
            if isinstance(item, AudioBlock):
                self.heard_s = item.end / SAMPLE_RATE
            for clock, done_s in zip(self._clocks, done, strict=True):
                clock.go_on(max(done_s, self.heard_s))
            if item is None:
                return
            yield item

    def stop(self) -> None:
        """End the iteration soon."""
        self._source.stop()
