"""Judge what came of a tape: its words against the references, and when each was shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.live.captions import Caption, Flicker, captions_of, flicker, settled_at, shown_at
from benchmarks.live.playing import Play, Told
from benchmarks.live.tapes import Clip, Tape
from lm.alignment import align_whole
from lm.decoder import Decoder
from model.acoustic import AcousticModel
from model.evaluation.rates import align_words
from streamer.audio import SAMPLE_RATE
from streamer.events import AudioGap, FinalTranscript, Word

LOUDEST_DB = 25.0
"""How far below the loudest sound the last one may be that still counts as speech."""

LEVEL_SAMPLES, LEVEL_HOP = 400, 160
"""Samples that a level is of, and from one level to the next."""


@dataclass(frozen=True)
class Texts:
    """What a recording says and what was read.

    Attributes:
        corpus: That it is of.
        reference: What it says.
        live: The live finals.
        offline: The reading of the whole recording.
        speaker: Who says it, or "".
    """

    corpus: str
    reference: str
    live: str
    offline: str
    speaker: str = ""


@dataclass(frozen=True)
class Delay:
    """How long something took, in seconds; see :class:`benchmarks.live.playing.Told`.

    Attributes:
        stream_s: In stream time.
        wall_s: With computing, by the wall clock.
        cpu_s: With computing, by processor time, or None.
    """

    stream_s: float
    wall_s: float
    cpu_s: float | None


@dataclass(frozen=True)
class WordTimes:
    """A word of a final.

    Attributes:
        correct: Whether the reference has it there.
        latency: From its end to its being shown for good.
        settling_s: From its end to its being settled, in stream time.
    """

    correct: bool
    latency: Delay
    settling_s: float


@dataclass(frozen=True)
class FinalTimes:
    """A final with words.

    Attributes:
        reason: Why the utterance ended.
        latency: From the end of the last word to the final.
        computing: From the end of the audio that the decision to end it needed.
    """

    reason: str
    latency: Delay
    computing: Delay


@dataclass
class Judged:
    """What was measured on one tape or several.

    Attributes:
        texts: Of each recording.
        words: Of the finals.
        finals: Those with words.
        flicker: Of all utterances.
        settled_early: Words that a partial settled.
        ended: Utterances by why they ended, those without words too.
        partials: Number of partials.
        speech_s: Seconds inside utterances.
        audio_s: Seconds streamed.
        lost_samples: Samples streamed that were not heard.
        gaps: Times that audio was lost.
        spent_s: Processor time by stage.
        end_offsets_s: How far behind the last sound the last word ends, for each
            recording alone whose last word is right.
    """

    texts: list[Texts] = field(default_factory=list)
    words: list[WordTimes] = field(default_factory=list)
    finals: list[FinalTimes] = field(default_factory=list)
    flicker: Flicker = field(default_factory=Flicker)
    settled_early: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    partials: int = 0
    speech_s: float = 0.0
    audio_s: float = 0.0
    lost_samples: int = 0
    gaps: int = 0
    spent_s: dict[str, float] = field(default_factory=dict)
    end_offsets_s: list[float] = field(default_factory=list)

    def add(self, other: Judged) -> None:
        """Count another tape as well."""
        self.texts += other.texts
        self.words += other.words
        self.finals += other.finals
        self.end_offsets_s += other.end_offsets_s
        self.flicker += other.flicker
        for name in ("settled_early", "partials", "speech_s", "audio_s", "lost_samples", "gaps"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for reason, count in other.ended.items():
            self.ended[reason] = self.ended.get(reason, 0) + count
        for stage, spent_s in other.spent_s.items():
            self.spent_s[stage] = self.spent_s.get(stage, 0.0) + spent_s


class Offline:
    """The same models on audio that is all there.

    Args:
        acoustic: The network.
        decoder: Reads finals.
    """

    def __init__(self, acoustic: AcousticModel, decoder: Decoder) -> None:
        self._acoustic = acoustic
        self._decoder = decoder

    def text(self, samples: np.ndarray) -> str:
        """Return the most careful reading of float32 (n,)."""
        return self._decoder.decode(self._log_probs(samples, final=True)).text

    def word_ends(self, samples: np.ndarray, final: FinalTranscript) -> list[float]:
        """Return where the words of a final end, seconds of stream time.

        By forced alignment (see :mod:`lm.alignment`) with one reading of the utterance by
        the network: the mean of shifted readings would blur the times.

        Args:
            samples: float32 (n,), the whole stream.
            final: Its text is taken to be true.
        """
        start = round(final.start_s * SAMPLE_RATE)
        log_probs = self._log_probs(samples[start : round(final.end_s * SAMPLE_RATE)], final=False)
        texts = [word.word for word in final.words]
        spans = align_whole(log_probs, texts, self._acoustic.bundle.alphabet)
        return [(start + end * self._acoustic.frame_samples) / SAMPLE_RATE for _, end in spans]

    def _log_probs(self, samples: np.ndarray, final: bool) -> np.ndarray:
        return self._acoustic.log_probs(self._acoustic.extractor.extract(samples), final=final)


def judge(
    tape: Tape, play: Play, ends: Sequence[Sequence[float]], offline: Sequence[str]
) -> Judged:
    """Return what was measured on a tape.

    Args:
        tape: What was streamed.
        play: What came of it.
        ends: For each final in order, where its words end, seconds.
        offline: The reading of each recording on it as a whole.
    """
    captions = captions_of(play.told)
    texts, correct = _texts(tape, captions, offline)
    judged = Judged(
        texts=texts,
        partials=play.summary.partials,
        audio_s=len(tape.samples) / SAMPLE_RATE,
        gaps=sum(isinstance(told.event, AudioGap) for told in play.told),
        spent_s=dict(play.spent_s),
    )
    heard_s = play.summary.audio_s - play.summary.lost_s
    judged.lost_samples = len(tape.samples) - round(heard_s * SAMPLE_RATE)
    rest = iter(correct)
    for caption, caption_ends in zip(captions, ends, strict=True):
        flags = [next(rest) for _ in caption.final.words]
        judged.add(judge_caption(caption, caption_ends, flags))
    if len(tape.clips) == 1 and correct and correct[-1]:
        last = [end for caption_ends in ends for end in caption_ends][-1]
        judged.end_offsets_s = [last - sound_end(tape.samples)]
    return judged


def _texts(
    tape: Tape, captions: Sequence[Caption], offline: Sequence[str]
) -> tuple[list[Texts], list[bool]]:
    """Return the texts of each recording, and whether each word of the finals is right."""
    words = [word for caption in captions for word in caption.final.words]
    places = clips_of(words, tape.clips)
    texts: list[Texts] = []
    correct: list[bool] = []
    for number, (clip, text) in enumerate(zip(tape.clips, offline, strict=True)):
        own = [word.word for word, place in zip(words, places, strict=True) if place == number]
        row = clip.row
        texts.append(Texts(row.corpus, row.text, " ".join(own), text, row.speaker))
        correct += correct_words(row.text, own)
    return texts, correct


def judge_caption(caption: Caption, ends: Sequence[float], correct: Sequence[bool]) -> Judged:
    """Return what was measured on an utterance.

    Args:
        caption: What was shown of it.
        ends: Where each word of the final ends, seconds of stream time.
        correct: Whether each is.
    """
    final = caption.final
    settled, early = settled_at(caption)
    words = [
        WordTimes(flag, _delay(shown_s, told, end), settled_s - end)
        for end, flag, (shown_s, told), settled_s in zip(
            ends, correct, shown_at(caption), settled, strict=True
        )
    ]
    return Judged(
        words=words,
        finals=[_final_times(caption, ends[-1])] if ends else [],
        flicker=flicker(caption),
        settled_early=early,
        ended={final.reason: 1},
        speech_s=final.end_s - final.start_s,
    )


def clips_of(words: Sequence[Word], clips: Sequence[Clip]) -> list[int]:
    """Return the number of the recording that each word belongs to.

    The one that the middle of the word lies in, or is nearest to; never one before that of
    the word before.
    """
    numbers: list[int] = []
    for word in words:
        middle = (word.start_s + word.end_s) / 2 * SAMPLE_RATE
        away = [max(clip.start - middle, middle - clip.end, 0.0) for clip in clips]
        nearest = int(np.argmin(away))
        numbers.append(max(nearest, numbers[-1]) if numbers else nearest)
    return numbers


def correct_words(reference: str, words: Sequence[str]) -> list[bool]:
    """Return whether each word stands in the reference at its place, by the fewest edits."""
    if not reference or not words:
        return [False] * len(words)
    pairs = align_words(reference, " ".join(words))
    return [wanted == word for wanted, word in pairs if word]


def sound_end(samples: np.ndarray) -> float:
    """Return where the last sound of float32 (n,) ends, by its level, in seconds.

    The last place within ``LOUDEST_DB`` of the loudest; a check on forced alignment that
    knows nothing of words.
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples, LEVEL_SAMPLES)[::LEVEL_HOP]
    powers = np.mean(frames.astype(np.float64) ** 2, axis=1)
    loud = np.flatnonzero(powers >= powers.max() * 10 ** (-LOUDEST_DB / 10))
    return (int(loud[-1]) * LEVEL_HOP + LEVEL_SAMPLES / 2) / SAMPLE_RATE


def _final_times(caption: Caption, end_s: float) -> FinalTimes:
    final, told = caption.final, caption.told
    latency = _delay(final.audio_s, told, end_s)
    return FinalTimes(final.reason, latency, _delay(final.audio_s, told, final.audio_s))


def _delay(audio_s: float, told: Told, since_s: float) -> Delay:
    """Return how long after a stream time an event came that had used the audio so far."""
    processor_s = None if told.cpu_s is None else told.cpu_s - since_s
    return Delay(audio_s - since_s, told.wall_s - since_s, processor_s)
