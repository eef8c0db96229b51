"""Audio files that are broken on purpose: small ones of every format, and what is done to them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from model.audio import read_audio

SPEECH = Path(__file__).parents[2] / "data/speech"
DEMO = Path(__file__).parents[3] / "demo/librispeech.flac"

ENCODINGS = (
    ("WAV", "PCM_16", 16_000, 1),
    ("WAV", "PCM_U8", 8_000, 2),
    ("WAV", "FLOAT", 16_000, 1),
    ("WAV", "IMA_ADPCM", 16_000, 1),
    ("WAV", "MS_ADPCM", 16_000, 2),
    ("WAVEX", "PCM_24", 44_100, 3),
    ("RF64", "PCM_16", 16_000, 1),
    ("FLAC", "PCM_16", 16_000, 1),
    ("FLAC", "PCM_24", 48_000, 2),
    ("OGG", "VORBIS", 16_000, 1),
    ("OGG", "VORBIS", 44_100, 2),
    ("OGG", "OPUS", 16_000, 1),
    ("OGG", "OPUS", 48_000, 2),
    ("MP3", "MPEG_LAYER_III", 16_000, 1),
    ("MP3", "MPEG_LAYER_III", 44_100, 2),
)
"""Container, encoding, rate and channels."""

SECONDS = 0.3

EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Values at which counts, rates and lengths go wrong."""

HEAD = 120
"""Bytes of a file in which most of its fields stand."""

Random = np.random.Generator
Mutation = Callable[[bytearray, Random, Sequence[bytes]], bytearray]


def originals() -> list[bytes]:
    """Return small files of speech in every format."""
    speech = read_audio(DEMO, 16_000)[16_000 * 2 :]
    found = [_encoded(speech, *how) for how in ENCODINGS]
    return [*found, (SPEECH / "common_voice_en_17369372.opus").read_bytes()]


def _encoded(speech: np.ndarray, format: str, subtype: str, rate: int, channels: int) -> bytes:
    """Return some of the speech; at another rate it is higher or lower, which is no matter."""
    mono = speech[: round(SECONDS * rate)]
    file = io.BytesIO()
    samples = np.stack([mono] * channels, axis=1)
    soundfile.write(file, samples, rate, format=format, subtype=subtype)
    return file.getvalue()


def mutated(files: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Yield broken files, the same for the same seed."""
    for number in range(count):
        random = np.random.default_rng((seed, number))
        content = bytearray(files[number % len(files)])
        for _ in range(int(random.choice([1, 1, 1, 2, 3]))):
            mutation = MUTATIONS[int(random.integers(len(MUTATIONS)))]
            content = mutation(content, random, files)
        if content[:4] == b"OggS" and random.random() < 0.7:
            content = with_checksums(content)
        yield bytes(content)


def _flip_bits(content: bytearray, random: Random, files: Sequence[bytes]) -> bytearray:
    for _ in range(int(2 ** random.uniform(0, 6))):
        if content:
            content[int(random.integers(len(content)))] ^= 1 << int(random.integers(8))
    return content


def _flip_head(content: bytearray, random: Random, files: Sequence[bytes]) -> bytearray:
    content[:HEAD] = _flip_bits(content[:HEAD], random, files)
    return content


def _put_extreme(content: bytearray, random: Random, files: Sequence[bytes]) -> bytearray:
    width = int(random.choice([1, 2, 4]))
    if len(content) > width:
        most = HEAD if random.random() < 0.8 else len(content)
        place = int(random.integers(min(most, len(content) - width)))
        value = int(random.choice(EXTREMES)) & (256**width - 1)
        order = "little" if random.random() < 0.5 else "big"
        content[place : place + width] = value.to_bytes(width, order)
    return content


def _cut_short(content: bytearray, random: Random, files: Sequence[bytes]) -> bytearray:
    return content[: int(random.integers(len(content) + 1))]


def _cut_out(content: bytearray, random: Random, files: Sequence[bytes]) -> bytearray:
    start, end = _span(content, random)
    del content[start:end]
    return content


def _repeat(content: bytearray, random: Random, files: Sequence[bytes]) -> bytearray:
    start, end = _span(content, random)
    content[end:end] = content[start:end] * int(random.integers(1, 5))
    return content


def _overwrite(content: bytearray, random: Random, files: Sequence[bytes]) -> bytearray:
    start, end = _span(content, random)
    content[start:end] = random.bytes(end - start)
    return content


def _blank(content: bytearray, random: Random, files: Sequence[bytes]) -> bytearray:
    start, end = _span(content, random)
    content[start:end] = bytes([int(random.choice([0, 255]))]) * (end - start)
    return content


def _splice(content: bytearray, random: Random, files: Sequence[bytes]) -> bytearray:
    other = files[int(random.integers(len(files)))]
    own, foreign = (int(random.integers(len(part) + 1)) for part in (content, other))
    return content[:own] + other[foreign:]


def _append(content: bytearray, random: Random, files: Sequence[bytes]) -> bytearray:
    garbage = random.bytes(int(random.integers(2000)))
    return content + (garbage if random.random() < 0.5 else bytes(len(garbage)))


def _declare(content: bytearray, random: Random, files: Sequence[bytes]) -> bytearray:
    """Let a header declare another length, rate or number of channels."""
    value = int(random.choice(EXTREMES))
    if content[:4] in (b"RIFF", b"RF64") and len(content) > 44:
        place, form = [(4, "<I"), (22, "<H"), (24, "<I"), (28, "<I"), (32, "<H"), (34, "<H")][
            int(random.integers(6))
        ]
        struct.pack_into(form, content, place, value & (0xFFFF if form == "<H" else 0xFFFFFFFF))
    elif content[:4] == b"fLaC" and len(content) > 42:
        content[18:26] = random.bytes(8) if random.random() < 0.5 else bytes([value & 0xFF]) * 8
    elif content[:4] == b"OggS" and len(content) > 60:
        place = int(random.choice([6, 14, 26, 27, 37, 39, 40, 48, 56]))
        content[place] = value & 0xFF
    return content


MUTATIONS: tuple[Mutation, ...] = (
    *(_flip_bits, _flip_head, _put_extreme, _put_extreme, _cut_short, _cut_out),
    *(_repeat, _overwrite, _blank, _splice, _append, _declare),
)


def _span(content: bytearray, random: Random) -> tuple[int, int]:
    start = int(random.integers(len(content) + 1))
    return start, min(len(content), start + int(2 ** random.uniform(0, 11)))


def _table() -> list[int]:
    table = []
    for byte in range(256):
        checksum = byte << 24
        for _ in range(8):
            checksum = (checksum << 1 ^ (0x04C11DB7 if checksum >> 31 else 0)) & 0xFFFFFFFF
        table.append(checksum)
    return table


_CHECKSUMS = _table()


def with_checksums(content: bytearray) -> bytearray:
    """Return an Ogg file whose pages have the right checksums: else none would be read."""
    pages = bytes(content).split(b"OggS")
    whole = bytearray(pages[0])
    for rest in pages[1:]:
        page = bytearray(b"OggS" + rest)
        if len(page) >= 27:
            page[22:26] = bytes(4)
            checksum = 0
            for byte in page:
                checksum = (checksum << 8 ^ _CHECKSUMS[checksum >> 24 ^ byte]) & 0xFFFFFFFF
            page[22:26] = checksum.to_bytes(4, "little")
        whole += page
    return whole
