"""Pictures of recordings, drawn when they are asked for and kept in memory for a while."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, get_args

from model.features import FeatureSettings
from streamer.web.errors import BadRequest

if TYPE_CHECKING:
    from model.pictures import Samples

Kind = Literal["waveform", "spectrogram"]
KINDS: tuple[Kind, ...] = get_args(Kind)

WIDTH, HEIGHT = 1200, 160
"""Pixels of a picture whose size is not given."""

WIDTHS, HEIGHTS = range(50, 4001), range(20, 1001)
MOST_PIXELS = 2_000_000

CACHE_BYTES = 8_000_000
"""Of the pictures that are kept."""

_drawing = threading.Lock()


def picture_size(query: Mapping[str, str]) -> tuple[int, int]:
    """Return the width and height that a request asks for, pixels.

    Raises:
        BadRequest: If one is no whole number or out of its range, or both make too large
            a picture.
    """
    width = _pixels(query, "width", WIDTH, WIDTHS)
    height = _pixels(query, "height", HEIGHT, HEIGHTS)
    if width * height > MOST_PIXELS:
        raise BadRequest(
            f"width, height: a picture has {MOST_PIXELS} pixels at most, got {width * height}"
        )
    return width, height


def draw(kind: Kind, samples: Samples, width: int, height: int) -> bytes:
    """Return a picture as PNG; one is drawn at a time.

    Args:
        kind: What it shows.
        samples: Sound at 16 kHz.
        width: Pixels.
        height: Pixels.
    """
    from model.pictures import spectrogram_png, waveform_png

    with _drawing:
        if kind == "waveform":
            return waveform_png(samples, width, height)
        return spectrogram_png(samples, FeatureSettings(), width, height)


class PictureCache:
    """The pictures used last; may be used from any thread."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[tuple[str, Kind, int, int, int], bytes] = OrderedDict()
        self._change = threading.Lock()

    def draw(self, id: str, kind: Kind, samples: Samples, width: int, height: int) -> bytes:
        """Return a picture of a recording, drawn unless it is still there.

        Args:
            id: Of the recording.
            kind: As for :func:`draw`, like the rest.
            samples: Those of the recording.
            width: Pixels.
            height: Pixels.
        """
        key = (id, kind, len(samples), width, height)
        with self._change:
            if key in self._pictures:
                self._pictures.move_to_end(key)
                return self._pictures[key]
        picture = draw(kind, samples, width, height)
        with self._change:
            self._pictures[key] = picture
            while sum(map(len, self._pictures.values())) > CACHE_BYTES:
                self._pictures.popitem(last=False)
        return picture

    def forget(self, id: str) -> None:
        """Let go of the pictures of a recording."""
        with self._change:
            for key in [key for key in self._pictures if key[0] == id]:
                del self._pictures[key]


def _pixels(query: Mapping[str, str], name: str, usual: int, allowed: range) -> int:
    text = query.get(name, str(usual))
    pixels = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    if pixels not in allowed:
        raise BadRequest(
            f"{name}: must be a whole number from {allowed.start} to {allowed.stop - 1}, "
            f"got {text[:20]!r}"
        )
    return pixels
