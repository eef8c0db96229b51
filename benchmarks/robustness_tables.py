"""Figures of ``benchmarks/robustness.py`` as Markdown tables, of one run or of two side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.impairments import CLEAN
from benchmarks.live.tables import percent, table
from model.errors import UsageError
from model.evaluation.assessment import GREEDY
from model.evaluation.confidence import Interval, difference_interval
from model.evaluation.rates import ErrorRates
from model.evaluation.report import DIGITS, OVERALL, UNNAMED
from model.wording import counted

SCHEMA = 1
"""Of the JSON; raised when a key changes its meaning or is taken away."""

Record = Mapping[str, Any]
"""A run's figures as they are written."""


def places_of(corpora: Sequence[str]) -> dict[str, list[int]]:
    """Return the numbers of the recordings of each corpus, and last of all of them.

    Args:
        corpora: The corpus of each recording, in order.
    """
    places: dict[str, list[int]] = {}
    for place, corpus in enumerate(corpora):
        places.setdefault(corpus or UNNAMED, []).append(place)
    return {**places, OVERALL: list(range(len(corpora)))}


def ends(interval: Interval | None) -> tuple[float | None, float | None]:
    """Return the ends of an interval as they are written."""
    if interval is None:
        return None, None
    return round(interval.low, DIGITS), round(interval.high, DIGITS)


def read_run(path: Path) -> Record:
    """Read the figures of a run.

    Raises:
        UsageError: If there are none.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        schema = record["schema"]
        if schema == SCHEMA:
            report(record)
            comparison(record, record, ("", ""))
            return dict(record)
        reason = f"its schema is {schema}, this program reads {SCHEMA}"
    except OSError as error:
        reason = error.strerror or str(error)
    except (ValueError, LookupError, TypeError, AttributeError):
        reason = "it holds no figures of robustness.py"
    raise UsageError(f"{path}: cannot be compared: {reason}; write it with robustness.py --output")


def report(record: Record) -> str:
    """Return a run's figures as Markdown, a table for each way of reading."""
    figures = record["figures"]
    blocks = [
        f"Words wrong by {record['bundle']['name']}, %, in {_recordings(record)}; in brackets the "
        f"interval ({record['interval']})."
    ]
    for reader, corpora in figures[CLEAN.name].items():
        rows = [
            [condition, *(_cell(found[reader][corpus]) for corpus in corpora)]
            for condition, found in figures.items()
        ]
        blocks.append(table([f"Read {reader}", *corpora], rows))
    return "\n\n".join(blocks)


def _recordings(record: Record) -> str:
    return ", ".join(
        f"{corpus} ({counted(found['recordings'], 'recording')}, {counted(found['words'], 'word')})"
        for corpus, found in record["figures"][CLEAN.name][GREEDY].items()
        if corpus != OVERALL
    )


def _cell(found: Mapping[str, Any]) -> str:
    return percent(found["wer"]) + _range(found["wer_low"], found["wer_high"])


def _range(low: float | None, high: float | None, sign: str = "") -> str:
    return f" ({percent(low, sign)} to {percent(high, sign)})"


def comparison(before: Record, after: Record, names: Sequence[str]) -> str:
    """Return two runs side by side as Markdown, a table for each corpus.

    What is compared is what both have: conditions and ways of reading.

    Args:
        before: Figures of a run.
        after: Those of another on the same sounds.
        names: What the two are called.

    Raises:
        UsageError: If they are not of the same sounds.
    """
    runs = _Runs(before, after)
    runs.check()
    readers = runs.readers()
    head = [title for reader in readers for title in (f"{reader}: {names[0]}", names[1], "change")]
    blocks = [f"{names[0]}: {before['bundle']['name']}; {names[1]}: {after['bundle']['name']}."]
    corpora = [one["corpus"] for one in before["sounds"]["recordings"]]
    for corpus, places in places_of(corpora).items():
        rows = [
            [
                condition,
                *(cell for reader in readers for cell in runs.cells(condition, reader, places)),
            ]
            for condition in runs.conditions()
        ]
        blocks.append(table([f"{corpus}, words wrong, %", *head], rows))
    return "\n\n".join(blocks)


@dataclass(frozen=True)
class _Runs:
    """Two runs on the same sounds."""

    before: Record
    after: Record

    def conditions(self) -> list[str]:
        return [name for name in self.before["conditions"] if name in self.after["conditions"]]

    def readers(self) -> list[str]:
        one, other = (run["figures"][CLEAN.name] for run in (self.before, self.after))
        return [reader for reader in one if reader in other]

    def check(self) -> None:
        abouts = [
            {name: run["conditions"][name] for name in self.conditions()}
            for run in (self.before, self.after)
        ]
        if self.before["sounds"] != self.after["sounds"] or abouts[0] != abouts[1]:
            raise UsageError(
                "--compare: the runs heard other sounds; measure both with the same manifest, "
                "--sample and --seed, by the same version of this program"
            )

    def cells(self, condition: str, reader: str, places: Sequence[int]) -> list[str]:
        """Return two error rates of some recordings, and their difference with its interval."""
        rates = [_rates(run, condition, reader, places) for run in (self.before, self.after)]
        shares = [sum(one, ErrorRates()).wer for one in rates]
        # By recordings, as the intervals of one run are: no speakers are told.
        low, high = ends(difference_interval(rates[0], rates[1], [None] * len(places)))
        return [
            *map(percent, shares),
            percent(shares[1] - shares[0], "+") + _range(low, high, "+"),
        ]


def _rates(run: Record, condition: str, reader: str, places: Sequence[int]) -> list[ErrorRates]:
    """Return the errors of some recordings, all told as substitutions."""
    recordings, errors = run["sounds"]["recordings"], run["word_errors"][condition][reader]
    return [ErrorRates(recordings[place]["words"], errors[place]) for place in places]
