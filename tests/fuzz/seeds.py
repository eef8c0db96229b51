"""Sound inputs of every target, from which fuzzing starts, and those that were findings once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from lm.bundle import RECORD_FILE
from lm.tuned import TUNED_FILE
from model.bundle import SETTINGS_FILE, WEIGHTS_FILE
from tests.fuzz.targets import toy_bundle, toy_language

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
"""Folders, one a target, of inputs that were findings once."""

REQUEST = (
    b"Host: localhost\r\nContent-Type: audio/wav\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;name=value\r\nhello\r\n0\r\nTrailer: x\r\n\r\n"
)


def seeds(target: str) -> list[bytes]:
    """Return sound inputs of a target, and its former findings."""
    return [*SOUND[target](), *findings(target)]


def findings(target: str) -> list[bytes]:
    """Return what was found once for a target."""
    return [path.read_bytes() for path in sorted((CORPUS / target).glob("*"))]


def _files(*patterns: str) -> Callable[[], Iterator[bytes]]:
    return lambda: (
        path.read_bytes() for pattern in patterns for path in sorted(ROOT.glob(pattern))
    )


def _sections() -> list[bytes]:
    """Return each section of each configuration alone: long texts take YAML long."""
    files = [*sorted(ROOT.glob("configs/*.yaml")), ROOT / "models/language" / TUNED_FILE]
    texts = [re.sub(rb"(?m)#.*\n|^\s*\n", b"", path.read_bytes()) for path in files]
    return [part for text in texts for part in re.split(rb"(?m)^(?=[a-z])", text) if part]


def _values() -> list[bytes]:
    """Return a place and a value for it, of each kind that JSON has."""
    values = ("0", "-1", "1.5", "1e308", "9" * 400, '"a"', "null", "true", "[]", "{}", "[1, 2]")
    return [bytes([place, 0]) + value.encode() for place in (0, 40) for value in values]


def _texts(*texts: str) -> Callable[[], Iterator[bytes]]:
    return lambda: iter([text.encode() for text in texts])


def _audio() -> list[bytes]:
    from tests.streamer.web.mutations import originals

    return originals()


def _model(name: str) -> Callable[[], list[bytes]]:
    return lambda: [(toy_bundle() / name).read_bytes()]


SOUND: dict[str, Callable[[], Iterator[bytes] | list[bytes]]] = {
    "audio": _audio,
    "settings": _sections,
    "overrides": _texts(
        "endpoint.pause_ms=1200\naudio.device=usb\ndecoder.hotwords=[a, b:3]",
        "training.copies={books: 2}\nnetwork.kernels=[11, 7]\ntraining.minutes=1e-3",
    ),
    "manifest": _texts(
        '{"audio": "a.wav", "text": "a b", "duration": 1.5, "speaker": "x", "weight": 0.5}\n',
        '{"audio": "b.flac", "text": "c\'s", "duration": 2, "source": "machine"}\n\n{}\n',
    ),
    "statistics": _model(WEIGHTS_FILE),
    "bundle": _model(SETTINGS_FILE),
    "bundle_value": _values,
    "language_value": _values,
    "weights": _model(WEIGHTS_FILE),
    "language": lambda: [(toy_language() / RECORD_FILE).read_bytes()],
    "binary": _files("tests/fuzz/language/*.binary"),
    "arpa": _files("tests/fuzz/language/*.arpa"),
    "words": _texts("cat\nhut\nsat\nthe\n", "THE\nCat\n"),
    "hotwords": _texts("# names\nAda Lovelace:12\nBabbage\t3\n\n"),
    "message": _texts('{"type": "keep", "title": "x"}', '{"type": "lost", "samples": 160}'),
    "request": lambda: [REQUEST],
}
"""Where the sound inputs of each target come from."""
