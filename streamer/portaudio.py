"""PortAudio, loaded once a device is asked for and nowhere else."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import numpy as np

from streamer.devices import Deliver, InputDevice, OpenInput
from streamer.errors import DeviceError, FormatRefused, PortAudioMissing


class PortAudio:
    """PortAudio, through sounddevice.

    PortAudio and the libraries below it (ALSA, JACK, PulseAudio) write to standard
    error whatever they stumble on, also while a stream runs; this is kept off the
    terminal, and what matters of it comes as a :class:`DeviceError`.

    Raises:
        PortAudioMissing: If the library is not installed.
    """

    def __init__(self) -> None:
        self._library = _load_library()

    def inputs(self) -> tuple[InputDevice, ...]:
        """Return the devices that record; see ``streamer.devices.Backend``."""
        with self._guarded("the audio system"):
            devices = self._library.query_devices()
        default = self._default_index()
        return tuple(
            InputDevice(
                index=device["index"],
                name=device["name"],
                channels=device["max_input_channels"],
                default_rate=device["default_samplerate"],
                rates=(),
                is_default=device["index"] == default,
            )
            for device in devices
            if device["max_input_channels"] > 0
        )

    def accepts(self, device: InputDevice, rate: int, channels: int) -> bool:
        """Return whether the device can be opened so."""
        try:
            with self._guarded(device.name):
                self._library.check_input_settings(device.index, channels, "float32", None, rate)
        except DeviceError:
            return False
        return True

    def open(
        self, device: InputDevice, rate: int, channels: int, block: int, deliver: Deliver
    ) -> OpenInput:
        """Open a device and start it; see ``streamer.devices.Backend``."""

        def hand_over(samples: np.ndarray, _count: int, times: Any, status: Any) -> None:
            deliver(samples.copy(), bool(status.input_overflow), times.inputBufferAdcTime)

        with self._guarded(f"microphone '{device.name}'"):
            stream = self._library.InputStream(
                rate, block, device.index, channels, "float32", callback=hand_over
            )
            try:
                stream.start()
            except self._library.PortAudioError:
                stream.close()
                raise
        return _PortAudioInput(stream)

    def refresh(self) -> None:
        """Start PortAudio anew, the only way to a fresh list of devices."""
        with self._guarded("the audio system"):
            # Fails when the start after the last stop failed: then there is nothing to stop.
            with suppress(self._library.PortAudioError):
                self._library._terminate()
            self._library._initialize()

    def _default_index(self) -> int | None:
        with suppress(DeviceError), self._guarded("the default input"):
            return int(self._library.query_devices(kind="input")["index"])
        return None

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        """Turn the errors of PortAudio into ours."""
        try:
            yield
        except self._library.PortAudioError as error:
            code = error.args[1] if len(error.args) > 1 else None
            if code in _FORMAT_CODES:
                raise FormatRefused(f"{what}: {error}") from error
            raise DeviceError(
                f"{what} cannot be opened: {error}; close the program that uses it, "
                "or choose another device with --list-devices and --device"
            ) from error


_FORMAT_CODES = (-9998, -9997, -9994)
"""PortAudio: invalid channel count, invalid sample rate, sample format not supported."""


class _PortAudioInput:
    """A stream of sounddevice."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def active(self) -> bool:
        return bool(self._stream.active)

    def close(self) -> None:
        self._stream.abort()
        self._stream.close()


def _load_library() -> Any:
    # JACK would otherwise start its server only because it was asked for devices.
    os.environ.setdefault("JACK_NO_START_SERVER", "1")
    _silence_c_libraries()
    try:
        import sounddevice
    except OSError as error:
        raise PortAudioMissing(
            f"the microphone needs the PortAudio library ({error}): install it with "
            "`sudo apt-get install libportaudio2`; --wav FILE works without it"
        ) from error
    return sounddevice


@cache
def _silence_c_libraries() -> None:
    """Send what C libraries write to standard error nowhere, from now on.

    They write through C's stream, which glibc lets a program replace.  Python does
    not: its messages, also from other threads, still reach file descriptor 2.  With
    another C library nothing is changed.
    """
    c_library = ctypes.CDLL(None)
    if hasattr(c_library, "gnu_get_libc_version"):
        c_library.fopen.restype = ctypes.c_void_p
        nowhere = c_library.fopen(os.devnull.encode(), b"w")
        ctypes.c_void_p.in_dll(c_library, "stderr").value = nowhere
