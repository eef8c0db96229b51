"""Trials: counted once, kept at once, read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from lm.search import SearchSettings
from lm.tuning.parts import SLICES, cut, slices
from lm.tuning.pool import Pool
from lm.tuning.trials import Outcome, Reader, TrialLog, Trials
from model.errors import UsageError
from tests.lm.tuning.planted import Planted, one_word_recordings

HERE = SearchSettings(alpha=0.75, beta=0.5)
THERE = SearchSettings(alpha=0.85, beta=0.5)


@pytest.fixture
def planted() -> Planted:
    return Planted()


def trials(planted: Planted, folder: Path, data: str = "data") -> Trials:
    parts = cut(one_word_recordings(folder))
    return Trials(Reader(planted, parts), TrialLog(folder / "tuning.csv", data))


def test_outcomes_count_words_and_errors(planted: Planted, tmp_path: Path) -> None:
    found = trials(planted, tmp_path).outcomes([HERE, THERE], slices(SLICES))
    assert (found[HERE].words, found[HERE].errors) == (32, 0)
    assert (found[THERE].words, found[THERE].errors) == (32, 64)
    assert found[THERE].wer == 2.0
    assert found[HERE].audio_s == 32


def test_nothing_is_read_twice(planted: Planted, tmp_path: Path) -> None:
    running = trials(planted, tmp_path)
    running.outcomes([HERE], slices(2))
    before = planted.read
    running.outcomes([HERE, HERE], slices(2))
    assert planted.read == before == 8
    running.outcomes([HERE], slices(4))
    assert planted.read == 16


def test_a_later_run_goes_on_where_one_was_stopped(planted: Planted, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int) -> None:
        if done == 3:
            raise Stopped

    parts = cut(one_word_recordings(tmp_path))
    first = Trials(Reader(planted, parts), TrialLog(tmp_path / "tuning.csv", "data"), 1, stop)
    with pytest.raises(Stopped):
        first.outcomes([HERE, THERE], slices(SLICES))
    before = planted.read
    found = trials(planted, tmp_path).outcomes([HERE, THERE], slices(SLICES))
    assert planted.read == 64
    assert before == 6
    assert found[THERE].errors == 64


def test_what_was_found_on_other_data_does_not_count(planted: Planted, tmp_path: Path) -> None:
    trials(planted, tmp_path, "old").outcomes([HERE], slices(1))
    trials(planted, tmp_path, "new").outcomes([HERE], slices(1))
    assert planted.read == 8
    trials(planted, tmp_path, "old").outcomes([HERE], slices(1))
    assert planted.read == 8


def test_settings_come_back_exactly(tmp_path: Path) -> None:
    settings = SearchSettings(7, 1 / 3, -2 / 7, 11.1, 4.4, 1e-7)
    outcome = Outcome(5, 2, 3.25, 0.5)
    TrialLog(tmp_path / "tuning.csv", "data").add((settings, (1, 3)), outcome)
    assert TrialLog(tmp_path / "tuning.csv", "data").found == {(settings, (1, 3)): outcome}


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"\xff\xfe", b""])
def test_a_file_of_something_else_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "tuning.csv").write_bytes(content)
    with pytest.raises(UsageError, match=r"tuning\.csv: cannot be read as results of tuning"):
        TrialLog(tmp_path / "tuning.csv", "data")


def test_a_line_that_was_damaged_is_named(planted: Planted, tmp_path: Path) -> None:
    trials(planted, tmp_path).outcomes([HERE], slices(1))
    path = tmp_path / "tuning.csv"
    path.write_text(path.read_text().replace("0.75", "much"))
    with pytest.raises(UsageError, match="cannot be read as results of tuning"):
        TrialLog(path, "data")


def test_several_processes_give_every_result() -> None:
    with Pool(abs, 2) as pool:
        assert dict(pool.results([-1, -2, -3])) == {-1: 1, -2: 2, -3: 3}
        assert list(pool.results([-4])) == [(-4, 4)]
