"""A running server with the shipped models, on a port of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from flask import Flask

from streamer.audio import AudioSource
from streamer.replay import WavReplaySource
from streamer.settings import LiveSettings, WebSettings
from streamer.web.access import open_access
from streamer.web.application import create_app
from streamer.web.program import open_services
from streamer.web.server import WebServer
from streamer.web.services import Services

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Site:
    """A server that answers on this machine.

    Attributes:
        url: Of its first page, with a slash at the end.
        services: What its routes work with.
        app: What answers.
        folder: Where it keeps things.
        token: What it asks for; "" for nothing.
    """

    url: str
    services: Services
    app: Flask
    folder: Path
    token: str

    @property
    def ws_url(self) -> str:
        """The same for WebSockets."""
        return self.url.replace("http", "ws", 1)

    def play_live(self, *paths: Path) -> None:
        """Let the live captions hear recordings, at the pace of speech."""
        self.services.live.play(lambda: WavReplaySource(paths))


@contextmanager
def running_site(
    folder: Path,
    web: WebSettings | None = None,
    source: Callable[[], AudioSource] | None = None,
    settings: LiveSettings | None = None,
) -> Iterator[Site]:
    """Run a server as ``run_live.py --web`` does, in threads of this process."""
    folder.mkdir(mode=0o700, exist_ok=True)
    web = web or WebSettings()
    settings = replace(settings or LiveSettings(), web=replace(web, port=0, data=folder))
    access, token = open_access(folder, web.host, web.names)
    with open_services(settings, source) as parts:
        app = create_app(parts, access)
        server = WebServer(web.host, 0, app)
        server.open()
        thread = threading.Thread(target=server.serve, name="site")
        thread.start()
        try:
            yield Site(f"http://{web.host}:{server.port}/", parts, app, folder, token)
        finally:
            server.close()
            thread.join()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server without a microphone, that only this machine reaches."""
    with running_site(tmp_path_factory.mktemp("site") / "data") as site:
        yield site
