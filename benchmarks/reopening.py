"""Measure what opening a microphone again and again leaves behind.

    python benchmarks/reopening.py --cycles 200

Opens and closes the default input, then has PortAudio list the devices anew, each so many
times, and prints what one time of each costs in memory and processor time, and how the
numbers of open files and threads changed; both should be 0.  Needs an input that hears
something, silence included.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from streamer.devices import choose
from streamer.errors import DeviceError
from streamer.portaudio import PortAudio
from streamer.process import Usage

WARM_UP = 10
"""Cycles before the first measurement, in which libraries load what they need."""

LONGEST_S = 10.0
"""How long a device may take to give its first audio."""


def open_and_close(system: PortAudio) -> None:
    """Open the default input, wait for its first audio, and close it."""
    device = choose(system.inputs(), "")
    heard = threading.Event()
    opened = system.open(device, round(device.default_rate), 1, 480, lambda *_: heard.set())
    try:
        if not heard.wait(LONGEST_S):
            raise DeviceError(f"'{device.name}' gives no audio")
    finally:
        opened.close()


def measure(what: str, cycle: Callable[[], None], cycles: int) -> str:
    """Return a row of the table about ``cycles`` times ``cycle``."""
    for _ in range(WARM_UP):
        cycle()
    before, began_s = Usage.now(), time.process_time()
    for _ in range(cycles):
        cycle()
    after, cost_s = Usage.now(), time.process_time() - began_s
    memory_kb = (after.memory_mb - before.memory_mb) * 1024 / cycles
    return (
        f"| {what} | {cycles} | {memory_kb:.1f} | {cost_s / cycles * 1000:.0f} "
        f"| {after.handles - before.handles:+d} | {after.threads - before.threads:+d} |"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cycles", type=int, default=200, help="how often each (default: 200)")
    cycles = parser.parse_args(arguments).cycles
    try:
        system = PortAudio()
        rows = [
            measure("opened and closed", lambda: open_and_close(system), cycles),
            measure("listed anew", system.refresh, cycles),
        ]
    except DeviceError as error:
        print(f"reopening.py: error: {error}", file=sys.stderr)
        return error.exit_code
    print("| | Times | Memory each, KiB | Computing each, ms | Open files | Threads |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    print("\n".join(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
