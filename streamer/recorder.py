"""Keep the audio of a session in a file beside its captions."""

from __future__ import annotations

import errno
import wave
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import soundfile

from model.errors import UsageError
from streamer.audio import SAMPLE_RATE, AudioBlock, to_pcm
from streamer.errors import OutputError
from streamer.events import Notice
from streamer.files import require_new

_WAV_LIMIT = 2**32 - 64
"""Bytes of samples that a WAV file can hold; 37 hours."""

_CannotWrite = (OSError, soundfile.SoundFileError)


class BlockRecorder(Protocol):
    """Keeps the audio of a stream, or passes it over."""

    def push(self, block: AudioBlock) -> list[Notice]:
        """Take the next block and return what the user should know."""
        ...


class FileRecorder:
    """Writes a stream to an open file.

    Audio that was lost is written as silence, so that times in the file are stream
    times.  Samples on a grid of 16 bits, as the microphone gives them, are kept exactly.

    Args:
        file: Used by nobody else; closed with this.
        name: What the user knows it by.
        start: Index in the stream of the first sample of the file.
    """

    def __init__(self, file: AudioFile, name: str, start: int = 0) -> None:
        self._name = name
        self._end = start
        self._file: AudioFile | None = file

    @property
    def stopped(self) -> bool:
        """Whether nothing is written any more."""
        return self._file is None

    def push(self, block: AudioBlock) -> list[Notice]:
        """Write a block, after silence for what was lost before it.

        Returns:
            A notice ``recording_stopped`` when the file cannot be written any more,
            once; blocks that follow are passed over.
        """
        if self._file is None:
            return []
        try:
            _write_silence(self._file, block.start - self._end)
            self._file.write(to_pcm(block.samples))
            self._end = block.end
        except _CannotWrite as error:
            self.close()
            return [Notice("recording_stopped", self._stopped_text(error), "error")]
        return []

    def close(self) -> None:
        """Finish the file; may be called again."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(*_CannotWrite):
                file.close()

    def _stopped_text(self, error: Exception) -> str:
        return (
            f"{self._name}: the recording ends at {self._end / SAMPLE_RATE:.1f} s, captions go on: "
            f"{_reason(error)}; make room on the disk, "
            "or record to another one next time"
        )


class AudioRecorder(FileRecorder):
    """Writes a stream to a file, FLAC or WAV by its ending: 16 kHz, mono, 16 bits.

    As every sample is kept exactly, a replay of the file gives the same captions.

    Everything pushed is handed to the operating system at once in a WAV file, with
    a header that fits; in a FLAC file all but the last half second, and a file that
    was not closed plays up to there.

    Args:
        path: The file; it must be new or empty.
        start: As for :class:`FileRecorder`.

    Raises:
        UsageError: If it has another ending, holds something already, or there is no
            folder for it.
        OutputError: If it cannot be opened.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        super().__init__(_open(path), str(path), start)


class AudioFile(Protocol):
    """An audio file open for writing."""

    def write(self, pcm: np.ndarray) -> None:
        """Append int16 samples (n,)."""
        ...

    def close(self) -> None: ...


class WavFile:
    """A WAV file whose header fits after every write, which soundfile's does only once closed.

    Args:
        raw: An empty file, open for writing; closed with this.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._file = wave.open(raw, "wb")  # noqa: SIM115
        self._file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))

    def write(self, pcm: np.ndarray) -> None:
        """Append int16 samples (n,)."""
        if self._raw.tell() + pcm.nbytes > _WAV_LIMIT:
            raise OSError(errno.EFBIG, "a WAV file holds 4 GiB, FLAC has no such limit")
        self._file.writeframes(pcm.astype("<i2").tobytes())
        self._raw.flush()

    def close(self) -> None:
        """Finish the file; without samples it is left empty."""
        with self._raw:
            self._file.close()
            if not self._file.getnframes():  # A header alone would bar the next recording.
                self._raw.truncate(0)


def recording_kind(path: Path) -> Callable[[Path], AudioFile]:
    """Return what opens a recording, by its ending.

    Raises:
        UsageError: If it has no known one.
    """
    kinds: dict[str, Callable[[Path], AudioFile]] = {".wav": _open_wav, ".flac": _open_flac}
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path}: a recording must end in .flac or .wav; name it so")
    return kind


def _open(path: Path) -> AudioFile:
    kind = recording_kind(path)
    require_new(path)
    try:
        # Python says why a file cannot be opened, libsndfile only that it cannot.
        path.open("wb").close()
        return kind(path)
    except _CannotWrite as error:
        raise OutputError(
            f"{path}: the recording cannot be written: {_reason(error)}; name another place"
        ) from error


def _open_wav(path: Path) -> AudioFile:
    return WavFile(path.open("wb"))


def _open_flac(path: Path) -> AudioFile:
    file: AudioFile = soundfile.SoundFile(str(path), "w", SAMPLE_RATE, 1, "PCM_16")
    return file


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or getattr(error, "error_string", None) or str(error)


def _write_silence(file: AudioFile, samples: int) -> None:
    """Write silence a second at a time: a device may be away for hours."""
    while samples > 0:
        file.write(np.zeros(min(samples, SAMPLE_RATE), np.int16))
        samples -= SAMPLE_RATE
