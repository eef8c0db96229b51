"""What the training program shows: progress bars and tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, cast

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from typing_extensions import Self

from model.errors import UsageError
from model.training.checkpoint import Progress as TrainingProgress


class _Lossy:
    """A stream that loses what it cannot write, as no notice is worth a training.

    Args:
        stream: Is written to.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _notices() -> Console:
    if sys.stderr is None:
        return Console(stderr=True)
    return Console(file=cast(IO[str], _Lossy(sys.stderr)))


@dataclass(frozen=True)
class Terminal:
    """Where to show things.

    Attributes:
        out: Takes results.
        log: Takes progress and notices.
    """

    out: Console = field(default_factory=Console)
    log: Console = field(default_factory=_notices)

    @contextmanager
    def counting(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Show a bar; gives a function to call with the number done."""
        name = TextColumn("{task.description}", markup=False)
        columns = (name, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self.log) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.update(task, completed=done)

    def say(self, text: str) -> None:
        """Show a notice as it is, without markup or colours."""
        self.log.print(text, markup=False, highlight=False, soft_wrap=True)

    def show_table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show a table, its first column to the left, the others to the right.

        Raises:
            UsageError: If it cannot be written.
        """
        table = Table(title=escape(title))
        for index, column in enumerate(columns):
            table.add_column(column, justify="right" if index else "left")
        for row in rows:
            table.add_row(*map(escape, row))
        try:
            self.out.print(table)
        except OSError as error:
            raise UsageError(
                f"standard output: cannot be written ({error.strerror or error}); "
                "free some space or send it elsewhere"
            ) from error


class FitDisplay:
    """Shows a training as it runs: a bar with its figures, and a line for each evaluation.

    Args:
        terminal: Where.
    """

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[figures]}"),
            console=terminal.log,
        )
        self._task = self._bar.add_task("training", total=1.0, figures="")
        self._evaluated = -1

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, progress: TrainingProgress, share: float) -> None:
        """Show how far the training has come; ``share`` is 0 to 1."""
        self._bar.update(self._task, completed=share, figures=describe(progress, share))
        if progress.wer == progress.wer and progress.judged != self._evaluated:
            self._evaluated = progress.judged
            rates = f"WER {100 * progress.wer:.1f} %, CER {100 * progress.cer:.1f} %"
            self.terminal.say(f"step {progress.judged}: {_loss(progress)}{rates}")


def describe(progress: TrainingProgress, share: float) -> str:
    """Return loss, word error rate, hours of speech an hour, and the time left."""
    if not progress.step:
        return ""
    speed = progress.speech_s / max(progress.seconds, 1e-9)
    left = progress.seconds * (1 - share) / share if share else 0.0
    wer = "" if progress.wer != progress.wer else f"WER {100 * progress.wer:.1f} %, "
    return f"{_loss(progress)}{wer}{speed:.0f} h/h, {left / 60:.0f} min left"


def _loss(progress: TrainingProgress) -> str:
    return "" if progress.loss != progress.loss else f"loss {progress.loss:.3f}, "
