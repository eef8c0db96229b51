"""No library of the program tells others what it does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SWITCHES = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")


def run(program: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with an empty home, as a user who has set nothing."""
    environment = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    # The runtime keeps still where it takes itself to be under test.
    for name in ("CI", "GITHUB_ACTIONS", "TF_BUILD"):
        environment.pop(name, None)
    homes = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment | homes,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_onnx_runtime_notes_nothing_of_captions(tmp_path: Path) -> None:
    done = run(
        "from run_live import main\n"
        "clip = 'tests/data/speech/common_voice_en_17369372.opus'\n"
        "assert main(['--wav', clip, '--speed', 'max', '--format', 'plain']) == 0\n",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_each_package_switches_telemetry_off_before_it_is_loaded(tmp_path: Path) -> None:
    for name in ("model.engines", "streamer.app", "lm.loading"):
        program = f"import os, {name}; print(*(os.environ.get(n) for n in {SWITCHES}))"
        done = run(program, tmp_path)
        assert done.stdout.split() == ["1", "1"], done.stderr
