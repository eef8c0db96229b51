"""What ``benchmarks/stability.py`` does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields, replace
from typing import Any

import numpy as np

from benchmarks.live.figures import figures_of
from benchmarks.live.judging import Judged
from benchmarks.live.options import BenchOptions, conditions, json_bytes
from benchmarks.live.rolling import Rolled, Roller
from benchmarks.live.tables import condition_table, milliseconds, percent, table
from lm.tuning.confidence import bins, calibration_error, logistic_weights, speaker_groups
from model.commands.terminal import Terminal
from model.errors import UsageError
from model.files import write_output
from streamer.app import load_model
from streamer.settings import PartialSettings
from streamer.stability import WordStability

SCHEMA = 1
"""Of the JSON; raised when a key changes its meaning or is taken away."""

FOLDS = 2
"""Groups of speakers, each judged by weights fitted on the others."""

RISING = (True, True, True, True, False)
"""For each measure of a word whether more of it may never make the word less likely to stay."""

SHIPPED, FITTED = "as they are", "as fitted"

EXPLAINED = """\
Words that are not settled, at every look. Log-loss: natural logarithm, mean. Calibration error: \
expected, of ten equal ranges of probability. Word latency: from the end of a word to its \
standing in a shown text for good, in stream time. Flicker (UPWR): words changed or withdrawn, \
for each word of the finals.\
"""


@dataclass(frozen=True)
class StabilityOptions(BenchOptions):
    """The command line; see ``stability.py --help``."""

    thresholds: Sequence[float] = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Examples:
    """Words that were not settled, at looks.

    Attributes:
        measures: float64 (words, measures); see :func:`streamer.stability.measures`.
        stayed: bool (words,), whether the final has the word.
        speakers: Who spoke each; a recording without a speaker stands for itself.
    """

    measures: np.ndarray
    stayed: np.ndarray
    speakers: tuple[str, ...]

    def chosen(self, places: np.ndarray) -> Examples:
        """Return those at places where bool (words,) is true."""
        speakers = np.asarray(self.speakers, object)[places]
        return Examples(self.measures[places], self.stayed[places], tuple(speakers))


def examples_of(rolled: Iterable[Rolled]) -> Examples:
    """Return the words of recordings.

    Raises:
        UsageError: If there is none.
    """
    found = [
        (candidate.measures, stayed, one.row.speaker or one.row.audio.name)
        for one in rolled
        for candidate, stayed in one.candidates()
    ]
    if not found:
        raise UsageError("no word was read while recordings went on; name others with --manifest")
    measures, stayed, speakers = zip(*found, strict=True)
    return Examples(np.array(measures, float), np.array(stayed, bool), speakers)


def fit(examples: Examples) -> WordStability:
    """Return the weights under which what stays is likeliest, with two decimal places."""
    weights = logistic_weights(examples.measures, examples.stayed, RISING)
    return WordStability(*(round(weight, 2) for weight in weights))


def probabilities(stability: WordStability, measures: np.ndarray) -> np.ndarray:
    """Return float64 (words,), how likely each word is to stay."""
    bias, *weights = astuple(stability)
    return 1 / (1 + np.exp(-(bias + measures @ weights)))


def held_out(examples: Examples) -> np.ndarray | None:
    """Return how likely each word is to stay, by weights fitted on other speakers.

    Returns:
        float64 (words,), or None if all have one speaker.
    """
    groups = np.array(speaker_groups(examples.speakers, FOLDS))
    if len(set(groups.tolist())) < FOLDS:
        return None
    found = np.zeros(len(groups))
    for group in range(FOLDS):
        own = groups == group
        found[own] = probabilities(fit(examples.chosen(~own)), examples.measures[own])
    return found


def scores(found: np.ndarray, stayed: np.ndarray) -> dict[str, Any]:
    """Return how well probabilities float64 (words,) tell what stays, bool (words,)."""
    right = np.where(stayed, found, 1 - found)
    ranges = bins(found, stayed.tolist())
    return {
        "log_loss": round(float(-np.log(np.maximum(right, 1e-12)).mean()), 4),
        "calibration_error": round(calibration_error(ranges), 4),
        "bins": [asdict(one) for one in ranges],
    }


def measure_stability(options: StabilityOptions, terminal: Terminal) -> dict[str, Any]:
    """Fit and judge stabilities on recordings, write the figures, and return them.

    Raises:
        CaptionerError: If an input cannot be used, no word was read, or a file cannot be
            written.
    """
    options.check_output()
    settings, rows = options.settings(), options.rows()
    acoustic = load_model(settings.model, settings.engine)
    roller = Roller(settings, acoustic)
    for notice in roller.notices:
        terminal.say(notice.text)
    rolled = []
    with terminal.counting("recordings", len(rows)) as progress:
        for done, row in enumerate(rows, 1):
            rolled.append(roller.roll(row))
            progress(done)
    record = {"schema": SCHEMA, **_fitted(examples_of(rolled))}
    weights = {SHIPPED: WordStability(), FITTED: WordStability(**record["weights"][FITTED])}
    terminal.say("showing all anew ...")
    record |= _curves(rolled, settings.partials, weights, options.thresholds)
    record["conditions"] = conditions(options, settings, acoustic, rows)
    terminal.out.print(report(record), markup=False, highlight=False, soft_wrap=True)
    if options.json is not None:
        _write(record, options, terminal)
    return record


def _fitted(examples: Examples) -> dict[str, Any]:
    """Return the weights, and how well they tell what stays."""
    shipped, fitted = WordStability(), fit(examples)
    share = float(examples.stayed.mean())
    found = {
        "the share that stays, for each": np.full(len(examples.stayed), share),
        SHIPPED: probabilities(shipped, examples.measures),
        FITTED: probabilities(fitted, examples.measures),
        "fitted on other speakers": held_out(examples),
    }
    return {
        "words": len(examples.stayed),
        "stayed": round(share, 4),
        "speakers": len(set(examples.speakers)),
        "weights": {SHIPPED: asdict(shipped), FITTED: asdict(fitted)},
        "scores": {
            name: scores(one, examples.stayed) for name, one in found.items() if one is not None
        },
    }


def _curves(
    rolled: Sequence[Rolled],
    settings: PartialSettings,
    weights: Mapping[str, WordStability],
    thresholds: Sequence[float],
) -> dict[str, Any]:
    """Return what each threshold trades with each set of weights, and the errors of all."""
    curves: dict[str, Any] = {}
    for name, stability in weights.items():
        curves[name] = []
        for threshold in sorted(thresholds):
            judged, shown = Judged(), replace(settings, stability=threshold)
            for one in rolled:
                judged.add(one.judged(shown, stability))
            figures = figures_of(judged)
            curves[name].append(_point(threshold, figures))
    return {"errors": figures["errors"], "curves": curves}


def _point(threshold: float, figures: Mapping[str, Any]) -> dict[str, Any]:
    latency = figures["word_latency"]
    return {
        "stability": threshold,
        "latency_s": {kind: latency[kind]["stream_s"] for kind in ("all", "correct")},
        "upwr": figures["flicker"]["upwr"],
        "by_finals": figures["flicker"]["by_finals"],
    }


def report(record: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    errors = record["errors"]
    rates = (percent(errors[kind]["wer"]) for kind in ("live", "offline"))
    blocks = [
        f"# How likely words are to stay, on {record['conditions']['recordings']} recordings",
        EXPLAINED,
        f"{record['words']} words of {record['speakers']} speakers at looks, "
        f"{percent(record['stayed'])} % stay; word error rate of the finals {next(rates)} %, "
        f"of whole recordings {next(rates)} %.",
        "## Weights as fitted, for `streamer/stability.py`",
        f"```python\n{source(WordStability(**record['weights'][FITTED]))}\n```",
        _score_table(record["scores"]),
    ]
    for name, points in record["curves"].items():
        blocks += [f"## Thresholds, weights {name}", _curve_table(points)]
    blocks += ["## Conditions", condition_table(record["conditions"])]
    return "\n\n".join(blocks) + "\n"


def source(stability: WordStability) -> str:
    """Return weights as they stand in ``streamer/stability.py``."""
    return "\n".join(
        f"    {field.name}: float = {getattr(stability, field.name):g}"
        for field in fields(stability)
    )


def _score_table(found: Mapping[str, Any]) -> str:
    rows = [
        [name, f"{one['log_loss']:.4f}", f"{one['calibration_error']:.4f}"]
        for name, one in found.items()
    ]
    return table(["Weights", "Log-loss", "Calibration error"], rows)


def _curve_table(points: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            f"{point['stability']:g}",
            *(_short_latency(point["latency_s"][kind]) for kind in ("all", "correct")),
            f"{point['upwr']:.3f}",
            percent(point["by_finals"]),
        ]
        for point in points
    ]
    latency = "word latency p50 / p90, ms"
    head = ["Threshold", latency.capitalize(), f"correct words: {latency}"]
    return table([*head, "Flicker (UPWR)", "of which by the final, %"], rows)


def _short_latency(spread: Mapping[str, float | None]) -> str:
    return milliseconds({name: spread[name] for name in ("p50", "p90")})


def _write(record: dict[str, Any], options: StabilityOptions, terminal: Terminal) -> None:
    from benchmarks.live.plots import draw_stability

    assert options.json is not None
    page, picture = (options.json.with_suffix(ending) for ending in (".md", ".png"))
    write_output(options.json, json_bytes(record))
    write_output(page, report(record).encode())
    draw_stability(record, picture)
    terminal.say(f"wrote {options.json}, {page}, {picture}")
