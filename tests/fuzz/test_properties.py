"""Whatever stands in a file, its reader takes it or says in its own words what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.features import FeatureSettings
from model.recipe import NetworkSettings
from model.records import settings_from
from tests.fuzz import targets

NUMBERS = st.one_of(st.integers(), st.integers(-(10**400), 10**400), st.floats())
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=20)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
ROWS = st.fixed_dictionaries(
    {"audio": VALUES, "text": VALUES, "duration": VALUES},
    optional={"weight": VALUES, "source": VALUES, "speaker": VALUES},
)
TRIED = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


@pytest.fixture(scope="module", autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    targets.forget()


@TRIED
@given(place=st.integers(0, 200), value=VALUES)
def test_any_value_in_any_place_of_a_bundle(place: int, value: object) -> None:
    targets.bundle_value(place.to_bytes(2, "little") + json.dumps(value).encode())


@TRIED
@given(place=st.integers(0, 200), value=VALUES)
def test_any_value_in_any_place_of_a_language_model(place: int, value: object) -> None:
    targets.language_value(place.to_bytes(2, "little") + json.dumps(value).encode())


@TRIED
@given(rows=st.lists(VALUES | ROWS, max_size=4))
def test_any_rows_of_a_manifest(rows: list[object]) -> None:
    targets.manifest("".join(json.dumps(row) + "\n" for row in rows).encode())


@TRIED
@given(
    key=st.sampled_from(["model", "audio.device", "vad.aggressiveness", "decoder"]), value=VALUES
)
def test_any_value_of_a_setting(key: str, value: object) -> None:
    targets.overrides(f"{key}={json.dumps(value)}".replace("\n", " ").encode())


@TRIED
@given(data=st.binary(max_size=300))
def test_any_bytes_of_small_files(data: bytes) -> None:
    for target in (targets.settings, targets.hotwords, targets.message, targets.request):
        target(data)


@TRIED
@given(units=st.integers(1, 4096), kernels=st.lists(st.sampled_from([1, 3, 11]), max_size=3))
def test_settings_come_back_from_json(units: int, kernels: list[int]) -> None:
    network = NetworkSettings(units=units, kernels=tuple(kernels), strides=(2,) * len(kernels))
    for value in (network, FeatureSettings(mels=min(units, 256))):
        assert settings_from(type(value), json.loads(json.dumps(asdict(value)))) == value
