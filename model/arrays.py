"""Archives of arrays (NPZ) that others may have written: numbers are read, nothing is run."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from tokenize import TokenError
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

import numpy as np

NUMBERS = "fiu"
"""Kinds of NumPy's types that are read: floating point, whole, and whole without a sign."""

METHODS = (ZIP_STORED, ZIP_DEFLATED)
"""How members may be packed, as NumPy does it; ``zipfile`` unpacks others at once, whatever size
they claim to have."""

PARSING_ERRORS = (
    *(ArithmeticError, AttributeError, BadZipFile, EOFError, LookupError, MemoryError, OSError),
    *(RuntimeError, SyntaxError, TokenError, TypeError, ValueError, zlib.error),
)
"""What ``zipfile`` and NumPy raise on damaged archives, beyond what they say they do."""


def read_arrays(content: bytes, most: int) -> dict[str, np.ndarray]:
    """Return the arrays of an NPZ archive by name.

    Pickled objects are refused unread, and so is an archive that would unpack to more than
    it should, before any of it is unpacked.

    Args:
        content: The archive.
        most: Bytes that its members may have unpacked, all together.

    Raises:
        ValueError: If it is no such archive, is damaged, or holds anything but numbers.
    """
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
        if any(member.compress_type not in METHODS for member in members):
            raise ValueError("it is packed in a way that NumPy never does")
        size = sum(member.file_size for member in members)
        if size > most:
            raise ValueError(f"unpacked it has {size:,} bytes, more than the {most:,} it may have")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: _numbers(name, arrays[name]) for name in arrays.files}
    except PARSING_ERRORS as error:
        raise ValueError(str(error) or type(error).__name__) from error


def as_float32(values: np.ndarray | Sequence[float]) -> np.ndarray:
    """Return numbers as float32; what exceeds it becomes infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(np.float32)


def _numbers(name: str, array: object) -> np.ndarray:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in NUMBERS:
        raise ValueError(f"{name} is no array of numbers")
    return array
