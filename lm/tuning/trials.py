"""Readings of parts of the recordings with some settings; every result is kept at once."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Protocol

from typing_extensions import Self

from lm.decoder import Decoder
from lm.search import SearchSettings
from lm.tuning.log_probs import Scored
from lm.tuning.parts import Part
from lm.tuning.pool import Pool
from model.errors import UsageError
from model.evaluation.rates import error_rates
from model.files import append_whole, unwritable, write_output

SETTINGS = tuple(field.name for field in fields(SearchSettings))


@dataclass(frozen=True)
class Outcome:
    """What came of reading recordings.

    Attributes:
        words: Words in their references.
        errors: Words replaced, left out or added.
        audio_s: Their length in seconds.
        decoding_s: Processor time that decoding took, in seconds.
    """

    words: int = 0
    errors: int = 0
    audio_s: float = 0.0
    decoding_s: float = 0.0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    @property
    def wer(self) -> float:
        """Word error rate, as a share."""
        return self.errors / max(1, self.words)

    @property
    def real_time_factor(self) -> float:
        """Decoding time for each second of audio."""
        return self.decoding_s / max(self.audio_s, 1e-9)


COUNTS = tuple(field.name for field in fields(Outcome))
COLUMNS = ("data", "half", "slice", *SETTINGS, *COUNTS)

Trial = tuple[SearchSettings, Part]
"""A part of the recordings to read with some settings."""


class MakeDecoder(Protocol):
    """Makes decoders that differ in their settings only; can be pickled."""

    def __call__(self, settings: SearchSettings) -> Decoder:
        """Return a decoder; what is costly is loaded the first time only."""
        ...


@dataclass(frozen=True)
class Reader:
    """Reads parts of the recordings, in this process or another.

    Attributes:
        make_decoder: Makes the decoder.
        parts: The recordings.
    """

    make_decoder: MakeDecoder
    parts: Mapping[Part, Sequence[Scored]]

    def __call__(self, trial: Trial) -> Outcome:
        """Return what came of one trial."""
        settings, part = trial
        decoder = self.make_decoder(settings)
        references, texts, decoding_s = [], [], 0.0
        for item in self.parts[part]:
            log_probs = item.log_probs()
            started = time.process_time()
            texts.append(decoder.decode(log_probs).text)
            decoding_s += time.process_time() - started
            references.append(item.row.text)
        rates = error_rates(references, texts)
        audio_s = sum(item.row.duration for item in self.parts[part])
        return Outcome(rates.words, rates.word_errors, round(audio_s, 3), round(decoding_s, 4))


class TrialLog:
    """Results in a CSV file, a line for each trial, written as soon as it is there.

    Args:
        path: The file; made where it is not there.
        data: Digest of recordings, models and all else that decides results; lines of
            other data are kept and not read.

    Raises:
        UsageError: If the file is something else, or cannot be read or written.
    """

    def __init__(self, path: Path, data: str) -> None:
        self._path = path
        self._data = data
        self.found: dict[Trial, Outcome] = {}
        if path.exists():
            self._read()
        else:
            write_output(path, _line(COLUMNS))

    def add(self, trial: Trial, outcome: Outcome) -> None:
        """Keep a result."""
        settings, part = trial
        self.found[trial] = outcome
        try:
            append_whole(
                self._path, _line((self._data, *part, *astuple(settings), *astuple(outcome)))
            )
        except OSError as error:
            raise unwritable(self._path, error) from error

    def _read(self) -> None:
        try:
            with self._path.open(encoding="utf-8", newline="") as file:
                rows = csv.DictReader(file)
                if tuple(rows.fieldnames or ()) != COLUMNS:
                    raise ValueError("its columns are others")
                self.found = dict(_trial(row) for row in rows if row["data"] == self._data)
        except (OSError, UnicodeDecodeError, ValueError, TypeError) as error:
            raise UsageError(
                f"{self._path}: cannot be read as results of tuning ({error}); "
                "delete it or give another folder"
            ) from error


class Trials:
    """Runs trials, several at a time, and knows what came of those before.

    Args:
        reader: Reads the recordings.
        log: Keeps results.
        jobs: Processes; 1 for this one.
        progress: Called after each trial with the number of those run.
    """

    def __init__(
        self,
        reader: Reader,
        log: TrialLog,
        jobs: int = 1,
        progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        self._log = log
        self._pool = Pool(reader, jobs)
        self._progress = progress
        self._run = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    def outcomes(
        self, settings: Sequence[SearchSettings], parts: Sequence[Part]
    ) -> dict[SearchSettings, Outcome]:
        """Return what comes of reading some parts with each of several settings."""
        wanted = [(one, part) for one in dict.fromkeys(settings) for part in parts]
        missing = [trial for trial in wanted if trial not in self._log.found]
        for trial, outcome in self._pool.results(missing):
            self._log.add(trial, outcome)
            self._run += 1
            self._progress(self._run)
        return {
            one: sum((self._log.found[one, part] for part in parts), Outcome()) for one in settings
        }


def _trial(row: Mapping[str, str]) -> tuple[Trial, Outcome]:
    settings = SearchSettings(
        **{
            field.name: type(field.default)(row[field.name])  # type: ignore[misc]
            for field in fields(SearchSettings)
        }
    )
    outcome = Outcome(
        int(row["words"]), int(row["errors"]), float(row["audio_s"]), float(row["decoding_s"])
    )
    return (settings, (int(row["half"]), int(row["slice"]))), outcome


def _line(values: Sequence[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()
