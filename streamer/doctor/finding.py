"""What one check found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from model.settings import check, one_of

Status = Literal["ok", "absent", "warning", "failure"]
"""Ok; nothing of the kind is here, nor needed; it may make trouble; it does not work."""

STATUSES: tuple[Status, ...] = ("ok", "absent", "warning", "failure")
"""From the best to the worst."""


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: A short name that programs can rely on, such as ``memory``.
        title: What people read in its place.
        status: How bad it is.
        text: What was found, in a few words.
        remedy: What to do about it, with the command where there is one; "" where nothing
            is to be done.
        figures: What was measured, by name, as JSON takes it.

    Raises:
        RangeError: If there is no such status.
    """

    check: str
    title: str
    status: Status
    text: str
    remedy: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check(self, one_of(STATUSES, "status"))

    def as_record(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Progress:
    """What a check that takes a while has to show meanwhile.

    Attributes:
        text: What it does.
        level_db: Level of the input just now, dB of full scale, or None.
    """

    text: str
    level_db: float | None = None


Show = Callable[[Progress], None]
"""Shows progress."""


def show_nothing(_: Progress) -> None:
    """Let progress pass."""


def worst(statuses: Sequence[Status]) -> Status:
    """Return the worst of some statuses; ok where there is none."""
    return max(statuses, key=STATUSES.index, default="ok")
