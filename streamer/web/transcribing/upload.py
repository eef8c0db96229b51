"""Files on their way to the server, and whether their sender still waits."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from flask import Request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from streamer.errors import OutputError
from streamer.web.errors import BadRequest, TooLarge, Unsupported, WebError

UPLOAD_S = 1800.0
"""Seconds that a file may take to arrive."""

PIECE = 65_536
"""Bytes that are taken at a time."""

FORM = "multipart/form-data"


class TooSlow(WebError):
    """The request did not come to its end in time."""

    status = 408


@contextmanager
def received(
    request: Request, folder: Path | None, clock: Callable[[], float] = time.monotonic
) -> Iterator[IO[bytes]]:
    """Receive the file that is a request's body; it has no name on the disk, and goes at the end.

    Args:
        request: Its ``max_content_length`` is the most that is taken.
        folder: On whose disk it lies; None for memory.
        clock: Seconds that only rise.

    Raises:
        TooLarge: If it is too large; at once, if the request says so.
        TooSlow: If it takes too long.
        Unsupported: If it is wrapped in a form.
        BadRequest: If it is empty, or breaks off.
        OutputError: If there is no room for it.
    """
    if request.mimetype == FORM:
        raise Unsupported("the body must be the file itself, not a form; send its bytes alone")
    with _unnamed(folder) as file:
        due_s = clock() + UPLOAD_S
        for piece in _pieces(request):
            _write(file, piece, folder)
            if clock() > due_s:
                raise TooSlow(f"the file: took longer than {UPLOAD_S / 60:g} minutes to arrive")
        if not file.tell():
            raise BadRequest("the body is empty; send the bytes of an audio file")
        yield file


def _pieces(request: Request) -> Iterator[bytes]:
    """Yield the body.

    Raises:
        WebError: As :func:`received` says.
    """
    try:
        while piece := request.stream.read(PIECE):
            yield piece
    except RequestEntityTooLarge as error:
        most = (request.max_content_length or 0) / 1_000_000
        raise TooLarge(
            f"the file: is larger than {most:g} MB, the most here; compress it, such as to Opus"
        ) from error
    except (ClientDisconnected, OSError, ValueError) as error:
        # Werkzeug says the same of a silent client, one that went, and one that sends rubbish.
        if isinstance(error.__context__ or error, TimeoutError):
            raise TooSlow("the file: stopped arriving; send it again") from error
        raise BadRequest("the file: broke off while it arrived; send it again") from error


@contextmanager
def _unnamed(folder: Path | None) -> Iterator[IO[bytes]]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(_opened(folder))
        except OSError as error:
            raise _no_room(folder, error) from error
        yield file


def _opened(folder: Path | None) -> IO[bytes]:
    if folder is None:
        return os.fdopen(os.memfd_create("upload"), "w+b")
    return TemporaryFile(dir=folder)


def _write(file: IO[bytes], piece: bytes, folder: Path | None) -> None:
    try:
        file.write(piece)
        file.flush()
    except OSError as error:
        raise _no_room(folder, error) from error


def _no_room(folder: Path | None, error: OSError) -> OutputError:
    place = folder or "memory"
    return OutputError(
        f"{place}: the file cannot be taken: {error.strerror or error}; make room there"
    )


def has_gone(request: Request) -> Callable[[], bool]:
    """Return what tells whether a request's client has gone; never, where that is not known."""
    connection = request.environ.get("captioner.socket")
    if connection is None:
        return lambda: False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    return lambda: bool(poll.poll(0))
