"""``run_live.py --doctor``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from model.errors import UsageError
from streamer.display import level_bar
from streamer.doctor.examination import examine
from streamer.doctor.finding import Progress, Show, show_nothing
from streamer.doctor.report import PIPE_WIDTH, Report
from streamer.screen import to_standard_output

if TYPE_CHECKING:
    from streamer.app import LiveOptions


def run_doctor(options: LiveOptions) -> int:
    """Check everything, print what was found and return the exit code.

    Raises:
        UsageError: If there is an option that has no meaning here.
        OutputError: If standard output takes nothing.
        KeyboardInterrupt: At Ctrl-C.
    """
    if options.wav or options.speed == "max":
        raise UsageError("--wav, --speed: have no use with --doctor; leave them out")
    began = time.monotonic()
    with _progress(Console(stderr=True)) as show:
        findings = tuple(examine(options, show))
    report = Report(findings, time.monotonic() - began)
    with to_standard_output():
        if options.json:
            print(report.as_json())
        else:
            plain = Console(highlight=False, width=PIPE_WIDTH)
            console = Console(highlight=False)
            report.show(console if console.is_terminal else plain)
    return report.exit_code


@contextmanager
def _progress(console: Console) -> Iterator[Show]:
    """Show what is being checked, on a terminal alone."""
    if not (console.is_interactive and console.file.isatty()):
        yield show_nothing
        return
    with console.status("checking") as status:

        def show(progress: Progress) -> None:
            if progress.level_db is None:
                status.update(progress.text)
            else:
                bar = level_bar(progress.level_db, console.options.ascii_only)
                level = f" {progress.level_db:4.0f} dB"
                status.update(Text.assemble(progress.text, " ", bar, level))

        yield show
