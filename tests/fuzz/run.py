"""Fuzz a reader for some time: ``python -m tests.fuzz.run TARGET --seconds N``.

libFuzzer, through Atheris, changes seeds and what it found before, and keeps what reaches new
code of this project.  It stops at the first finding and keeps its bytes; put them, made small,
into ``corpus/TARGET`` beside this file, where the test suite tries them ever after.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[2]
INSTRUMENTED = ["model", "lm", "streamer", "yaml", "zipfile", "numpy.lib.format"]
"""Packages whose covered code guides the changes."""

MEMORY_MB = 3000
SLOWEST_S = 60
"""What takes more than these is a finding."""

LONGEST, LONGEST_OTHER = 64_000, {"settings": 700, "overrides": 500, "message": 2_000}
"""Bytes of the longest input; of some targets, which read slowly, fewer."""


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("target", help="such as bundle; list names all")
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: 60)")
    parser.add_argument(
        "--folder",
        type=Path,
        default=ROOT / "runs" / "fuzz",
        help="where inputs and findings are kept (default: runs/fuzz)",
    )
    return parser.parse_args()


def main() -> int:
    """Fuzz, and return the exit code; where libFuzzer finds something it ends the process."""
    wanted = arguments()
    try:
        import atheris
    except ImportError:
        print("atheris: is not installed; pip install -c requirements.lock -e .[fuzz]")
        return 2
    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.seeds import seeds
        from tests.fuzz.targets import TARGETS
    if wanted.target not in TARGETS:
        print(f"the targets are {', '.join(TARGETS)}")
        return 0 if wanted.target == "list" else 2
    warnings.simplefilter("error")
    folder = wanted.folder / wanted.target
    folder.mkdir(parents=True, exist_ok=True)
    for content in seeds(wanted.target):
        (folder / hashlib.sha1(content).hexdigest()).write_bytes(content)
    options = {
        "max_total_time": wanted.seconds,
        "timeout": SLOWEST_S,
        "rss_limit_mb": MEMORY_MB,
        "max_len": LONGEST_OTHER.get(wanted.target, LONGEST),
        "artifact_prefix": f"{wanted.folder}/{wanted.target}-",
        "print_final_stats": 1,
    }
    given = [f"-{name}={value}" for name, value in options.items()]
    atheris.Setup([sys.argv[0], *given, str(folder)], TARGETS[wanted.target])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
