"""What an assessment shows: error rates by group and by noise, confusions, speed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from statistics import fmean
from typing import Any, TypeVar

from model.evaluation.assessment import Assessment, Reading
from model.evaluation.confidence import Interval, wer_interval
from model.evaluation.rates import (
    ErrorRates,
    Pair,
    align_characters,
    align_words,
    cosine_similarity,
    ranked,
)

OVERALL = "overall"
UNNAMED = "unnamed"

LENGTHS_S = (2, 5, 10, 15)
"""Seconds at which one class of lengths ends and the next begins."""

DIGITS = 5
"""Digits after the point of shares in the record."""


Key = TypeVar("Key", str, int)


@dataclass(frozen=True)
class Figures:
    """How well some recordings were recognised.

    Attributes:
        recordings: Number of recordings.
        speakers: Number of speakers; 0 where not known.
        speech_s: Seconds of audio.
        rates: Errors of all together.
        interval: Of the word error rate; None for a single recording.
        cosine: Mean cosine between the counts of words of reference and hypothesis.
        cosine_whole: The cosine when all references and hypotheses are one text each.
    """

    recordings: int
    speakers: int
    speech_s: float
    rates: ErrorRates
    interval: Interval | None
    cosine: float
    cosine_whole: float

    def record(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        interval = self.interval
        return {
            "recordings": self.recordings,
            "speakers": self.speakers,
            "speech_s": round(self.speech_s, 3),
            **_rates_record(self.rates),
            "wer_low": round(interval.low, DIGITS) if interval else None,
            "wer_high": round(interval.high, DIGITS) if interval else None,
            "cosine": round(self.cosine, DIGITS),
            "cosine_whole": round(self.cosine_whole, DIGITS),
        }


@dataclass(frozen=True)
class Speed:
    """How fast the recordings without noise were recognised.

    Attributes:
        audio_s: Seconds of audio.
        computing_s: Seconds from samples to text.
        processors: Number of processors that the program may use.
    """

    audio_s: float
    computing_s: float
    processors: int

    @property
    def real_time_factor(self) -> float:
        """Computing time for each second of audio."""
        return self.computing_s / max(1e-9, self.audio_s)

    def record(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "audio_s": round(self.audio_s, 3),
            "computing_s": round(self.computing_s, 3),
            "real_time_factor": round(self.real_time_factor, DIGITS),
            "processors": self.processors,
        }


@dataclass(frozen=True)
class Report:
    """The figures of an assessment, each computed when it is first asked for.

    Attributes:
        assessment: What was recognised; at least one recording.
        command: The command that made it.
    """

    assessment: Assessment
    command: str

    @cached_property
    def overall(self) -> Figures:
        """Figures of all recordings."""
        return figures(self.assessment.readings)

    @cached_property
    def corpora(self) -> dict[str, Figures]:
        """Figures by corpus, in the order of the manifests."""
        return _by_corpus(self.assessment.readings)

    @cached_property
    def speakers(self) -> dict[str, Figures]:
        """Figures by speaker, by name; a corpus in front where two share a speaker's name."""
        corpora: dict[str, set[str]] = {}
        for reading in self.assessment.readings:
            corpora.setdefault(reading.row.speaker, set()).add(reading.row.corpus)

        def name(reading: Reading) -> str:
            speaker, corpus = reading.row.speaker, reading.row.corpus
            return (
                f"{corpus or UNNAMED}: {speaker}"
                if speaker and len(corpora[speaker]) > 1
                else speaker
            )

        return _by_label(self.assessment.readings, name)

    @cached_property
    def accents(self) -> dict[str, Figures]:
        """Figures by accent, by name; without recordings that have no such label."""
        return _by_label(self.assessment.readings, lambda reading: reading.row.accent)

    @cached_property
    def lengths(self) -> dict[str, Figures]:
        """Figures by the length of the recordings, the shortest first."""
        found = _grouped(self.assessment.readings, lambda reading: _length_class(reading.audio_s))
        return {length_name(number): figures(found[number]) for number in sorted(found)}

    @cached_property
    def noisy(self) -> dict[float, Figures]:
        """Figures by signal-to-noise ratio in dB, in the order that was asked for."""
        return {level: figures(found) for level, found in self.assessment.noisy.items()}

    @cached_property
    def noisy_corpora(self) -> dict[float, dict[str, Figures]]:
        """Figures by signal-to-noise ratio in dB and corpus."""
        return {level: _by_corpus(found) for level, found in self.assessment.noisy.items()}

    @cached_property
    def words(self) -> Counter[Pair]:
        """How often each word was read as each; "" where one was left out or added."""
        return _confusions(self.assessment.readings, align_words)

    @cached_property
    def characters(self) -> Counter[Pair]:
        """How often each character was read as each; "" where one was left out or added."""
        return _confusions(self.assessment.readings, align_characters)

    @cached_property
    def worst(self) -> list[Reading]:
        """Recordings with errors, the highest word error rate first."""
        wrong = [one for one in self.assessment.readings if one.rates.word_errors]
        return sorted(wrong, key=lambda one: (-one.rates.wer, -one.rates.word_errors))

    @cached_property
    def speed(self) -> Speed:
        """How fast it went; the only figures that differ from run to run."""
        readings = self.assessment.readings
        return Speed(
            sum(reading.audio_s for reading in readings),
            sum(reading.computing_s for reading in readings),
            processors(),
        )

    def record(self) -> dict[str, Any]:
        """Return all figures and every recording as plain values for JSON."""
        assessment = self.assessment
        return {
            "model": assessment.model,
            "decoder": assessment.decoder,
            "command": self.command,
            "readings": assessment.done,
            "readings_planned": assessment.planned,
            "problems": list(assessment.problems),
            "corpora": _records(self.corpora),
            OVERALL: self.overall.record(),
            "speakers": _records(self.speakers),
            "accents": _records(self.accents),
            "lengths": _records(self.lengths),
            "noise": self._noise_record(),
            "confusions": {
                "words": confusion_record(self.words),
                "characters": confusion_record(self.characters),
            },
            "utterances": [_utterance_record(reading) for reading in assessment.readings],
            "timing": self.speed.record(),
        }

    def _noise_record(self) -> dict[str, Any]:
        levels = [
            {
                "snr_db": level,
                **self.noisy[level].record(),
                "corpora": _records(self.noisy_corpora[level]),
                "hypotheses": [reading.text for reading in readings],
            }
            for level, readings in self.assessment.noisy.items()
        ]
        return {"kind": self.assessment.noise, "levels": levels}


