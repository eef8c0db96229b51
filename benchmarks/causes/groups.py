"""Errors by what is known of a recording or a word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, pairwise
from math import inf

import numpy as np

from benchmarks.causes.cases import Case, Said, words_said
from benchmarks.causes.sections import Section, ratio
from lm.language_model import LanguageModel
from model.evaluation.confidence import wer_interval
from model.evaluation.rates import ErrorRates, error_rates, ranked

OVERALL = "all"
FEW_SPEAKERS = 8
"""Corpora with more of them have a row for each quarter of them."""

QUARTERS = ("best quarter", "second quarter", "third quarter", "worst quarter")
SNR_EDGES = (10, 20, 30, 40)
SHOWN = 20
"""Commonest errors of a kind that are listed."""

UNKNOWN_WORD = "unknown word"
RANKS = (10, 100, 1_000, 10_000)
LENGTHS = (3, 6, 12, 24)
LETTERS = (1, 2, 3, 4, 5, 7, 9)

Figures = dict[str, float | int | None]


def errors_of(cases: Sequence[Case], of: int) -> Figures:
    """Return the errors of recordings, of which there are ``of`` in all."""
    rates = sum((case.rates for case in cases), ErrorRates())
    interval = wer_interval([case.rates for case in cases], [case.row.speaker for case in cases])
    greedy = error_rates([case.row.text for case in cases], [case.greedy for case in cases])
    return {
        "recordings": len(cases),
        "words": rates.words,
        "wer": rates.wer,
        "wer_low": interval.low if interval else None,
        "wer_high": interval.high if interval else None,
        "greedy_wer": greedy.wer,
        "substitutions": rates.substitutions,
        "deletions": rates.deletions,
        "insertions": rates.insertions,
        "of_errors": ratio(rates.word_errors, of),
        "perfect": ratio(sum(case.rates.word_errors == 0 for case in cases), len(cases)),
    }


def by_case(title: str, about: str, groups: Mapping[str, Sequence[Case]]) -> Section:
    """Return the errors of groups of recordings, those without any left out."""
    every = {id(case): case for case in chain.from_iterable(groups.values())}
    of = sum(case.rates.word_errors for case in every.values())
    return Section(title, about, {name: errors_of(own, of) for name, own in groups.items() if own})


def by_word(
    title: str,
    about: str,
    cases: Sequence[Case],
    group: Callable[[Said], str],
    order: Iterable[str],
) -> Section:
    """Return how many of the words of references are replaced or left out, by groups of them.

    Args:
        title: Of the section.
        about: Likewise.
        cases: The recordings.
        group: From a word to the name of its group.
        order: Names of groups, in order.
    """
    found: dict[str, list[Said]] = {name: [] for name in order}
    for case in cases:
        for said in words_said(case):
            found[group(said)].append(said)
    words = sum(map(len, found.values()))
    errors = sum(said.wrong for own in found.values() for said in own)
    rows = {name: _wrong(own, words, errors) for name, own in found.items() if own}
    return Section(title, about, rows)


def _wrong(said: Sequence[Said], words: int, errors: int) -> Figures:
    left_out = sum(not one.read for one in said)
    wrong = sum(one.wrong for one in said)
    return {
        "words": len(said),
        "of_words": ratio(len(said), words),
        "substitutions": wrong - left_out,
        "deletions": left_out,
        "wrong": ratio(wrong, len(said)),
        "of_errors": ratio(wrong, errors),
    }


def by_corpus(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Return recordings by corpus, and all of them."""
    corpora = dict.fromkeys(case.row.corpus for case in cases)
    named = {name: [case for case in cases if case.row.corpus == name] for name in corpora}
    return {**named, OVERALL: list(cases)}


