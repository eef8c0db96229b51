"""Which device is meant, at the start and whenever it has gone away."""

from __future__ import annotations

from contextlib import suppress

from streamer.default_input import Kind, is_internal, kind_of
from streamer.devices import (
    Backend,
    InputDevice,
    choose,
    newcomer,
    require_inputs,
    same_device,
    unmoved,
)
from streamer.errors import DeviceBusy, DeviceError, DeviceMissing
from streamer.sound_cards import SoundCard, SoundCards


class DeviceFinder:
    """Finds the device that is asked for, and then the same one again.

    Equal microphones are told apart by where they are plugged in: one that was there beside
    ours is never taken for it.  One that is plugged in while ours is away is taken if it is
    what was asked for too, as when a broken one is replaced.

    Args:
        wanted: As :func:`streamer.devices.choose` takes it.
        picky: Whether to find nothing, rather than an input that is no microphone, where
            none is asked for by name.
        cards: What is known of sound cards.

    Attributes:
        device: The one that was opened last; None before.
        devices: Those that the last fresh list held.
    """

    def __init__(self, wanted: str, picky: bool, cards: SoundCards) -> None:
        self.device: InputDevice | None = None
        self.devices: tuple[InputDevice, ...] = ()
        self._wanted = wanted
        self._picky = picky
        self._cards = cards
        self._beside: frozenset[str] = frozenset()

    def find(self, backend: Backend, anew: bool) -> InputDevice:
        """Return the device to open now.

        Args:
            backend: The audio system; no stream may be open if ``anew``.
            anew: Whether to ask for a fresh list of devices.

        Raises:
            DeviceBusy: If another program holds it.
            DeviceMissing: If it is not there.
            DeviceError: If the audio system does not answer, or several are meant.
        """
        try:
            return self._listed_anew(backend) if anew else self._listed_before(backend)
        except DeviceMissing as error:
            self._explain(error)
            raise

    def took(self, device: InputDevice) -> None:
        """Remember that a device was opened, and which were there beside it."""
        self.device = device
        names = {other.whereabouts for other in self.devices}
        self._beside = frozenset(names | self._cards.places()) - {device.whereabouts}

    def look_round(self) -> None:
        """See which cards are there beside the device, which is heard now."""
        if self.device is not None and self.device.place:
            self._beside = self._cards.places() - {self.device.place}

    def _listed_anew(self, backend: Backend) -> InputDevice:
        self.devices = backend.inputs()
        self._beside &= {device.whereabouts for device in self.devices} | self._cards.places()
        devices = require_inputs(backend)
        if self.device is None:
            return self._first(devices)
        if self._is_hidden(self.device):
            raise DeviceMissing(f"microphone '{self.device.name}' is plugged in, but not ready")
        try:
            return same_device(devices, self.device, self._beside)
        except DeviceMissing:
            if self.device.place:
                with suppress(DeviceError):
                    return newcomer(self._strangers(devices), self._wanted, self._beside)
            raise

    def _is_hidden(self, device: InputDevice) -> bool:
        """Return whether it is where it was, though not listed: then nothing else is it."""
        listed = {other.place for other in self.devices}
        return device.place not in listed and device.place in self._cards.places()

    def _listed_before(self, backend: Backend) -> InputDevice:
        device = self._first(self.devices) if self.device is None else self.device
        return unmoved(backend.inputs(), device)

    def _strangers(self, devices: tuple[InputDevice, ...]) -> tuple[InputDevice, ...]:
        """Return the devices that are no other inputs of the same card."""
        assert self.device is not None
        card = self.device.stable_name.partition(":")[0]
        place = self.device.place
        return tuple(d for d in devices if d.place != place or not d.name.startswith(f"{card}:"))

    def _first(self, devices: tuple[InputDevice, ...]) -> InputDevice:
        if not devices:
            raise DeviceMissing("no input device")
        device = choose(devices, self._wanted)
        if self._picky and not self._wanted and _no_microphone(device, devices):
            raise DeviceMissing("no microphone is plugged in, only the board's own channels")
        return device

    def _explain(self, error: DeviceMissing) -> None:
        """Raise that the device is busy if that is why PortAudio does not list it."""
        for card, program in self._cards.held():
            if self._means(card):
                raise DeviceBusy(
                    f"microphone '{card.name or card.card_id}' is in use by {program}: close that "
                    "program, or choose another device with --list-devices and --device"
                ) from error

    def _means(self, card: SoundCard) -> bool:
        if self.device is not None:
            return bool(card.place) and card.place == self.device.place
        wanted = self._wanted.casefold()
        return wanted in card.name.casefold() or wanted == card.card_id.casefold()


def _no_microphone(device: InputDevice, devices: tuple[InputDevice, ...]) -> bool:
    """Return whether a device of a board with internal channels stands for one of these."""
    return any(map(is_internal, devices)) and kind_of(device) >= Kind.VIRTUAL
