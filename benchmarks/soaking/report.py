"""The report of a soak, for people."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmarks.soaking.judging import Part, Soak


def markdown(soak: Soak) -> str:
    """Return the report."""
    memory = [sample.memory_mb for sample in soak.samples]
    growth = "too short to tell"
    if soak.growth is not None:
        growth = f"{soak.growth.least:+.1f} MiB at the least, {soak.growth.most:+.1f} at the most"
    verdict = "; ".join(soak.problems) if soak.problems else "nothing changed that should not"
    lines = [
        f"# {soak.hours:.1f} hours of stream",
        "",
        f"{soak.recordings} recordings in random order, {soak.finals} finals, {soak.partials} "
        f"partials, audio lost on purpose {soak.losses} times ({soak.lost_s:.0f} s).",
        "",
        f"- Verdict: {verdict}.",
        f"- Resident memory: {memory[0]:.0f} MiB at the start, {max(memory):.0f} MiB at most, "
        f"{memory[-1]:.0f} MiB at the end; growth after the first ten minutes: {growth}.",
        f"- Threads {_range(sample.threads for sample in soak.samples)}, open files "
        f"{_range(sample.handles for sample in soak.samples)}; captions in {soak.files} parts.",
        "",
        "| From hour | Processor time for a second | WER, % | Words heard again "
        "| Median shift, ms | Within a frame, % | Words in no recording |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    return "\n".join([*lines, *map(_row, soak.parts)]) + "\n"


def _range(counts: Iterable[int]) -> str:
    known = sorted(counts)
    return f"{known[0]} to {known[-1]}"


def _row(part: Part) -> str:
    return (
        f"| {part.hours:.1f} | {part.computing:.3f} | {100 * part.rates.wer:.1f} | {part.again} "
        f"| {1000 * part.shift_s:.0f} | {100 * part.same_place:.1f} | {part.strays} |"
    )


def picture(soak: Soak, path: Path) -> None:
    """Draw memory and cost over the stream's time into a file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    hours = [sample.minutes / 60 for sample in soak.samples]
    upper.plot(hours, [sample.memory_mb for sample in soak.samples])
    upper.set_ylabel("resident memory, MiB")
    upper.set_ylim(bottom=0)
    spent = np.diff([sample.computing_s for sample in soak.samples])
    lower.plot(hours[1:], spent / (60 * np.diff([sample.minutes for sample in soak.samples])))
    lower.set_ylabel("processor time\nfor a second")
    lower.set_ylim(bottom=0)
    lower.set_xlabel("hours of stream")
    figure.savefig(path, dpi=120)
