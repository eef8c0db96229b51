"""What the routes work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import current_app

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
        library: The recordings that were kept.
        learning: What is learned from their corrections.
        metrics: Counts of what was done.
    """

    settings: LiveSettings
    models: ModelHost
    desk: SessionDesk
    live: LiveHub
    library: Library
    learning: Learning
    metrics: Metrics


def services() -> Services:
    """Return the services of the application that answers the request at hand."""
    found: Services = current_app.extensions[EXTENSION]
    return found
