"""Read audio files of any common format as mono samples at one rate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from model.errors import AudioFileError

FORMATS = "WAV, FLAC, Ogg, Opus or MP3"

LOUDEST = 1e10
"""Samples are limited to it; their powers stay far below the largest float32."""

LONGEST_HOLE_S = 0.1
"""Sound that an intact file may lack of the length it declares."""

OGG_BLOCK_S = 0.02
"""Longest block read from Ogg files: where libsndfile fails, all of a block is lost."""

SLOWEST, FASTEST = 1_000, 768_000
"""Sample rates of files that are read, Hz; others are typing errors or attacks on memory."""

MOST_CHANNELS = 64
"""Channels of files that are read."""

OPEN_END = 2**63 - 1
"""What libsndfile gives as the frames of a file that was streamed and never finished."""


class SequentialFile(soundfile.SoundFile):  # type: ignore[misc]
    """An audio file read from its start on.

    ``SoundFile`` seeks after every read, which fails at the end of an unfinished FLAC file.
    """

    def seekable(self) -> bool:
        return False


def stream_audio(path: str | Path, sample_rate: int, block_s: float) -> Iterator[np.ndarray]:
    """Yield a file's audio in blocks, mixed to mono and resampled by one resampler.

    Args:
        path: A file that libsndfile reads: WAV, FLAC, Ogg Vorbis, Opus or MP3.
        sample_rate: Rate of the yielded samples, Hz.
        block_s: Length of the blocks read from the file, seconds.

    Yields:
        float32 arrays (n,), -1 to 1; n varies with the resampler.

    Raises:
        AudioFileError: If the file is missing, empty, damaged or not audio.
    """
    with open_audio(path) as file:
        yield from stream_file(file, path, sample_rate, block_s)


def stream_file(
    file: SequentialFile, name: str | Path, sample_rate: int, block_s: float
) -> Iterator[np.ndarray]:
    """Yield the audio of an open file, as :func:`stream_audio` does.

    Args:
        file: As :func:`open_audio` opened it.
        name: What errors call it.
        sample_rate: Rate of the yielded samples, Hz.
        block_s: Length of the blocks read from the file, seconds.

    Yields:
        float32 arrays (n,), -1 to 1.

    Raises:
        AudioFileError: If it is damaged or holds no samples.
    """
    rate = file.samplerate
    resampler = (
        None if rate == sample_rate else soxr.ResampleStream(rate, sample_rate, 1, dtype="float32")
    )
    heard = 0
    try:
        for block in _read_blocks(file, block_s):
            heard += len(block)
            last = len(block) == 0
            mono = np.ascontiguousarray(block.mean(axis=1, dtype=np.float32))
            mono = mono if resampler is None else resampler.resample_chunk(mono, last=last)
            if len(mono):
                yield finite(mono)
    except soundfile.SoundFileError as error:
        raise AudioFileError(f"{name}: damaged after {heard / rate:.2f} s: {error}") from error
    if heard == 0:
        raise AudioFileError(f"{name}: holds no samples; give a recording with sound in it")
    lacking_s = (file.frames - heard) / rate
    # The length of an MP3 file may be a guess.
    if lacking_s > LONGEST_HOLE_S and file.format != "MP3" and file.frames != OPEN_END:
        raise AudioFileError(f"{name}: damaged: {lacking_s:.2f} s of its sound cannot be read")


def read_audio(path: str | Path, sample_rate: int) -> np.ndarray:
    """Return a whole file as float32 samples (n,) at ``sample_rate`` Hz, mono.

    Raises:
        AudioFileError: As :func:`stream_audio`.
    """
    return np.concatenate(list(stream_audio(path, sample_rate, block_s=0.5)))


def open_audio(path: str | Path) -> SequentialFile:
    """Open an audio file for reading.

    Raises:
        AudioFileError: If it is missing, empty or not audio; the message says which.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise AudioFileError(f"{path}: no such file")
        if path.is_dir():
            raise AudioFileError(f"{path}: is a folder; give an audio file")
        if path.stat().st_size == 0:
            raise AudioFileError(f"{path}: the file is empty (0 bytes)")
        # As bytes, so that names that are no UTF-8 are opened too.
        file = SequentialFile(os.fsencode(path))
    except soundfile.SoundFileError as error:
        reason = getattr(error, "error_string", str(error))
        raise AudioFileError(f"{path}: not readable as {FORMATS}: {reason}") from error
    except OSError as error:
        raise AudioFileError(f"{path}: {error.strerror or error}") from error
    if SLOWEST <= file.samplerate <= FASTEST and file.channels <= MOST_CHANNELS:
        return file
    file.close()
    raise AudioFileError(
        f"{path}: has {file.channels} channels at {file.samplerate} Hz; give at most "
        f"{MOST_CHANNELS} channels at {SLOWEST} to {FASTEST} Hz"
    )


def _read_blocks(file: SequentialFile, block_s: float) -> Iterator[np.ndarray]:
    """Yield float32 (frames, channels) up to the end, where a block is empty.

    libsndfile fails once where the time stamps of an Ogg file leave a hole, as
    those of some encoders do, and then reads on; failing twice in a row is damage.
    """
    is_ogg = file.format == "OGG"
    frames = max(1, round((min(block_s, OGG_BLOCK_S) if is_ogg else block_s) * file.samplerate))
    failed = False
    while True:
        try:
            block = file.read(frames, dtype="float32", always_2d=True)
        except soundfile.SoundFileError:
            if failed or not is_ogg:
                raise
            failed = True
            continue
        failed = False
        yield block
        if len(block) == 0:
            return


def finite(samples: np.ndarray) -> np.ndarray:
    """Return samples that powers can be computed of; floats may be infinite, or no numbers."""
    if (np.abs(samples) <= LOUDEST).all():
        return samples
    return np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0).clip(-LOUDEST, LOUDEST)
