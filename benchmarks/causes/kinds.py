"""Whose fault errors are: of the search, of the acoustic model, of the language model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.causes.cases import Case
from benchmarks.causes.groups import OVERALL, Figures, Vocabulary
from benchmarks.causes.scores import Fault, Judge, Kind, faults, kind_of, mended
from benchmarks.causes.sections import Section, ratio
from model.evaluation.rates import error_rates

KINDS: dict[Kind, str] = {
    "search": "search lost it",
    "unknown": "unknown word in it",
    "acoustic": "acoustic model alone prefers the wrong text",
    "language": "language model alone prefers the wrong text",
    "both": "both prefer the wrong text",
}

RIGHT = "read right"


@dataclass(frozen=True)
class Judged:
    """Whose fault the errors of a recording are.

    Attributes:
        case: The recording.
        whole: Why the whole text was read and not the right one, or None where it is right.
        faults: Its runs of wrong words, and why each was read and not the right ones.
    """

    case: Case
    whole: Kind | None
    faults: tuple[tuple[Fault, Kind], ...]


def judge_case(case: Case, judge: Judge, vocabulary: Vocabulary) -> Judged:
    """Find out whose fault the errors of a recording are."""
    found = faults(case.pairs)
    if not found:
        return Judged(case, None, ())
    log_probs, words = case.scored.log_probs(), case.text.split()
    read = judge.worth(log_probs, words)
    right = judge.worth(log_probs, case.row.text.split())
    kinds = []
    for fault in found:
        unknown = not all(map(vocabulary.knows, fault.right.split()))
        worth = judge.worth(log_probs, mended(case.pairs, fault))
        kinds.append((fault, kind_of(worth, read, unknown)))
    return Judged(case, kind_of(right, read), tuple(kinds))


def by_kind(judged: Sequence[Judged]) -> list[Section]:
    """Return how many errors are whose fault, fault by fault and text by text."""
    sections = [_of_texts(judged)]
    for corpus in [OVERALL, *dict.fromkeys(one.case.row.corpus for one in judged)]:
        own = [one for one in judged if corpus in (OVERALL, one.case.row.corpus)]
        sections.insert(-1, _of_faults(own, corpus))
    return sections


def _of_faults(judged: Sequence[Judged], corpus: str) -> Section:
    places, errors = Counter[Kind](), Counter[Kind]()
    for one in judged:
        for fault, kind in one.faults:
            places[kind] += 1
            errors[kind] += len(fault.pairs)
    return Section(
        f"Whose fault: {corpus}",
        "Each run of wrong words is put right alone, the rest left as it was read; that text "
        "has a greater score than the one that was read, so that the search lost it, or it has a "
        "smaller one. Those with a word that the language model lacks are apart.",
        {
            name: {
                "places": places[kind],
                "errors": errors[kind],
                "of_errors": ratio(errors[kind], errors.total()),
            }
            for kind, name in KINDS.items()
        },
    )


def _of_texts(judged: Sequence[Judged]) -> Section:
    rows: dict[str, Figures] = {}
    every = sum(one.case.rates.word_errors for one in judged)
    for kind, name in {None: RIGHT, **KINDS}.items():
        own = [one.case.rates for one in judged if one.whole == kind]
        errors = sum(rates.word_errors for rates in own)
        if kind != "unknown":
            rows[name] = {
                "recordings": len(own),
                "words": sum(rates.words for rates in own),
                "errors": errors,
                "of_errors": ratio(errors, every),
            }
    return Section(
        "Whose fault: whole texts",
        "The score of the whole reference against that of the whole reading; one unlikely word "
        "decides on all others here.",
        rows,
    )


NEARNESS = (
    "the same but for spaces",
    "one letter apart",
    "at least half of the letters right",
    "fewer letters right",
    "only left out",
    "only added",
)


def by_nearness(judged: Sequence[Judged]) -> Section:
    """Return how far what was read is from what was said, letter by letter."""
    places, errors = Counter[str](), Counter[str]()
    for one in judged:
        for fault, _ in one.faults:
            name = nearness(fault)
            places[name] += 1
            errors[name] += len(fault.pairs)
    return Section(
        "How near the wrong words are",
        "Letters of each run of wrong words against those said.",
        {
            name: {
                "places": places[name],
                "errors": errors[name],
                "of_errors": ratio(errors[name], errors.total()),
            }
            for name in NEARNESS
        },
    )


def nearness(fault: Fault) -> str:
    """Return how near wrong words are to the right ones, one of ``NEARNESS``."""
    right, read = fault.right.replace(" ", ""), fault.read.replace(" ", "")
    if not read:
        return "only left out"
    if not right:
        return "only added"
    if right == read:
        return "the same but for spaces"
    wrong = error_rates([right], [read]).character_errors
    if wrong == 1:
        return "one letter apart"
    near = 2 * wrong <= len(right)
    return "at least half of the letters right" if near else "fewer letters right"
