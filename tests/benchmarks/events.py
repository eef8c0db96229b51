"""Events of a stream, made by hand."""

from __future__ import annotations

from benchmarks.live.captions import Caption, captions_of
from benchmarks.live.playing import Told
from streamer.events import EndReason, Event, FinalTranscript, PartialTranscript, Word


class Kept:
    """Keeps transcripts."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event, emitted_s: float) -> None:
        if isinstance(event, PartialTranscript | FinalTranscript):
            self.events.append(event)

    def close(self) -> None: ...


def told(event: Event, wall_s: float = 0.0, cpu_s: float | None = None) -> Told:
    """Return an event that came at a time."""
    return Told(event, wall_s, wall_s, cpu_s)


def partial(text: str, audio_s: float, utterance: int = 1) -> PartialTranscript:
    """Return a partial of ``stable | tail``; without the bar all of it is the tail."""
    stable, _, tail = text.rpartition("|")
    return PartialTranscript(utterance, stable.strip(), tail.strip(), 0.0, audio_s)


def final(
    text: str,
    audio_s: float,
    utterance: int = 1,
    start_s: float = 0.0,
    reason: EndReason = "silence",
) -> FinalTranscript:
    """Return a final whose words are half a second long each."""
    words = tuple(
        Word(word, start_s + place / 2, start_s + place / 2 + 0.5, 1.0)
        for place, word in enumerate(text.split())
    )
    end_s = start_s + max(1.0, len(words) / 2)
    return FinalTranscript(utterance, text, words, start_s, end_s, audio_s, reason)


def caption(*texts: str) -> Caption:
    """Return an utterance of texts at 1, 2, ... seconds, the last of which is the final.

    Each comes a tenth of a second behind its audio.
    """
    shown: list[PartialTranscript | FinalTranscript] = [
        partial(text, place) for place, text in enumerate(texts[:-1], 1)
    ]
    shown.append(final(texts[-1], len(texts)))
    (found,) = captions_of(told(event, event.audio_s + 0.1) for event in shown)
    return found
