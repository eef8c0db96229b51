"""Trainings from corrections to a model in use, by the real programs on a tiny network."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from model.bundle import load_bundle
from streamer.web.errors import Conflict, NotFound, Unprocessable
from streamer.web.learning.job import JobRecord, read_job, write_job
from streamer.web.learning.judging import read_report
from streamer.web.learning.learning import Learning
from streamer.web.learning.overview import overview
from streamer.web.learning.registry import SHIPPED, model_in_use
from tests.streamer.web.learning.toys import Shop, fill, id_of, make_shop
from train import main

PATIENCE_S = 240.0
"""Time after which what does not happen never will."""

JOB_FOLDER = "learning/mine-1"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = make_shop(tmp_path)
    fill(shop.library)
    return shop


def wait(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def children(of: int) -> list[int]:
    """Return the commands that a process has started."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if b"streamer.web.learning.child" in words and parent == of:
            found.append(int(folder.name))
    return found


def begun(shop: Shop) -> Learning:
    """Return learning with a training whose process runs."""
    learning = shop.open()
    learning.train(1.0)
    wait(lambda: children(os.getpid()))
    return learning


def state(learning: Learning) -> str:
    assert learning.job is not None
    return learning.job.state


def names(shop: Shop) -> set[str]:
    """Return what lies in the folder of the jobs."""
    return {path.name for path in (shop.folder / "learning").iterdir()}


def assert_is_what_was_judged(bundle: Path, shop: Shop, made: Mapping[str, Any]) -> None:
    """The figures are those of the mixture that is offered, and of nothing else."""
    provenance = load_bundle(bundle).provenance
    init = provenance.recipe["init"]
    assert (init["name"], init["share"], made["share"]) == ("toy", 0.5, 0.5)
    assert "mixed as 0.5 to 0.5 with the weights of toy" in provenance.weights
    assert provenance.evaluation == {}
    report = shop.folder / "again.json"
    manifest = str(shop.settings.learning.test)
    arguments = ["evaluate", "--bundle", str(bundle), "--manifest", manifest]
    assert main([*arguments, "--output", str(report)]) == 0
    [clip] = read_report(report)
    after = made["test"]["readings"][0]["after"]
    assert after["cer"] == pytest.approx(clip.rates.cer, abs=1e-5)


def test_a_model_learns_is_judged_used_and_rolled_back(shop: Shop) -> None:
    learning = shop.open()
    learning.train(60.0)
    with pytest.raises(Conflict, match="a training runs already"):
        learning.train(0.5)
    seen = set()

    def is_phase(*phases: str) -> bool:
        seen.add(overview(learning)["job"]["phase"])
        return overview(learning)["job"]["phase"] in phases or state(learning) != "running"

    # Asked to stop in the middle of the training, it keeps and judges what there is.
    wait(lambda: is_phase() or len(learning.course.wers) > 2)
    learning.stop()
    assert overview(learning)["job"]["stopping"]
    wait(is_phase)
    assert learning.job is not None
    assert (state(learning), learning.job.message, learning.job.model) == ("finished", "", "mine-1")
    assert {"extracting", "compiling", "training", "judging"} <= seen
    assert learning.course.step > 0 and learning.course.losses and learning.course.wers

    shown = overview(learning)
    [made] = shown["models"]["learned"]
    assert made["offered"] and made["recordings"] == shown["train"]["recordings"]
    assert made["held_out"]["words"] == shown["held_out"]["words"]
    assert made["test"]["words"] == 1
    for group in ("held_out", "test"):
        decoders = [reading["decoder"] for reading in made[group]["readings"]]
        assert decoders == ["greedy", "language_model"]
    greedy = made["held_out"]["readings"][0]
    assert greedy["after"]["cer"] < greedy["before"]["cer"]
    assert json.loads(json.dumps(shown)) == shown

    # Nothing of the recordings stays beside the model, and only the owner sees that.
    assert {"job.json"} <= names(shop) <= {"job.json", "compiled"}
    bundle = shop.folder / "models" / "mine-1"
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in bundle.iterdir()} == {0o600}
    assert_is_what_was_judged(bundle, shop, made)

    learning.use("mine-1")
    assert (shop.models.path, shop.models.name) == (bundle, "mine-1")
    assert model_in_use(shop.folder) == bundle
    assert (learning.used(), learning.previous()) == ("mine-1", SHIPPED)
    with pytest.raises(Conflict, match="mine-1 is in use"):
        learning.delete_model("mine-1")
    again = shop.open()
    assert again.model_in_use() == bundle
    assert again.job == learning.job
    again.roll_back()
    assert shop.models.name == "toy"
    assert model_in_use(shop.folder) is None
    with pytest.raises(Conflict, match="no model before"):
        again.roll_back()
    again.use("mine-1")
    again.use(SHIPPED)

    learned = again.models()[0].recordings
    shop.library.delete(learned[0])
    assert (again.models()[0].recordings, again.models()[0].forgotten) == (learned[1:], 1)
    again.delete_model("mine-1")
    assert not bundle.exists()
    with pytest.raises(NotFound):
        again.use("mine-1")


