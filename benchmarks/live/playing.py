"""Stream a tape through the live path, and keep what comes out with its times."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from benchmarks.live.clocks import (
    ArrivingSource,
    LiveClock,
    Metered,
    Stopwatch,
    of_final_decoder,
    of_network,
    of_partial_decoder,
    of_stream,
)
from benchmarks.live.tapes import Tape
from model.acoustic import AcousticModel
from streamer.app import build_stream, decoders_for
from streamer.decoders import Decoders
from streamer.events import Event, Status, Summary
from streamer.recognizer import NewSettler
from streamer.replay import WavReplaySource
from streamer.runner import ThreadedRunner, run_inline
from streamer.settings import LiveSettings
from streamer.settler import WordSettler

Pace = Literal["real", "max"]


@dataclass(frozen=True)
class Told:
    """An event and when it came, in seconds since its stream began.

    Attributes:
        event: The event.
        stream_s: Stream time of the audio that had been taken; the same in every run at
            full speed.
        wall_s: By the wall clock; at full speed what it would have been live, with one
            worker.
        cpu_s: The same by processor time; None at the pace of speech.
    """

    event: Event
    stream_s: float
    wall_s: float
    cpu_s: float | None = None


@dataclass(frozen=True)
class Play:
    """What came of a tape.

    Attributes:
        told: Events in order, without statuses and the summary.
        summary: The accounts of the stream.
        spent_s: Processor time by stage, seconds.
    """

    told: tuple[Told, ...]
    summary: Summary
    spent_s: dict[str, float]


class _Keeper:
    """A sink that keeps events with their times."""

    def __init__(self, tell: Callable[[Event, float], Told]) -> None:
        self._tell = tell
        self.told: list[Told] = []
        self.summary: Summary | None = None

    def emit(self, event: Event, emitted_s: float) -> None:
        if isinstance(event, Summary):
            self.summary = event
        elif not isinstance(event, Status):
            self.told.append(self._tell(event, emitted_s))

    def close(self) -> None:
        """Nothing to finish."""


class LossyReplay(WavReplaySource):
    """Recordings at the pace of speech from which audio may be dropped, as a microphone's."""

    @property
    def lossless(self) -> bool:
        """False: it does not wait."""
        return False


class Player:
    """Streams tapes, one after the other, as ``run_live.py`` does.

    Args:
        settings: Of the live path.
        acoustic: Shared model.
        pace: As they were spoken, with threads; or as fast as it goes, in one loop.
        settler: Gives each utterance what shows and settles its words.
    """

    def __init__(
        self,
        settings: LiveSettings,
        acoustic: AcousticModel,
        pace: Pace,
        settler: NewSettler = WordSettler,
    ) -> None:
        self.decoders = decoders_for(settings, acoustic, thrifty=pace == "real")
        self._settings = settings
        self._acoustic = acoustic
        self._pace = pace
        self._settler = settler

    def play(self, tape: Tape) -> Play:
        """Stream a tape from its beginning to its end.

        Raises:
            CaptionerError: If a stage failed.
        """
        # Each thread's own time would miss the threads of an engine that has some.
        clock = time.process_time if self._pace == "max" else time.thread_time
        watch = Stopwatch(clock)
        stream = Metered(self._stream(watch), watch, of_stream)
        kind = WavReplaySource if self._pace == "max" else LossyReplay
        source = kind([tape.path], self._pace, self._settings.audio.block_ms)
        play = self._play_fast if self._pace == "max" else self._play_live
        with source:
            keeper = play(source, stream)
        assert keeper.summary is not None
        return Play(tuple(keeper.told), keeper.summary, dict(watch.spent_s))

    def _stream(self, watch: Stopwatch) -> Any:
        acoustic: Any = Metered(self._acoustic, watch, of_network)
        final: Any = Metered(self.decoders.final, watch, of_final_decoder)
        partial: Any = Metered(self.decoders.partial, watch, of_partial_decoder)
        decoders: Decoders = replace(self.decoders, final=final, partial=partial)
        return build_stream(self._settings, acoustic, None, decoders, settler=self._settler)

    def _play_fast(self, source: WavReplaySource, stream: Any) -> _Keeper:
        wall, processor = LiveClock(time.perf_counter), LiveClock(time.process_time)
        arriving = ArrivingSource(source, wall, processor)
        keeper = _Keeper(
            lambda event, _: Told(event, arriving.heard_s, wall.now_s, processor.now_s)
        )
        run_inline(arriving, stream, keeper)
        return keeper

    def _play_live(self, source: WavReplaySource, stream: Any) -> _Keeper:
        keeper = _Keeper(lambda event, emitted_s: Told(event, emitted_s, emitted_s))
        ThreadedRunner(source, stream, keeper, self._settings.audio.ring_s).run()
        return keeper
