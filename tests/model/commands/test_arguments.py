"""Types of arguments: what they take, and what they say of what they do not."""

from __future__ import annotations

import argparse

import pytest

from model.commands.arguments import count, number


def test_numbers_are_read() -> None:
    assert count("12") == 12
    assert [number(-50, 100)(text) for text in ("-50", "1e2", "0.5")] == [-50, 100, 0.5]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", ""])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"number from 1 on, got {text}$"):
        count(text)


@pytest.mark.parametrize("text", ["-0.1", "100.5", "nan", "inf", "much", ""])
def test_what_is_no_number_of_the_range_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"number from 0 to 100, got {text}$"):
        number(0, 100)(text)