def test_a_training_ends_with_the_server_and_is_continued_or_thrown_away(shop: Shop) -> None:
    learning = begun(shop)
    [child] = children(os.getpid())
    learning.close()
    assert not Path(f"/proc/{child}").exists()
    assert state(learning) == "interrupted"
    again = shop.open()
    assert state(again) == "interrupted"
    with pytest.raises(Conflict, match="continue it or throw it away"):
        again.train(1.0)
    again.resume()
    wait(lambda: children(os.getpid()))
    again.stop()
    with suppress(Conflict):  # The first is enough where nothing was learned yet.
        again.stop()
    wait(lambda: state(again) != "running")
    assert state(again) == "stopped"
    assert overview(again)["job"]["resumable"]
    again.throw_away()
    assert names(shop) <= {"compiled"}
    assert again.job is None
    with pytest.raises(Conflict, match="no training to throw away"):
        again.throw_away()


def test_a_killed_command_is_told_and_a_deleted_recording_takes_the_training_along(
    shop: Shop,
) -> None:
    learning = begun(shop)
    os.kill(children(os.getpid())[0], signal.SIGKILL)
    wait(lambda: state(learning) != "running")
    assert learning.job is not None
    assert state(learning) == "failed" and "signal 9" in learning.job.message
    learning.resume()
    wait(lambda: children(os.getpid()))
    shop.library.delete(id_of("2"))
    assert (state(learning), children(os.getpid())) == ("void", [])
    assert not (shop.folder / JOB_FOLDER).exists()
    again = shop.open()
    assert state(again) == "void"
    again.train(1.0)
    again.close()
    assert state(again) == "interrupted"
    shop.library.delete(id_of("3"))
    assert state(again) == "void"
    assert names(shop) <= {"job.json", "compiled"}


def test_what_train_py_says_against_it_is_shown(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("training: {passes: many}\n")
    learning = shop.open()
    learning.train(1.0)
    wait(lambda: state(learning) != "running")
    assert learning.job is not None
    assert state(learning) == "failed"
    assert "recipe.yaml:1: training.passes: must be a whole number" in learning.job.message


def test_a_killed_server_leaves_no_training_behind(shop: Shop, tmp_path: Path) -> None:
    """The lifeline ends the command, and its lock tells when it has ended."""
    program = """
import sys
from pathlib import Path
from streamer.settings import LearningSettings
from streamer.web.learning.commands import TrainCommand
folder, manifest, bundle = sys.argv[1:]
arguments = ["fit", "--init", bundle, "--manifest", manifest, "--dev", manifest]
where = ["--output", folder + "/run", "--cache", folder + "/cache"]
places = Path(folder, "lock"), Path(folder, "compiled")
TrainCommand([*arguments, *where], LearningSettings(), *places).run()
"""
    manifest = shop.settings.learning.test
    server = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), str(manifest), str(shop.models.path)]
    )
    wait(lambda: children(server.pid))
    [child] = children(server.pid)
    server.kill()
    server.wait()
    wait(lambda: not Path(f"/proc/{child}").exists())


def test_a_job_that_ran_when_the_server_was_killed_waits(shop: Shop) -> None:
    jobs = shop.folder / "learning"
    learning = shop.open()
    learning.close()
    record = JobRecord("mine-1", "2026-01-01T00:00:00+00:00", 5.0, str(shop.models.path), "toy")
    write_job(jobs, record)
    found = read_job(jobs)
    assert found is not None
    assert (found.state, found.resumable) == ("interrupted", True)
    assert "Continue it" in found.message
    assert stat.S_IMODE((jobs / "job.json").stat().st_mode) == 0o600


def test_wrong_requests_are_refused(shop: Shop) -> None:
    learning = shop.open()
    for minutes in (0.0, -1.0, 1e9, float("nan")):
        with pytest.raises(Unprocessable, match=r"minutes: must be 0\.05 to 240"):
            learning.train(minutes)
    for wrong in (learning.stop, learning.resume, learning.roll_back, learning.throw_away):
        with pytest.raises(Conflict):
            wrong()
    with pytest.raises(NotFound):
        learning.use("mine-7")
    with pytest.raises(NotFound):
        learning.delete_model("mine-7")
    for id in shop.library.ids():
        shop.library.delete(id)
    with pytest.raises(Conflict, match="Correct or confirm two recordings"):
        learning.train(1.0)
