"""The search for settings finds what was planted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lm.search import SearchSettings
from lm.tuning.parts import SLICES, Part, cut
from lm.tuning.search import SettingsSearch, TuningPlan
from lm.tuning.trials import Outcome, Reader, TrialLog, Trials
from tests.lm.tuning.planted import Planted, one_word_recordings

START = SearchSettings(32)


def search(
    planted: Planted,
    folder: Path,
    plan: TuningPlan = TuningPlan(),  # noqa: B008
) -> SettingsSearch:
    parts = cut(one_word_recordings(folder))
    return SettingsSearch(Trials(Reader(planted, parts), TrialLog(folder / "log.csv", "")), plan)


@pytest.mark.parametrize(
    ("alpha", "beta", "penalty"), [(0.75, 0.5, 8.0), (0.3, -0.5, 12.0), (1.5, 2.5, 2.0)]
)
def test_the_planted_weights_are_found(
    alpha: float, beta: float, penalty: float, tmp_path: Path
) -> None:
    planted = Planted(alpha, beta, penalty)
    found = search(planted, tmp_path).weights(START)
    assert planted.errors(found) <= 1
    assert found.beam_width == START.beam_width


def test_the_search_keeps_within_the_ranges_of_settings(tmp_path: Path) -> None:
    found = search(Planted(alpha=0.0, penalty=0.0), tmp_path).weights(START)
    assert found.alpha < 0.1
    assert found.unknown_penalty == 0


def test_a_rerun_finds_the_same_and_reads_nothing(tmp_path: Path) -> None:
    planted = Planted()
    first = search(planted, tmp_path)
    tuned = first.weights(START)
    outcomes = first.narrow(tuned), first.held_out()
    read = planted.read
    again = search(planted, tmp_path)
    assert again.weights(START) == tuned
    assert (again.narrow(tuned), again.held_out()) == outcomes
    assert planted.read == read


def test_the_smallest_beam_that_loses_nothing_is_found(tmp_path: Path) -> None:
    narrowing = search(Planted(), tmp_path).narrow(replace(START, alpha=0.75, beta=0.5))
    assert narrowing.settings.beam_width == 16
    assert narrowing.settings.beam_threshold == 8
    assert narrowing.settings.symbol_threshold == TuningPlan().symbol_thresholds[0]
    assert narrowing.wide.beam_width == 500
    assert {narrowing.settings, narrowing.wide} <= narrowing.tried.keys()


def test_errors_within_the_tolerance_are_borne(tmp_path: Path) -> None:
    start = replace(START, alpha=1.75, beta=0.5)
    for tolerance, width in ((0.03, 16), (0.5, 8)):
        found = search(Planted(), tmp_path, TuningPlan(tolerance=tolerance)).narrow(start)
        assert found.settings.beam_width == width


def test_a_beam_that_is_never_good_enough_stays(tmp_path: Path) -> None:
    start = SearchSettings(32, alpha=0.75, beta=0.5)
    found = search(Planted(width=200, threshold=9.0), tmp_path).narrow(start)
    assert found.settings.beam_width == 32


def test_a_given_width_is_kept(tmp_path: Path) -> None:
    start = SearchSettings(20, alpha=0.75, beta=0.5)
    found = search(Planted(), tmp_path, TuningPlan(widths=())).narrow(start)
    assert found.settings.beam_width == 20


class HalvesApart(Trials):
    """Trials of a word each, where each half of the speakers has its own best alpha."""

    def __init__(self, *best: float) -> None:
        self._best = best

    def outcomes(
        self, settings: Sequence[SearchSettings], parts: Sequence[Part]
    ) -> dict[SearchSettings, Outcome]:
        return {
            one: sum((self._outcome(one, half) for half, _ in parts), Outcome()) for one in settings
        }

    def _outcome(self, settings: SearchSettings, half: int) -> Outcome:
        return Outcome(1, round(100 * abs(settings.alpha - self._best[half])))


def test_each_half_is_judged_with_settings_of_the_other() -> None:
    plan = TuningPlan(alphas=(0.25, 0.75), betas=(0.5,), steps={"alpha": 0.5})
    running = SettingsSearch(HalvesApart(0.25, 0.75), plan)
    tuned = running.weights(replace(START, alpha=0.25, beta=0.5))
    found = running.held_out()
    assert found.words == running.whole(tuned).words == 2 * SLICES
    # With its own best alpha each half would be read without errors.
    assert found.errors == 2 * SLICES * 50
