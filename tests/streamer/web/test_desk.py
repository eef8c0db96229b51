"""Seats for sessions, and how many there are."""

from __future__ import annotations

import threading

import pytest

from streamer.web.desk import MOST_SEATS, SessionDesk, seats_of
from streamer.web.errors import Busy
from streamer.web.metrics import Metrics


def test_there_are_as_many_seats_as_there_are() -> None:
    desk = SessionDesk(2, Metrics())
    with desk.seat("stream"), desk.seat("upload"):
        assert desk.taken == desk.seats == 2
        with pytest.raises(Busy, match=r"places \(2\)"), desk.seat("stream"):
            pass
    assert desk.taken == 0
    with desk.seat("stream"):
        assert desk.taken == 1


def test_a_seat_is_free_again_after_a_failure() -> None:
    desk = SessionDesk(1, Metrics())
    with pytest.raises(ZeroDivisionError), desk.seat("stream"):
        raise ZeroDivisionError
    assert desk.taken == 0


def test_many_threads_never_take_more_seats_than_there_are() -> None:
    desk = SessionDesk(3, Metrics())
    most, refused = [], []
    start = threading.Barrier(12)

    def take() -> None:
        start.wait()
        for _ in range(200):
            try:
                with desk.seat("stream"):
                    most.append(desk.taken)
            except Busy:
                refused.append(1)

    threads = [threading.Thread(target=take) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) <= 3
    assert len(most) + len(refused) == 2400
    assert desk.taken == 0


def test_closing_ends_what_goes_on_and_lets_nobody_in() -> None:
    desk = SessionDesk(2, Metrics())
    ended = threading.Event()
    taken = threading.Event()

    def work() -> None:
        with desk.seat("stream") as seat:
            seat.end = ended.set
            taken.set()
            ended.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    taken.wait(10)
    desk.close(10.0)
    assert desk.taken == 0
    with pytest.raises(Busy, match="stopped"), desk.seat("stream"):
        pass
    thread.join()


def test_the_setting_wins_over_the_cores() -> None:
    assert seats_of(7) == 7
    assert seats_of(0) >= 1


def test_one_process_has_no_more_seats_than_it_can_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(64)))
    assert seats_of(0) == MOST_SEATS
    assert seats_of(40) == 40


def test_of_those_who_linger_the_longest_leaves_when_there_are_too_many() -> None:
    desk = SessionDesk(2, Metrics())
    left: list[str] = []
    with (
        desk.lingering(lambda: left.append("first")),
        desk.lingering(lambda: left.append("second")),
    ):
        assert left == []
        with desk.lingering(lambda: left.append("third")):
            assert left == ["first"]
        with desk.lingering(lambda: left.append("fourth")):
            assert left == ["first"]
