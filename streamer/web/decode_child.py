"""Decodes one audio file of unknown origin, in a process that may do little else.

Started by :mod:`streamer.web.decoding` with the file as standard input.  What it finds
goes to standard output in frames: a byte that says what it is, four bytes of length,
least first, and the content.  The process limits itself before it looks at the file, so
that a file which makes a decoder loop, crash or grow hurts nobody else.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from model import confinement
from model.audio import FORMATS, OPEN_END, SequentialFile, open_audio, stream_file
from model.errors import AudioFileError

INPUT = "/proc/self/fd/0"
"""The file that is decoded."""

NAME = "the file"
"""What messages call it."""

HEADER, SOUND, TROUBLE, END = b"H", b"S", b"T", b"E"
"""Frames: what the file says of itself, samples, why there are no more, that all is there."""

Frame = tuple[bytes, bytes]
"""Kind and content."""

RATE = 16_000
"""Of the samples, Hz."""

CONTAINERS = frozenset({"WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3"})
ENCODINGS = frozenset(
    {
        *("PCM_U8", "PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"),
        *("IMA_ADPCM", "MS_ADPCM", "VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II"),
        "MPEG_LAYER_III",
    }
)
"""As libsndfile calls them; it knows many more, which nobody needs here."""

TroubleKind = Literal["unsupported", "damaged", "too_long"]


@dataclass(frozen=True)
class Limits:
    """What the process may use.

    Attributes:
        longest_s: Audio that is decoded at most, seconds.
        cpu_s: Processor time, seconds.
        memory_mb: Address space, megabytes.
        block_s: Length of the blocks read from the file, seconds.
    """

    longest_s: float
    cpu_s: int
    memory_mb: int = 512
    block_s: float = 0.032


class Trouble(Exception):
    """Why a file cannot be decoded, or not to its end.

    Args:
        kind: Whether it is none of the formats, damaged, or longer than allowed.
        text: For people, with the remedy.
    """

    def __init__(self, kind: TroubleKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind

    def frame(self) -> Frame:
        """Return the frame that tells it."""
        return TROUBLE, json.dumps({"kind": self.kind, "text": str(self)}).encode()


def frames(path: str, limits: Limits) -> Iterator[Frame]:
    """Yield what a file holds; raises nothing for whatever it holds.

    Args:
        path: The file.
        limits: Of these, the length of the audio is kept here.

    Yields:
        A header, sound, and the end, or trouble in place of any of them.
    """
    try:
        with _opened(path) as file:
            yield HEADER, json.dumps({"duration_s": _duration_s(file, limits)}).encode()
            for piece in _pieces(file, limits):
                yield SOUND, piece
        yield END, b""
    except Trouble as trouble:
        yield trouble.frame()
    except MemoryError:
        text = f"{NAME}: needs more than {limits.memory_mb} MB of memory to decode; convert it"
        yield Trouble("damaged", text).frame()


def _opened(path: str) -> SequentialFile:
    """Open a file of a format that is wanted; others are not even looked into."""
    if not _begins_well(path):
        raise Trouble("unsupported", f"{NAME}: is not {FORMATS}; convert it to one of them")
    try:
        file = open_audio(path)
    except AudioFileError as error:
        raise Trouble("unsupported", str(error).replace(path, NAME, 1)) from error
    if file.format in CONTAINERS and file.subtype in ENCODINGS:
        return file
    found = f"{file.format}, {file.subtype}"
    file.close()
    raise Trouble("unsupported", f"{NAME}: is {found}; convert it to {FORMATS}")


def _begins_well(path: str) -> bool:
    """Return whether a file begins as one of the formats does."""
    with open(path, "rb") as file:
        head = file.read(12)
    wave = head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:] == b"WAVE"
    mpeg = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    return wave or mpeg or head[:4] in (b"fLaC", b"OggS") or head[:3] == b"ID3"


def _duration_s(file: SequentialFile, limits: Limits) -> float | None:
    """Return the length that a file declares, in seconds, or None if it does not tell.

    Raises:
        Trouble: If it is longer than allowed.
    """
    if not 0 < file.frames < OPEN_END:
        return None
    duration_s = float(file.frames / file.samplerate)
    # The length of an MP3 file may be a guess.
    if duration_s <= limits.longest_s:
        return duration_s
    if file.format == "MP3":
        return None
    raise _too_long(limits)


def _pieces(file: SequentialFile, limits: Limits) -> Iterator[bytes]:
    """Yield the audio as float32 samples at ``RATE``, mono.

    Raises:
        Trouble: If the file is damaged, or longer than allowed; all that can be heard of it
            has been yielded.
    """
    left = round(limits.longest_s * RATE)
    try:
        for samples in stream_file(file, NAME, RATE, limits.block_s):
            yield samples[:left].tobytes()
            left -= len(samples)
            if left < 0:
                raise _too_long(limits)
    except AudioFileError as error:
        raise Trouble("damaged", f"{error}; repair or convert it") from error


def _too_long(limits: Limits) -> Trouble:
    text = f"{NAME}: is longer than {limits.longest_s / 60:g} minutes, the most here; cut it"
    return Trouble("too_long", text)


def confine(limits: Limits) -> None:
    """Give up what decoding does not need; for good."""
    confinement.confine(limits.memory_mb * 1_000_000, limits.cpu_s)


def main(arguments: list[str]) -> int:
    """Decode standard input and return the exit code.

    Args:
        arguments: The process that started this one, and the fields of :class:`Limits`.
    """
    if not confinement.follow(int(arguments[0])):
        return 1
    longest_s, cpu_s, memory_mb, block_s = arguments[1:]
    limits = Limits(float(longest_s), int(cpu_s), int(memory_mb), float(block_s))
    confine(limits)
    try:
        for kind, content in frames(INPUT, limits):
            sys.stdout.buffer.write(kind + len(content).to_bytes(4, "little") + content)
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
