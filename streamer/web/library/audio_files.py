"""The audio of kept recordings: WAV files, 16 kHz, mono, 16 bits, for the owner's eyes only."""

from __future__ import annotations

import io
import os
import struct
import threading
import wave
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from streamer.audio import SAMPLE_RATE, AudioBlock, from_pcm
from streamer.events import Notice
from streamer.recorder import FileRecorder, WavFile
from streamer.web.errors import NotFound
from streamer.web.private import make_private_file

HEADER = 44
"""Bytes before the first sample."""

SAMPLE_BYTES = 2


def sync_folder(path: Path) -> None:
    """Have the disk know the names in a folder as they are now.

    Raises:
        OSError: If it cannot.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class KeptAudio:
    """The audio of a recording that goes on; may be used from any thread.

    Every block is handed to the operating system when it is pushed, and to the disk by
    :meth:`sync`, which keeps nobody from pushing.

    Args:
        path: Its file, for its owner only.

    Raises:
        OSError: If it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        make_private_file(path)
        self._raw = path.open("wb")
        self._recorder = FileRecorder(WavFile(self._raw), "the library")
        self._pushing = threading.Lock()
        self._syncing = threading.Lock()

    def push(self, block: AudioBlock) -> list[Notice]:
        """Append a block; see :meth:`streamer.recorder.FileRecorder.push`."""
        with self._pushing:
            return self._recorder.push(block)

    def sync(self) -> None:
        """Have the disk keep what was pushed."""
        with self._syncing, suppress(OSError):
            if not self._raw.closed:
                os.fsync(self._raw.fileno())

    def close(self) -> None:
        """Have the disk keep all of it, and take no more; may be called again."""
        self.sync()
        with self._syncing, self._pushing:
            self._recorder.close()


class WavSamples:
    """The samples of a recording's file, read where they are asked for.

    May be used from any thread, also while the recording goes on: the length is that of
    the moment when it was opened.  Used as a context manager.

    Args:
        path: The file.

    Raises:
        NotFound: If it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._file = _open(path)
        self._length = samples_in(os.fstat(self._file.fileno()).st_size)

    def __enter__(self) -> WavSamples:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: slice) -> np.ndarray:
        """Return float32 (n,), -1 to 1, of a slice without a step."""
        start, stop, _ = place.indices(self._length)
        size = max(0, stop - start) * SAMPLE_BYTES
        read = os.pread(self._file.fileno(), size, HEADER + start * SAMPLE_BYTES)
        return from_pcm(np.frombuffer(read, "<i2"))


class WavSnapshot(io.RawIOBase):
    """A recording's file as it is at this moment, with a header that fits, to be read.

    Args:
        path: The file.

    Raises:
        NotFound: If it is not there.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = _open(path)
        samples = samples_in(os.fstat(self._file.fileno()).st_size)
        self._header = wav_header(samples)
        self.size = HEADER + samples * SAMPLE_BYTES
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        wanted = max(0, min(len(buffer), self.size - self._at))
        if self._at < HEADER:
            content = self._header[self._at : self._at + wanted]
        else:
            content = os.pread(self._file.fileno(), wanted, self._at)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def repair(path: Path) -> int:
    """Let the header of a file that was not finished fit what is in it.

    A sample that was cut off is dropped; a file without any becomes empty.

    Returns:
        The number of samples.

    Raises:
        OSError: If it cannot be written.
    """
    with path.open("r+b") as file:
        samples = samples_in(os.fstat(file.fileno()).st_size)
        file.truncate(HEADER + samples * SAMPLE_BYTES if samples else 0)
        if samples:
            file.write(wav_header(samples))
        file.flush()
        os.fsync(file.fileno())
    return samples


def samples_in(size: int) -> int:
    """Return how many whole samples are in a file of ``size`` bytes."""
    return max(0, size - HEADER) // SAMPLE_BYTES


def wav_header(samples: int) -> bytes:
    """Return the header of a file with so many samples."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, SAMPLE_BYTES, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(b"")
    header = bytearray(content.getvalue())
    struct.pack_into("<I", header, 4, HEADER - 8 + samples * SAMPLE_BYTES)
    struct.pack_into("<I", header, HEADER - 4, samples * SAMPLE_BYTES)
    return bytes(header)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError as error:
        raise NotFound("this recording has no audio; only its text was kept") from error
