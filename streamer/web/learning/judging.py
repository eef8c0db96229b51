"""A model before and after it learned: error rates on the user's speech and on other speech.

The figures come from the reports of ``train.py evaluate``, of which only numbers are kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from model.errors import CaptionerError
from model.evaluation.confidence import Interval, difference_interval, wer_interval
from model.evaluation.rates import ErrorRates
from model.wording import counted
from streamer.web.learning.clips import CORPUS

Decoder = Literal["greedy", "language_model"]
"""How the network's outputs are read: by themselves, or as captions are."""

DECODERS: tuple[Decoder, ...] = ("greedy", "language_model")
GROUPS = ("held_out", "base")
"""The user's held-out recordings, and the test recordings that every model is judged by."""

FEW_WORDS = 500
"""Below it an error rate hardly means anything."""

LEAST_SPEAKERS = 6
"""Below it clips are drawn for an interval, and not all clips of a speaker or recording."""

DIGITS = 5


class ReportError(CaptionerError):
    """A report of ``train.py evaluate`` does not hold what it should."""


@dataclass(frozen=True)
class ReadClip:
    """What a model made of a clip.

    Attributes:
        own: Whether it is one of the user's.
        speaker: Who speaks, or "".
        rates: Errors.
    """

    own: bool
    speaker: str
    rates: ErrorRates


Readings = Mapping[tuple[Literal["before", "after"], Decoder], Sequence[ReadClip]]
"""Clips as each model read them by each decoder, in the same order."""


def read_report(path: Path) -> list[ReadClip]:
    """Return the clips of a report in JSON.

    Raises:
        ReportError: If it is none.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return [_clip(one) for one in record["utterances"]]
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise ReportError(
            f"{path}: the figures of the new model cannot be read ({error!r}); continue the "
            "training to judge it again"
        ) from error


def judge(readings: Readings) -> dict[str, Any]:
    """Return the figures of a model before and after as plain values for JSON."""
    return {
        "held_out": _group(readings, lambda clip: clip.own),
        "base": _group(readings, lambda clip: not clip.own),
    }


def is_complete(judgement: Mapping[str, Any]) -> bool:
    """Return whether a model was judged by both groups, so that it may be offered."""
    return all(judgement.get(group) for group in GROUPS)


def remarks(judgement: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what people should know of the figures: ``level`` and ``text`` each."""
    groups = {group: judgement[group] for group in GROUPS if judgement.get(group)}
    found = [_remark(NAMES[group], figures) for group, figures in groups.items()]
    if "base" not in groups:
        found.append(("warning", NO_TEST))
    for group, figures in groups.items():
        if figures["words"] < FEW_WORDS:
            found.append(("info", FEW.format(NAMES[group], counted(figures["words"], "word"))))
    found.append(("info", CHOSEN))
    return [{"level": level, "text": text} for level, text in found]


NAMES = {"held_out": "held-out recordings", "base": "test recordings"}
NO_TEST = (
    "There are no test recordings beside the program, so nobody knows how the model reads other "
    "people: it is not offered for use."
)
FEW = "The {} hold only {}: too few for these figures to mean much."
CHOSEN = (
    "The held-out recordings chose neither weights nor share; they only tell when a training that "
    "gets no better ends, which may flatter their figures a little."
)


def _remark(name: str, figures: Mapping[str, Any]) -> tuple[str, str]:
    """Return in words how the captions of a group changed, read as captions are."""
    reading = figures["readings"][-1]
    before, after, change = reading["before"]["wer"], reading["after"]["wer"], reading["change"]
    rates = f"{100 * before:.1f} % of the words wrong before, {100 * after:.1f} % after"
    level = "warning" if after > before else "info"
    if after == before:
        verdict = "no change"
    elif change["low"] is None or change["low"] <= 0 <= change["high"]:
        kind = "better" if after < before else "worse"
        verdict = f"{kind}, but no more than chance may make of so few words"
    else:
        verdict = "worse than before" if after > before else "better than chance would make it"
    return level, f"{name.capitalize()}: {rates}; {verdict}."


def _clip(record: Mapping[str, Any]) -> ReadClip:
    rates = ErrorRates(**{field.name: int(record[field.name]) for field in fields(ErrorRates)})
    return ReadClip(record["corpus"] == CORPUS, str(record["speaker"]), rates)


def _group(readings: Readings, belongs: Callable[[ReadClip], bool]) -> dict[str, Any] | None:
    """Return the figures of some of the clips; None where there are none."""
    chosen = {key: [clip for clip in clips if belongs(clip)] for key, clips in readings.items()}
    clips = chosen["before", "greedy"]
    if not clips:
        return None
    return {
        "clips": len(clips),
        "words": sum(clip.rates.words for clip in clips),
        "readings": [
            _comparison(decoder, chosen["before", decoder], chosen["after", decoder])
            for decoder in DECODERS
            if ("before", decoder) in chosen and ("after", decoder) in chosen
        ],
    }


def _comparison(
    decoder: Decoder, before: Sequence[ReadClip], after: Sequence[ReadClip]
) -> dict[str, Any]:
    speakers = _speakers(before)
    olds, news = [clip.rates for clip in before], [clip.rates for clip in after]
    old, new = sum(olds, ErrorRates()), sum(news, ErrorRates())
    return {
        "decoder": decoder,
        "before": _figures(old, wer_interval(olds, speakers)),
        "after": _figures(new, wer_interval(news, speakers)),
        "change": {
            "wer": round(new.wer - old.wer, DIGITS),
            **_ends(difference_interval(olds, news, speakers)),
        },
    }


def _speakers(clips: Sequence[ReadClip]) -> list[str]:
    """Return who speaks in each clip; nobody where there are too few to be drawn from."""
    speakers = [clip.speaker for clip in clips]
    return speakers if len(set(speakers)) >= LEAST_SPEAKERS else [""] * len(speakers)


def _figures(rates: ErrorRates, interval: Interval | None) -> dict[str, float | None]:
    return {
        "wer": round(rates.wer, DIGITS),
        "cer": round(rates.cer, DIGITS),
        **_ends(interval),
    }


def _ends(interval: Interval | None) -> dict[str, float | None]:
    if interval is None:
        return {"low": None, "high": None}
    return {"low": round(interval.low, DIGITS), "high": round(interval.high, DIGITS)}
