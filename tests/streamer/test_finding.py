"""Which device is meant when devices come and go, and equal ones are about."""

from __future__ import annotations

import re

import pytest

from streamer.devices import InputDevice
from streamer.errors import DeviceAmbiguous, DeviceBusy, DeviceMissing
from streamer.finding import DeviceFinder
from streamer.sound_cards import SoundCard
from tests.streamer.sound_system import Cards, SoundSystem, device


def usb(index: int, card: int, place: str, serial: str = "", name: str = "USB Mic") -> InputDevice:
    return device(index, f"{name}: Audio (hw:{card},0)", place=place, serial=serial)


class Desk:
    """A finder with what is plugged in.

    Args:
        devices: What is plugged in at the start.
        wanted: What is asked for.
        picky: Whether only microphones are wanted.
    """

    def __init__(self, *devices: InputDevice, wanted: str = "", picky: bool = False) -> None:
        self.cards = Cards()
        self.system = SoundSystem(())
        self.finder = DeviceFinder(wanted, picky, self.cards)
        self.plug(*devices)

    def plug(self, *devices: InputDevice) -> None:
        """Have these devices plugged in, and no others."""
        self.system.devices = devices
        self.cards.plugged = {d.place for d in devices if d.place}

    def find(self, anew: bool = True) -> InputDevice:
        return self.finder.find(self.system, anew)

    def listen(self) -> InputDevice:
        found = self.find()
        self.finder.took(found)
        return found


def test_it_is_found_again_though_all_numbers_changed() -> None:
    desk = Desk(usb(3, 1, "port 1"), usb(4, 2, "port 2", name="Webcam"), wanted="usb mic")
    assert desk.listen().index == 3
    desk.plug(usb(0, 1, "port 2", name="Webcam"), usb(7, 5, "port 1"))
    assert desk.find().index == 7


def test_it_is_found_in_another_socket() -> None:
    desk = Desk(usb(3, 1, "port 1"))
    desk.listen()
    desk.plug(usb(3, 1, "port 4"))
    assert desk.find().place == "port 4"


def test_an_equal_one_that_was_there_beside_it_is_never_taken() -> None:
    desk = Desk(usb(3, 1, "port 1"), usb(4, 2, "port 2"), wanted="hw:1,0")
    assert desk.listen().place == "port 1"
    # With the first one gone, the other one may even get its card number.
    for other in (usb(3, 2, "port 2"), usb(3, 1, "port 2")):
        desk.plug(other)
        with pytest.raises(DeviceMissing, match="equal one"):
            desk.find()
    desk.plug(usb(3, 1, "port 2"), usb(4, 2, "port 1"))
    assert desk.find().place == "port 1"


def test_an_equal_one_that_came_while_it_was_heard_is_not_taken_either() -> None:
    desk = Desk(usb(3, 1, "port 1"), wanted="usb")
    desk.listen()
    desk.plug(usb(3, 1, "port 1"), usb(4, 2, "port 2"))
    desk.finder.look_round()
    desk.plug(usb(3, 2, "port 2"))
    with pytest.raises(DeviceMissing, match="equal one"):
        desk.find()


def test_equal_ones_without_sockets_are_told_apart_by_their_card_numbers() -> None:
    desk = Desk(usb(3, 1, ""), usb(4, 2, ""), wanted="hw:1,0")
    desk.listen()
    desk.plug(usb(3, 2, ""))
    with pytest.raises(DeviceMissing, match="equal one"):
        desk.find()


def test_of_two_that_may_be_it_the_serial_number_decides() -> None:
    desk = Desk(usb(3, 1, "port 1", "A"))
    desk.listen()
    desk.plug(usb(3, 1, "port 2", "B"), usb(4, 2, "port 3", "A"))
    assert desk.find().place == "port 3"


def test_a_socket_that_was_left_may_be_where_it_comes_back() -> None:
    desk = Desk(usb(3, 1, "port 1"), usb(4, 2, "port 2"), wanted="hw:1,0")
    desk.listen()
    desk.plug()
    with pytest.raises(DeviceMissing):
        desk.find()
    desk.plug(usb(3, 1, "port 2"))
    assert desk.find().place == "port 2"


