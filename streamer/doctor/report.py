"""What the doctor found, as one screen for people or one JSON object for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from model.wording import counted
from streamer.doctor.finding import Finding, Status, worst
from streamer.writers import printable

SCHEMA = 1
"""Raised when a field of the JSON changes its meaning or goes away."""

SIGNS: dict[Status, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "absent": ("-", "dim"),
    "warning": ("warning", "yellow"),
    "failure": ("FAILED", "bold red"),
}
"""Sign and style of each status."""

PIPE_WIDTH = 100
"""Columns where standard output is no terminal."""


@dataclass(frozen=True)
class Report:
    """All findings of a run.

    Attributes:
        findings: In the order in which they are shown.
        seconds: How long it took.
    """

    findings: Sequence[Finding]
    seconds: float

    @property
    def result(self) -> Status:
        """The worst of all; what is merely not here counts as ok."""
        result = worst([finding.status for finding in self.findings])
        return "ok" if result == "absent" else result

    @property
    def exit_code(self) -> int:
        """1 if anything failed, else 0."""
        return int(self.result == "failure")

    def as_json(self, home: str | None = None) -> str:
        """Return it as JSON, with the path of the user's home written as ``~``.

        Args:
            home: That path; this user's if None.
        """
        record = {
            "schema": SCHEMA,
            "result": self.result,
            "seconds": round(self.seconds, 1),
            "findings": [finding.as_record() for finding in self.findings],
        }
        return json.dumps(_without(record, home or _home()), indent=1, ensure_ascii=False)

    def show(self, console: Console) -> None:
        """Print it as a table."""
        table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
        for name in ("sign", "title"):
            table.add_column(name, no_wrap=True)
        table.add_column("text", overflow="fold")
        for finding in self.findings:
            sign, style = SIGNS[finding.status]
            table.add_row(Text(sign, style), Text(finding.title), _body(finding))
        console.print(table)
        console.print(self._summary(), style=SIGNS[self.result][1], highlight=False)

    def _summary(self) -> str:
        failures, warnings = (
            sum(finding.status == status for finding in self.findings)
            for status in ("failure", "warning")
        )
        if not failures and not warnings:
            return f"all well, in {self.seconds:.0f} s"
        return f"{counted(failures, 'failure')}, {counted(warnings, 'warning')}"


def _body(finding: Finding) -> Text:
    text = Text(printable(finding.text.replace("\n", "; ")))
    if finding.remedy:
        text.append(f"\n=> {printable(finding.remedy)}", "cyan")
    return text


def _home() -> str:
    try:
        return str(Path.home())
    except RuntimeError:
        return ""


def _without(value: Any, home: str) -> Any:
    """Return a JSON value whose texts say ``~`` for a folder."""
    if isinstance(value, str):
        return value.replace(home, "~") if len(home) > 1 else value
    if isinstance(value, dict):
        return {name: _without(inner, home) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without(inner, home) for inner in value]
    return value
