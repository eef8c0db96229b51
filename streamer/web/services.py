"""What the routes work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import current_app

from streamer.web.errors import NothingKept
from streamer.web.keeping import NoShelf, Shelf

if TYPE_CHECKING:
    from streamer.settings import LiveSettings
    from streamer.web.desk import SessionDesk
    from streamer.web.learning.learning import Learning
    from streamer.web.library.library import Library
    from streamer.web.live import LiveHub
    from streamer.web.metrics import Metrics
    from streamer.web.model_host import ModelHost

EXTENSION = "captioner"
"""Under which the application has its services."""


@dataclass(frozen=True)
class Services:
    """The parts of a running server, each safe to use from any thread.

    Attributes:
        settings: How to caption and serve.
        models: The model in use.
        desk: How many may be transcribed at once.
        live: Captions of the machine's own microphone.
        kept: The recordings that were kept; None where nothing may be.
        taught: What is learned from their corrections; None where nothing may be kept.
        metrics: Counts of what was done.
    """

    settings: LiveSettings
    models: ModelHost
    desk: SessionDesk
    live: LiveHub
    kept: Library | None
    taught: Learning | None
    metrics: Metrics

    @property
    def private(self) -> bool:
        """Whether nothing may be kept."""
        return self.kept is None

    @property
    def shelf(self) -> Shelf:
        """Where recordings are kept, if they may be."""
        return self.kept or NoShelf()

    @property
    def library(self) -> Library:
        """The recordings that were kept.

        Raises:
            NothingKept: If nothing may be.
        """
        if self.kept is None:
            raise NothingKept
        return self.kept

    @property
    def learning(self) -> Learning:
        """What is learned from corrections.

        Raises:
            NothingKept: If nothing may be kept.
        """
        if self.taught is None:
            raise NothingKept
        return self.taught


def services() -> Services:
    """Return the services of the application that answers the request at hand."""
    found: Services = current_app.extensions[EXTENSION]
    return found
