"""KenLM's programs, which the tests' set-up compiles where it may install a compiler."""

from __future__ import annotations

import pytest

from lm.building.kenlm_tools import COUNTER, PACKER, find_tool
from lm.errors import LanguageModelError


def _are_there() -> bool:
    try:
        find_tool(COUNTER)
        find_tool(PACKER)
    except LanguageModelError:
        return False
    return True


needs_tools = pytest.mark.skipif(
    not _are_there(),
    reason="KenLM's programs are not installed; make kenlm-tools compiles them",
)
