"""Recognise the recordings of a manifest as the live path does, in quiet and in noise."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from model.acoustic import AcousticModel
from model.audio import open_audio, read_audio
from model.corpora.manifest import Utterance, list_problems
from model.errors import AudioFileError
from model.evaluation.rates import ErrorRates, cosine_similarity, error_rates, greedy_text
from model.variation.perturbation import add_noise
from model.wording import counted

GREEDY = "greedy"

Read = Callable[[np.ndarray], str]
"""From log-probabilities float32 (frames, symbols) to text."""


@dataclass(frozen=True)
class Noise:
    """Noise to add to the recordings, again at each of some levels.

    Attributes:
        name: What it is, in words.
        levels: Signal-to-noise ratios in dB; see :func:`model.variation.perturbation.add_noise`.
        draw: Gives noise float32 (m,) at the model's rate, for some number of samples.
    """

    name: str
    levels: tuple[float, ...]
    draw: Callable[[int, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Reading:
    """A recording and what was recognised.

    Attributes:
        row: The recording, with its reference.
        text: The hypothesis.
        audio_s: Length of the recording in seconds.
        computing_s: Seconds from samples to text.
    """

    row: Utterance
    text: str
    audio_s: float
    computing_s: float

    @cached_property
    def rates(self) -> ErrorRates:
        """Errors of the hypothesis."""
        return error_rates([self.row.text], [self.text])

    @cached_property
    def cosine(self) -> float:
        """Cosine between the counts of words of reference and hypothesis."""
        return cosine_similarity([self.row.text], [self.text])


@dataclass(frozen=True)
class Assessment:
    """What a model made of recordings.

    Attributes:
        model: Name of its bundle.
        decoder: How its outputs were read.
        readings: Of the recordings as they are.
        noise: What was added to them, in words.
        noisy: Readings with noise, by signal-to-noise ratio in dB.
        planned: Number of all readings, noisy ones too, that were asked for.
        problems: Why recordings were left out.
    """

    model: str
    decoder: str
    readings: Sequence[Reading]
    noise: str
    noisy: dict[float, list[Reading]]
    planned: int
    problems: Sequence[str] = ()

    @property
    def done(self) -> int:
        """Number of readings that there are, noisy ones too."""
        return len(self.readings) + sum(map(len, self.noisy.values()))


@dataclass(frozen=True)
class Assessor:
    """Recognises recordings one by one, from their samples to text.

    One by one, since padding a batch changes the last bits of log-probabilities, and the
    figures are to be those of the live path.

    Attributes:
        model: Recognises.
        read: Reads its log-probabilities; the best symbol of each frame when None.
        decoder: Name of this way of reading.
        stopped: Asked between recordings whether to leave out the rest.
        clock: Seconds, for the time that computing takes.
    """

    model: AcousticModel
    read: Read | None = None
    decoder: str = GREEDY
    stopped: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.perf_counter

    def assess(
        self,
        rows: Sequence[Utterance],
        noise: Noise | None = None,
        progress: Callable[[int], None] = lambda done: None,
    ) -> Assessment:
        """Recognise recordings, as they are and then with noise at each level.

        A recording that cannot be decoded is left out and becomes a problem of the result.

        Args:
            rows: What to recognise.
            noise: What to add; nothing when None.
            progress: Called with the number of readings done.
        """
        levels = noise.levels if noise else ()
        readings: dict[float | None, list[Reading]] = {}
        problems: dict[str, None] = {}
        for turn, level in enumerate((None, *levels)):
            for done, row in enumerate(rows, turn * len(rows) + 1):
                if self.stopped():
                    break
                try:
                    reading = self._reading(row, noise, level)
                    readings.setdefault(level, []).append(reading)
                except AudioFileError as error:
                    problems[str(error)] = None
                progress(done)
        return Assessment(
            model=self.model.bundle.name,
            decoder=self.decoder,
            readings=readings.pop(None, []),
            noise=noise.name if noise else "",
            noisy={level: found for level, found in readings.items() if level is not None},
            planned=len(rows) * (1 + len(levels)),
            problems=tuple(problems),
        )

    def _reading(self, row: Utterance, noise: Noise | None, level: float | None) -> Reading:
        rate = self.model.bundle.features.sample_rate
        samples = read_audio(row.audio, rate)
        if noise is not None and level is not None:
            samples = with_noise(samples, row, noise, level)
        started = self.clock()
        text = self._recognise(samples)
        return Reading(row, text, len(samples) / rate, self.clock() - started)

    def _recognise(self, samples: np.ndarray) -> str:
        scores = self.model.log_probs(self.model.extractor.extract(samples), final=True)
        return self.read(scores) if self.read else greedy_text(scores, self.model.bundle.alphabet)


def with_noise(samples: np.ndarray, row: Utterance, noise: Noise, level: float) -> np.ndarray:
    """Return a recording with noise, the same for it wherever its manifest lies.

    Args:
        samples: float32 (n,) of the recording, perhaps with pauses around it.
        row: The recording.
        noise: What to add.
        level: Signal-to-noise ratio in dB.

    Returns:
        float32 (n,), not limited to -1 to 1.
    """
    random = np.random.default_rng(seed_of(row))
    return add_noise(samples, noise.draw(len(samples), random), level, random)


def check_recordings(paths: Iterable[Path]) -> None:
    """Check that each recording is there and is audio, as its first bytes show.

    Raises:
        AudioFileError: If some are not; the message names them.
    """
    problems = []
    for path in paths:
        try:
            open_audio(path).close()
        except AudioFileError as error:
            problems.append(str(error))
    if problems:
        raise unusable(problems)


def unusable(problems: Sequence[str]) -> AudioFileError:
    """Return the error that names recordings which cannot be used."""
    count = counted(len(problems), "recording")
    return AudioFileError(
        f"{list_problems(problems)}\n{count} cannot be used; mend or remove what is named"
    )


def first_of_each(rows: Sequence[Utterance], limit: int) -> list[Utterance]:
    """Return the first ``limit`` rows of each corpus."""
    taken: dict[str, int] = {}
    kept = []
    for row in rows:
        taken[row.corpus] = taken.get(row.corpus, 0) + 1
        if taken[row.corpus] <= limit:
            kept.append(row)
    return kept


def seed_of(row: Utterance) -> int:
    """Return a number that is the same for a recording wherever its manifest lies."""
    name = f"{row.corpus}\0{row.speaker}\0{row.audio.name}\0{row.text}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
