"""What the learn page shows, as plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from streamer.web.learning.clips import REASONS
from streamer.web.learning.corpus import CutRecording, left_out
from streamer.web.learning.job import JobRecord, Phase
from streamer.web.learning.judging import is_complete, remarks
from streamer.web.learning.learning import Learning
from streamer.web.learning.registry import SHIPPED, LearnedModel
from streamer.web.learning.run_folder import Course

USUAL_MINUTES = 10.0

FRESH_S = 3.0
"""Time for which the recordings need not be read anew while a training runs."""

DIGITS = 4


def overview(learning: Learning) -> dict[str, Any]:
    """Return everything that there is to know of learning."""
    running = learning.job is not None and learning.job.state == "running"
    material = learning.speech.material(FRESH_S if running else 0.0)
    return {
        "corrected": _amount(material),
        "train": _amount(one for one in material if one.side == "train"),
        "held_out": _amount(one for one in material if one.side == "held_out"),
        "left_out": [
            {"reason": reason, "text": REASONS[reason], "segments": segments}
            for reason, segments in left_out(material).most_common()
        ],
        "recordings": [_recording(one) for one in material],
        "lacking": learning.lacking(material),
        "minutes": {
            "usual": min(USUAL_MINUTES, learning.settings.minutes),
            "most": learning.settings.minutes,
        },
        "has_test": learning.test is not None,
        "has_base": bool(learning.settings.base),
        "job": _job(learning.job, learning.course),
        "models": models_record(learning),
    }


def models_record(learning: Learning) -> dict[str, Any]:
    """Return the models that can be chosen, the newest first, the program's own last."""
    used = learning.used()
    shipped = {"name": SHIPPED, "in_use": used == SHIPPED}
    return {
        "in_use": used,
        "previous": learning.previous(),
        "learned": [_model(model, used) for model in reversed(learning.models())],
        "shipped": shipped,
    }


def _amount(material: Iterable[CutRecording]) -> dict[str, float]:
    """Return how much some recordings hold that can be used."""
    found = list(material)
    return {
        "recordings": len(found),
        "clips": sum(len(one.cut.clips) for one in found),
        "minutes": _rounded(sum(one.seconds for one in found) / 60) or 0.0,
        "words": sum(one.words for one in found),
    }


def _recording(one: CutRecording) -> dict[str, Any]:
    return {
        "id": one.recording.id,
        "title": one.recording.title,
        "side": one.side if one.cut.clips else "left_out",
        "clips": len(one.cut.clips),
        "minutes": _rounded(one.seconds / 60),
        "words": one.words,
    }


def _job(record: JobRecord | None, course: Course) -> dict[str, Any] | None:
    if record is None:
        return None
    return {
        "name": record.name,
        "started": record.started,
        "state": record.state,
        "phase": _phase(record, course),
        "message": record.message,
        "stopping": record.stopping,
        "resumable": record.resumable,
        "base": record.base_name,
        "model": record.model,
        "copies": record.copies,
        "minutes": {"trained": _rounded(course.minutes), "asked": record.minutes},
        "done": record.done,
        "total": record.total,
        **_course(course),
    }


def _phase(record: JobRecord, course: Course) -> Phase:
    return "training" if record.phase == "compiling" and course.step else record.phase


def _course(course: Course) -> dict[str, Any]:
    return {
        "step": course.step,
        "passes": course.passes,
        "speech_hours": _rounded(course.speech_hours),
        "loss": _rounded(course.loss),
        "wer": _rounded(course.wer),
        "losses": _points(course.losses),
        "wers": _points(course.wers),
    }


def _points(curve: Sequence[tuple[float, float]]) -> list[list[float | None]]:
    return [[_rounded(minutes), _rounded(value)] for minutes, value in curve]


def _model(model: LearnedModel, used: str) -> dict[str, Any]:
    judgement: Mapping[str, Any] = model.judgement
    return {
        "name": model.name,
        "created": model.created,
        "in_use": model.name == used,
        "offered": is_complete(judgement),
        "base": model.base,
        "minutes": _rounded(model.minutes),
        "steps": model.steps,
        "share": _rounded(model.share),
        "recordings": len(model.recordings) + model.forgotten,
        "forgotten": model.forgotten,
        "held_out": judgement.get("held_out"),
        "test": judgement.get("base"),
        "remarks": remarks(judgement),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, DIGITS)
