"""``run_live.py --web``: the parts of the server put together, and run until a signal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from model.errors import BundleError
from streamer.audio import AudioSource
from streamer.errors import OutputError
from streamer.events import Notice
from streamer.settings import LiveSettings, WebSettings
from streamer.signals import stopped_by_signals
from streamer.web.access import open_access
from streamer.web.application import create_app
from streamer.web.desk import SessionDesk, seats_of
from streamer.web.learning.learning import Learning
from streamer.web.learning.registry import model_in_use
from streamer.web.library.library import Library
from streamer.web.live import LiveHub
from streamer.web.metrics import Metrics
from streamer.web.model_host import ModelHost
from streamer.web.private import make_private_folder
from streamer.web.server import WebServer
from streamer.web.services import Services

ENDING_S = 10.0
"""Seconds that streams have to finish when the server is asked to end."""


@dataclass(frozen=True)
class WebOptions:
    """What the command line says of the server, beyond the settings.

    Attributes:
        certificate: PEM file for HTTPS, or None.
        key: PEM file with its key, or None.
        new_token: Whether to make a new token.
        chosen_model: Whether the model was named on the command line, so that it is used
            whatever was learned.
    """

    certificate: Path | None = None
    key: Path | None = None
    new_token: bool = False
    chosen_model: bool = False


def data_folder(settings: WebSettings) -> Path:
    """Return where recordings are kept."""
    if settings.data is not None:
        return settings.data.expanduser()
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "live-captioner"


@contextmanager
def open_services(
    settings: LiveSettings,
    source: Callable[[], AudioSource] | None,
    chosen_model: bool = False,
) -> Iterator[Services]:
    """Open everything that the routes work with, and close it in order.

    Args:
        settings: How to caption and serve.
        source: Makes the source of the live captions; None for none.
        chosen_model: See :class:`WebOptions`.

    Raises:
        CaptionerError: If a part cannot be opened.
    """
    folder = data_folder(settings.web)
    metrics = Metrics()
    with ExitStack() as stack:
        library = Library.open(folder, settings.web.database)
        stack.callback(library.close)
        models, notice = _models(settings, None if chosen_model else model_in_use(folder))
        learning = Learning.open(folder, library, models, settings)
        stack.callback(learning.close)
        web = settings.web
        live = LiveHub(
            models,
            library,
            source,
            metrics,
            settings.audio.ring_s,
            web.history,
            web.viewers,
        )
        stack.callback(live.close)
        desk = SessionDesk(seats_of(web.sessions), metrics)
        stack.callback(desk.close, ENDING_S)
        if notice is not None:
            live.emit(notice, 0.0)
        live.start()
        yield Services(settings, models, desk, live, library, learning, metrics)


def serve(
    settings: LiveSettings, source: Callable[[], AudioSource] | None, options: WebOptions
) -> None:
    """Serve until the first SIGINT or SIGTERM; what was heard is finished.

    Args:
        settings: How to caption and serve.
        source: Makes the source of the live captions; None for none.
        options: What else the command line says.

    Raises:
        CaptionerError: If the server cannot be started.
    """
    os.umask(0o077)
    web = settings.web
    folder = data_folder(web)
    _make_folder(folder)
    secure = options.certificate is not None
    access, token = open_access(folder, web.host, web.names, renew=options.new_token, secure=secure)
    with open_services(settings, source, options.chosen_model) as parts:
        server = WebServer(web.host, web.port, create_app(parts, access), web.viewers + 400)
        if options.certificate is not None and options.key is not None:
            server.secure(options.certificate, options.key)
        server.open()
        with stopped_by_signals(server.close):
            _greet(server, web.host, "https" if secure else "http", token, bool(access.digest))
            server.serve()


def _models(settings: LiveSettings, learned: Path | None) -> tuple[ModelHost, Notice | None]:
    """Return the model host, with the model that was learned if it can still be used."""
    if learned is not None:
        try:
            return ModelHost(replace(settings, model=learned)), None
        except BundleError as error:
            text = f"the learned model cannot be used, so the one before it is: {error}"
            return ModelHost(settings), Notice("model_failed", text, "warning")
    return ModelHost(settings), None


def _make_folder(folder: Path) -> None:
    try:
        make_private_folder(folder)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be made: {error.strerror or error}; give another folder with --data"
        ) from error


def _greet(server: WebServer, host: str, scheme: str, token: str, guarded: bool) -> None:
    """Say where the page is, and the token if it is new.

    On standard output: PortAudio's messages are kept from standard error while a microphone
    is opened, and others with them.
    """
    name = f"[{host}]" if ":" in host else host
    address = f"{scheme}://{name}:{server.port}/"
    print(f"Captions at {address} (Ctrl-C ends)", flush=True)
    if token:
        print(
            f"The token, shown this once: {token}\nOpen {address}?token={token}",
            flush=True,
        )
    elif guarded:
        print(
            "It asks for the token that was shown when it was first started; --new-token makes "
            "another.",
            flush=True,
        )
