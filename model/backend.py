"""The library that Keras computes with, known without importing it."""

from __future__ import annotations

import importlib.util
import os

from model.errors import UsageError

BACKENDS = ("tensorflow", "jax")


def check_backend() -> None:
    """Check the library that Keras is to use, as ``KERAS_BACKEND`` names it.

    Raises:
        UsageError: If it is not one of :data:`BACKENDS`, or not installed.
    """
    backend = os.environ.get("KERAS_BACKEND", BACKENDS[0])
    if backend not in BACKENDS:
        raise UsageError(f"KERAS_BACKEND: must be {' or '.join(BACKENDS)}, got {backend}")
    if importlib.util.find_spec(backend) is None:
        raise UsageError(f"KERAS_BACKEND: {backend} is not installed; install it with pip")
