from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.web.learning.holding_out import HELD_OUT_SHARE, Side, sides
from tests.streamer.web.learning.toys import id_of

names = st.lists(st.integers(0, 10**6).map(lambda n: id_of(str(n))), max_size=12, unique=True)


@settings(derandomize=True, deadline=None)
@given(names=names, arrivals=names)
def test_a_side_once_decided_stays_whatever_is_added_or_deleted(
    names: list[str], arrivals: list[str]
) -> None:
    decided: dict[str, Side] = {}
    for end in range(len(names) + 1):
        now = sides(names[:end], decided)
        assert {name: now[name] for name in decided} == decided
        decided = now
    later = sides([*arrivals, *names[::2]], decided)
    assert all(later[name] == decided[name] for name in names[::2])


@settings(derandomize=True, deadline=None)
@given(names=names)
def test_two_recordings_or_more_have_one_on_each_side_in_whatever_order_they_come(
    names: list[str],
) -> None:
    together = sides(names, {})
    assert sides(names[::-1], {}) == together
    assert set(together) == set(names)
    decided: dict[str, Side] = {}
    for end in range(1, len(names) + 1):
        decided = sides(names[:end], decided)
    if len(names) > 1:
        assert set(together.values()) == set(decided.values()) == {"train", "held_out"}


def test_about_one_in_four_is_held_out() -> None:
    found = list(sides([id_of(str(n)) for n in range(2000)], {}).values())
    assert abs(found.count("held_out") / 2000 - HELD_OUT_SHARE) < 0.03


def test_what_was_learned_from_is_not_held_out_even_where_nothing_else_is_left() -> None:
    assert sides(["a", "b"], {"a": "train", "b": "train"}) == {"a": "train", "b": "train"}
    assert sides(["a", "b", "c"], {"a": "train", "b": "train"})["c"] == "held_out"
    assert sides(["a", "c"], {"a": "held_out"})["c"] == "train"
