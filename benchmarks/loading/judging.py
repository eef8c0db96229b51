"""When clients were told what they said, by what is known of their recordings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.live.captions import Caption, captions_of, kept_places, shown_at
from benchmarks.live.figures import quantiles
from benchmarks.live.judging import Offline, clips_of
from benchmarks.live.playing import Told
from benchmarks.live.tapes import Tape
from benchmarks.loading.clients import BLOCK_S, Log
from model.evaluation.rates import ErrorRates, error_rates
from streamer.audio import SAMPLE_RATE
from streamer.events import Event, FinalTranscript, PartialTranscript, Word


@dataclass
class Heard:
    """What was measured of one client or several; all in seconds.

    Attributes:
        standing: For each word of a final, from its end to its being shown for good (user
            perceived latency).
        first_shown: For each word of a final, from its end to its being shown for the first
            time; it may have gone again.
        finals: For each final with words, from the end of its last word to the final.
        added: For each partial and final, from the sending of the last audio that it used
            to its coming: what computing, waiting for it and the network take.
        late: How late clients sent their blocks.
        audio_s: Audio that was sent.
        lost_s: Audio that the server did not hear.
        partials: How many there were.
        spoken: Errors of the finals against what is said.
        failures: Clients that got no summary, and why.
    """

    standing: list[float] = field(default_factory=list)
    first_shown: list[float] = field(default_factory=list)
    finals: list[float] = field(default_factory=list)
    added: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    audio_s: float = 0.0
    lost_s: float = 0.0
    partials: int = 0
    spoken: list[tuple[str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, other: Heard) -> None:
        """Count another client as well."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def figures(self) -> dict[str, Any]:
        """Return the figures: quantiles in seconds, and sums."""
        rates = errors_of(self.spoken)
        return {
            "standing_s": quantiles(self.standing),
            "first_shown_s": quantiles(self.first_shown),
            "final_s": quantiles(self.finals),
            "added_s": quantiles(self.added),
            "client_late_s": quantiles(self.late),
            "words": len(self.standing),
            "wer": round(rates.wer, 4) if rates.words else None,
            "partials_a_second": round(self.partials / max(1e-9, self.audio_s), 3),
            "audio_s": round(self.audio_s, 1),
            "lost_s": round(self.lost_s, 2),
            "failures": self.failures,
        }


def errors_of(spoken: Sequence[tuple[str, str]]) -> ErrorRates:
    """Return the errors of texts, each with what is said."""
    return error_rates([said for said, _ in spoken], [read for _, read in spoken])


def judge(tape: Tape, log: Log, offline: Offline) -> Heard:
    """Return what was measured of a client.

    Args:
        tape: What it said.
        log: What it saw.
        offline: Finds where words end.
    """
    told = list(told_of(log))
    audio_s = len(tape.samples) / SAMPLE_RATE
    heard = Heard(late=list(log.late_s), audio_s=audio_s)
    heard.added = [_added(one) for one in told]
    heard.partials = sum(isinstance(one.event, PartialTranscript) for one in told)
    captions = captions_of(told)
    for caption in captions:
        _add_caption(heard, caption, offline.word_ends(tape.samples, caption.final))
    heard.spoken = _spoken(tape, captions)
    summaries = [message for _, message in log.messages if message["type"] == "summary"]
    if summaries:
        # What the server never got because it was closed is lost too.
        heard.lost_s = max(0.0, audio_s - summaries[0]["audio_s"]) + summaries[0]["lost_s"]
    else:
        heard.lost_s = audio_s
        heard.failures = [log.failure or f"closed with {log.code}, without a summary"]
    return heard


def told_of(log: Log) -> Iterator[Told]:
    """Yield the partials and finals of a log with the times that they came at."""
    for came_s, message in log.messages:
        event = event_of(message)
        if event is not None:
            yield Told(event, came_s, came_s)


def event_of(message: dict[str, Any]) -> Event | None:
    """Return the partial or final that a message tells; None for others."""
    fields = {name: value for name, value in message.items() if name not in ("type", "emitted_s")}
    if message["type"] == "partial":
        return PartialTranscript(**fields)
    if message["type"] == "final":
        words = tuple(Word(**word) for word in fields["words"])
        return FinalTranscript(**(fields | {"words": words}))
    return None


def _added(told: Told) -> float:
    """Return how long after its audio was sent an event came."""
    assert isinstance(told.event, PartialTranscript | FinalTranscript)
    blocks = math.ceil(round(told.event.audio_s / BLOCK_S, 6))
    return told.wall_s - blocks * BLOCK_S


def _add_caption(heard: Heard, caption: Caption, ends: Sequence[float]) -> None:
    if not ends:
        return
    standing = [told.wall_s for _, told in shown_at(caption)]
    first = first_shown_at(caption)
    heard.standing += [came_s - end for came_s, end in zip(standing, ends, strict=True)]
    heard.first_shown += [came_s - end for came_s, end in zip(first, ends, strict=True)]
    heard.finals.append(caption.told.wall_s - ends[-1])


def first_shown_at(caption: Caption) -> list[float]:
    """Return for each word of the final when it was first shown at its place, if only for a while.

    A text shows a word of the final if both pair in the best alignment of the two, and its
    audio reaches to where the word begins.
    """
    final = caption.final
    shown = [(partial.audio_s, told.wall_s) for partial, told in caption.partials]
    times = [caption.told.wall_s] * len(final.words)
    for (audio_s, wall_s), text in reversed(list(zip(shown, caption.texts[:-1], strict=True))):
        places = kept_places(text, caption.texts[-1])
        for number, (place, word) in enumerate(zip(places, final.words, strict=True)):
            if place >= 0 and audio_s > word.start_s:
                times[number] = wall_s
    return times


def _spoken(tape: Tape, captions: Sequence[Caption]) -> list[tuple[str, str]]:
    """Return what each recording of a tape says, and what was read of it."""
    words = [word for caption in captions for word in caption.final.words]
    places = clips_of(words, tape.clips)
    return [
        (
            clip.row.text,
            " ".join(
                word.word for word, place in zip(words, places, strict=True) if place == number
            ),
        )
        for number, clip in enumerate(tape.clips)
    ]
