"""What fuzzing found once stays mended: every reader takes it, or refuses it in its own words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.seeds import CORPUS, SOUND, findings, seeds
from tests.fuzz.targets import TARGETS, forget


@pytest.fixture(scope="module", autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    forget()


def test_every_target_has_seeds_and_no_finding_is_of_none() -> None:
    assert TARGETS.keys() == SOUND.keys()
    assert {folder.name for folder in CORPUS.iterdir()} <= TARGETS.keys()
    assert sum(len(findings(target)) for target in TARGETS) > 20


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_and_findings_end_in_no_other_error(target: str) -> None:
    contents = seeds(target)
    assert contents
    for content in contents:
        TARGETS[target](content)
