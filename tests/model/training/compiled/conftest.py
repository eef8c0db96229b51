"""The step compiled for this processor, and as any processor of its kind would run it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from model.errors import StepError
from model.training.compiled.build import built_library
from model.training.compiled.library import StepLibrary

ANY_PROCESSOR = {"x86_64": "-march=x86-64", "aarch64": "-mcpu=generic"}


def build(folder: Path, flags: str) -> StepLibrary:
    try:
        return StepLibrary(built_library({**os.environ, "CXXFLAGS": flags}, folder))
    except StepError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> StepLibrary:
    return build(tmp_path_factory.mktemp("native"), "")


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> StepLibrary:
    """Return a library that multiplies float32."""
    flags = ANY_PROCESSOR.get(platform.machine(), "")
    library = build(tmp_path_factory.mktemp("plain"), flags)
    assert library.factor_bits == 32
    return library


@pytest.fixture(params=["native", "plain"])
def library(request: pytest.FixtureRequest) -> StepLibrary:
    chosen: StepLibrary = request.getfixturevalue(request.param)
    return chosen