def by_speaker(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Return recordings by speaker, or by quarter of the speakers of a corpus with many."""
    found: dict[str, list[Case]] = {}
    for corpus, own in by_corpus(cases).items():
        speakers: dict[str, list[Case]] = {}
        for case in own:
            speakers.setdefault(case.row.speaker, []).append(case)
        order = sorted(speakers, key=lambda name: (_wer(speakers[name]), name))
        if corpus == OVERALL:
            continue
        if len(order) <= FEW_SPEAKERS:
            found |= {name: speakers[name] for name in order}
            continue
        for quarter, names in zip(QUARTERS, np.array_split(order, len(QUARTERS)), strict=True):
            title = f"{corpus}, {quarter} ({len(names)})"
            found[title] = [case for name in names.tolist() for case in speakers[name]]
    return found


def _wer(cases: Sequence[Case]) -> float:
    return sum((case.rates for case in cases), ErrorRates()).wer


def by_snr(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Return recordings by their signal-to-noise ratio."""
    names = band_names(SNR_EDGES, "dB")
    found: dict[str, list[Case]] = {name: [] for name in [*names, "no pause to tell"]}
    for case in cases:
        known = case.snr_db is not None
        found[names[band(case.snr_db, SNR_EDGES)] if known else "no pause to tell"].append(case)
    return found


def band(value: float | None, edges: Sequence[float]) -> int:
    """Return the number of the band that a value lies in; each has its lower edge."""
    return int(np.searchsorted(edges, value if value is not None else -inf, side="right"))


def band_names(edges: Sequence[float], unit: str) -> list[str]:
    """Return what the bands between edges are called."""
    middle = [f"{low:g} to {high:g} {unit}" for low, high in pairwise(edges)]
    return [f"below {edges[0]:g} {unit}", *middle, f"{edges[-1]:g} {unit} and more"]


def up_to(value: int, most: Sequence[int]) -> str:
    """Return the name of the group of whole numbers that one is in.

    Args:
        value: From 1.
        most: The largest of each group but the last.
    """
    names = up_to_names(most)
    return names[int(np.searchsorted(most, value))]


def up_to_names(most: Sequence[int]) -> list[str]:
    """Return the names of all groups of :func:`up_to`."""
    firsts = [1, *(one + 1 for one in most)]
    named = [
        f"{first:,}" if first == last else f"{first:,} to {last:,}"
        for first, last in zip(firsts, most, strict=False)
    ]
    return [*named, f"{firsts[-1]:,} and more"]


def by_length(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Return recordings by the number of their words."""
    found: dict[str, list[Case]] = {f"{name} words": [] for name in up_to_names(LENGTHS)}
    for case in cases:
        found[f"{up_to(max(1, len(case.row.text.split())), LENGTHS)} words"].append(case)
    return found


PLACES = ("first", "second", "middle", "last but one", "last", "all of 4 words or fewer")


def place_of(said: Said) -> str:
    """Return where in its utterance a word stands."""
    if said.words < len(PLACES) - 1:
        return PLACES[-1]
    if said.place < 2:
        return PLACES[said.place]
    return {1: "last", 2: "last but one"}.get(said.words - said.place, "middle")


def letters_of(said: Said) -> str:
    """Return how many letters a word has."""
    return up_to(len(said.word), LETTERS)


class Vocabulary:
    """How common words are, by a language model.

    Args:
        language_model: Its unigram probabilities rank the words.
    """

    def __init__(self, language_model: LanguageModel) -> None:
        self._model = language_model
        state = language_model.start()
        language_model.kenlm.NullContextWrite(state)
        words = language_model.words or ()
        order = sorted(words, key=lambda word: -language_model.score(state, word)[0])
        self._ranks = {word: rank for rank, word in enumerate(order, 1)}

    def knows(self, word: str) -> bool:
        """Return whether the language model has a word; it may not where there is none."""
        return not word or self._model.knows(word)

    @property
    def names(self) -> list[str]:
        """Names of all groups of :meth:`rank_of`."""
        return [*(f"rank {name}" for name in up_to_names(RANKS)), UNKNOWN_WORD]

    def rank_of(self, said: Said) -> str:
        """Return how common a word is; where the model lists none, all that it knows are rare."""
        if not self.knows(said.word):
            return UNKNOWN_WORD
        return f"rank {up_to(self._ranks.get(said.word, RANKS[-1] + 1), RANKS)}"

    def neighbour_of(self, said: Said) -> str:
        """Return whether a word is unknown, or stands beside an unknown one."""
        if not self.knows(said.word):
            return UNKNOWN_WORD
        beside = self.knows(said.before) and self.knows(said.after)
        return "other known words" if beside else "known word beside an unknown one"


NEIGHBOURS = (UNKNOWN_WORD, "known word beside an unknown one", "other known words")


def without_unknown(cases: Sequence[Case], vocabulary: Vocabulary) -> Section:
    """Return what the errors would be but for the words that the language model lacks."""
    rates = sum((case.rates for case in cases), ErrorRates())
    said = [one for case in cases for one in words_said(case)]
    unknown = [one for one in said if not vocabulary.knows(one.word)]
    left = rates.word_errors - sum(one.wrong for one in unknown)
    known = len(said) - len(unknown)
    return Section(
        "But for unknown words",
        "Errors of the words that the language model knows, with all words that were added; and "
        "all errors, if each unknown word were read right and nothing else changed.",
        {
            "as it is": _rate(rates.words, rates.word_errors),
            "known words only": _rate(known, left),
            "unknown words read right": _rate(rates.words, left),
        },
    )


def unknown_read(cases: Sequence[Case], vocabulary: Vocabulary) -> Section:
    """Return how often a word is read that the language model lacks, and how often rightly."""
    pairs = [pair for case in cases for pair in case.pairs if not vocabulary.knows(pair[1])]
    right = sum(wanted == read for wanted, read in pairs)
    return Section(
        "Unknown words that are read",
        "Words of the readings that the language model lacks.",
        {"rightly": {"words": right}, "wrongly": {"words": len(pairs) - right}},
    )


def _rate(words: int, errors: int) -> Figures:
    return {"words": words, "errors": errors, "wer": ratio(errors, words)}


def confusions(cases: Sequence[Case]) -> list[Section]:
    """Return the commonest errors of each kind."""
    counts = Counter(pair for case in cases for pair in case.pairs if pair[0] != pair[1])
    kinds = {
        "replaced": {f"{a} → {b}": n for (a, b), n in ranked(counts) if a and b},
        "left out": {a: n for (a, b), n in ranked(counts) if not b},
        "added": {b: n for (a, b), n in ranked(counts) if not a},
    }
    return [
        Section(
            f"Words {kind} most often",
            f"{sum(found.values())} words in all, {len(found)} different errors.",
            {name: {"times": times} for name, times in list(found.items())[:SHOWN]},
        )
        for kind, found in kinds.items()
    ]
