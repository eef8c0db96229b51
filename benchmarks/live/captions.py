"""What was shown of utterances: when words stood, what was changed, when words settled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from benchmarks.live.playing import Told
from streamer.events import FinalTranscript, PartialTranscript


@dataclass(frozen=True)
class Caption:
    """All that was shown of an utterance.

    Attributes:
        partials: The partials in order, and when each came.
        final: The final.
        told: When the final came.
    """

    partials: tuple[tuple[PartialTranscript, Told], ...]
    final: FinalTranscript
    told: Told

    @property
    def texts(self) -> list[list[str]]:
        """The words of each text in the order in which they were shown, the final's last."""
        shown = [f"{partial.stable} {partial.tail}".split() for partial, _ in self.partials]
        return [*shown, self.final.text.split()]


@dataclass(frozen=True)
class Flicker:
    """What was changed or withdrawn of an utterance after it had been shown.

    Attributes:
        lost: Words that the next text had no more, or otherwise.
        lost_in_final: Those among them that the final took away.
        revisions: Texts that did so to the text before.
    """

    lost: int = 0
    lost_in_final: int = 0
    revisions: int = 0

    def __add__(self, other: Flicker) -> Flicker:
        return Flicker(
            self.lost + other.lost,
            self.lost_in_final + other.lost_in_final,
            self.revisions + other.revisions,
        )


def captions_of(told: Iterable[Told]) -> list[Caption]:
    """Return the utterances of a stream, in the order of their finals."""
    partials: dict[int, list[tuple[PartialTranscript, Told]]] = {}
    captions = []
    for one in told:
        if isinstance(one.event, PartialTranscript):
            partials.setdefault(one.event.utterance, []).append((one.event, one))
        elif isinstance(one.event, FinalTranscript):
            shown = tuple(partials.pop(one.event.utterance, ()))
            captions.append(Caption(shown, one.event, one))
    return captions


def kept_places(earlier: Sequence[str], later: Sequence[str]) -> list[int]:
    """Return for each word of a text its place in the text before, or -1 if it is new.

    The texts are aligned by the fewest words changed, left out or put in, and where that
    leaves a choice, so that most words pair with themselves: these are kept.  A word that
    comes in before them moves them, and does not change them.
    """
    same = next(
        (place for place, (a, b) in enumerate(zip(earlier, later, strict=False)) if a != b),
        min(len(earlier), len(later)),
    )
    pairs = _pairs(earlier[same:], later[same:])
    places = [-1] * (len(later) - same)
    for before, after in pairs:
        places[after] = same + before
    return [*range(same), *places]


def _pairs(earlier: Sequence[str], later: Sequence[str]) -> list[tuple[int, int]]:
    """Return the places of the words that pair with themselves in the best alignment."""
    # Edits count first, kept words against them; the pairs are kept from the last one on.
    row: list[_Path] = [(after, 0, None) for after in range(len(later) + 1)]
    for before, word in enumerate(earlier):
        above, row = row, [(before + 1, 0, None)]
        for after, other in enumerate(later):
            edits, kept, pairs = above[after]
            found: _Path = (edits + 1, kept, pairs)
            if word == other:
                found = (edits, kept - 1, (before, after, pairs))
            for edits, kept, pairs in (above[after + 1], row[after]):
                if (edits + 1, kept) < found[:2]:
                    found = (edits + 1, kept, pairs)
            row.append(found)
    return list(_chain(row[-1][2]))[::-1]


_Chain = tuple[int, int, Any]
"""Places of a pair in the text before and in this one, and the chain of those before it."""

_Path = tuple[int, int, _Chain | None]
"""Edits, words kept as a negative number, and the chain of those."""


def _chain(pairs: _Chain | None) -> Iterator[tuple[int, int]]:
    while pairs is not None:
        before, after, pairs = pairs
        yield before, after


def standing_since(texts: Sequence[Sequence[str]]) -> list[int]:
    """Return for each word of the last text the number of the first text that it stands in.

    It stands in all the texts from there on: a word that leaves and comes back stands from
    its coming back.
    """
    since = [0] * len(texts[0])
    for number, (earlier, later) in enumerate(pairwise(texts), 1):
        places = kept_places(earlier, later)
        since = [since[place] if place >= 0 else number for place in places]
    return since


def words_lost(earlier: Sequence[str], later: Sequence[str]) -> int:
    """Return how many words of a text the next text has no more, or has changed."""
    return len(earlier) - sum(place >= 0 for place in kept_places(earlier, later))


def flicker(caption: Caption) -> Flicker:
    """Return what was changed or withdrawn of an utterance."""
    lost = [words_lost(earlier, later) for earlier, later in pairwise(caption.texts)]
    return Flicker(sum(lost), lost[-1] if lost else 0, sum(count > 0 for count in lost))


def shown_at(caption: Caption) -> Iterator[tuple[float, Told]]:
    """Yield for each word of the final the event that first showed it for good.

    Yields:
        Stream time up to which the event's reading had used the audio, and the event.
    """
    shown = [(partial.audio_s, told) for partial, told in caption.partials]
    shown.append((caption.final.audio_s, caption.told))
    yield from (shown[number] for number in standing_since(caption.texts))


def settled_at(caption: Caption) -> tuple[list[float], int]:
    """Return when each word of the final was settled, and how many were before the final.

    Returns:
        Stream times in seconds, one for each word; and the number of words that a partial
        settled.
    """
    times: list[float] = []
    for partial, _ in caption.partials:
        times += [partial.audio_s] * (len(partial.stable.split()) - len(times))
    words = len(caption.final.words)
    times = times[:words]
    return times + [caption.final.audio_s] * (words - len(times)), len(times)
