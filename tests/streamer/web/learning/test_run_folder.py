from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model.bundle import Provenance, save_bundle
from model.training.log import LOG_COLUMNS, LOG_FILE, STEP_COLUMNS, STEPS_FILE
from streamer.web.learning.run_folder import (
    POINTS,
    Course,
    Making,
    has_gained,
    has_weights,
    making_of,
    passes_without_gain,
    read_course,
)
from tests.streamer.web.learning.toys import random_bundle


def write_log(folder: Path, *wers: float) -> None:
    """Write a log with an evaluation every ten steps and a minute, the first at the start."""
    rows = [[10 * n, n, n, n / 10, 2 - n / 10, wer, wer / 2] for n, wer in enumerate(wers)]
    lines = [",".join(LOG_COLUMNS), *(",".join(map(str, row)) for row in rows)]
    (folder / LOG_FILE).write_text("\n".join(lines) + "\n")


def write_steps(folder: Path, count: int) -> None:
    rows = [[5 * n, 0, n / 100, n / 1000, 3 - n / count, 1e-4, 1, 50] for n in range(1, count + 1)]
    lines = [",".join(STEP_COLUMNS), *(",".join(map(str, row)) for row in rows)]
    (folder / STEPS_FILE).write_text("\n".join(lines) + "\n")


def test_a_training_that_has_not_begun_is_at_its_start(tmp_path: Path) -> None:
    assert read_course(tmp_path) == Course()
    assert passes_without_gain(tmp_path) == 0
    assert not has_weights(tmp_path)


def test_the_newest_of_both_logs_tells_how_far_it_is(tmp_path: Path) -> None:
    write_log(tmp_path, 0.6, 0.5)
    assert (read_course(tmp_path).step, read_course(tmp_path).loss) == (10, None)
    write_steps(tmp_path, 3)
    course = read_course(tmp_path)
    assert (course.step, course.passes, course.minutes) == (15, 0, 0.03)
    assert (course.wer, course.loss) == (0.5, 2.0)
    assert course.wers == ((0.0, 0.6), (1.0, 0.5))


def test_long_curves_are_thinned_and_keep_their_end(tmp_path: Path) -> None:
    write_steps(tmp_path, 1234)
    losses = read_course(tmp_path).losses
    assert POINTS / 2 < len(losses) <= POINTS
    assert losses[-1] == (12.34, 2.0)
    assert list(losses) == sorted(losses)


@pytest.mark.parametrize(
    ("wers", "passes"), [((0.5,), 0), ((0.5, 0.4), 0), ((0.5, 0.4, 0.4), 1), ((0.5, 0.6, 0.7), 2)]
)
def test_passes_without_gain_are_counted_from_the_best_on(
    tmp_path: Path, wers: tuple[float, ...], passes: int
) -> None:
    write_log(tmp_path, *wers)
    assert passes_without_gain(tmp_path) == passes


@pytest.mark.parametrize(
    ("wers", "gained"), [((0.5,), True), ((0.5, 0.4, 0.6), True), ((0.5, 0.5, 0.6), False)]
)
def test_a_training_that_was_never_better_than_its_start_has_gained_nothing(
    tmp_path: Path, wers: tuple[float, ...], gained: bool
) -> None:
    write_log(tmp_path, *wers)
    assert has_gained(tmp_path) == gained


def test_a_bundle_tells_how_it_was_made(tmp_path: Path) -> None:
    bundle = random_bundle()
    assert making_of(save_bundle(bundle, tmp_path / "toy")) == Making(0, 0.0, 1.0)
    mixed = Provenance(recipe={"init": {"share": 0.5}}, steps=7, minutes=1.5)
    saved = save_bundle(replace(bundle, provenance=mixed), tmp_path / "toy")
    assert making_of(saved) == Making(7, 1.5, 0.5)
