"""The whole live path without threads: audio in, events out, accounts kept.

``run_inline`` calls its steps from one loop, ``ThreadedRunner`` the first from
its feature thread and the others from its recognition thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.events import (
    Event,
    FinalTranscript,
    Notice,
    PartialTranscript,
    Status,
    Summary,
)
from streamer.levels import LevelMeter
from streamer.listening import Listener, ListenerItem
from streamer.recognizer import StreamingRecognizer
from streamer.recorder import BlockRecorder

Work = ListenerItem | Notice


@dataclass(frozen=True)
class Heard:
    """What one step of the front end gives to the recogniser.

    Attributes:
        work: What it heard and notices, in order.
        end: Stream index up to which audio has been heard.
    """

    work: tuple[Work, ...]
    end: int


class CaptionStream:
    """One stream of captions.

    Args:
        listener: Computes features and finds voice activity.
        recognizer: Finds utterances and reads them.
        clock: Seconds that only rise; used for the cost of computing alone.
        recorder: Keeps the audio, if given.

    :meth:`hear` and :meth:`end_of_audio` belong to one thread, :meth:`recognize` to one
    thread, which may be another.
    """

    def __init__(
        self,
        listener: Listener,
        recognizer: StreamingRecognizer,
        clock: Callable[[], float],
        recorder: BlockRecorder | None = None,
    ) -> None:
        self._listener = listener
        self._recognizer = recognizer
        self._clock = clock
        self._recorder = recorder
        self._meter = LevelMeter()
        self._heard = 0
        self._recognized = 0
        self._lost = 0
        self._speech_s = 0.0
        self._listening_s = 0.0
        self._reading_s = 0.0
        self._utterances = self._words = self._partials = 0

    def hear(self, item: AudioBlock | Notice) -> Heard:
        """Take audio or a notice of the source, in the order in which they came."""
        started = self._clock()
        work: list[Work]
        if isinstance(item, Notice):
            work = [item]
            if item.kind == "device_lost":
                work += self._listener.flush("gap")
        else:
            self._heard = item.end
            self._lost += item.lost_before
            work = list(self._meter.push(item))
            if self._recorder is not None:
                work += self._recorder.push(item)
            work += self._listener.push(item)
        self._listening_s += self._clock() - started
        return Heard(tuple(work), self._heard)

    def end_of_audio(self) -> Heard:
        """End the utterance that goes on; the last step of hearing."""
        return Heard(tuple(self._listener.flush()), self._heard)

    def recognize(self, heard: Heard, hurried: bool = False) -> list[Event]:
        """Take what was heard and return the transcripts, gaps and notices that follow.

        Args:
            heard: The next step of :meth:`hear`.
            hurried: Whether there is no time for partials.
        """
        started = self._clock()
        events: list[Event] = []
        for item in heard.work:
            events += [item] if isinstance(item, Notice) else self._recognizer.push(item, hurried)
        self._recognized = heard.end
        self._reading_s += self._clock() - started
        self._count(events)
        return events

    def _count(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, PartialTranscript):
                self._partials += 1
            elif isinstance(event, FinalTranscript):
                self._utterances += 1
                self._words += len(event.words)
                self._speech_s += event.end_s - event.start_s

    @property
    def speaking(self) -> bool:
        """Whether an utterance goes on, as far as recognition has come."""
        return self._recognizer.speaking

    def status(self, captured: int) -> Status:
        """Return the state of the stream.

        Args:
            captured: Stream index up to which audio has been captured.
        """
        return Status(
            audio_s=captured / SAMPLE_RATE,
            level_db=self._meter.level_db,
            lag_s=max(0, captured - self._recognized) / SAMPLE_RATE,
            lost_s=self._lost / SAMPLE_RATE,
            speaking=self.speaking,
        )

    def summary(self) -> Summary:
        """Return the accounts so far."""
        audio_s = self._heard / SAMPLE_RATE
        return Summary(
            audio_s=audio_s,
            speech_s=self._speech_s,
            lost_s=self._lost / SAMPLE_RATE,
            rtf=(self._listening_s + self._reading_s) / audio_s if audio_s else 0.0,
            utterances=self._utterances,
            words=self._words,
            partials=self._partials,
        )
