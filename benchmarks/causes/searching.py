"""What other searches would read, and what the best of their readings would be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.causes.cases import Case, best_of
from benchmarks.causes.groups import OVERALL, Figures
from benchmarks.causes.sections import Section, ratio
from lm.beam import BeamDecoder
from lm.tuning.log_probs import Scored
from model.evaluation.rates import ErrorRates, error_rates

LISTED = 100
"""Readings of a recording that are listed."""

FEW = 10
"""Of these, those that are judged as a shorter list."""

TIMES_AS_WIDE = 10


@dataclass(frozen=True)
class Listing:
    """What a search read in a recording.

    Attributes:
        case: The recording.
        texts: Its readings, best first.
    """

    case: Case
    texts: tuple[str, ...]


def list_readings(decoder: BeamDecoder, scored: Scored) -> tuple[str, ...]:
    """Return up to ``LISTED`` readings of a recording, best first."""
    return tuple(one.text for one in decoder.n_best(scored.log_probs(), LISTED))


def list_wide(
    decoder: BeamDecoder, cases: Sequence[Case], progress: Callable[[int], None]
) -> list[Listing]:
    """Return what another search reads in recordings."""
    found = []
    for done, case in enumerate(cases, 1):
        found.append(Listing(case, list_readings(decoder, case.scored)))
        progress(done)
    return found


def searches(listings: Mapping[str, Sequence[Listing]], sample: Sequence[Case]) -> Section:
    """Return the errors of searches on a sample, and those of the best of their lists.

    Args:
        listings: By the name of the search.
        sample: The recordings.
    """
    rows: dict[str, Figures] = {}
    for corpus in [*dict.fromkeys(case.row.corpus for case in sample), OVERALL]:
        own = [case for case in sample if corpus in (OVERALL, case.row.corpus)]
        greedy = error_rates([case.row.text for case in own], [case.greedy for case in own])
        rows[f"{corpus}: greedy"] = {"words": greedy.words, "wer": greedy.wer}
        for name, listed in listings.items():
            mine = [one for one in listed if corpus in (OVERALL, one.case.row.corpus)]
            rows[f"{corpus}: {name}"] = _figures(mine)
    return Section(
        "Greedy, with the language model, and wider",
        "On the sample. The best of a list is the reading with the fewest wrong words: no second "
        "pass over that list can do better. A beam lists no more readings than it keeps.",
        rows,
    )


def _figures(listed: Sequence[Listing]) -> Figures:
    first, few, all_of_them = (
        sum((best_of(one.case.row.text, one.texts[:most]) for one in listed), ErrorRates())
        for most in (1, FEW, LISTED)
    )
    return {
        "words": first.words,
        "wer": first.wer,
        "listed": ratio(sum(len(one.texts) for one in listed), len(listed)),
        "oracle_10": few.wer,
        "oracle": all_of_them.wer,
    }
