"""Decodes many files as the server's decoder does, in one process with the same limits.

Started with a folder and the number of the first file in it; prints the number of each
file before it is decoded, and what came of it behind.
"""

from __future__ import annotations

import sys
from pathlib import Path

from streamer.web.decode_child import SOUND, Limits, confine, frames

LIMITS = Limits(longest_s=60.0, cpu_s=600)


def main() -> None:
    """Decode all files from the first one on."""
    folder, first = Path(sys.argv[1]), int(sys.argv[2])
    count = sum(1 for _ in folder.iterdir())
    confine(LIMITS)
    for number in range(first, count):
        print(number, end=" ", flush=True)
        last = b""
        size = 0
        for kind, content in frames(str(folder / str(number)), LIMITS):
            last = kind
            size += len(content) if kind == SOUND else 0
        print(last.decode(), size, flush=True)


if __name__ == "__main__":
    main()
