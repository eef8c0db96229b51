"""Arguments that several commands take, and types of arguments."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path


def count(text: str) -> int:
    """Return the whole number from 1 on that an argument is.

    Raises:
        ArgumentTypeError: If it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, got {text}")
    return int(text)


def number(lowest: float, highest: float) -> Callable[[str], float]:
    """Return what reads a number from ``lowest`` to ``highest``, or raises ArgumentTypeError."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not lowest <= value <= highest:
            raise argparse.ArgumentTypeError(
                f"must be a number from {lowest:g} to {highest:g}, got {text}"
            )
        return value

    return read


def add_settings(parser: argparse.ArgumentParser, file: str, value: str) -> None:
    """Add ``--config`` and ``--set``, which become ``config`` and ``overrides``.

    Args:
        parser: Gets them.
        file: An example of a file of settings.
        value: An example of a setting.
    """
    parser.add_argument(
        "--config",
        metavar="FILE",
        action="append",
        type=Path,
        default=[],
        help=f"recipe, such as {file}; may be repeated, later ones winning",
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help=f"one value of the recipe, such as {value}; may be repeated",
    )
