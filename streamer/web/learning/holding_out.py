"""Which corrected recordings are learned from, and which judge what was learned."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Literal

Side = Literal["train", "held_out"]

HELD_OUT_SHARE = 0.25
"""Share of the recordings that are held out, on the long run."""


def sides(recordings: Iterable[str], decided: Mapping[str, Side]) -> dict[str, Side]:
    """Return the side of each recording; whole recordings, so that no voice is cut in two.

    What was decided stays, for good: a recording that was learned from never judges, and
    one that judges is never learned from.  The others go by a hash of their id, one in
    four to those held out.  Where one side would be empty although there are two
    recordings or more, the undecided one whose hash is nearest to it goes there.

    Args:
        recordings: Ids of all that are corrected.
        decided: Sides decided before, of these recordings and others.
    """
    found = dict.fromkeys(recordings)
    undecided = sorted((name for name in found if name not in decided), key=position)
    chosen: dict[str, Side] = {
        name: decided.get(name) or ("held_out" if position(name) < HELD_OUT_SHARE else "train")
        for name in found
    }
    if len(chosen) > 1 and undecided:
        if "held_out" not in chosen.values():
            chosen[undecided[0]] = "held_out"
        elif "train" not in chosen.values():
            chosen[undecided[-1]] = "train"
    return chosen


def position(recording: str) -> float:
    """Return where a hash puts a recording's id, 0 to 1, evenly spread."""
    digest = hashlib.sha256(recording.encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
