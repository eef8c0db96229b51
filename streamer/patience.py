"""Calls of an audio system that may never answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class PatientCall(Generic[Answer]):
    """A call in a thread of its own, so that nobody hangs with it.

    A driver may keep a call for ever, in a state in which nothing can end it.  The thread
    does not keep the program from ending.

    Args:
        call: What is called, at once.
    """

    def __init__(self, call: Callable[[], Answer]) -> None:
        self._call = call
        self._answer: Answer | None = None
        self._failure: BaseException | None = None
        self._discard: Callable[[Answer], None] | None = None
        self._deciding = threading.Lock()
        self._answered = threading.Event()
        threading.Thread(target=self._run, name="audio system", daemon=True).start()

    def wait(self, timeout: float) -> bool:
        """Return whether there is an answer within ``timeout`` seconds."""
        return self._answered.wait(timeout)

    def result(self) -> Answer:
        """Return the answer, or raise what the call raised; only after :meth:`wait` said so."""
        assert self._answered.is_set()
        if self._failure is not None:
            raise self._failure
        return self._answer  # type: ignore[return-value]

    def abandon(self, discard: Callable[[Answer], None]) -> None:
        """Wait no longer; ``discard`` takes the answer if one still comes."""
        with self._deciding:
            self._discard = discard
            answered = self._answered.is_set()
        if answered and self._failure is None:
            discard(self.result())

    def _run(self) -> None:
        try:
            self._answer = self._call()
        except BaseException as error:
            self._failure = error
        with self._deciding:
            self._answered.set()
            discard = self._discard
        if discard is not None and self._failure is None:
            discard(self.result())
