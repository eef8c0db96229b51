"""``run_live.py --web``: the parts of the server put together, and run until a signal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from model.errors import BundleError
from streamer.audio import AudioSource
from streamer.errors import OutputError
from streamer.events import EventSink, Notice
from streamer.service import Service
from streamer.settings import LiveSettings, WebSettings
from streamer.signals import stopped_by_signals
from streamer.web.access import open_access
from streamer.web.application import create_app
from streamer.web.desk import SessionDesk, seats_of
from streamer.web.keeping import NoShelf
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
        private: Whether nothing may be written to a disk.
        notices: What viewers should know at the start.
    """

    certificate: Path | None = None
    key: Path | None = None
    new_token: bool = False
    chosen_model: bool = False
    private: bool = False
    notices: tuple[Notice, ...] = ()


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
    private: bool = False,
    notices: Sequence[Notice] = (),
    service: Service | None = None,
    log: EventSink | None = None,
) -> Iterator[Services]:
    """Open everything that the routes work with, and close it in order.

    Args:
        settings: How to caption and serve.
        source: Makes the source of the live captions; None for none.
        chosen_model: See :class:`WebOptions`.
        private: Likewise.
        notices: Likewise.
        service: Judges by the live captions whether the program gets on.
        log: Takes the events of the live captions as well.

    Raises:
        CaptionerError: If a part cannot be opened.
    """
    folder = data_folder(settings.web)
    metrics = Metrics()
    with ExitStack() as stack:
        library = None if private else _library(settings.web, stack)
        models, notice = _models(settings, None if chosen_model else model_in_use(folder))
        learning = None if library is None else Learning.open(folder, library, models, settings)
        if learning is not None:
            stack.callback(learning.close)
        web = settings.web
        live = LiveHub(
            models,
            library or NoShelf(),
            source,
            metrics,
            settings.audio.ring_s,
            web.history,
            web.viewers,
            service,
            log,
        )
        stack.callback(live.close)
        desk = SessionDesk(seats_of(web.sessions), metrics)
        stack.callback(desk.close, ENDING_S)
        for each in [*notices, *([] if notice is None else [notice])]:
            live.emit(each, 0.0)
        live.start()
        yield Services(settings, models, desk, live, library, learning, metrics)


def serve(
    settings: LiveSettings,
    source: Callable[[], AudioSource] | None,
    options: WebOptions,
    log: EventSink | None = None,
) -> None:
    """Serve until the first SIGINT or SIGTERM; what was heard is finished.

    Args:
        settings: How to caption and serve.
        source: Makes the source of the live captions; None for none.
        options: What else the command line says.
        log: Takes the events of the live captions as well.

    Raises:
        CaptionerError: If the server cannot be started.
    """
    os.umask(0o077)
    web = settings.web
    folder = data_folder(web)
    if not options.private:
        _make_folder(folder)
    secure = options.certificate is not None
    access, token = open_access(
        folder,
        web.host,
        web.names,
        renew=options.new_token,
        secure=secure,
        remember=not options.private,
    )
    chosen, private, notices = options.chosen_model, options.private, options.notices
    service = Service()
    with (
        service.running(),
        open_services(settings, source, chosen, private, notices, service, log) as parts,
    ):
        server = WebServer(web.host, web.port, create_app(parts, access), web.viewers + 400)
        if options.certificate is not None and options.key is not None:
            server.secure(options.certificate, options.key)
        server.open()
        with stopped_by_signals(service.before(server.close)):
            address = _address(server, web.host, "https" if secure else "http")
            _greet(address, token, bool(access.digest))
            service.ready(f"captions at {address}")
            server.serve()


def _library(settings: WebSettings, stack: ExitStack) -> Library:
    library = Library.open(data_folder(settings), settings.database)
    stack.callback(library.close)
    return library


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


def _address(server: WebServer, host: str, scheme: str) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}:{server.port}/"


def _greet(address: str, token: str, guarded: bool) -> None:
    """Say where the page is, and the token if it is new.

    On standard output: PortAudio's messages are kept from standard error while a microphone
    is opened, and others with them.
    """
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
