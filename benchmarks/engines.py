"""Measure the engines that run the network: starting, memory, time for windows and utterances.

    python benchmarks/engines.py --output benchmarks/results/engines.md

Each engine runs in a process of its own, on one thread.  Loading is from the start of the
process to an engine that has read once, the bundle and Python itself included; memory is the
process's resident memory then, and the most at the end.  The other columns are milliseconds
of processor time (the median of several rounds), with hops of 10 ms: the live path's windows
of 1, 2 and 3 seconds, and utterances of 5 and 15 seconds read once, and from four starts at
once, as finals are.  Processor time does not depend on what else the machine does, but for
what caches and clock rates make of it; loading by the wall clock does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.live.arguments import THREADS, busy, parser_of
from model.bundle import load_bundle
from model.commands.arguments import count
from model.engines.engine import ENGINES, Engine, context_frames, load_engine
from model.engines.execution import unusable
from model.errors import CaptionerError
from model.files import check_folder, write_output
from model.recipe import NetworkSettings
from model.wording import counted

ROOT = Path(__file__).resolve().parent.parent
HOPS_PER_S = 100
WINDOWS_S = (1, 2, 3)
UTTERANCES_S = (5, 15)
READINGS = (1, 4)
COLUMNS = (
    "Engine",
    "Load, s",
    "CPU, s",
    "Memory, MB",
    "Peak, MB",
    *(f"Window {seconds} s" for seconds in WINDOWS_S),
    *(
        f"{seconds} s, {counted(readings, 'reading')}"
        for seconds in UTTERANCES_S
        for readings in READINGS
    ),
)
LIBRARIES = ("onnxruntime", "tensorflow", "numpy")


def usable_engines() -> list[str]:
    """Return the engines that can run here."""
    return [name for name in ENGINES if not unusable(name)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.alone:
            print(json.dumps(measure(options.model, options.engines[0], options.rounds)))
            return 0
        if options.output is not None:
            check_folder(options.output.parent)
        load_bundle(options.model)
        results = [measure_alone(options, engine) for engine in options.engines]
        text = report(results, options.rounds)
        print(text, end="")
        if options.output is not None:
            write_output(options.output, text.encode())
    except CaptionerError as error:
        print(f"engines.py: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(__doc__)
    parser.add_argument("--model", metavar="FOLDER", type=Path, default=ROOT / "models" / "default")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=usable_engines())
    parser.add_argument("--rounds", metavar="N", type=count, default=15, help="default: 15")
    parser.add_argument("--output", metavar="FILE", type=Path, help="Markdown file to write")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    return parser


def measure_alone(options: argparse.Namespace, engine: str) -> dict[str, Any]:
    """Return what :func:`measure` finds in a process of its own, and how long it took to load.

    Raises:
        CaptionerError: If it fails; what it said went to standard error.
    """
    began = time.monotonic()
    command = [sys.executable, __file__, "--alone", "--model", options.model]
    command += ["--engines", engine, "--rounds", options.rounds]
    done = subprocess.run(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **dict.fromkeys(THREADS, "1")},
    )
    if done.returncode:
        raise CaptionerError(f"{engine}: could not be measured; see above")
    found: dict[str, Any] = json.loads(done.stdout)
    return found | {"load_s": found["loaded_at"] - began}


def measure(model: Path, name: str, rounds: int) -> dict[str, Any]:
    """Load an engine and return what it takes; the first thing that a process does."""
    bundle = load_bundle(model)
    engine = load_engine(bundle, name)
    _window(engine, bundle.network, 1)
    loaded = {
        "engine": name,
        "loaded_at": time.monotonic(),
        "load_cpu_s": time.process_time(),
        "memory_mb": resident_mb("VmRSS"),
    }
    network = bundle.network
    windows = [
        milliseconds(partial(_window, engine, network, seconds), rounds) for seconds in WINDOWS_S
    ]
    utterances = [
        milliseconds(partial(_read, engine, network, seconds, readings), rounds)
        for seconds in UTTERANCES_S
        for readings in READINGS
    ]
    return loaded | {"ms": windows + utterances, "peak_mb": resident_mb("VmHWM")}


def milliseconds(work: Callable[[], None], rounds: int) -> float:
    """Return the median processor time of some calls, after one to warm up."""
    work()
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return 1000 * median(spent)


def _noise(network: NetworkSettings, frames: int, readings: int) -> np.ndarray:
    shape = readings, frames, network.features
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def _window(engine: Engine, network: NetworkSettings, seconds: int) -> None:
    skipped = context_frames(network)
    frames = HOPS_PER_S * seconds + skipped * network.stride
    states = np.zeros((network.layers, network.units), np.float32)
    engine.window(_noise(network, frames, 1)[0], skipped, states)


def _read(engine: Engine, network: NetworkSettings, seconds: int, readings: int) -> None:
    frames = HOPS_PER_S * seconds
    lengths = frames - np.arange(readings, dtype=np.int32)
    engine.logits(_noise(network, frames, readings), lengths)


def resident_mb(field: str) -> float:
    """Return resident memory of this process as Linux tells it; NaN elsewhere."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    found = [int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:")]
    return found[0] if found else float("nan")


def report(results: Sequence[dict[str, Any]], rounds: int) -> str:
    """Return the Markdown: a table, and what it depends on."""
    rule = "| --- " + "| ---: " * (len(COLUMNS) - 1) + "|"
    rows = [
        " | ".join(
            (
                str(result["engine"]),
                f"{result['load_s']:.2f}",
                f"{result['load_cpu_s']:.2f}",
                f"{result['memory_mb']:.0f}",
                f"{result['peak_mb']:.0f}",
                *(f"{ms:.1f}" for ms in result["ms"]),
            )
        )
        for result in results
    ]
    versions = ", ".join(f"{library} {version(library)}" for library in LIBRARIES)
    lines = [
        "# Engines",
        "",
        "Windows and utterances: milliseconds of processor time on one thread, median of "
        f"{rounds} rounds; see `benchmarks/engines.py`. {versions}. {busy()}",
        "",
        f"| {' | '.join(COLUMNS)} |",
        rule,
        *(f"| {row} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
