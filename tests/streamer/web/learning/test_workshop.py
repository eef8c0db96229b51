"""The commands of which a training job consists."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.settings import LearningSettings
from streamer.web.learning.job import JobRecord
from streamer.web.learning.registry import Registry
from streamer.web.learning.workshop import Workshop
from train import parser

JOB = JobRecord("mine-3", "2026-01-01T00:00:00+00:00", 5.0, "/models/english", "english", copies=4)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(
        folder=tmp_path,
        settings=LearningSettings(base=(Path("/speech.jsonl"),), share=0.3),
        engine="auto",
        language_model=Path("/language"),
        test=Path("/test.jsonl"),
        registry=Registry(tmp_path / "models"),
    )


def test_weights_at_the_end_are_mixed_with_those_of_before_by_the_given_share(
    workshop: Workshop,
) -> None:
    options = parser().parse_args(list(map(str, workshop.export(JOB))))
    assert (options.init, options.share) == (Path(JOB.base), 0.3)
    assert options.checkpoint == "newest"
    assert (options.run, options.name) == (workshop.run(JOB), "mine-3")


def test_what_is_judged_is_what_was_exported(workshop: Workshop) -> None:
    exported = parser().parse_args(list(map(str, workshop.export(JOB)))).output
    assert exported == workshop.candidate(JOB)
    report = workshop.of(JOB) / "report.json"
    order = workshop.evaluate(JOB, exported, "language_model", report)
    options = parser().parse_args(list(map(str, order)))
    assert options.bundle == exported
    assert options.manifest == [workshop.data(JOB) / "dev.jsonl", Path("/test.jsonl")]
    assert options.language_model == Path("/language")


def test_nothing_that_judges_is_learned_from(workshop: Workshop) -> None:
    options = parser().parse_args(list(map(str, workshop.fit(JOB))))
    assert options.manifest == [workshop.data(JOB) / "train.jsonl"]
    assert options.base == [Path("/speech.jsonl")]
    assert options.dev == [workshop.data(JOB) / "dev.jsonl"]
    assert (options.init, options.output) == (Path(JOB.base), workshop.run(JOB))
