"""The search for settings: a grid, then a compass whose steps shrink, then less work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from lm.search import SearchSettings
from lm.tuning.parts import HALVES, SLICES, Part, slices
from lm.tuning.trials import Outcome, Trials
from model.settings import RangeError

EIGHTH, QUARTER, ALL = slices(SLICES // 8), slices(SLICES // 4), slices(SLICES)

FINALISTS = 3
"""Settings that are judged on all recordings."""

MOST_MOVES = 8
"""Moves of the compass with steps of one size."""

Outcomes = Mapping[SearchSettings, Outcome]


@dataclass(frozen=True)
class TuningPlan:
    """What is tried.

    Attributes:
        alphas: Weights of the language model on the grid.
        betas: Rewards for a word on it.
        steps: First step of the compass for each setting that it moves.
        width: Beam width with which the weights are tuned.
        widths: Beam widths to choose from, the smallest first; as it is where empty.
        beam_thresholds: Ways to prune hypotheses, the tightest first.
        symbol_thresholds: Ways to prune symbols, the tightest first.
        widest: Beam width of the search that narrower ones are held against; it prunes
            with the last thresholds.
        tolerance: By which share of that search's errors a narrower one may have more.
    """

    alphas: tuple[float, ...] = (0.25, 0.45, 0.65, 0.9)
    betas: tuple[float, ...] = (-0.5, 0.5, 1.5)
    steps: Mapping[str, float] = field(
        default_factory=lambda: {"alpha": 0.15, "beta": 0.5, "unknown_penalty": 4.0}
    )
    width: int = 32
    widths: tuple[int, ...] = (8, 16, 32, 64, 128)
    beam_thresholds: tuple[float, ...] = (6.0, 8.0, 10.0, 12.0)
    symbol_thresholds: tuple[float, ...] = (3.0, 4.0, 5.0, 6.0)
    widest: int = 500
    tolerance: float = 0.03

    def wide(self, settings: SearchSettings) -> SearchSettings:
        """Return the search that narrower ones are held against."""
        return replace(
            settings,
            beam_width=self.widest,
            beam_threshold=self.beam_thresholds[-1],
            symbol_threshold=self.symbol_thresholds[-1],
        )


@dataclass(frozen=True)
class Narrowing:
    """What less work costs, on an eighth of the recordings.

    Attributes:
        settings: The least work within the tolerance.
        wide: The search it is held against.
        tried: Outcomes by settings, in the order of trying, those two among them.
    """

    settings: SearchSettings
    wide: SearchSettings
    tried: Outcomes


class SettingsSearch:
    """Finds settings by trials; from the same outcomes always the same ones.

    Args:
        trials: Runs them.
        plan: What is tried.
    """

    def __init__(self, trials: Trials, plan: TuningPlan) -> None:
        self._trials = trials
        self._plan = plan
        self.tried: dict[SearchSettings, Outcome] = {}
        """Outcomes of :meth:`weights` on an eighth of the recordings."""
        self._rivals: dict[SearchSettings, None] = {}

    def weights(self, start: SearchSettings) -> SearchSettings:
        """Return the settings of the fewest errors, with the beam and pruning of ``start``.

        The grid is read on an eighth of the recordings.  The compass (Hooke and Jeeves,
        Direct search solution of numerical and statistical problems, Journal of the ACM 8
        (1961)) goes on from its best point on a quarter, then with half the steps.  The
        best few read all of them.
        """
        grid = product(self._plan.alphas, self._plan.betas)
        points = [start, *_changed(start, ({"alpha": a, "beta": b} for a, b in grid))]
        best = _fewest_errors(self._on_eighth(points))[0]
        for scale in (1.0, 0.5):
            best = self._compass(best, scale)
        finalists = _fewest_errors(self._on_quarter(self._rivals))[:FINALISTS]
        return _fewest_errors(self._trials.outcomes(finalists, ALL))[0]

    def held_out(self) -> Outcome:
        """Return what comes of reading each half of the speakers with the other's settings.

        Each half chooses among all that the compass of :meth:`weights` came to, on a
        quarter of its own recordings; the other half is then read whole.
        """
        total = Outcome()
        for half in range(HALVES):
            own = self._trials.outcomes(list(self._rivals), slices(SLICES // 4, [half]))
            chosen = _fewest_errors(own)[0]
            others = slices(SLICES, [1 - half])
            total += self._trials.outcomes([chosen], others)[chosen]
        return total

    def whole(self, settings: SearchSettings) -> Outcome:
        """Return what comes of reading all recordings."""
        return self._trials.outcomes([settings], ALL)[settings]

    def narrow(self, tuned: SearchSettings) -> Narrowing:
        """Return the smallest beam width, then the tightest pruning, within the tolerance.

        They keep within it on an eighth of the recordings against the widest beam, and on
        all of them against ``tuned``.
        """
        plan, wide = self._plan, self._plan.wide(tuned)
        widths = [{"beam_width": width} for width in plan.widths]
        tried = dict(self._trials.outcomes([wide, *_changed(tuned, widths), tuned], EIGHTH))
        found = tuned
        for changes in (
            widths,
            [{"beam_threshold": value} for value in plan.beam_thresholds],
            [{"symbol_threshold": value} for value in plan.symbol_thresholds],
        ):
            for changed in _changed(found, changes):
                tried |= self._trials.outcomes([changed], EIGHTH)
                if self._is_as_good(changed, wide, EIGHTH) and self._is_as_good(
                    changed, tuned, ALL
                ):
                    found = changed
                    break
        return Narrowing(found, wide, tried)

    def _is_as_good(
        self, settings: SearchSettings, other: SearchSettings, parts: Sequence[Part]
    ) -> bool:
        """Whether settings make no more errors than the tolerance allows."""
        outcomes = self._trials.outcomes([settings, other], parts)
        return outcomes[settings].errors <= (1 + self._plan.tolerance) * outcomes[other].errors

    def _compass(self, start: SearchSettings, scale: float) -> SearchSettings:
        """Move to the best neighbour until there is none that is better."""
        best = start
        for _ in range(MOST_MOVES):
            found = _fewest_errors(self._on_quarter(self._near(best, scale)))[0]
            if found == best:
                break
            best = found
        return best

    def _near(self, settings: SearchSettings, scale: float) -> list[SearchSettings]:
        """Return settings and their neighbours, a step to either side for each."""
        steps = [
            {name: round(getattr(settings, name) + sign * scale * step, 6)}
            for name, step in self._plan.steps.items()
            for sign in (-1, 1)
        ]
        return [settings, *_changed(settings, steps)]

    def _on_eighth(self, settings: Iterable[SearchSettings]) -> Outcomes:
        found = self._trials.outcomes(list(settings), EIGHTH)
        self.tried |= found
        return found

    def _on_quarter(self, settings: Iterable[SearchSettings]) -> Outcomes:
        """Return outcomes; the settings are rivals from now on."""
        wanted = list(settings)
        found = self._trials.outcomes(wanted, QUARTER)
        self._on_eighth(wanted)
        self._rivals |= dict.fromkeys(wanted)
        return found


def _changed(
    settings: SearchSettings, changes: Iterable[Mapping[str, float]]
) -> Iterator[SearchSettings]:
    """Yield settings with each change that keeps within their ranges."""
    for change in changes:
        try:
            yield replace(settings, **change)  # type: ignore[arg-type]
        except RangeError:
            continue


def _fewest_errors(outcomes: Outcomes) -> list[SearchSettings]:
    """Return settings by their errors; of equals the first one that was asked for."""
    return sorted(outcomes, key=lambda settings: outcomes[settings].errors)
