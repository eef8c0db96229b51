"""Values of JSON as settings want them, and records with their checksums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pytest

from model.features import FeatureSettings
from model.records import is_intact, parse_json, record_checksum, settings_from, typed


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (bool, True, True),
        (int, 3, 3),
        (float, 3, 3.0),
        (str, "a", "a"),
        (Any, {"a": [1]}, {"a": [1]}),
        (Literal["a", "b"], "b", "b"),
        (int | None, None, None),
        (int | None, 4, 4),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[str, ...], [], ()),
        (Mapping[str, float], {"a": 1}, {"a": 1.0}),
        (dict[str, tuple[int, ...]], {"a": [1]}, {"a": (1,)}),
    ],
)
def test_values_of_the_right_type_are_taken(kind: Any, value: object, expected: object) -> None:
    found = typed(kind, value, "name")
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(
            (bool, 1),
            (int, True),
            (int, 10**30),
            (int, 1.0),
            (int, "1"),
            (float, "1"),
            (float, True),
            (str, 1),
        ),
        *((Literal["a", "b"], "c"), (int | None, "a"), (tuple[int, ...], 1)),
        *((tuple[int, ...], ["a"]), (Mapping[str, float], []), (Mapping[str, float], {"a": "b"})),
        *((float, 10**400), (float, float("inf")), (str, None), (tuple[int, ...], "12")),
    ],
)
def test_values_of_another_type_are_refused_by_name(kind: Any, value: object) -> None:
    with pytest.raises(ValueError, match=r"^name"):
        typed(kind, value, "name")


def test_a_wrong_value_is_shown_but_not_all_of_it() -> None:
    with pytest.raises(ValueError) as caught:
        typed(int, "x" * 10_000, "name")
    assert len(str(caught.value)) < 150


def test_settings_are_not_made_of_anything_but_an_object() -> None:
    assert settings_from(FeatureSettings, {"mels": 40}).mels == 40
    for values in (None, [], "mels", 3):
        with pytest.raises(ValueError, match="FeatureSettings: must be an object"):
            settings_from(FeatureSettings, values)


@pytest.mark.parametrize("text", ["[" * 100_000, "{" * 10, b"\xff", "9" * 5_000, ""])
def test_what_is_no_json_is_one_kind_of_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_a_record_is_intact_with_its_own_checksum_only() -> None:
    record: dict[str, Any] = {"a": 1.5, "b": {"c": [1, "x"]}}
    record["sha256"] = record_checksum(record)
    assert is_intact(record)
    assert not is_intact(record | {"a": 2.5})
    assert not is_intact(record | {"a": float("nan")})
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert not is_intact(record | {"a": deep})
