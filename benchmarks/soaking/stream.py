"""Hours of stream made of a few recordings, every place of which is known.

A turn is a stretch of room noise with a recording behind it, on the same noise.  Turns
begin at whole steps of 0.3 s, so that a recording lies in the same way on
the grid of feature frames whenever it comes.  Inside of some recordings audio is lost, and
between some turns: there any number of samples, so that the grid begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from typing_extensions import Self

from model.audio import read_audio
from model.corpora.manifest import Utterance
from model.variation.noises import coloured_noise
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.events import Notice

STEP = 3 * SAMPLE_RATE // 10
"""Samples that turns begin at multiples of, counted from the last loss; a multiple of every
length of frame that features and voice activity have."""

PAUSE_S = (1.5, 6.0)
"""Shortest and longest stretch of noise before a recording."""

LEVELS_DB = (-90.0, -70.0, -60.0, -50.0)
"""Levels of the noise, dB of full scale; one is drawn for each turn."""

LOSS_EVERY = 12
"""Turns from one loss of audio to the next: by turns before a recording and inside of one."""

LOST_S = (0.05, 3.0)
"""Shortest and longest loss."""

MINUTE = 60 * SAMPLE_RATE

NOISE_S = 20
"""Length of the noise that is repeated without end."""


@dataclass(frozen=True)
class Recording:
    """Speech to place.

    Attributes:
        name: Of its file.
        text: What it says.
        samples: float32 (n,), n a multiple of ``STEP``.
    """

    name: str
    text: str
    samples: np.ndarray


@dataclass(frozen=True)
class Turn:
    """A stretch of the stream: perhaps a loss, then noise, then a recording.

    Attributes:
        start: Index of its first sample in the stream, behind the loss.
        lost_before: Samples lost just before ``start``.
        pause: Samples of noise before the recording.
        recording: Which one.
        length: Samples of it.
        level_db: Of the noise.
        hole: Samples lost in the middle of the recording, 0 for nearly all.
    """

    start: int
    lost_before: int
    pause: int
    recording: int
    length: int
    level_db: float
    hole: int

    @property
    def speech_start(self) -> int:
        """Index in the stream of the first sample of the recording."""
        return self.start + self.pause

    @property
    def end(self) -> int:
        """Index in the stream of the sample behind the recording."""
        return self.speech_start + self.length

    @property
    def hole_at(self) -> int:
        """Samples from ``start`` to the middle of the recording, where the hole may be."""
        return self.pause + self.length // 2 // STEP * STEP

    @property
    def losses(self) -> list[tuple[int, int]]:
        """Index of the first lost sample and number of them, for each loss."""
        before = [(self.start - self.lost_before, self.lost_before)]
        inside = [(self.start + self.hole_at, self.hole)]
        return [loss for loss in before + inside if loss[1]]


def load_recordings(rows: Sequence[Utterance]) -> list[Recording]:
    """Read recordings and fill the last step of each with silence.

    Raises:
        AudioFileError: If one cannot be read.
    """
    found = []
    for row in rows:
        samples = read_audio(row.audio, SAMPLE_RATE)
        whole = np.pad(samples, (0, -len(samples) % STEP))
        found.append(Recording(row.audio.name, row.text, whole))
    return found


def plan(
    recordings: Sequence[Recording], seconds: float, seed: int, quiet: float = 0.0
) -> Iterator[Turn]:
    """Yield turns until the stream is ``seconds`` long; the same for the same arguments.

    Each recording comes once before any comes again, each time in another order.

    Args:
        recordings: What is said.
        seconds: Least length of the stream.
        seed: Of what is random.
        quiet: Share of the time without speech, below 1; 0 for pauses of ``PAUSE_S``.
    """
    shortest_s, longest_s = _pauses_s(recordings, quiet) if quiet else PAUSE_S
    random = np.random.default_rng(seed)
    order: list[int] = []
    position = 0
    for number in count(1):
        if position >= seconds * SAMPLE_RATE:
            return
        if not order:
            order = random.permutation(len(recordings)).tolist()
        chosen = order.pop()
        losses, turns = divmod(number, LOSS_EVERY)
        lost = 0 if turns else round(random.uniform(*LOST_S) * SAMPLE_RATE)
        length = len(recordings[chosen].samples)
        inside = losses % 2 == 1
        turn = Turn(
            start=position + (0 if inside else lost),
            lost_before=0 if inside else lost,
            pause=round(random.uniform(shortest_s, longest_s) * SAMPLE_RATE) // STEP * STEP,
            recording=chosen,
            length=length,
            level_db=float(random.choice(LEVELS_DB)),
            hole=min(lost, length // 3) // STEP * STEP if inside else 0,
        )
        yield turn
        position = turn.end


def _pauses_s(recordings: Sequence[Recording], quiet: float) -> tuple[float, float]:
    """Return the shortest and the longest pause that leave so much of the time quiet."""
    spoken_s = sum(len(r.samples) for r in recordings) / len(recordings) / SAMPLE_RATE
    mean_s = spoken_s * quiet / (1 - quiet)
    return PAUSE_S[0], max(2 * mean_s - PAUSE_S[0], PAUSE_S[0])


class LongSource:
    """The turns as a source that gives its audio out as fast as it is taken.

    Counts in ``given`` the turns that it has begun to give out, and in ``heard_s`` the
    seconds of stream.

    Args:
        recordings: What the turns place.
        turns: From :func:`plan`.
        block_ms: Length of the blocks, milliseconds; those before a loss are shorter.
        on_minute: Called with minutes of stream, at the end of the first pause behind each
            whole minute, when no utterance goes on.
    """

    name = "long stream"
    lossless = True

    def __init__(
        self,
        recordings: Sequence[Recording],
        turns: Iterator[Turn],
        block_ms: int = 32,
        on_minute: Callable[[float], None] = lambda minutes: None,
    ) -> None:
        self._recordings = recordings
        self._turns = turns
        self._block = block_ms * SAMPLE_RATE // 1000
        self._on_minute = on_minute
        noise = coloured_noise("pink", NOISE_S * SAMPLE_RATE, SAMPLE_RATE, np.random.default_rng(0))
        self._noise = noise
        self._stopped = False
        self.given = 0
        self.heard_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the iteration with the turn that goes on."""
        self._stopped = True

    def __iter__(self) -> Iterator[AudioBlock | Notice]:
        due = MINUTE
        for turn in self._turns:
            if self._stopped:
                return
            self.given += 1
            for block in self._blocks(turn):
                if block.end > turn.speech_start >= due:
                    self._on_minute(turn.speech_start / MINUTE)
                    due = (turn.speech_start // MINUTE + 1) * MINUTE
                self.heard_s = block.end / SAMPLE_RATE
                yield block

    def _blocks(self, turn: Turn) -> Iterator[AudioBlock]:
        """Cut a turn into blocks, leaving out what is lost."""
        samples = self._samples(turn)
        lost = turn.lost_before
        for first, last in ((0, turn.hole_at), (turn.hole_at + turn.hole, len(samples))):
            for begin in range(first, last, self._block):
                piece = samples[begin : min(begin + self._block, last)]
                yield AudioBlock(piece, turn.start + begin, lost)
                lost = 0
            lost = turn.hole

    def _samples(self, turn: Turn) -> np.ndarray:
        """Return the noise with the recording on it, float32 (pause + length,)."""
        size = turn.pause + turn.length
        noise = np.resize(self._noise, size) * np.float32(10 ** (turn.level_db / 20))
        noise[turn.pause :] += self._recordings[turn.recording].samples
        return np.clip(noise, -1.0, 1.0)
