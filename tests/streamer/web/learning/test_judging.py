from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from model.evaluation.rates import ErrorRates
from streamer.web.learning.judging import (
    Decoder,
    ReadClip,
    ReportError,
    is_complete,
    judge,
    read_report,
    remarks,
)

WORDS = 10


def clips(own: list[int], test: list[int]) -> list[ReadClip]:
    """Return clips of ten words with so many errors."""
    return [
        ReadClip(mine, f"{mine}{place}", ErrorRates(WORDS, errors, 0, 0, 50, errors))
        for mine, counts in ((True, own), (False, test))
        for place, errors in enumerate(counts)
    ]


def readings(
    before: tuple[list[int], list[int]], after: tuple[list[int], list[int]]
) -> dict[tuple[str, Decoder], list[ReadClip]]:
    return {("before", "greedy"): clips(*before), ("after", "greedy"): clips(*after)}


def test_figures_are_those_of_the_user_and_of_others_apart() -> None:
    found = judge(readings(([4, 6], [1, 1, 1]), ([2, 2], [2, 2, 2])))  # type: ignore[arg-type]
    own, base = found["held_out"], found["base"]
    assert (own["clips"], own["words"], base["clips"], base["words"]) == (2, 20, 3, 30)
    [reading] = own["readings"]
    assert (reading["before"]["wer"], reading["after"]["wer"]) == (0.5, 0.2)
    assert reading["change"]["wer"] == pytest.approx(-0.3)
    assert base["readings"][0]["change"] == {"wer": 0.1, "low": 0.1, "high": 0.1}
    assert json.loads(json.dumps(found)) == found
    assert is_complete(found)


def test_the_change_is_as_sure_as_a_bootstrap_by_hand_has_it() -> None:
    random = np.random.default_rng(3)
    before, after = random.integers(3, 8, 40), random.integers(1, 7, 40)
    both = readings((before.tolist(), [1]), (after.tolist(), [1]))
    [reading] = judge(both)["held_out"]["readings"]  # type: ignore[arg-type]
    drawn = random.integers(0, 40, (4000, 40))
    changes = (after - before)[drawn].sum(axis=1) / (WORDS * 40)
    low, high = np.percentile(changes, (2.5, 97.5))
    assert reading["change"]["low"] == pytest.approx(low, abs=0.015)
    assert reading["change"]["high"] == pytest.approx(high, abs=0.015)
    assert reading["before"]["high"] - reading["before"]["low"] > 0


def texts(before: tuple[list[int], list[int]], after: tuple[list[int], list[int]]) -> list[str]:
    found = remarks(judge(readings(before, after)))  # type: ignore[arg-type]
    return [f"{one['level']}: {one['text']}" for one in found]


def test_few_words_and_worse_figures_are_said() -> None:
    better, worse, few, few_too, chosen = texts(([5, 5], [1, 1]), ([2, 2], [3, 3]))
    assert better == (
        "info: Held-out recordings: 50.0 % of the words wrong before, 20.0 % after; better than "
        "chance would make it."
    )
    assert worse.startswith("warning: Test recordings: 10.0 %")
    assert worse.endswith("worse than before.")
    assert "only 20 words" in few and "only 20 words" in few_too
    assert "flatter" in chosen


def test_chance_is_told_from_change_and_many_words_from_few() -> None:
    found = texts(([5, 1] * 30, [3] * 60), ([1, 4] * 30, [3] * 60))
    assert len(found) == 3
    assert found[0].endswith("better, but no more than chance may make of so few words.")
    assert found[1].endswith("no change.")


def test_a_model_without_test_recordings_is_not_offered() -> None:
    found = judge(readings(([5], []), ([2], [])))  # type: ignore[arg-type]
    assert found["base"] is None
    assert not is_complete(found)
    assert any("not offered" in one["text"] for one in remarks(found))
    assert found["held_out"]["readings"][0]["change"]["low"] is None


@pytest.mark.parametrize("content", ["", "{}", '{"utterances": [{}]}', '{"utterances": 3}'])
def test_a_report_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "before-greedy.json"
    path.write_text(content)
    with pytest.raises(ReportError, match=r"before-greedy\.json: the figures"):
        read_report(path)
