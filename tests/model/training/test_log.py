from __future__ import annotations

import csv
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model.training.checkpoint import Progress
from model.training.log import LOG_COLUMNS, STEP_COLUMNS, TrainingLog, read_log


def at(step: int, **more: float) -> Progress:
    figures = {"seconds": 2.0 * step, "speech_s": 3600.0 * step, "judged": step, "loss": 1.5}
    return Progress(step=step, **(figures | more))  # type: ignore[arg-type]


def log_steps(log: TrainingLog, first: int, last: int) -> None:
    for step in range(first, last + 1):
        log.add_step(at(step), float(step), 1e-3, 0.25)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def log(tmp_path: Path) -> TrainingLog:
    log = TrainingLog(tmp_path, 2, pytest.fail)
    log.begin(None)
    return log


def test_steps_are_logged_by_twos_with_their_mean_loss_and_speed(
    log: TrainingLog, tmp_path: Path
) -> None:
    log_steps(log, 1, 5)
    logged = rows(tmp_path / "steps.csv")
    assert tuple(logged[0]) == STEP_COLUMNS
    assert [row["step"] for row in logged] == ["2", "4"]
    assert [float(row["loss"]) for row in logged] == [1.5, 3.5]
    assert float(logged[1]["hours_per_hour"]) == pytest.approx(1800)
    assert float(logged[1]["speech_hours"]) == 4


def test_an_evaluation_is_a_row_and_draws_the_curves(log: TrainingLog, tmp_path: Path) -> None:
    log_steps(log, 1, 4)
    log.add_evaluation(at(4, wer=0.5, cer=0.25))
    [row] = rows(tmp_path / "log.csv")
    assert tuple(row) == LOG_COLUMNS
    assert (row["step"], row["wer"], row["cer"]) == ("4", "0.5", "0.25")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_resumed_log_goes_on_at_the_checkpoint(log: TrainingLog, tmp_path: Path) -> None:
    log_steps(log, 1, 8)
    for step in (4, 8):
        log.add_evaluation(at(step, wer=0.5, cer=0.25))
    with (tmp_path / "steps.csv").open("a") as file:
        file.write("10,0,cut sho")
    again = TrainingLog(tmp_path, 2, pytest.fail)
    again.begin(at(5, judged=4))
    log_steps(again, 6, 8)
    assert [row["step"] for row in rows(tmp_path / "steps.csv")] == ["2", "4", "6", "8"]
    assert [row["step"] for row in rows(tmp_path / "log.csv")] == ["4"]
    again.begin(None)
    assert not (tmp_path / "steps.csv").exists()
    assert read_log(tmp_path / "log.csv") == {}


def test_tensorboard_can_read_the_events(log: TrainingLog, tmp_path: Path) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    log_steps(log, 1, 2)
    log.add_evaluation(at(2, wer=0.5, cer=0.25))
    log.begin(at(2))
    first, second = sorted((tmp_path / "tensorboard").iterdir())
    records = tensorflow.data.TFRecordDataset([str(first), str(second)]).as_numpy_iterator()
    events = [tensorflow.compat.v1.Event.FromString(record) for record in records]
    scalars = {
        (event.step, value.tag): value.simple_value
        for event in events
        for value in event.summary.value
    }
    assert scalars[2, "train/loss"] == 1.5
    assert scalars[2, "dev/wer"] == 0.5
    assert events[0].file_version == "brain.Event:2"
    start = tensorflow.compat.v1.SessionLog.START
    starts = [event.step for event in events if event.session_log.status == start]
    assert starts == [0, 3]


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_said_once_and_leaves_whole_rows(tmp_path: Path) -> None:
    notices: list[str] = []
    log = TrainingLog(tmp_path, 2, notices.append)
    log.begin(None)
    log_steps(log, 1, 2)
    log.add_evaluation(at(2, wer=0.5, cer=0.25))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with full_disk():
        log_steps(log, 3, 6)
        log.add_evaluation(at(6, wer=0.4, cer=0.2))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    for name in ("steps.csv", "tfevents", "log.csv", "curves.png"):
        [notice] = [notice for notice in notices if name in notice]
        assert "cannot be written (File too large); the training goes on without it" in notice
    log_steps(log, 7, 8)
    assert [row["step"] for row in rows(tmp_path / "steps.csv")] == ["2", "8"]
    assert float(rows(tmp_path / "steps.csv")[1]["loss"]) == 7.5


def test_a_log_that_could_not_be_begun_still_gets_its_header(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, 2, lambda notice: None)
    log.begin(None)
    with full_disk():
        log_steps(log, 1, 2)
    log_steps(log, 3, 6)
    assert [row["step"] for row in rows(tmp_path / "steps.csv")] == ["4", "6"]
