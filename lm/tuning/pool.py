"""Processes that work side by side, one thread each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, Generic, TypeVar

from typing_extensions import Self

from model.processes import follow_parent

Job = TypeVar("Job")
Result = TypeVar("Result")

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Pool(Generic[Job, Result]):
    """Runs one function on many things; its processes start with the first of them.

    Args:
        run: The function; is sent to each process once.
        jobs: Processes; 1 for this one.
    """

    def __init__(self, run: Callable[[Job], Result], jobs: int) -> None:
        self._run = run
        self._jobs = jobs
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def results(self, todo: Sequence[Job]) -> Iterator[tuple[Job, Result]]:
        """Yield each thing with its result, whichever is done first.

        Raises:
            BrokenProcessPool: If a process was ended from outside.
        """
        if self._jobs == 1:
            yield from ((job, self._run(job)) for job in todo)
            return
        self._executor = self._executor or ProcessPoolExecutor(
            self._jobs, get_context("spawn"), _start, (self._run,)
        )
        with _environment(ONE_THREAD):
            waiting = {self._executor.submit(_run, job): job for job in todo}
        for done in as_completed(waiting):
            yield waiting[done], done.result()

    def close(self) -> None:
        """End the processes; what they have not begun is left."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)


class _Worker:
    """What a process runs; set once, when it starts."""

    run: Callable[[Any], Any]


def _start(run: Callable[[Any], Any]) -> None:
    _Worker.run = staticmethod(run)
    follow_parent()


def _run(job: Any) -> Any:
    return _Worker.run(job)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables of the environment for the processes that start meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
