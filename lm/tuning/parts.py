"""Recordings cut into parts, so that a few of them can stand for all."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from lm.tuning.log_probs import Scored

HALVES = 2
SLICES = 8
"""Parts of each half."""

Part = tuple[int, int]
"""A half of the speakers, 0 or 1, and a slice of its recordings, 0 to 7."""


def slices(count: int, halves: Sequence[int] = range(HALVES)) -> list[Part]:
    """Return the parts that are the first so many slices of each half."""
    return [(half, index) for index in range(count) for half in halves]


def cut(scored: Sequence[Scored]) -> dict[Part, list[Scored]]:
    """Cut recordings into parts: no speaker is in both halves, and each part is alike.

    The same recordings are cut the same way whatever their order.  A recording without a
    speaker counts as a speaker of its own.  A part may be empty.
    """
    halves = _halves(scored)
    ordered = sorted(scored, key=lambda item: (item.row.corpus, _mixed(item.identity)))
    parts: dict[Part, list[Scored]] = {part: [] for part in slices(SLICES)}
    turns: Counter[tuple[str, int]] = Counter()
    for item in ordered:
        half = halves[speaker_of(item)]
        turn = turns[item.row.corpus, half]
        parts[half, turn % SLICES].append(item)
        turns[item.row.corpus, half] += 1
    return parts


def speaker_of(item: Scored) -> tuple[str, str]:
    """Return what tells the speaker of a recording from others."""
    return item.row.corpus, item.row.speaker or item.identity


def _halves(scored: Sequence[Scored]) -> dict[tuple[str, str], int]:
    """Return the half of each speaker; both halves have about as many words of each corpus."""
    words: Counter[tuple[str, str]] = Counter()
    for item in scored:
        words[speaker_of(item)] += len(item.row.text.split())
    held: Counter[tuple[str, int]] = Counter()
    halves = {}
    for speaker in sorted(words, key=lambda name: (-words[name], name)):
        half = min(range(HALVES), key=lambda half: held[speaker[0], half])
        halves[speaker] = half
        held[speaker[0], half] += words[speaker]
    return halves


def _mixed(identity: str) -> str:
    """Return what puts recordings in an order that has nothing to do with what they hold."""
    return hashlib.sha256(identity.encode()).hexdigest()
