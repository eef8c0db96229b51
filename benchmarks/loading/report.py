"""Figures of clients as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.live.tables import condition_table, milliseconds, percent, table

COLUMNS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "Clients": lambda run: str(run["clients"]),
    "Standing, ms: p50 / p90": lambda run: _spread(run["standing_s"]),
    "First shown": lambda run: _spread(run["first_shown_s"]),
    "Final": lambda run: _spread(run["final_s"]),
    "Added": lambda run: _spread(run["added_s"]),
    "Words wrong, %": lambda run: percent(run["wer"]),
    "Partials/s": lambda run: f"{run['partials_a_second']:.2f}",
    "Lost, s": lambda run: f"{run['lost_s']:.1f}",
    "Cores": lambda run: f"{run['cores']:.2f}",
    "Memory, MiB": lambda run: str(run["memory_mb"]),
    "Borne": lambda run: "yes" if run["borne"] else "no",
}

EXPLAINED = """\
Streams in real time to `run_live.py --web`; see `benchmarks/sessions.py --help` for the columns. \
A number of clients is borne where nine in ten of the times added are below {limit:g} s, nothing \
is lost and every client gets its summary. Words stand late with one client too: the model is \
unsure of many until more was said.\
"""

ALREADY = "over it with the fewest clients already"

JUDGED = {
    "standing_s": "word to its standing for good",
    "first_shown_s": "word to its being first shown",
    "final_s": "last word to the final caption",
    "added_s": "time added by computing and waiting",
}


def rows(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of the numbers of clients."""
    return table(list(COLUMNS), [[cell(run) for cell in COLUMNS.values()] for run in runs])


def most(runs: Sequence[Mapping[str, Any]], name: str, limit_s: float) -> int:
    """Return the largest number of clients up to which a time is below a limit at its p90.

    Args:
        runs: By the number of clients, rising.
        name: Of the time.
        limit_s: Seconds.
    """
    found = 0
    for run in runs:
        value = run[name]["p90"]
        if value is None or value >= limit_s or run["lost_s"] or run["failures"]:
            break
        found = run["clients"]
    return found


def verdict(record: Mapping[str, Any]) -> str:
    """Return how many clients the server bears, by each time, as sentences."""
    limit_s = record["limit_s"]
    lines = [f"Most clients whose p90 is below {limit_s:g} s, with nothing lost, by"]
    for name, text in JUDGED.items():
        lines.append(f"- {text}: {most(record['runs'], name, limit_s) or ALREADY}")
    if record["runs"][-1]["borne"]:
        lines.append(f"- {record['runs'][-1]['clients']} were the most that were tried")
    return "\n".join([*lines[:1], "", *lines[1:]])


def refusal(record: Mapping[str, Any]) -> str:
    """Return what one client more than places was told, as a sentence."""
    told = record["refusal"]["told"]
    if not told:
        return "One client more than places was let in."
    texts = [notice["text"] for notice in told[0]["notices"]]
    others = record["refusal"]["others_went_on"]
    return (
        f"One client more than places is told: \u201c{' '.join(texts)}\u201d (close code "
        f"{told[0]['close_code']}); of the others, {others} went on to the end."
    )


def markdown(record: Mapping[str, Any]) -> str:
    """Return the figures of a series as Markdown."""
    blocks = ["# Streams at once", EXPLAINED.format(limit=record["limit_s"])]
    blocks += [rows(record["runs"]), verdict(record), refusal(record)]
    blocks += ["## Conditions", condition_table(record["conditions"])]
    return "\n\n".join(blocks) + "\n"


def _spread(spread: Mapping[str, float | None]) -> str:
    return milliseconds({name: spread[name] for name in ("p50", "p90")})
