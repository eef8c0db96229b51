"""Figures of a run as plain values.

Whatever a clock had a part in stands under a key that :func:`clocked` tells, so that the
rest can be compared between runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.live.clocks import STAGES
from benchmarks.live.judging import Delay, Judged, Texts
from model.evaluation.confidence import wer_interval
from model.evaluation.rates import ErrorRates, error_rates

DIGITS = 4
"""Decimal places of figures."""

CURVE = 101
"""Quantiles that a distribution is kept as, for drawing it."""

_CLOCKED = re.compile(r"(cpu_|rtf|memory_|startup_).*|.*_wall_s")


def clocked(key: str) -> bool:
    """Return whether a key holds what differs from run to run."""
    return _CLOCKED.fullmatch(key) is not None


def repeatable(figures: Any) -> Any:
    """Return figures without those that differ from run to run."""
    if isinstance(figures, dict):
        return {key: repeatable(value) for key, value in figures.items() if not clocked(key)}
    if isinstance(figures, list):
        return list(map(repeatable, figures))
    return figures


def figures_of(judged: Judged) -> dict[str, Any]:
    """Return the figures of what was measured; rates and shares from 0 to 1."""
    latencies = [word.latency for word in judged.words]
    correct = [word.latency for word in judged.words if word.correct]
    return {
        "recordings": len(judged.texts),
        "audio_s": _short(judged.audio_s),
        "speech_s": _short(judged.speech_s),
        "utterances": sum(judged.ended.values()),
        "ended": dict(sorted(judged.ended.items())),
        "partials": judged.partials,
        "words": len(judged.words),
        "lost_samples": judged.lost_samples,
        "gaps": judged.gaps,
        "errors": errors(judged.texts),
        "word_latency": {"all": spread(latencies), "correct": spread(correct)},
        "final_latency": _final_latency(judged),
        "flicker": _flicker(judged),
        "settling": _settling(judged),
        "word_ends_behind_sound_s": _offsets(judged.end_offsets_s),
        "rtf": real_time_factors(judged),
        "curves": _curves(latencies),
    }


def errors(texts: Sequence[Texts]) -> dict[str, Any]:
    """Return the errors live and offline, and the relative difference of the word errors."""
    references = [one.reference for one in texts]
    live = error_rates(references, [one.live for one in texts])
    offline = error_rates(references, [one.offline for one in texts])
    relative = live.wer / offline.wer - 1 if offline.wer else None
    return {
        "live": _rates(live),
        "offline": _rates(offline),
        "relative": relative if relative is None else _short(relative),
        "relative_interval": _relative_interval(texts) if offline.wer else None,
    }


def _relative_interval(texts: Sequence[Texts]) -> list[float] | None:
    """Return the 95 % bootstrap interval of the relative difference, live against offline.

    Recordings are drawn in pairs of both readings, so that what is hard for both says
    nothing: errors of the one for each error of the other, in place of each word.
    """
    ratios = [
        ErrorRates(
            words=error_rates([one.reference], [one.offline]).word_errors,
            substitutions=error_rates([one.reference], [one.live]).word_errors,
        )
        for one in texts
    ]
    found = wer_interval(ratios, [one.speaker for one in texts])
    return None if found is None else [_short(found.low - 1), _short(found.high - 1)]


def joined_errors(texts: Sequence[Texts]) -> dict[str, Any]:
    """Return the errors of a session's text as one against all references as one."""
    reference = " ".join(one.reference for one in texts)
    return _rates(error_rates([reference], [" ".join(one.live for one in texts).strip()]))


def spread(delays: Sequence[Delay]) -> dict[str, Any]:
    """Return quantiles of delays, by what they were measured with."""
    found: dict[str, Any] = {
        "count": len(delays),
        "stream_s": quantiles(one.stream_s for one in delays),
        "computed_wall_s": quantiles(one.wall_s for one in delays),
    }
    processor = [one.cpu_s for one in delays if one.cpu_s is not None]
    if processor:
        found["cpu_s"] = quantiles(processor)
    return found


def quantiles(values: Iterable[float]) -> dict[str, float | None]:
    """Return median, 90th and 99th percentile, each None where there are no values."""
    return percentiles(values, {"p50": 50, "p90": 90, "p99": 99})


def percentiles(
    values: Iterable[float], wanted: Mapping[str, float], digits: int = DIGITS
) -> dict[str, float | None]:
    """Return percentiles by name, each None where there are no values."""
    known = list(values)
    if not known:
        return dict.fromkeys(wanted)
    found = np.percentile(known, list(wanted.values())).tolist()
    return {name: round(value, digits) for name, value in zip(wanted, found, strict=True)}


def real_time_factors(judged: Judged) -> dict[str, float]:
    """Return the processor time of each stage, and of all, for a second of audio."""
    audio_s = max(judged.audio_s, 1e-9)
    shares = {stage: judged.spent_s.get(stage, 0.0) / audio_s for stage in STAGES}
    return {stage: round(share, 5) for stage, share in (shares | _all(shares)).items()}


def _all(shares: dict[str, float]) -> dict[str, float]:
    return {"all": sum(shares.values())}


def _rates(rates: ErrorRates) -> dict[str, Any]:
    return {
        "wer": _short(rates.wer),
        "cer": _short(rates.cer),
        "words": rates.words,
        "substitutions": rates.substitutions,
        "deletions": rates.deletions,
        "insertions": rates.insertions,
        "characters": rates.characters,
        "character_errors": rates.character_errors,
    }


def _final_latency(judged: Judged) -> dict[str, Any]:
    paused = [one.latency for one in judged.finals if one.reason == "silence"]
    return {
        "with_silence": spread(paused),
        "without_silence": spread([one.computing for one in judged.finals]),
    }


def _flicker(judged: Judged) -> dict[str, float]:
    found = judged.flicker
    return {
        "upwr": _short(found.lost / max(1, len(judged.words))),
        "by_finals": _short(found.lost_in_final / max(1, found.lost)),
        "revisions_a_second": _short(found.revisions / max(1e-9, judged.speech_s)),
        "words_lost": found.lost,
    }


def _settling(judged: Judged) -> dict[str, Any]:
    return {
        "delay_s": quantiles(word.settling_s for word in judged.words),
        "early": _short(judged.settled_early / max(1, len(judged.words))),
    }


def _offsets(offsets: Sequence[float]) -> dict[str, Any]:
    mean = _short(float(np.mean(offsets))) if offsets else None
    return {"count": len(offsets), "mean": mean, "p50": quantiles(offsets)["p50"]}


def _curves(latencies: Sequence[Delay]) -> dict[str, list[float]]:
    """Return the word latencies as evenly spaced quantiles; none without words."""
    kinds = {
        "stream_s": [one.stream_s for one in latencies],
        "computed_wall_s": [one.wall_s for one in latencies],
    }
    return {
        name: [_short(value) for value in np.percentile(values, np.linspace(0, 100, CURVE))]
        for name, values in kinds.items()
        if values
    }


def _short(value: float) -> float:
    return round(float(value), DIGITS)
