"""Where only captions are installed, tests that need more are skipped, with what is missing."""

from __future__ import annotations

import re
import signal
from collections.abc import Generator
from importlib.util import find_spec

import pytest

from model.errors import MissingPartError
from model.parts import TRAINING_LIBRARIES

NOT_FOR_CAPTIONS = {*TRAINING_LIBRARIES, "schemathesis", "selenium"}
MISSING = {name for name in NOT_FOR_CAPTIONS if find_spec(name) is None}


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.outcome == "failed":
        missing = set(re.findall(r"No module named '(\w+)", str(report.longrepr)))
        if missing & MISSING:
            report.outcome = "skipped"
            report.longrepr = (str(collector.path), 0, _reason(missing & MISSING))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    error = call.excinfo.value if call.excinfo is not None else None
    while report.outcome == "failed" and error is not None and MISSING:
        if _is_missing(error):
            report.outcome = "skipped"
            report.longrepr = (str(item.path), 0, str(error))
        error = error.__context__
    return report


def _is_missing(error: BaseException) -> bool:
    if isinstance(error, ModuleNotFoundError):
        return (error.name or "").partition(".")[0] in MISSING
    return isinstance(error, MissingPartError)


def _reason(missing: set[str]) -> str:
    return f"{' and '.join(sorted(missing))} missing: only what captions need is installed"


@pytest.fixture(autouse=True, scope="session")
def hangups() -> Generator[None, None, None]:
    """Let hangups reach the programs that tests start, also where they run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