def figures(readings: Sequence[Reading]) -> Figures:
    """Return the figures of at least one recording."""
    rates = [reading.rates for reading in readings]
    speakers = [
        (reading.row.corpus, reading.row.speaker) if reading.row.speaker else None
        for reading in readings
    ]
    return Figures(
        recordings=len(readings),
        speakers=len(set(speakers) - {None}),
        speech_s=sum(reading.audio_s for reading in readings),
        rates=sum(rates, ErrorRates()),
        interval=wer_interval(rates, speakers),
        cosine=fmean(reading.cosine for reading in readings),
        cosine_whole=cosine_similarity(
            [reading.row.text for reading in readings], [reading.text for reading in readings]
        ),
    )


def confusion_record(counts: Counter[Pair]) -> dict[str, list[list[str | int]]]:
    """Return errors as plain values, the most frequent first: what, then how often."""
    order = ranked(counts)
    return {
        "substitutions": [[a, b, n] for (a, b), n in order if a and b and a != b],
        "deletions": [[a, n] for (a, b), n in order if not b],
        "insertions": [[b, n] for (a, b), n in order if not a],
    }


def length_name(number: int) -> str:
    """Return the name of a class of lengths, counted from the shortest on."""
    if number == 0:
        return f"below {LENGTHS_S[0]} s"
    if number == len(LENGTHS_S):
        return f"{LENGTHS_S[-1]} s and longer"
    return f"{LENGTHS_S[number - 1]} to {LENGTHS_S[number]} s"


def processors() -> int:
    """Return the number of processors that this program may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _length_class(seconds: float) -> int:
    return sum(seconds >= bound for bound in LENGTHS_S)


def _grouped(
    readings: Iterable[Reading], key: Callable[[Reading], Key]
) -> dict[Key, list[Reading]]:
    groups: dict[Key, list[Reading]] = {}
    for reading in readings:
        groups.setdefault(key(reading), []).append(reading)
    return groups


def _by_corpus(readings: Iterable[Reading]) -> dict[str, Figures]:
    found = _grouped(readings, lambda reading: reading.row.corpus)
    return {corpus: figures(members) for corpus, members in found.items()}


def _by_label(readings: Iterable[Reading], label: Callable[[Reading], str]) -> dict[str, Figures]:
    """Return figures by a label, sorted, without recordings that have none."""
    found = _grouped(readings, label)
    return {name: figures(found[name]) for name in sorted(found) if name}


def _confusions(
    readings: Iterable[Reading], align: Callable[[str, str], list[Pair]]
) -> Counter[Pair]:
    return Counter(pair for one in readings for pair in align(one.row.text, one.text))


def _rates_record(rates: ErrorRates) -> dict[str, Any]:
    return {**asdict(rates), "wer": round(rates.wer, DIGITS), "cer": round(rates.cer, DIGITS)}


def _records(groups: Mapping[str, Figures]) -> dict[str, dict[str, Any]]:
    return {name: found.record() for name, found in groups.items()}


def _utterance_record(reading: Reading) -> dict[str, Any]:
    return {
        "audio": str(reading.row.audio),
        "corpus": reading.row.corpus,
        "speaker": reading.row.speaker,
        "accent": reading.row.accent,
        "audio_s": round(reading.audio_s, 3),
        "reference": reading.row.text,
        "hypothesis": reading.text,
        **_rates_record(reading.rates),
        "cosine": round(reading.cosine, DIGITS),
    }
