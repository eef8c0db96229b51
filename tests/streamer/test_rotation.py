"""Where parts begin, what they are called, how long they stay, and clocks that leap."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import UsageError
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.errors import OutputError
from streamer.rotation import KEEP_ALL, Every, Keeping, LeapWatch, Part, PartFiles, Rotation

HOUR_S = 3600


class Clocks:
    """A wall clock that may leap, and one that cannot."""

    def __init__(self, start: datetime) -> None:
        self.wall = start.timestamp()
        self.steady = 1000.0

    def leaps(self) -> LeapWatch:
        return LeapWatch(lambda: self.wall, lambda: self.steady)

    def rotation(self, every: Every) -> Rotation:
        return Rotation(every, lambda: self.wall, lambda: self.steady)

    def pass_s(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use a time zone with summer time, by a rule that needs no time zone data."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


def block_at(second: float) -> AudioBlock:
    return AudioBlock(np.zeros(160, np.float32), round(second * SAMPLE_RATE))


def hear(clocks: Clocks, rotation: Rotation, seconds: int, step: int = 20) -> list[Part]:
    """Let time pass with audio in it; return the parts that began."""
    parts = [rotation.newest]
    first = parts[0].start / SAMPLE_RATE
    for _ in range(0, seconds, step):
        clocks.pass_s(step)
        part = rotation.hear(block_at(max(first, clocks.steady - 1000.0)))
        parts += [part] if part is not parts[-1] else []
    return parts[1:]


@pytest.mark.parametrize(
    ("text", "every"),
    [
        ("day", Every("day")),
        ("hour", Every("hour")),
        ("100MB", Every(size=100_000_000)),
        ("1.5 gb", Every(size=1_500_000_000)),
        ("2000kB", Every(size=2_000_000)),
    ],
)
def test_a_time_or_a_size_may_be_asked_for(text: str, every: Every) -> None:
    assert Every.of(text) == every


@pytest.mark.parametrize("text", ["", "week", "100", "10kB", "-5MB", "9999999999999GB", "1e3MB"])
def test_anything_else_is_named_with_what_may_be(text: str) -> None:
    with pytest.raises(UsageError, match=r"--rotate: must be day, hour, or a size .* got"):
        Every.of(text, "--rotate")


def test_a_part_ends_with_the_local_day() -> None:
    clocks = Clocks(datetime(2026, 11, 23, 22, 30))
    rotation = clocks.rotation(Every("day"))
    [part] = hear(clocks, rotation, 24 * HOUR_S, 60)
    assert part.stamp == "20261124T000000"
    assert part.began_text == "2026-11-24T00:00:00+01:00"
    assert part.start_s == pytest.approx(1.5 * HOUR_S)


def test_a_part_ends_with_the_hour() -> None:
    clocks = Clocks(datetime(2026, 11, 23, 22, 30))
    parts = hear(clocks, clocks.rotation(Every("hour")), 3 * HOUR_S)
    assert [part.stamp[-6:] for part in parts] == ["230000", "000000", "010000"]
    assert [part.number for part in parts] == [2, 3, 4]


def test_days_with_23_and_25_hours_end_at_midnight() -> None:
    for day in (datetime(2026, 3, 29, 0, 10), datetime(2026, 10, 25, 0, 10)):
        clocks = Clocks(day)
        [part] = hear(clocks, clocks.rotation(Every("day")), 25 * HOUR_S, 600)
        assert part.stamp[-6:] == "000000"


def test_the_hour_that_comes_twice_gets_two_parts() -> None:
    clocks = Clocks(datetime(2026, 10, 25, 1, 30))
    parts = hear(clocks, clocks.rotation(Every("hour")), 3 * HOUR_S)
    assert [part.stamp[-6:] for part in parts] == ["020000", "020000", "030000"]
    assert [part.began_text[-6:] for part in parts] == ["+02:00", "+01:00", "+01:00"]


def test_a_part_ends_at_a_size_of_the_newest_part_alone() -> None:
    clocks = Clocks(datetime(2026, 11, 23))
    rotation = clocks.rotation(Every(size=1_000_000))
    rotation.wrote(rotation.newest, 999_999)
    assert rotation.hear(block_at(1)).number == 1
    first = rotation.newest
    rotation.wrote(first, 1_000_000)
    assert rotation.hear(block_at(2)).number == 2
    rotation.wrote(first, 1_000_001)
    assert rotation.hear(block_at(3)).number == 2


def test_a_part_ends_in_a_pause_or_when_none_comes() -> None:
    clocks = Clocks(datetime(2026, 11, 23))
    rotation = clocks.rotation(Every("day"))
    speaking = True
    rotation.watch(lambda: speaking)
    rotation.request()
    assert [rotation.hear(block_at(at)).number for at in (10, 20, 30)] == [1, 1, 1]
    speaking = False
    assert rotation.hear(block_at(31)).start_s == 31
    speaking = True
    rotation.request()
    assert [rotation.hear(block_at(at)).number for at in (40, 69, 71)] == [2, 2, 3]


def test_a_request_at_the_very_beginning_waits_for_audio() -> None:
    rotation = Clocks(datetime(2026, 11, 23)).rotation(Every("day"))
    rotation.request()
    assert rotation.hear(block_at(0)).number == 1
    assert rotation.hear(block_at(0.1)).number == 2


def test_a_clock_that_starts_in_1970_makes_one_part_when_it_is_set() -> None:
    clocks = Clocks(datetime(1970, 1, 1, 2))
    rotation = clocks.rotation(Every("hour"))
    assert hear(clocks, rotation, 600) == []
    clocks.wall = datetime(2026, 11, 23, 22, 30).timestamp()
    [part] = hear(clocks, rotation, 1200)
    assert part.stamp.startswith("20261123T2230")


def test_a_clock_that_goes_back_an_hour_makes_no_part_of_its_own() -> None:
    clocks = Clocks(datetime(2026, 11, 23, 22, 59))
    rotation = clocks.rotation(Every("hour"))
    assert len(hear(clocks, rotation, 600)) == 1
    clocks.wall -= HOUR_S
    assert hear(clocks, rotation, HOUR_S - 600) == []
    [part] = hear(clocks, rotation, 2 * HOUR_S - 600)
    assert part.stamp.endswith("T000000")


def test_a_clock_that_goes_back_for_long_begins_a_part_and_goes_on() -> None:
    clocks = Clocks(datetime(2099, 1, 1))
    rotation = clocks.rotation(Every("hour"))
    hear(clocks, rotation, 120)
    clocks.wall = datetime(2026, 11, 23, 22, 30).timestamp()
    parts = hear(clocks, rotation, 2 * HOUR_S)
    assert [part.stamp[:11] for part in parts] == ["20261123T22", "20261123T23", "20261124T00"]


@settings(max_examples=50)
@given(st.lists(st.floats(-1e6, 1e6), max_size=30), st.sampled_from(["hour", "day"]))
def test_no_leaps_make_more_than_a_part_a_minute(leaps: list[float], period: str) -> None:
    clocks = Clocks(datetime(2026, 11, 23, 12))
    rotation = clocks.rotation(Every.of(period))
    parts = [rotation.newest]
    for leap_s in leaps:
        clocks.wall += leap_s
        parts += hear(clocks, rotation, 40)
    starts = [part.start_s for part in parts]
    assert all(later - earlier >= 60 for earlier, later in pairwise(starts))


def test_an_utterance_finds_the_part_it_began_in() -> None:
    rotation = Clocks(datetime(2026, 11, 23)).rotation(Every("day"))
    first = rotation.newest
    rotation.request()
    second = rotation.hear(block_at(100))
    rotation.request()
    third = rotation.hear(block_at(200))
    assert rotation.part_of(99.9, first) is first
    assert rotation.part_of(100.0, first) is second
    assert rotation.part_of(250.0, first) is third
    assert rotation.part_of(150.0, third) is third


# Names and files


def make_part(number: int, began: datetime) -> Part:
    return Part(number, 0, began.timestamp())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def files_at(
    folder: Path, clocks: Clocks, keeping: Keeping = KEEP_ALL, name: str = "talk.srt"
) -> PartFiles:
    return PartFiles(folder / name, clocks.leaps(), keeping)


def test_names_carry_the_local_time_and_none_is_used_twice(tmp_path: Path) -> None:
    clocks = Clocks(datetime(2026, 11, 23))
    part = make_part(1, datetime(2026, 11, 23, 19, 40, 5))
    made = [files_at(tmp_path, clocks).make(part).name for _ in range(3)]
    assert made == [
        "talk-20261123T194005.srt",
        "talk-20261123T194005-2.srt",
        "talk-20261123T194005-3.srt",
    ]


def test_a_file_that_came_to_nothing_is_taken_away_and_no_other(tmp_path: Path) -> None:
    files = files_at(tmp_path, Clocks(datetime(2026, 11, 23)))
    one, other = (files.make(make_part(1, datetime(2026, 11, 23))) for _ in range(2))
    other.write_text("said")
    files.drop(one)
    files.drop(other)
    assert names(tmp_path) == [other.name]


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    clocks = Clocks(datetime(2026, 11, 23))
    part = make_part(1, datetime(2026, 11, 23))
    with pytest.raises(UsageError, match=r"talk\.srt: there is no folder .*nowhere; make it"):
        files_at(tmp_path / "nowhere", clocks).make(part)
    with pytest.raises(OutputError, match="File name too long; choose another place"):
        files_at(tmp_path, clocks, name=f"{'a' * 250}.srt").make(part)


OTHERS = ["talk.srt", "talk-20261101T000000.txt", "walk-20261101T000000.srt", "talk-2026.srt"]


def test_the_newest_files_are_kept_and_only_files_of_ours_go(tmp_path: Path) -> None:
    for day in (3, 1, 2):
        (tmp_path / f"talk-2026110{day}T000000.srt").write_text("said")
    for name in OTHERS:
        (tmp_path / name).write_text("mine")
    clocks = Clocks(datetime(1970, 1, 1))
    files = files_at(tmp_path, clocks, Keeping(files=3))
    for number in (1, 2):
        files.make(make_part(number, datetime(1970, 1, number)))
    files.tidy()
    # What this run made is the newest, whatever its clock says.
    kept = ["talk-19700101T000000.srt", "talk-19700102T000000.srt", "talk-20261103T000000.srt"]
    assert names(tmp_path) == sorted([*kept, *OTHERS])


def test_what_cannot_be_deleted_keeps_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "talk-20200101T000000.srt").mkdir()
    for day in range(1, 5):
        (tmp_path / f"talk-2020020{day}T000000.srt").write_text("old")
    files = files_at(tmp_path, Clocks(datetime(2026, 11, 23)), Keeping(files=2))
    files.make(make_part(1, datetime(2026, 11, 23)))
    files.tidy()
    assert names(tmp_path) == [
        "talk-20200101T000000.srt",
        "talk-20200204T000000.srt",
        "talk-20261123T000000.srt",
    ]


def test_one_file_may_be_kept(tmp_path: Path) -> None:
    files = files_at(tmp_path, Clocks(datetime(2026, 11, 23)), Keeping(files=1))
    for day in (1, 2, 3):
        files.make(make_part(day, datetime(2026, 11, day)))
        files.tidy()
        assert names(tmp_path) == [f"talk-2026110{day}T000000.srt"]


def test_files_go_by_their_age(tmp_path: Path) -> None:
    clocks = Clocks(datetime(2026, 11, 23))
    for day in (10, 20, 22):
        (tmp_path / f"talk-202611{day}T120000.srt").write_text("said")
    files = files_at(tmp_path, clocks, Keeping(days=2))
    files.make(make_part(1, datetime(2026, 11, 23)))
    clocks.pass_s(HOUR_S)
    files.tidy()
    assert names(tmp_path) == ["talk-20261122T120000.srt", "talk-20261123T000000.srt"]
    clocks.pass_s(3 * 24 * HOUR_S)
    files.make(make_part(2, datetime(2026, 11, 26)))
    files.tidy()
    assert names(tmp_path) == ["talk-20261126T000000.srt"]


def test_a_clock_that_leapt_deletes_nothing(tmp_path: Path) -> None:
    (tmp_path / "talk-20261122T120000.srt").write_text("said")
    clocks = Clocks(datetime(2026, 11, 23))
    leaps = clocks.leaps()
    files = PartFiles(tmp_path / "talk.srt", leaps, Keeping(days=2))
    clocks.pass_s(2 * HOUR_S)
    clocks.wall += 100 * 24 * HOUR_S
    leaps.look()
    files.make(make_part(1, datetime(2027, 3, 3)))
    files.tidy()
    assert len(names(tmp_path)) == 2
    clocks.wall -= 100 * 24 * HOUR_S
    leaps.look()
    clocks.pass_s(HOUR_S)
    leaps.look()
    files.tidy()
    assert len(names(tmp_path)) == 2
