"""The library that Keras computes with, known without importing it."""

from __future__ import annotations

import os

from model.errors import UsageError
from model.parts import require_libraries

BACKENDS = ("tensorflow", "jax")


def backend_name() -> str:
    """Return the library that Keras is to use, as ``KERAS_BACKEND`` names it.

    Raises:
        UsageError: If it is not one of :data:`BACKENDS`.
    """
    backend = os.environ.get("KERAS_BACKEND", BACKENDS[0])
    if backend not in BACKENDS:
        raise UsageError(f"KERAS_BACKEND: must be {' or '.join(BACKENDS)}, got {backend}")
    return backend


def check_backend() -> None:
    """Make sure that Keras and the library that it is to use are there.

    Raises:
        MissingPartError: If one is not installed.
        UsageError: If ``KERAS_BACKEND`` names none of :data:`BACKENDS`.
    """
    require_libraries("keras", backend_name())
