"""Opening a device at a rate, and with a number of channels, that it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streamer.devices import Backend, InputDevice, OpenInput, channel_choices
from streamer.errors import DeviceError, FormatRefused
from streamer.handover import Handover

FALLBACK_RATES = (48_000, 44_100, 32_000, 16_000, 96_000, 8_000)
"""Hz; tried in this order when a device refuses its own default rate."""


@dataclass(frozen=True)
class Opened:
    """A device that was opened.

    Attributes:
        device: It.
        input: Its stream.
        rate: Samples a second.
        began_s: When it was opened, by our clock.
    """

    device: InputDevice
    input: OpenInput
    rate: int
    began_s: float

    def close(self) -> None:
        """End it; never raises."""
        self.input.close()


class Opener:
    """Opens devices, whose audio goes to one handover.

    Args:
        block_ms: Length of the blocks asked of a device.
        handover: Takes the audio.
        clock: Seconds that only rise.
    """

    def __init__(self, block_ms: float, handover: Handover, clock: Callable[[], float]) -> None:
        self._block_ms = block_ms
        self._handover = handover
        self._clock = clock

    def open(self, backend: Backend, device: InputDevice) -> Opened:
        """Open a device at its own rate, or at one that it takes.

        Raises:
            DeviceError: If it cannot be opened.
        """
        refusal: FormatRefused | None = None
        for rate in dict.fromkeys((round(device.default_rate), *FALLBACK_RATES)):
            for channels in channel_choices(device):
                try:
                    return self._open_as(backend, device, rate, channels)
                except FormatRefused as error:
                    refusal = error
        raise DeviceError(
            f"microphone '{device.name}' takes none of the usual rates and numbers of channels "
            f"({refusal}); choose another with --list-devices and --device"
        )

    def _open_as(self, backend: Backend, device: InputDevice, rate: int, channels: int) -> Opened:
        block = max(1, round(rate * self._block_ms / 1000))
        began_s = self._clock()
        opened = backend.open(device, rate, channels, block, self._handover.begin())
        return Opened(device, opened, rate, began_s)
