"""The model that all sessions share, and its exchange while the server runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lm.decoder import Decoder
from streamer.app import build_stream, decoders_for, load_model
from streamer.caption_stream import CaptionStream
from streamer.decoders import Decoders, load_language_model
from streamer.recorder import BlockRecorder
from streamer.settings import LiveSettings

if TYPE_CHECKING:
    from model.acoustic import AcousticModel


class ModelHost:
    """Holds the model in use; may be used from any thread.

    Streams and decoders that were given out keep the model they were made with.

    Args:
        settings: How to caption; ``settings.model`` is the model to begin with.

    Raises:
        BundleError: If that model cannot be used.
        UsageError: If the decoders that the settings ask for cannot be had.
    """

    def __init__(self, settings: LiveSettings) -> None:
        self._settings = settings
        self._exchange = threading.Lock()
        self._acoustic = load_model(settings.model, settings.engine, settings.execution)
        self._path = settings.model
        self._listeners: list[Callable[[], None]] = []
        self._language_model = load_language_model(settings.decoder)
        # Found out now: what is wrong with the decoders' settings, and their notices.
        self.notices = self._decoders(self._acoustic).notices

    @property
    def acoustic(self) -> AcousticModel:
        """The model in use."""
        return self._acoustic

    @property
    def name(self) -> str:
        """The name of its bundle."""
        return self._acoustic.bundle.name

    @property
    def path(self) -> Path:
        """The folder of its bundle."""
        return self._path

    def stream(
        self, recorder: BlockRecorder | None = None, partials: bool = True, thrifty: bool = True
    ) -> CaptionStream:
        """Return a fresh stream with decoders of its own.

        Args:
            recorder: Keeps the audio, if given.
            partials: Whether partials are wanted; they cost most of the computing.
            thrifty: Whether partials may be read more cheaply when the machine is slow.
        """
        acoustic = self._acoustic
        decoders = self._decoders(acoustic, thrifty)
        return build_stream(self._settings, acoustic, recorder, decoders, partials)

    def decoder(self) -> Decoder:
        """Return a decoder of finals that nobody else uses."""
        return self._decoders(self._acoustic).final

    def use(self, path: Path) -> None:
        """Let later streams use another model, and tell those who listen.

        Raises:
            BundleError: If it cannot be used; the one before stays in use.
            UsageError: If the decoders do not go with it.
        """
        with self._exchange:
            acoustic = load_model(path, self._settings.engine, self._settings.execution)
            self._decoders(acoustic)
            self._acoustic, self._path = acoustic, path
        for listener in self._listeners:
            listener()

    def _decoders(self, acoustic: AcousticModel, thrifty: bool = False) -> Decoders:
        return decoders_for(self._settings, acoustic, thrifty, self._language_model)

    def on_exchange(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever another model has come into use."""
        self._listeners.append(listener)
