"""When a microphone is looked for, and when that is told again."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.reopening import (
    LONGEST_REMIND_S,
    LONGEST_UNLISTED_S,
    LONGEST_WAIT_S,
    REMIND_S,
    Attempts,
    Reminder,
)
from tests.streamer.sound_system import Clock

DAY_S = 86_400


class Looking:
    """Attempts over simulated time, looked at every tenth of a second."""

    def __init__(self, every_s: float = 1.0) -> None:
        self.changes = 0
        self.attempts = Attempts(every_s, lambda: self.changes)
        self.now_s = 0.0

    def look(self, seconds: float) -> list[tuple[float, bool]]:
        """Return when it was tried in the next seconds, and whether with a fresh list."""
        tried = []
        for _ in range(round(seconds * 10)):
            self.now_s += 0.1
            if self.attempts.due(0.1):
                tried.append((round(self.now_s, 1), self.attempts.list_due()))
        return tried


def test_it_is_tried_ever_more_seldom_but_for_ever() -> None:
    tried = Looking().look(3600)
    times = [time_s for time_s, _ in tried]
    assert times[:5] == [1.0, 3.0, 7.0, 15.0, 25.0]
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert max(steps) == pytest.approx(LONGEST_WAIT_S)
    assert times[-1] > 3600 - LONGEST_WAIT_S


def test_fresh_lists_are_rare_where_nothing_changes() -> None:
    tried = Looking().look(DAY_S / 4)
    fresh = [time_s for time_s, anew in tried if anew]
    assert fresh[:3] == [1.0, 3.0, 7.0]
    assert 20 < len(fresh) < 60
    steps = [later - earlier for earlier, later in pairwise(fresh)]
    assert max(steps) <= LONGEST_UNLISTED_S + LONGEST_WAIT_S


@given(st.floats(0, 700))
def test_a_change_is_tried_at_once_and_soon_again(before_s: float) -> None:
    looking = Looking()
    looking.look(before_s)
    looking.changes += 1
    began_s = looking.now_s
    tried = looking.look(4)
    assert [round(time_s - began_s, 1) for time_s, _ in tried] == [0.1, 1.1, 3.1]
    assert all(anew for _, anew in tried)


def test_a_short_pause_that_was_asked_for_is_kept() -> None:
    assert [time_s for time_s, _ in Looking(0.2).look(1.5)] == [0.2, 0.6, 1.4]
    assert [time_s for time_s, _ in Looking(60).look(190)] == [60.0, 120.0, 180.0]


def test_reminders_come_ever_more_seldom() -> None:
    clock = Clock()
    reminder = Reminder(clock)
    told = 0
    for _ in range(30 * 24 * 60):
        clock.now_s += 60
        told += reminder.due()
    assert 30 < told < 45
    assert reminder.lasting_s == 30 * DAY_S
    assert LONGEST_REMIND_S == DAY_S


def test_a_reminder_may_come_at_once_too() -> None:
    clock = Clock()
    reminder = Reminder(clock, at_once=True)
    assert [reminder.due(), reminder.due()] == [True, False]
    clock.now_s += REMIND_S
    assert reminder.due()
