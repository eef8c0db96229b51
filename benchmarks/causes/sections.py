"""Figures as tables that tell what they are: as plain values, as Markdown, runs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.live.tables import NONE, condition_table, percent, table

Unit = Literal["count", "share", "mean"]

DIGITS = 4
"""Decimal places of shares."""


@dataclass(frozen=True)
class Column:
    """What a column of figures is.

    Attributes:
        title: Its head.
        unit: How a figure is shown: a share, from 0 to 1 in the JSON, as per cent.
        compared: Whether it is what runs are set side by side by.
    """

    title: str
    unit: Unit = "count"
    compared: bool = False


COLUMNS = {
    "recordings": Column("Recordings"),
    "words": Column("Words"),
    "wer": Column("WER, %", "share", compared=True),
    "wer_low": Column("from", "share"),
    "wer_high": Column("to", "share"),
    "greedy_wer": Column("WER greedy, %", "share"),
    "substitutions": Column("Subst."),
    "deletions": Column("Del."),
    "insertions": Column("Ins."),
    "errors": Column("Errors"),
    "wrong": Column("Wrong, %", "share", compared=True),
    "of_errors": Column("Of the errors, %", "share", compared=True),
    "of_words": Column("Of the words, %", "share"),
    "perfect": Column("Without an error, %", "share"),
    "places": Column("Places"),
    "times": Column("Times", compared=True),
    "listed": Column("Readings listed", "mean"),
    "oracle_10": Column("Best of 10, WER, %", "share"),
    "oracle": Column("Best of 100, WER, %", "share", compared=True),
    "cut_wer": Column("WER of its pieces, %", "share", compared=True),
    "live_wer": Column("WER live, %", "share", compared=True),
    "pieces": Column("Pieces"),
}
"""What the keys of rows stand for, in every section."""


@dataclass(frozen=True)
class Section:
    """A table of figures.

    Attributes:
        title: What it is.
        about: How it was made, for people.
        rows: By name, figures by their keys in ``COLUMNS``.
    """

    title: str
    about: str
    rows: Mapping[str, Mapping[str, float | int | None]] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return it as plain values."""
        keys = _keys([self.rows])
        return {
            "title": self.title,
            "about": self.about,
            "columns": {key: {"title": COLUMNS[key].title, "unit": _unit(key)} for key in keys},
            "rows": {
                name: {key: _short(value) for key, value in row.items()}
                for name, row in self.rows.items()
            },
        }


def report(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures of a run, or of several side by side, as Markdown.

    Args:
        records: By the name of the run.
    """
    first = next(iter(records.values()))
    blocks = [f"# Errors of {', '.join(_model(record) for record in records.values())}"]
    for section in first["sections"]:
        found = {
            name: next(
                (other for other in record["sections"] if other["title"] == section["title"]), None
            )
            for name, record in records.items()
        }
        rows = {name: one["rows"] if one else {} for name, one in found.items()}
        blocks += [f"## {section['title']}", section["about"], _side_by_side(rows)]
    for name, record in records.items():
        blocks += [f"## Conditions of {name}", condition_table(record["conditions"])]
    return "\n\n".join(blocks) + "\n"


def _model(record: Mapping[str, Any]) -> str:
    return str(record["conditions"]["model"])


Rows = Mapping[str, Mapping[str, float | int | None]]


def _side_by_side(runs: Mapping[str, Rows]) -> str:
    """Return the rows of runs as one table; of the later runs only what is compared."""
    names = list(dict.fromkeys(name for rows in runs.values() for name in rows))
    head, columns = [""], []
    for key in _keys(runs.values()):
        several = COLUMNS[key].compared and len(runs) > 1
        for run in runs if several else list(runs)[:1]:
            head.append(f"{COLUMNS[key].title} {run}" if several else COLUMNS[key].title)
            columns.append([_shown(key, runs[run].get(name, {}).get(key)) for name in names])
    return table(head, [list(row) for row in zip(names, *columns, strict=True)])


def _keys(runs: Iterable[Rows]) -> list[str]:
    """Return the keys that rows have, in the order of ``COLUMNS``."""
    there = {key for rows in runs for row in rows.values() for key in row}
    return [key for key in COLUMNS if key in there]


def _unit(key: str) -> str:
    unit = COLUMNS[key].unit
    return "share, 0 to 1" if unit == "share" else unit


def _shown(key: str, value: float | int | None) -> str:
    if value is None:
        return NONE
    unit = COLUMNS[key].unit
    return percent(value) if unit == "share" else f"{value:.1f}" if unit == "mean" else str(value)


def _short(value: float | int | None) -> float | int | None:
    return round(value, DIGITS) if isinstance(value, float) else value


def ratio(part: float, whole: float) -> float | None:
    """Return a share, or None of nothing."""
    return part / whole if whole else None
