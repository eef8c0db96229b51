"""From corrected recordings to clips with transcripts, as training takes them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import soundfile

from model.alphabet import Alphabet, frames_needed
from model.bundle import ModelBundle
from model.corpora.manifest import Utterance
from model.corpora.spelling import spell_out
from model.errors import AudioFileError
from model.text import normalise_text
from streamer.audio import SAMPLE_RATE
from streamer.web.private import FILE_MODE

CONTEXT_S = 0.2
"""Sound before and after a segment that its clip has too, up to half of the way to the next."""

SHORTEST_S, LONGEST_S = 0.3, 17.0
"""Lengths of the clips that are learned from; longer ones do not fit the recipe's batches."""

CORPUS = "corrections"
"""Name of the corpus in manifests."""

Reason = Literal["empty", "unspellable", "short", "long", "crowded", "no_audio"]

REASONS: dict[Reason, str] = {
    "empty": "nothing was said",
    "unspellable": "has signs that the model cannot spell",
    "short": f"shorter than {SHORTEST_S:g} s",
    "long": f"longer than {LONGEST_S:g} s",
    "crowded": "more letters than the sound has room for",
    "no_audio": "has no sound",
}
"""Why a segment is left out."""


class CorrectedSegment(Protocol):
    """A stretch of a recording and what was said in it, as its user typed it."""

    @property
    def start_s(self) -> float: ...

    @property
    def end_s(self) -> float: ...

    @property
    def text(self) -> str: ...


class CorrectedRecording(Protocol):
    """A recording that its user corrected or confirmed."""

    @property
    def id(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def audio(self) -> Path: ...

    @property
    def segments(self) -> Sequence[CorrectedSegment]: ...


@dataclass(frozen=True)
class Clip:
    """A segment to learn from or to judge by.

    Attributes:
        recording: Id of its recording.
        number: Of the segment in the recording, from 0.
        start: First sample.
        end: Sample after the last one.
        text: Normalised.
    """

    recording: str
    number: int
    start: int
    end: int
    text: str

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return (self.end - self.start) / SAMPLE_RATE

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"{self.recording}-{self.number:04d}.flac"


@dataclass(frozen=True)
class Cut:
    """A recording cut into clips.

    Attributes:
        clips: Those that can be used.
        left_out: How many segments cannot be, by reason.
    """

    clips: tuple[Clip, ...]
    left_out: Counter[Reason]


class Cutter:
    """Cuts recordings into clips that a model can learn from.

    Args:
        bundle: The model; tells what can be spelled, and how fast.
    """

    def __init__(self, bundle: ModelBundle) -> None:
        self._alphabet: Alphabet = bundle.alphabet
        self._features = bundle.features
        self._network = bundle.network

    def cut(self, recording: CorrectedRecording) -> Cut:
        """Return the clips of a recording, none of which overlaps another."""
        samples = length_of(recording.audio)
        clips, left_out = [], Counter[Reason]()
        spans = _spans(recording.segments, samples)
        for number, (segment, (start, end)) in enumerate(
            zip(recording.segments, spans, strict=True)
        ):
            text = self._spelt(segment.text)
            reason = self._reason(text, start, end)
            if text is None or reason:
                left_out[reason or "unspellable"] += 1
            else:
                clips.append(Clip(recording.id, number, start, end, text))
        return Cut(tuple(clips), left_out)

    def _spelt(self, text: str) -> str | None:
        """Return a text as the model writes it; None where it cannot."""
        try:
            return normalise_text(spell_out(text), self._alphabet)
        except ValueError:
            return None

    def _reason(self, text: str | None, start: int, end: int) -> Reason | None:
        """Return why a clip cannot be used; None where it can."""
        if text is None:
            return "unspellable"
        if not text:
            return "empty"
        if end <= start:
            return "no_audio"
        if end - start < SHORTEST_S * SAMPLE_RATE:
            return "short"
        if end - start > LONGEST_S * SAMPLE_RATE:
            return "long"
        return "crowded" if self._needed(text) > self._frames(end - start) else None

    def _needed(self, text: str) -> int:
        return frames_needed(np.asarray(self._alphabet.encode(text), np.int32))

    def _frames(self, samples: int) -> int:
        at_model_rate = samples * self._features.sample_rate // SAMPLE_RATE
        return int(self._network.output_frames(self._features.frames_in(at_model_rate)))


def length_of(audio: Path) -> int:
    """Return the number of samples of a recording; 0 where it cannot be read."""
    try:
        return int(soundfile.info(str(audio)).frames)
    except (OSError, soundfile.SoundFileError):
        return 0


def write_clips(audio: Path, clips: Sequence[Clip], folder: Path) -> list[Utterance]:
    """Write clips as FLAC files for their owner only, and return their rows of a manifest.

    Args:
        audio: The recording that they are of.
        clips: In the order of time.
        folder: Where they go.

    Raises:
        AudioFileError: If the recording cannot be read.
        OSError: If a clip cannot be written.
    """
    rows = []
    try:
        with soundfile.SoundFile(str(audio)) as file:
            for clip in clips:
                file.seek(clip.start)
                samples = file.read(clip.end - clip.start, dtype="int16")
                path = folder / clip.file
                _write_flac(path, samples)
                seconds = len(samples) / SAMPLE_RATE
                rows.append(
                    Utterance(path, clip.text, seconds, speaker=clip.recording, corpus=CORPUS)
                )
    except soundfile.SoundFileError as error:
        raise AudioFileError(
            f"{audio}: a recording that was corrected cannot be read ({error}); delete it in the "
            "library to learn from the others"
        ) from error
    return rows


def _write_flac(path: Path, samples: np.ndarray) -> None:
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    with os.fdopen(number, "w+b") as file:
        soundfile.write(file, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")


def _spans(segments: Sequence[CorrectedSegment], samples: int) -> list[tuple[int, int]]:
    """Return first sample and end of each clip: its segment with some context.

    Two neighbours share the silence between them; where they overlap, each gives up half.
    """
    middles = accumulate(
        ((one.end_s + other.start_s) / 2 for one, other in pairwise(segments)), max
    )
    bounds = [0.0, *middles, samples / SAMPLE_RATE]
    spans = []
    for segment, low, high in zip(segments, bounds, bounds[1:], strict=False):
        start_s = max(low, segment.start_s - CONTEXT_S)
        end_s = min(high, segment.end_s + CONTEXT_S)
        start, end = (min(samples, round(max(0.0, s) * SAMPLE_RATE)) for s in (start_s, end_s))
        spans.append((start, max(start, end)))
    return spans
