"""What the program tells the world, in the order in which it learns it.

All ``*_s`` values are seconds of stream time: sample counts divided by the
sample rate, never read from a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

EndReason = Literal["silence", "longest", "gap", "end"]
"""Why an utterance ended: a pause, its length, lost audio, or the stream's end."""

SCHEMA_VERSION = 1
"""Of the JSON Lines output; raised when a field changes its meaning or is taken away."""


@dataclass(frozen=True)
class StreamStarted:
    """The program listens.

    Attributes:
        source: Name of the device or file.
        model: Name of the model bundle.
    """

    source: str
    model: str


@dataclass(frozen=True)
class Word:
    """A recognised word.

    Attributes:
        word: The word.
        start_s: Where it starts, seconds of stream time.
        end_s: Where it ends, seconds of stream time.
        confidence: 0 to 1.
    """

    word: str
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True)
class PartialTranscript:
    """What an utterance that goes on sounds like so far.

    Attributes:
        utterance: Number of the utterance, from 1.
        stable: Settled words; later partials of the utterance and its final start with them.
        tail: Words that may still change.
        start_s: Where the utterance starts.
        audio_s: Stream time up to which audio was used.
    """

    utterance: int
    stable: str
    tail: str
    start_s: float
    audio_s: float


@dataclass(frozen=True)
class FinalTranscript:
    """What an utterance was found to say.

    Attributes:
        utterance: Number of the utterance, from 1.
        text: Its words, separated by single spaces; may be empty.
        words: The words with their times.
        start_s: Where the utterance starts.
        end_s: Where it ends.
        audio_s: Stream time up to which audio had been heard.
        reason: Why it ended.
    """

    utterance: int
    text: str
    words: tuple[Word, ...]
    start_s: float
    end_s: float
    audio_s: float
    reason: EndReason


@dataclass(frozen=True)
class AudioGap:
    """Audio that was lost, by overload or by a device that went away.

    Attributes:
        start_s: Where the gap starts.
        lost_s: How long it is.
    """

    start_s: float
    lost_s: float


@dataclass(frozen=True)
class Notice:
    """Something the user should know.

    Attributes:
        kind: A short name that programs can rely on, such as ``device_lost``,
            ``device_back``, ``device_awaited``, ``device_busy``, ``device_changed``,
            ``device_hangs``, ``device_moved``, ``device_pace``, ``input_silent``,
            ``input_clipping``, ``writer_stopped``, ``no_language_model``, ``hotwords``,
            ``decoding_slow``, ``decoding_recovered``.
        text: One sentence with the remedy, for people.
        level: How bad it is.
    """

    kind: str
    text: str
    level: Literal["info", "warning", "error"] = "warning"


@dataclass(frozen=True)
class Status:
    """The state of the stream, several times a second; for displays only.

    Attributes:
        audio_s: Stream time captured.
        level_db: Level of the last audio, dB of full scale; -100 for silence.
        lag_s: Audio captured and not yet recognised.
        lost_s: Audio lost so far.
        speaking: Whether an utterance is going on.
    """

    audio_s: float
    level_db: float
    lag_s: float
    lost_s: float
    speaking: bool


@dataclass(frozen=True)
class Summary:
    """The last event of a stream.

    Attributes:
        audio_s: Stream time captured, gaps included.
        speech_s: Seconds inside utterances.
        lost_s: Seconds lost.
        rtf: Real-time factor: seconds of computing for a second of audio.
        utterances: Number of finals.
        words: Number of words in finals.
        partials: Number of partials.
    """

    audio_s: float
    speech_s: float
    lost_s: float
    rtf: float
    utterances: int
    words: int
    partials: int


Event = StreamStarted | PartialTranscript | FinalTranscript | AudioGap | Notice | Status | Summary


class EventSink(Protocol):
    """Shows or writes events.  Called from one thread at a time, in order."""

    def emit(self, event: Event, emitted_s: float) -> None:
        """Take an event.

        Args:
            event: Sinks pass over kinds that they have no use for.
            emitted_s: Seconds since the stream began, by the wall clock.

        Raises:
            OutputError: If it cannot be written; the sink is then used no more.
        """
        ...

    def close(self) -> None:
        """Leave what was shown or written in a finished state; called once, always."""
        ...
