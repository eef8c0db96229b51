"""An empty library for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streamer.web.library.library import Library


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def library(folder: Path) -> Iterator[Library]:
    library = Library.open(folder)
    yield library
    library.close()