@pytest.mark.parametrize(
    ("wanted", "plugged", "taken"),
    [
        ("", usb(5, 1, "port 1", name="Blue Yeti"), True),
        ("", usb(5, 4, "port 9", name="Blue Yeti"), True),
        ("mic", usb(5, 4, "port 9", name="Other Mic"), True),
        ("mic", usb(5, 4, "port 9", name="Blue Yeti"), False),
        ("3", usb(3, 4, "port 9", name="Other Mic"), False),
        ("", usb(5, 4, "port 2", name="Webcam"), False),
        ("", device(5, "USB Mic: Line (hw:1,1)", place="port 1"), False),
        ("", device(5, "sysdefault"), False),
    ],
)
def test_another_one_is_taken_if_it_was_plugged_in_and_is_what_was_asked_for(
    wanted: str, plugged: InputDevice, taken: bool
) -> None:
    desk = Desk(usb(3, 1, "port 1"), usb(4, 2, "port 2", name="Webcam"), wanted=wanted)
    assert desk.listen().place == "port 1"
    desk.plug(usb(4, 2, "port 2", name="Webcam"), plugged)
    if taken:
        assert desk.find() == plugged
    else:
        with pytest.raises(DeviceMissing):
            desk.find()


def test_the_same_one_wins_over_another_that_was_plugged_in() -> None:
    desk = Desk(usb(3, 1, "port 1"))
    desk.listen()
    desk.plug(usb(2, 0, "port 8", name="Blue Yeti"), usb(3, 1, "port 1"))
    assert desk.find().index == 3


def test_an_old_list_is_believed_only_where_nothing_moved() -> None:
    desk = Desk(usb(3, 1, "port 1"))
    desk.listen()
    assert desk.find(anew=False).index == 3
    # The list still holds the name, but another card has its number now.
    desk.system.devices = [usb(3, 1, "port 2")]
    with pytest.raises(DeviceMissing):
        desk.find(anew=False)


def test_before_the_first_list_there_is_no_old_one() -> None:
    desk = Desk()
    with pytest.raises(DeviceMissing):
        desk.find(anew=False)


def test_several_are_no_reason_to_wait() -> None:
    with pytest.raises(DeviceAmbiguous):
        Desk(usb(3, 1, "port 1"), usb(4, 2, "port 2"), wanted="usb").find()


def test_a_card_is_found_by_the_id_that_udev_gave_it() -> None:
    named = device(5, "USB Mic: Audio (hw:2,0)", card_id="desk")
    other = device(4, "USB Mic: Audio (hw:1,0)", card_id="Desk_1")
    assert Desk(other, named, wanted="desk").find() == named


HUB = tuple(device(n, f"tegra-ape: ADMAIF{n} (hw:1,{n})") for n in range(4))


@pytest.mark.parametrize("others", [(), (device(9, "default", default=True),)])
def test_the_channels_of_a_board_are_no_microphone_to_wait_for(
    others: tuple[InputDevice, ...],
) -> None:
    patient = Desk(*HUB, *others, picky=True)
    with pytest.raises(DeviceMissing, match="board's own"):
        patient.find()
    patient.plug(*HUB, *others, usb(8, 2, "port 1"))
    assert patient.find().index == 8
    assert Desk(*HUB, *others, picky=True, wanted="ADMAIF2").find().index == 2


class TestBusy:
    """Cards that another program holds, which PortAudio leaves out of its list."""

    HELD = (SoundCard("USB Mic", "desk", "port 1"), "obs (process 7)")

    @pytest.mark.parametrize("wanted", ["", "usb", "desk"])
    def test_the_program_is_named_at_the_start(self, wanted: str) -> None:
        desk = Desk(wanted=wanted)
        desk.cards.busy = [self.HELD]
        with pytest.raises(DeviceBusy, match=re.escape("'USB Mic' is in use by obs (process 7)")):
            desk.find()

    def test_and_when_it_was_taken_from_us(self) -> None:
        desk = Desk(usb(3, 1, "port 1"))
        desk.listen()
        desk.plug()
        desk.cards.plugged, desk.cards.busy = {"port 1"}, [self.HELD]
        with pytest.raises(DeviceBusy, match="obs"):
            desk.find()

    def test_other_cards_do_not_matter(self) -> None:
        desk = Desk(wanted="webcam")
        desk.cards.busy = [self.HELD]
        with pytest.raises(DeviceMissing):
            desk.find()
        desk = Desk(usb(3, 1, "port 3"))
        desk.listen()
        desk.plug()
        desk.cards.busy = [self.HELD]
        with pytest.raises(DeviceMissing):
            desk.find()
