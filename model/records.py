"""JSON records that carry their own checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def record_checksum(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical JSON of all but the checksum itself.

    Raises:
        ValueError: If a number in it is not finite.
    """
    content = {key: value for key, value in record.items() if key != "sha256"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def is_intact(record: Mapping[str, Any]) -> bool:
    """Return whether a record is what its checksum was made of."""
    try:
        return bool(record.get("sha256") == record_checksum(record))
    except ValueError:
        return False
