"""PortAudio, loaded once a device is asked for and nowhere else."""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import numpy as np

from streamer.devices import Deliver, InputDevice, OpenInput
from streamer.errors import DeviceBusy, DeviceError, FormatRefused, PortAudioMissing
from streamer.sound_cards import SoundCard, SoundCards, pcm_of


class PortAudio:
    """PortAudio, through sounddevice; one call at a time, whoever makes it.

    Its list of devices is made when the library is loaded, and anew by :meth:`refresh`; a
    further instance does that only where something came or went since, or it is old.

    PortAudio and the libraries below it (ALSA, JACK, PulseAudio) write to standard
    error whatever they stumble on, also while a stream runs; this is kept off the
    terminal, and what matters of it comes as a :class:`DeviceError`.

    Args:
        cards: What is known of sound cards beside.

    Raises:
        PortAudioMissing: If the library is not installed.
    """

    def __init__(self, cards: SoundCards | None = None) -> None:
        self._library = _load_library()
        self._cards = SoundCards() if cards is None else cards
        with _ONE_CALL:
            if _LIST.is_old(self._cards.stamp()):
                self.refresh()

    def inputs(self) -> tuple[InputDevice, ...]:
        """Return the devices that record; see ``streamer.devices.Backend``."""
        with self._guarded("the audio system"):
            devices = self._library.query_devices()
        default = self._default_index()
        return tuple(self._input_device(device, default) for device in devices if _records(device))

    def _input_device(self, device: dict[str, Any], default: int | None) -> InputDevice:
        pcm = pcm_of(device["name"])
        card = self._cards.card(pcm[0]) if pcm else SoundCard()
        return InputDevice(
            index=device["index"],
            name=device["name"],
            channels=device["max_input_channels"],
            default_rate=device["default_samplerate"],
            rates=(),
            is_default=device["index"] == default,
            card_id=card.card_id,
            place=card.place,
            serial=card.serial,
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

        closing = threading.Event()

        def hand_over(samples: np.ndarray, _count: int, times: Any, status: Any) -> None:
            if closing.is_set():
                raise self._library.CallbackAbort
            deliver(samples.copy(), bool(status.input_overflow), times.inputBufferAdcTime)

        with self._guarded(f"microphone '{device.name}'", self._holder(device)):
            stream = self._library.InputStream(
                rate, block, device.index, channels, "float32", callback=hand_over
            )
            try:
                stream.start()
            except self._library.PortAudioError:
                stream.close()
                raise
            _LIST.streams += 1
        return _PortAudioInput(stream, closing)

    def refresh(self) -> None:
        """Start PortAudio anew, the only way to a fresh list of devices."""
        with self._guarded("the audio system"):
            _LIST.made(self._cards.stamp())
            # Fails when the start after the last stop failed: then there is nothing to stop.
            with suppress(self._library.PortAudioError):
                self._library._terminate()
            self._library._initialize()

    def _default_index(self) -> int | None:
        with suppress(DeviceError), self._guarded("the default input"):
            return int(self._library.query_devices(kind="input")["index"])
        return None

    def _holder(self, device: InputDevice) -> Callable[[], str]:
        """Return what tells which program holds a device."""
        pcm = pcm_of(device.name)
        return lambda: self._cards.holder(*pcm) if pcm else ""

    @contextmanager
    def _guarded(self, what: str, holder: Callable[[], str] = str) -> Iterator[None]:
        """Let one call in at a time, and turn the errors of PortAudio into ours."""
        try:
            with _ONE_CALL:
                yield
        except self._library.PortAudioError as error:
            code = error.args[1] if len(error.args) > 1 else None
            if code in _FORMAT_CODES:
                raise FormatRefused(f"{what}: {error}") from error
            if program := holder():
                raise DeviceBusy(
                    f"{what} is in use by {program}: close that program, "
                    "or choose another device with --list-devices and --device"
                ) from error
            raise DeviceError(
                f"{what} cannot be opened: {error}; close the program that uses it, "
                "or choose another device with --list-devices and --device"
            ) from error


_ONE_CALL = threading.RLock()
"""Held during each call: PortAudio's state is one for the whole process, and unguarded."""

LIST_LASTS_S = 600.0
"""How long a list of devices is believed though nothing seems to have changed."""


class _DeviceList:
    """How old PortAudio's list is; guarded by ``_ONE_CALL``.

    Attributes:
        streams: Streams that are open, during which no other list can be made.
    """

    def __init__(self) -> None:
        self.streams = 0
        self._stamp: object = None
        self._made_s: float | None = None

    def made(self, stamp: object) -> None:
        """Remember that a list is made now, with this stamp of the sound cards."""
        self._stamp, self._made_s = stamp, time.monotonic()

    def is_old(self, stamp: object) -> bool:
        """Return whether to make another one; the first one is made by loading the library."""
        if self._made_s is None:
            self.made(stamp)
        made_s = self._made_s or 0.0
        changed = stamp != self._stamp or time.monotonic() - made_s > LIST_LASTS_S
        return changed and not self.streams


_LIST = _DeviceList()


_FORMAT_CODES = (-9998, -9997, -9994)
"""PortAudio: invalid channel count, invalid sample rate, sample format not supported."""


STANDARD_ERROR = 2
"""Its file descriptor."""

CALLBACK_ENDS_S = 0.2
"""How long a stream that runs may take to come round to ending itself."""


class _PortAudioInput:
    """A stream of sounddevice."""

    def __init__(self, stream: Any, closing: threading.Event) -> None:
        self._stream = stream
        self._closing = closing

    @property
    def active(self) -> bool:
        return bool(self._stream.active)

    def close(self) -> None:
        self._closing.set()
        with _ONE_CALL:
            # A thread that waits for Python when it is cancelled would take its lock along.
            until = time.monotonic() + CALLBACK_ENDS_S
            while self._stream.active and time.monotonic() < until:
                time.sleep(0.005)
            _LIST.streams -= 1
            self._stream.abort()
            self._stream.close()


def _records(device: dict[str, Any]) -> bool:
    return bool(device["max_input_channels"] > 0)


def _load_library() -> Any:
    # JACK would otherwise start its server only because it was asked for devices.
    os.environ.setdefault("JACK_NO_START_SERVER", "1")
    _silence_c_libraries()
    _keep_messages()
    try:
        import sounddevice
    except OSError as error:
        raise PortAudioMissing(
            f"the microphone needs the PortAudio library ({error}): install it with "
            "`sudo apt-get install libportaudio2`; --wav FILE works without it"
        ) from error
    _end_without_hanging(sounddevice)
    return sounddevice


@cache
def _end_without_hanging(library: Any) -> None:
    """Let a call that never answers not keep the program from ending."""
    atexit.unregister(library._exit_handler)

    @atexit.register
    def end() -> None:
        if _ONE_CALL.acquire(timeout=CALLBACK_ENDS_S):
            library._exit_handler()


@cache
def _keep_messages() -> None:
    """Let Python write to standard error by a descriptor of its own from now on.

    sounddevice shuts number 2 while PortAudio looks for devices, which may take for ever;
    that the audio system does not answer could not be read then.
    """
    with suppress(AttributeError, OSError, ValueError):
        if sys.stderr.fileno() == STANDARD_ERROR:
            sys.stderr = os.fdopen(
                os.dup(STANDARD_ERROR),
                "w",
                buffering=1,
                encoding=sys.stderr.encoding,
                errors=sys.stderr.errors,
            )


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
