"""What the training program shows, and what happens where it cannot."""

from __future__ import annotations

import errno
import io
import os
import sys

import pytest
from rich.console import Console

from model.commands.terminal import Terminal
from model.errors import UsageError


class Full(io.StringIO):
    """A file on a disk without space."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_results_that_cannot_be_shown_are_an_error() -> None:
    terminal = Terminal(Console(file=Full()), Console(file=io.StringIO()))
    with pytest.raises(UsageError, match=r"standard output: cannot be written \(No space left"):
        terminal.show_table("Speech", ("corpus",), [("books",)])


def test_notices_that_cannot_be_shown_stop_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Full())
    terminal = Terminal()
    terminal.say("started")
    with terminal.counting("features", 3) as progress:
        progress(3)
