"""A toy language for fast tests of the live path: a tone for each letter.

The acoustic model below reads the loudest band of every frame, so that captions
of toned text can be predicted without a trained network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from typing_extensions import Self

from lm.decoder import GreedyDecoder
from model.acoustic import Reading, Windows
from model.alphabet import ENGLISH
from model.features import FeatureExtractor, FeatureSettings
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.caption_stream import CaptionStream
from streamer.decoders import Decoders
from streamer.events import Event, Notice
from streamer.listening import Listener
from streamer.recognizer import StreamingRecognizer
from streamer.recorder import BlockRecorder
from streamer.segmenter import UtteranceSegmenter
from streamer.settings import EndpointSettings, PartialSettings

LETTERS = "abcdefgh"
STRIDE = 4
EXTRACTOR = FeatureExtractor(FeatureSettings())


def tone(letter: str, seconds: float) -> np.ndarray:
    """Return the sound of a letter, or silence for a space, float32 (n,)."""
    count = round(seconds * SAMPLE_RATE)
    if letter == " ":
        return np.zeros(count, np.float32)
    frequency = 400 + 400 * LETTERS.index(letter)
    return (0.3 * np.sin(2 * np.pi * frequency * np.arange(count) / SAMPLE_RATE)).astype(np.float32)


def say(text: str, letter_s: float = 0.16, pause_s: float = 0.12) -> np.ndarray:
    """Return the sound of words of letters a to h, no letter twice in a row."""
    return np.concatenate([tone(c, pause_s if c == " " else letter_s) for c in text])


def silence(seconds: float) -> np.ndarray:
    """Return silence, float32 (n,)."""
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


class LoudnessDetector:
    """Calls every frame speech that is not silent."""

    frame = 480

    def is_speech(self, frame: np.ndarray) -> bool:
        return bool(np.abs(frame).max() > 0.01)

    def reset(self) -> None:
        """Nothing is kept between frames."""


class ToneModel:
    """Reads tones; see ``streamer.recognizer.AcousticModel``."""

    frame_samples = STRIDE * 160
    stride = STRIDE
    pauses = (0, *ENGLISH.encode(" "))

    def session(self, windows: Windows | None = None) -> ToneSession:
        return ToneSession(windows or Windows(1, 0))


class ToneSession:
    """One utterance of tones, whose frames hang on nothing that follows on them."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._pieces: list[np.ndarray] = []

    def push(self, features: np.ndarray) -> None:
        self._pieces.append(features)

    def read(self) -> Reading:
        log_probs = self.log_probs()
        old = max(0, len(log_probs) - self._windows.after)
        return Reading(log_probs, old // self._windows.every * self._windows.every)

    def log_probs(self, frames: int | None = None, final: bool = False) -> np.ndarray:
        if not self._pieces:
            return np.zeros((0, ENGLISH.size), np.float32)
        features = np.concatenate(self._pieces)[:frames][::STRIDE]
        prints = np.stack([EXTRACTOR.extract(tone(c, 0.05))[0] for c in LETTERS])
        nearest = (features @ prints.T - (prints**2).sum(axis=1) / 2).argmax(axis=1)
        labels = np.array(ENGLISH.encode(LETTERS))[nearest]
        labels[features.max(axis=1) < -8] = ENGLISH.encode(" ")[0]
        scores = np.full((len(labels), ENGLISH.size), -10.0, np.float32)
        scores[np.arange(len(labels)), labels] = -0.1
        return scores


class BlockSource:
    """Gives prepared items, then ends."""

    name = "blocks"

    def __init__(self, items: Sequence[AudioBlock | Notice], lossless: bool = True) -> None:
        self._items = items
        self.lossless = lossless
        self.stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __iter__(self) -> Iterator[AudioBlock | Notice]:
        for item in self._items:
            if self.stopped:
                return
            yield item

    def stop(self) -> None:
        self.stopped = True


class EventList:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.times: list[float] = []

    def emit(self, event: Event, emitted_s: float) -> None:
        self.events.append(event)
        self.times.append(emitted_s)

    def close(self) -> None:
        """Nothing to finish."""


def blocks(samples: np.ndarray, size: int = 512) -> list[AudioBlock]:
    """Cut samples into blocks that follow each other."""
    return [AudioBlock(samples[i : i + size], i) for i in range(0, len(samples), size)]


def caption_stream(
    endpoint: EndpointSettings | None = None,
    partials: PartialSettings | None = None,
    model: ToneModel | None = None,
    decoders: Decoders | None = None,
    recorder: BlockRecorder | None = None,
) -> CaptionStream:
    """Return a fresh stream that reads tones, with a clock that stands still."""
    endpoint, partials = endpoint or EndpointSettings(), partials or PartialSettings()
    decoders = decoders or Decoders(GreedyDecoder(ENGLISH), GreedyDecoder(ENGLISH))
    recognizer = StreamingRecognizer(
        model or ToneModel(),
        decoders.final,
        UtteranceSegmenter(endpoint, EXTRACTOR.settings.hop, partials.every_ms),
        partials,
        endpoint.uncut_s,
        decoders.partial,
        decoders.listeners,
    )
    listener = Listener(LoudnessDetector(), EXTRACTOR)
    return CaptionStream(listener, recognizer, lambda: 0.0, recorder)
