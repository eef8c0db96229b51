"""What the sound server gives this program to hear; it may change on the desktop at any time."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

ASK_EVERY_S = 2.0
"""Time between two questions."""

LONGEST_PAUSE_S = 60.0
"""Time between two attempts to reach a server that does not answer, at most."""


@dataclass(frozen=True)
class Source:
    """Something that a sound server can record from.

    Attributes:
        name: What the server calls it; no other one has it.
        description: What the desktop calls it.
    """

    name: str
    description: str


class SoundServer:
    """Asks PulseAudio, or PipeWire in its place, which source this program records from.

    ALSA's ``default`` and ``pulse`` stay the same device for us while the server moves us
    from one microphone to another.  Asking is done in a thread of its own; without a server,
    or without its library, nothing is ever told.
    """

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._heard: Source | None = None
        self._told: Source | None = None
        self._client: Any = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to ask; may be called again."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="sound server", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopped.set()

    def moved(self) -> tuple[str, str] | None:
        """Return the names of the sources before and now if that changed; once for each change."""
        with self._lock:
            before, now, self._told = self._told, self._heard, self._heard
        if before is None or now is None or before.name == now.name:
            return None
        if before.description == now.description:
            return before.name, now.name
        return before.description, now.description

    def learn(self, source: Source | None) -> None:
        """Take the source that is heard; None changes nothing."""
        with self._lock:
            self._heard = source or self._heard

    def _watch(self) -> None:
        pause_s = ASK_EVERY_S
        while not self._stopped.wait(pause_s):
            try:
                self.learn(self._ask())
                pause_s = ASK_EVERY_S
            except Exception:  # whatever fails here, captions do not need it
                self._leave()
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        self._leave()

    def _ask(self) -> Source | None:
        """Return the source that the server gives this process."""
        if self._client is None:
            import pulsectl

            self._client = pulsectl.Pulse("live-captioner")
        for output in self._client.source_output_list():
            if output.proplist.get("application.process.id") == str(os.getpid()):
                source = self._client.source_info(output.source)
                return Source(source.name, source.description)
        return None

    def _leave(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):
                client.close()
