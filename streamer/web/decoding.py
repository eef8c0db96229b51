"""Audio files of unknown origin, as a source of audio that the server survives.

A process of its own decodes the file, see :mod:`streamer.web.decode_child`; what it says
is not trusted either.
"""

from __future__ import annotations

import json
import math
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple
from typing import IO

import numpy as np
from typing_extensions import Self

from model.audio import finite
from model.confinement import bare_environment, python_command
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.events import Notice
from streamer.web.decode_child import END, HEADER, SOUND, TROUBLE, Frame, Limits
from streamer.web.errors import TooLarge, Unprocessable, Unsupported, WebError
from streamer.writers import printable

PATIENCE_S = 30.0
"""Seconds that decoding may take for the next samples."""

LOOK_S = 0.1
"""Seconds between two looks whether anybody still wants them."""

LARGEST_FRAME = 1_000_000
"""Bytes of the largest frame that is taken; a block is far smaller."""

LONGEST_TEXT = 500
"""Characters of a message that are taken."""

CPU_AT_LEAST_S, CPU_SHARE = 30, 0.05
"""Processor time that decoding may take: seconds, and seconds for each of the longest audio."""


class ClientGone(WebError):
    """Nobody waits for the answer any more; nobody sees this either."""

    status = 499


def limits_for(longest_s: float, block_ms: int) -> Limits:
    """Return what decoding may use.

    Args:
        longest_s: Audio of the longest file that is taken, seconds.
        block_ms: Length of the blocks of the stream, milliseconds.
    """
    cpu_s = CPU_AT_LEAST_S + math.ceil(CPU_SHARE * longest_s)
    return Limits(longest_s, cpu_s, block_s=block_ms * SAMPLE_RATE // 1000 / SAMPLE_RATE)


class DecodedUpload:
    """A file that was sent to the server, as a stream that loses nothing.

    It gives the samples, in the blocks, that :class:`~streamer.replay.WavReplaySource`
    gives of it.  A file that cannot be read is refused on entering; one that turns out to
    be damaged, or too long, is heard up to there, then a notice ``file_damaged`` or
    ``file_too_long`` says so, as ``trouble`` does.

    Owns the process that decodes.

    Args:
        file: The file, with a descriptor; the caller's.
        name: What the user knows it by.
        limits: What decoding may use.
        gone: Whether nobody waits for it any more; asked often.
        patience_s: Seconds that decoding may take for the next samples.
    """

    def __init__(
        self,
        file: IO[bytes],
        name: str,
        limits: Limits,
        gone: Callable[[], bool] = lambda: False,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._file = file
        self._name = name
        self._limits = limits
        self._gone = gone
        self._patience_s = patience_s
        self._stopped = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = bytearray()
        self._first: Frame = END, b""
        self.duration_s: float | None = None
        self.trouble: WebError | None = None

    @property
    def name(self) -> str:
        """The file's name, or what stands for it."""
        return self._name

    @property
    def lossless(self) -> bool:
        """True: it waits when the program is slow."""
        return True

    def __enter__(self) -> Self:
        """Start to decode, as far as the first samples; ``duration_s`` is known from here on.

        Raises:
            Unsupported: If the file has none of the formats.
            Unprocessable: If it is damaged at its start or holds no samples.
            TooLarge: If it says that it is longer than allowed.
            ClientGone: If nobody waits for it any more.
        """
        self._process = self._started()
        try:
            kind, content = self._frame()
            self.duration_s = _duration_s(_checked(kind, content, HEADER))
            kind, content = self._frame()
            _checked(kind, content, SOUND)
            self._first = kind, content
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def __iter__(self) -> Iterator[AudioBlock | Notice]:
        """Yield the audio, and a notice if it is not all there.

        Raises:
            ClientGone: If nobody waits for it any more.
        """
        size = round(self._limits.block_s * SAMPLE_RATE)
        waiting, start = np.zeros(0, np.float32), 0
        for samples in self._pieces():
            waiting = np.concatenate([waiting, samples])
            while len(waiting) >= size:
                yield AudioBlock(waiting[:size], start)
                waiting, start = waiting[size:], start + size
        if len(waiting) and not self._stopped.is_set():
            yield AudioBlock(waiting, start)
        if self.trouble is not None:
            kind = "file_too_long" if isinstance(self.trouble, TooLarge) else "file_damaged"
            yield Notice(kind, str(self.trouble), "error")

    def stop(self) -> None:
        """End the iteration soon; may be called from any thread, more than once."""
        self._stopped.set()

    def _started(self) -> subprocess.Popen[bytes]:
        arguments = [str(os.getpid()), *map(str, astuple(self._limits))]
        return subprocess.Popen(
            [*python_command("streamer.web.decode_child"), *arguments],
            stdin=self._file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=bare_environment(),
            start_new_session=True,
        )

    def _pieces(self) -> Iterator[np.ndarray]:
        """Yield float32 (n,) up to the end, or to what is the trouble."""
        kind, content = self._first
        try:
            while kind != END and not self._stopped.is_set():
                content = _checked(kind, content, SOUND)
                # Other floats than a sane decoder's must not reach the network.
                yield finite(np.frombuffer(content[: len(content) // 4 * 4], np.float32))
                kind, content = self._frame()
        except (Unprocessable, TooLarge) as error:
            self.trouble = error
        except ClientGone:
            if not self._stopped.is_set():
                raise

    def _frame(self) -> Frame:
        head = self._bytes(5)
        length = int.from_bytes(head[1:], "little")
        if length > LARGEST_FRAME:
            raise self._broken_off()
        return head[:1], self._bytes(length)

    def _bytes(self, count: int) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while len(self._pending) < count:
            self._wait(descriptor)
            more = os.read(descriptor, 65_536)
            if not more:
                raise self._broken_off()
            self._pending += more
        found = bytes(self._pending[:count])
        del self._pending[:count]
        return found

    def _wait(self, descriptor: int) -> None:
        """Wait until there is something to read.

        Raises:
            ClientGone: If nobody wants it any more.
            Unprocessable: If it takes too long.
        """
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        due = time.monotonic() + self._patience_s
        while True:
            if self._stopped.is_set() or self._gone():
                raise ClientGone("nobody waits for this file any more")
            if poll.poll(LOOK_S * 1000):
                return
            if time.monotonic() > due:
                raise Unprocessable(
                    f"the file: decoding it stands still since {self._patience_s:g} s; convert it"
                )

    def _broken_off(self) -> WebError:
        """Return the error of a process that ended without saying why."""
        assert self._process is not None
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            code = 0
        limits = (-signal.SIGXCPU, -signal.SIGKILL)
        reason = "takes more than it may" if code in limits else "makes the decoder fail"
        return Unprocessable(f"the file: {reason}; it is damaged, or made to: convert it")


def _checked(kind: bytes, content: bytes, wanted: bytes) -> bytes:
    """Return the content of a frame of the kind that is wanted; raise what others stand for."""
    if kind == wanted:
        return content
    errors: dict[object, type[WebError]] = {"unsupported": Unsupported, "too_long": TooLarge}
    trouble = _object(content) if kind == TROUBLE else {}
    text = printable(str(trouble.get("text", "the file: makes the decoder fail; convert it")))
    raise errors.get(trouble.get("kind"), Unprocessable)(text[:LONGEST_TEXT])


def _duration_s(header: bytes) -> float | None:
    duration_s = _object(header).get("duration_s")
    return float(duration_s) if isinstance(duration_s, int | float) else None


def _object(content: bytes) -> dict[str, object]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
