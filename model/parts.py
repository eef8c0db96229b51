"""What may not be installed: captions need less than training does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from model.errors import MissingPartError

TRAINING_LIBRARIES = frozenset(
    (
        *("jax", "keras", "librosa", "matplotlib", "mpl_toolkits", "pyctcdecode"),
        *("pyroomacoustics", "tensorboardX", "tensorflow"),
    )
)
"""What is imported of the packages that ``scripts/setup --live`` leaves out."""


def missing_libraries(*names: str) -> str:
    """Return which of some libraries are missing and the remedy; empty if none is.

    Nothing is imported.
    """
    missing = [name for name in names if find_spec(name) is None]
    return _message(*missing) if missing else ""


def require_libraries(*names: str) -> None:
    """Make sure of libraries before work that would be lost without them.

    Raises:
        MissingPartError: If one is missing.
    """
    if missing := missing_libraries(*names):
        raise MissingPartError(missing)


@contextmanager
def training_parts() -> Iterator[None]:
    """Say what to do where a library is missing that only training needs.

    Raises:
        MissingPartError: In place of that library's ModuleNotFoundError; others are let through.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in TRAINING_LIBRARIES:
            raise
        raise MissingPartError(_message(library)) from error


def _message(*libraries: str) -> str:
    verb = "is" if len(libraries) == 1 else "are"
    return (
        f"{' and '.join(libraries)} {verb} not installed, and this needs more than captions do; "
        "install the parts that train, with: scripts/setup (with Python 3.11 or 3.12)"
    )
