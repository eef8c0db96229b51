"""The models, the engines that run them, and how fast they are here."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from model.errors import CaptionerError
from streamer.decoders import beside_program
from streamer.doctor.finding import Finding
from streamer.doctor.installation import finding_of
from streamer.settings import SHIPPED_LANGUAGE_MODEL, DecoderSettings, LiveSettings

CLIP = Path("demo/librispeech.flac")
"""What the speed is tried with."""

TRIAL_S = 3.0
"""Longest computing for the trial of the speed, seconds."""

COMFORTABLE, BARELY = 0.5, 0.9
"""Seconds of computing for a second of sound, up to which captions keep up easily, and up to
which they keep up at all."""


def check_model(settings: LiveSettings) -> Iterator[Finding]:
    """Yield whether the model bundle is whole: its record and its weights by their checksums."""
    from model.bundle import load_bundle

    path = beside_program(settings.model)
    try:
        bundle = load_bundle(path)
    except CaptionerError as error:
        yield finding_of(error, "model", "Model")
        return
    weights = sum(array.size for array in bundle.weights.values()) / 1e6
    text = f"{bundle.name} in {settings.model}: {weights:.1f} million weights, checksums right"
    yield Finding("model", "Model", "ok", text, figures={"name": bundle.name})


def check_language_model(settings: LiveSettings) -> Iterator[Finding]:
    """Yield whether the language model is whole; all of its files are read."""
    from lm.bundle import LanguageBundle, is_bundle

    name, title = "language_model", "Language model"
    wanted = _wanted(settings.decoder)
    if wanted is None:
        yield Finding(name, title, "absent", "none is asked for: more words will be wrong")
        return
    path = beside_program(wanted)
    if not path.exists() and wanted == SHIPPED_LANGUAGE_MODEL:
        remedy = "copy the folder again, or build one: python -m lm.build"
        yield Finding(name, title, "warning", f"{path}: not here; captions do without", remedy)
        return
    try:
        if is_bundle(path):
            LanguageBundle.load(path).verify()
            text = f"{wanted}: checksums right"
        else:
            text = f"{wanted}: {_size_of(path):.0f} MB, without checksums"
    except CaptionerError as error:
        yield finding_of(error, name, title)
        return
    yield Finding(name, title, "ok", text)


def _wanted(decoder: DecoderSettings) -> Path | None:
    return None if decoder.kind == "greedy" else decoder.language_model


def _size_of(path: Path) -> float:
    try:
        return path.stat().st_size / 1e6
    except OSError as error:
        raise CaptionerError(f"{path}: cannot be read ({error.strerror}); give another") from error


def check_engines(
    settings: LiveSettings, unusable: Callable[[str], str] | None = None
) -> Iterator[Finding]:
    """Yield which engines can run the network here, and whether the chosen one can.

    Args:
        settings: Which one is chosen.
        unusable: Returns why an engine cannot run; that of ``model.engines`` if None.
    """
    from model.engines.engine import AUTO, ENGINES
    from model.engines.execution import unusable as unusable_here

    reasons = {name: (unusable or unusable_here)(name) for name in ENGINES}
    chosen = ENGINES[0] if settings.engine == AUTO else settings.engine
    able = [name for name, reason in reasons.items() if not reason]
    text = f"{settings.engine} is chosen; can run here: {', '.join(able) or 'none'}"
    figures = {"chosen": settings.engine, "unusable": {n: r for n, r in reasons.items() if r}}
    if chosen in able:
        yield Finding("engines", "Engines", "ok", text, figures=figures)
        return
    reason, _, remedy = reasons.get(chosen, f"there is no engine {chosen}").rpartition("; ")
    text = f"{chosen} cannot run: {reason or remedy}"
    yield Finding("engines", "Engines", "failure", text, remedy if reason else "", figures)


def check_speed(
    settings: LiveSettings, clip: Path = CLIP, clock: Callable[[], float] = time.perf_counter
) -> Iterator[Finding]:
    """Caption a recording for a moment, as live, and yield how many times real time that is.

    Args:
        settings: As they would be used.
        clip: A recording of speech.
        clock: Seconds that only rise.
    """
    clip = beside_program(clip)
    if not clip.exists():
        text = f"not tried: there is no {clip}"
        yield Finding("speed", "Speed", "absent", text)
        return
    try:
        factor, started_s = _trial(settings, clip, clock)
    except CaptionerError as error:
        yield finding_of(error, "speed", "Speed")
        return
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield judge_speed(factor, started_s, memory_mb)


def _trial(settings: LiveSettings, clip: Path, clock: Callable[[], float]) -> tuple[float, float]:
    """Return the real-time factor with partial captions, and the seconds that loading took."""
    from streamer.app import build_stream, load_model
    from streamer.events import Summary
    from streamer.replay import WavReplaySource
    from streamer.runner import inline_events

    began = clock()
    acoustic = load_model(settings.model, settings.engine, settings.execution)
    stream = build_stream(settings, acoustic)
    started_s = clock() - began
    factor = 0.0
    with WavReplaySource([clip], "max", settings.audio.block_ms) as source:
        began = clock()
        for event, _ in inline_events(source, stream, clock):
            if clock() - began > TRIAL_S:
                source.stop()
            if isinstance(event, Summary):
                factor = event.rtf
    return factor, started_s


def judge_speed(factor: float, started_s: float, memory_mb: float) -> Finding:
    """Return what a speed means.

    Args:
        factor: Seconds of computing for a second of sound, partial captions included.
        started_s: Seconds from the start to listening, without Python's own.
        memory_mb: Most memory in use, MB.
    """
    times = 1 / factor if factor else float("inf")
    text = (
        f"{times:.1f} times real time on one core ({factor:.3f}), loaded in {started_s:.1f} s, "
        f"{memory_mb:.0f} MB"
    )
    figures = {
        "real_time_factor": round(factor, 4),
        "loaded_s": round(started_s, 2),
        "memory_mb": round(memory_mb),
    }
    if factor <= COMFORTABLE:
        return Finding("speed", "Speed", "ok", text, figures=figures)
    if factor <= BARELY:
        remedy = "partial captions will be fewer: end other programs, or raise the power mode"
        return Finding("speed", "Speed", "warning", text, remedy, figures)
    remedy = (
        "audio will be lost: raise the power mode, end other programs, or make it cheaper with "
        "--set partials.every_ms=500 or --no-language-model"
    )
    return Finding("speed", "Speed", "failure", text, remedy, figures)
