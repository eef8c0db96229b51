"""What the programs that measure the live path have in common at the command line."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from model.commands.arguments import count

if TYPE_CHECKING:
    from model.commands.terminal import Terminal

EXIT_CODES = "exit codes: 0 finished, 1 failed while running, 2 wrong usage or input\n"

MANIFEST = "recordings with their transcripts"

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
"""Variables of the environment that say how many threads a library uses."""


def use_one_core() -> None:
    """Let libraries that are not loaded yet use one thread: figures are of one core."""
    for variable in THREADS:
        os.environ.setdefault(variable, "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def machine_load() -> float:
    """Return how many programs worked, or waited to, in the last minute on average."""
    return round(os.getloadavg()[0], 1)


def busy() -> str:
    """Return a sentence on what else the machine did, for figures by the wall clock."""
    return f"Load of the machine in the last minute: {machine_load()}, on {os.cpu_count()} cores."


def new_parser(name: str, description: str | None, epilog: str) -> argparse.ArgumentParser:
    """Return a parser without arguments that shows both texts as they are."""
    return argparse.ArgumentParser(
        prog=name,
        description=description,
        epilog=epilog + "\n" + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def parser_of(documentation: str) -> argparse.ArgumentParser:
    """Return a parser without arguments that shows what a program's docstring says."""
    return argparse.ArgumentParser(
        description=documentation.splitlines()[0],
        epilog=documentation.partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_live_settings(parser: argparse.ArgumentParser) -> None:
    """Add ``--model``, ``--config`` and ``--set``: the settings of the live path."""
    parser.add_argument("--model", metavar="FOLDER", type=Path, help="as for run_live.py")
    parser.add_argument("--config", metavar="FILE", type=Path, help="as for run_live.py")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help="as for run_live.py; may be repeated",
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of :class:`benchmarks.live.options.BenchOptions` but the manifest."""
    parser.add_argument(
        "--limit", metavar="N", type=count, default=0, help="the first N of each corpus"
    )
    parser.add_argument("--engine", metavar="NAME", help="as for run_live.py")
    add_live_settings(parser)
    parser.add_argument(
        "--json", metavar="OUT", type=Path, help="write the figures here, and the rest beside it"
    )


def carry_out(name: str, work: Callable[[Terminal], object]) -> int:
    """Do a program's work and return its exit code; errors go to standard error."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from model.commands.terminal import Terminal
    from model.errors import CaptionerError

    terminal = Terminal()
    try:
        work(terminal)
    except CaptionerError as error:
        terminal.say(f"{name}: error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        terminal.say(f"{name}: stopped; nothing was written")
        return 1
    return 0
