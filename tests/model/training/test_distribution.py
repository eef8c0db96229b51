"""A training gives the same on one device, on two, and on two hosts, with either backend."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from model.corpora.manifest import Utterance, write_manifest
from model.errors import TrainingError, UsageError
from model.training.checkpoint import Checkpoint, Progress, checkpoints, write_checkpoint
from model.training.distribution import Distribution, first_checkpoint, require_devices
from model.training.hosts import Hosts

ROOT = Path(__file__).parents[3]
RECIPE = {
    "network.kernels": "[5]",
    "network.strides": "[2]",
    "network.filters": "8",
    "network.layers": "1",
    "network.units": "8",
    "training.batch_s": "3.2",
    "training.bucket_s": "[2]",
    "training.hold": "1",
    "training.clip_norm": "0.1",
    "training.log_steps": "1",
    "training.average": "0.9",
}
PATIENCE_S = 900


@dataclass(frozen=True)
class Runs:
    """Starts trainings of one backend in processes of their own, on the same recordings."""

    backend: str
    folder: Path

    def start(self, name: str, passes: int, *options: str) -> subprocess.Popen[str]:
        settings = {**RECIPE, "training.passes": str(passes)}
        overrides = [part for item in settings.items() for part in ("--set", "=".join(item))]
        paths = {"--manifest": "train.jsonl", "--dev": "dev.jsonl", "--cache": "cache"}
        inputs = [part for key, value in paths.items() for part in (key, str(self.folder / value))]
        command = [sys.executable, "train.py", "fit", "--output", str(self.folder / name)]
        return subprocess.Popen(
            [*command, *inputs, *overrides, *options],
            cwd=ROOT,
            env={**os.environ, "KERAS_BACKEND": self.backend},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def start_pair(self, name: str, passes: int) -> list[subprocess.Popen[str]]:
        """Start two hosts of one device each; the second gets a folder that stays away."""
        hosts = ("--hosts", free_address(), free_address(), "--host-index")
        return [
            self.start(output, passes, *hosts, str(index))
            for index, output in enumerate((name, f"{name}-other"))
        ]

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Return the variables of a training's newest checkpoint."""
        with np.load(checkpoints(self.folder / name)[-1]) as arrays:
            return {key: arrays[key] for key in arrays.files if key != "progress"}

    def losses(self, name: str) -> list[float]:
        """Return the loss of each step."""
        with (self.folder / name / "steps.csv").open(newline="") as file:
            return [float(row["loss"]) for row in csv.DictReader(file)]

    def assert_equal(self, name: str, other: str) -> None:
        ours, theirs = self.arrays(name), self.arrays(other)
        assert len(ours) == len(theirs) > 20
        for key, theirs_key in zip(sorted(ours), sorted(theirs), strict=True):
            np.testing.assert_allclose(ours[key], theirs[theirs_key], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(self.losses(name), self.losses(other), rtol=1e-5)


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def finish(process: subprocess.Popen[str]) -> str:
    """Return what a process said when it has ended well."""
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    return said


@pytest.fixture(scope="module", params=["jax", "tensorflow"])
def runs(
    request: pytest.FixtureRequest,
    tone_rows: Sequence[Utterance],
    tmp_path_factory: pytest.TempPathFactory,
) -> Runs:
    """Return trainings of which "one", on a single device, has been carried out."""
    runs = Runs(request.param, tmp_path_factory.mktemp(request.param))
    write_manifest(runs.folder / "train.jsonl", tone_rows[:8])
    write_manifest(runs.folder / "dev.jsonl", tone_rows[8:])
    finish(runs.start("one", 2))
    return runs


def test_two_devices_and_two_hosts_train_like_one(runs: Runs) -> None:
    """The hosts go on from the checkpoint after one pass, which only the first of them has."""
    shutil.copytree(runs.folder / "one", runs.folder / "hosts")
    checkpoints(runs.folder / "hosts")[-1].unlink()
    devices = runs.start("devices", 2, "--devices", "2")
    hosts = runs.start_pair("hosts", 2)
    assert "training on 2 devices" in finish(devices)
    assert "the finished model" in finish(hosts[0])
    assert "the finished model" not in finish(hosts[1])
    runs.assert_equal("one", "devices")
    runs.assert_equal("one", "hosts")
    assert not (runs.folder / "hosts-other").exists()


def test_a_host_that_dies_stops_the_others(runs: Runs) -> None:
    """Until then both train from the start on, like one."""
    first, other = runs.start_pair("lost", 10_000)
    try:
        steps = runs.folder / "lost" / "steps.csv"
        waiting = threading.Event()
        while first.poll() is None and not (steps.exists() and len(runs.losses("lost")) > 4):
            waiting.wait(0.2)
        other.send_signal(signal.SIGKILL)
        _, said = first.communicate(timeout=PATIENCE_S)
    finally:
        for process in (first, other):
            process.kill()
            process.communicate()
    assert first.returncode == 1, said
    assert "train.py: error: host 0: another host is gone or cannot be reached" in said
    assert "training resumes from the last checkpoint" in said
    assert "Traceback" not in said
    np.testing.assert_allclose(runs.losses("lost")[:4], runs.losses("one")[:4], rtol=1e-5)


class Echo(Distribution):
    """The second of two hosts; what it gathers is what the test says the first one gave."""

    def __init__(self, *given: bytes) -> None:
        super().__init__(Hosts(("a:1", "b:1"), 1), 2)
        self._given = list(given)

    def gather(self, values: np.ndarray) -> np.ndarray:
        words = self._given.pop(0)
        first = np.frombuffer(words.ljust(values.nbytes, b"\0"), values.dtype)
        return np.stack([first, values])


def test_rows_are_split_evenly_over_the_hosts() -> None:
    hosts = [Distribution(Hosts(("a:1", "b:1", "c:1"), index), 3) for index in range(3)]
    rows = np.arange(12)
    np.testing.assert_array_equal(np.concatenate([rows[host.part(12)] for host in hosts]), rows)
    assert Distribution().part(5) == slice(0, 5)


def test_what_the_first_host_gives_reaches_the_others() -> None:
    size = np.array([5], np.uint32).tobytes()
    assert Echo(size, b"abcde").from_first(b"") == b"abcde"
    assert Echo(bytes(4)).from_first(b"other") == b""
    with pytest.raises(TrainingError, match="host 1 was given another recipe than host 0"):
        Echo(size, b"abcde").require_equal("recipe", b"abcdf")


def test_hosts_agree_on_time_and_on_stopping() -> None:
    assert Echo(np.array([2.0, 1.0]).tobytes()).agree(4.0, False) == (3.0, True)
    assert Echo(np.array([2.0, 0.0]).tobytes()).agree(4.0, False) == (3.0, False)
    assert Distribution().agree(4.0, True) == (4.0, True)


def test_an_error_ends_a_shared_training_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[object] = []
    monkeypatch.setattr("atexit.register", lambda leave, exit_code: left.append(exit_code))
    monkeypatch.setattr(Echo, "is_loss", lambda self, error: isinstance(error, ConnectionError))
    message = r"host 1: another host is gone .*\(reset by peer\); start all of them again"
    with pytest.raises(TrainingError, match=message), Echo():
        raise ConnectionError("\nreset by peer\nat node 3")
    with pytest.raises(UsageError, match="wrong input"), Echo():
        raise UsageError("wrong input")
    assert left == [1, 2]
    with Echo():
        pass
    with pytest.raises(ValueError, match="of one host alone"), Distribution():
        raise ValueError("of one host alone")
    assert left == [1, 2]


def test_one_host_reads_its_own_checkpoint(tmp_path: Path) -> None:
    assert first_checkpoint(Distribution(), tmp_path, pytest.fail) is None
    write_checkpoint(tmp_path, Checkpoint(Progress(step=3), {"model/0000/a": np.ones(2)}))
    found = first_checkpoint(Distribution(), tmp_path, pytest.fail)
    assert found is not None
    assert found.progress.step == 3


def test_more_devices_than_there_are_is_an_error() -> None:
    require_devices(2, 2)
    with pytest.raises(UsageError, match="--devices: 3 were asked for, but 2 can be used here"):
        require_devices(3, 2)
