"""A microphone over a long life: pulled out, taken, asleep, hanging, and heard again."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streamer import microphone as module
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.clocks import boot_clock
from streamer.devices import InputDevice
from streamer.errors import DeviceAmbiguous, DeviceBusy, DeviceError, DeviceMissing
from streamer.events import Notice
from streamer.microphone import LEAP_S, ZEROS_S, MicrophoneSource
from streamer.patience import PatientCall
from streamer.reopening import REMIND_S
from streamer.settings import AudioSettings
from streamer.sound_cards import SoundCard
from tests.streamer.sound_system import Cards, Clock, OpenedInput, SoundSystem, device, ones

SETTINGS = AudioSettings(reopen_every_s=0.1)
BLOCK = 320
POLL_S = 0.001
TIMEOUT_S = 10.0


def usb(place: str, card: int = 1, name: str = "USB Mic") -> InputDevice:
    return device(card, f"{name}: Audio (hw:{card},0)", place=place)


class Room:
    """A microphone on a machine whose time and plugs a test moves.

    Args:
        devices: What is plugged in at the start.
        wanted: What is asked for.
        wait: Whether to wait for it.
    """

    def __init__(self, *devices: InputDevice, wanted: str = "", wait: bool = False) -> None:
        self.clock, self.cards = Clock(), Cards()
        self.system = SoundSystem((), on_open=self._first_audio)
        self.first_audio = False
        self.plug(*devices)
        self.source = MicrophoneSource(
            wanted, SETTINGS, self.clock, self.system, wait, self.cards, poll_s=POLL_S
        )
        self.items: Iterator[AudioBlock | Notice] = iter(())

    def listen(self) -> Room:
        self.source.__enter__()
        self.items = iter(self.source)
        self.first_audio = True
        return self

    def plug(self, *devices: InputDevice) -> None:
        """Have these devices plugged in, and no others."""
        self.system.devices = devices
        self.cards.plugged = {d.place for d in devices if d.place}
        self.cards.changes += 1
        for opened in self.system.opened[-1:]:
            opened.active = opened.active and opened.device in devices

    def hear(self, value: float = 0.5, overflowed: bool = False) -> AudioBlock:
        """Let a block pass, and return what came of it."""
        self.deliver(value, overflowed)
        block = next(self.items)
        assert isinstance(block, AudioBlock)
        return block

    def deliver(self, value: float = 0.5, overflowed: bool = False) -> None:
        self.clock.now_s += BLOCK / SAMPLE_RATE
        self.system.hear(np.full(BLOCK, value, np.float32), overflowed)

    def notice(self, kind: str) -> Notice:
        notice = next(self.items)
        assert isinstance(notice, Notice), notice
        assert notice.kind == kind, notice
        return notice

    def end(self) -> list[AudioBlock | Notice]:
        self.source.stop()
        rest = list(self.items)
        self.source.__exit__(None, None, None)
        return rest

    def _first_audio(self, opened: OpenedInput) -> None:
        """Let a device that is opened again be heard at once, as it would be in time."""
        if self.first_audio:
            self.clock.now_s += BLOCK / SAMPLE_RATE
            opened.deliver(ones(BLOCK)[:, None], False, 0.0)


def test_the_clock_counts_the_sleep_of_the_machine_and_only_rises() -> None:
    first, second = boot_clock(), boot_clock()
    assert 0 < first <= second


class TestWaiting:
    """With ``wait`` a microphone that is not there is awaited."""

    def test_the_stream_begins_once_it_is_there(self) -> None:
        room = Room(wait=True).listen()
        assert room.source.away
        assert room.source.name == "default microphone"
        assert "plug a microphone in" in room.notice("device_awaited").text
        room.clock.now_s += 500
        room.plug(usb("port 1"))
        assert room.notice("device_back").level == "info"
        first = next(room.items)
        assert isinstance(first, AudioBlock)
        assert (first.start, first.lost_before) == (0, 0)
        assert not room.source.away
        assert room.source.name.startswith("USB Mic")
        assert room.hear().start == BLOCK
        room.end()

    def test_it_is_told_why_that_one_was_chosen(self) -> None:
        room = Room(wait=True).listen()
        room.notice("device_awaited")
        hdmi = device(0, "HDA NVidia: HDMI 0 (hw:0,3)", default=True)
        room.plug(hdmi, usb("port 1"))
        room.notice("device_back")
        assert "USB Mic" in room.notice("default_input").text
        assert isinstance(next(room.items), AudioBlock)
        room.end()

    def test_only_the_one_that_was_named_ends_it(self) -> None:
        room = Room(usb("port 1", name="Webcam"), wanted="usb mic", wait=True).listen()
        assert "'usb mic'" in room.notice("device_awaited").text
        room.plug(usb("port 1", name="Webcam"), usb("port 2", 2))
        assert "USB Mic" in room.notice("device_back").text
        room.end()

    def test_a_device_that_is_taken_is_awaited_too(self) -> None:
        room = Room(usb("port 1"), wait=True)
        room.system.busy = True
        room.listen()
        assert "is busy" in room.notice("device_awaited").text
        room.system.busy = False
        room.plug(usb("port 1"))
        room.notice("device_back")
        room.end()

    def test_it_is_told_again_only_now_and_then(self) -> None:
        room = Room(wait=True).listen()
        room.notice("device_awaited")
        for wait_s in (REMIND_S, 2 * REMIND_S):
            room.clock.now_s += wait_s
            assert "looked for" in room.notice("device_awaited").text
        assert room.end() == []

    def test_the_stop_ends_it_at_once(self) -> None:
        room = Room(wait=True).listen()
        room.notice("device_awaited")
        assert room.end() == []

    def test_what_waiting_cannot_mend_is_an_error(self) -> None:
        with pytest.raises(DeviceAmbiguous):
            Room(usb("port 1"), usb("port 2", 2), wanted="usb", wait=True).listen()

    def test_without_it_the_start_fails(self) -> None:
        with pytest.raises(DeviceMissing):
            Room().listen()
        room = Room()
        room.cards.busy = [(SoundCard("USB Mic", "desk", "port 1"), "obs (process 7)")]
        with pytest.raises(DeviceBusy, match="obs"):
            room.listen()


def test_another_microphone_that_is_plugged_in_takes_its_place_and_that_is_told() -> None:
    room = Room(usb("port 1")).listen()
    room.hear()
    room.plug()
    room.notice("device_lost")
    room.plug(usb("port 1", name="Blue Yeti"))
    assert "Blue Yeti" in room.notice("device_back").text
    changed = room.notice("device_changed")
    assert "USB Mic" in changed.text and "Blue Yeti" in changed.text
    assert isinstance(next(room.items), AudioBlock)
    assert room.source.name.startswith("Blue Yeti")
    room.end()


class TestBusy:
    """Another program takes the device while it is away."""

    def test_the_program_is_named_once_and_the_device_taken_up_later(self) -> None:
        room = Room(usb("port 1")).listen()
        room.hear()
        room.plug()
        room.notice("device_lost")
        room.cards.plugged = {"port 1"}
        for program in ("obs (process 7)", "arecord (process 8)"):
            room.cards.busy = [(SoundCard("USB Mic", "desk", "port 1"), program)]
            room.cards.changes += 1
            if program.startswith("obs"):
                assert "obs (process 7)" in room.notice("device_busy").text
        room.cards.busy = []
        room.plug(usb("port 1"))
        room.notice("device_back")
        room.end()


class TestSleep:
    """The machine sleeps: its clock leaps, its devices may be dumb behind it."""

    def test_the_time_asleep_is_lost_time_also_where_audio_comes_at_once(self) -> None:
        room = Room(usb("port 1")).listen()
        before = room.hear()
        room.clock.now_s += 3600
        room.deliver()
        assert "sleep" in room.notice("device_lost").text
        room.cards.changes += 1
        room.notice("device_back")
        after = next(room.items)
        assert isinstance(after, AudioBlock)
        lost_s = after.lost_before / SAMPLE_RATE
        assert lost_s == pytest.approx(3600, abs=0.1)
        assert after.start == before.end + after.lost_before
        room.end()

    def test_less_than_a_sleep_is_no_loss(self) -> None:
        room = Room(usb("port 1")).listen()
        room.hear()
        room.clock.now_s += LEAP_S - 0.5
        assert room.hear().lost_before == 0
        room.end()

    def test_a_device_that_gives_only_zeros_behind_it_is_opened_anew(self) -> None:
        room = Room(usb("port 1")).listen()
        room.hear()
        room.system.on_open = lambda opened: None
        room.plug()
        room.notice("device_lost")
        room.plug(usb("port 1"))
        rounds = (ZEROS_S, 2 * ZEROS_S)
        for number, patience_s in enumerate(rounds, 2):
            self.wait_for_opening(room, number)
            room.deliver(0.0)
            room.notice("device_back")
            assert isinstance(next(room.items), AudioBlock)
            for _ in range(round(patience_s / 2) - 1):
                room.clock.now_s += 2
                room.hear(0.0)
            room.clock.now_s += 2
            room.deliver(0.0)
            assert "zeros" in room.notice("device_lost").text
            room.cards.changes += 1
        room.end()

    def test_a_muted_device_is_left_alone(self) -> None:
        room = Room(usb("port 1")).listen()
        for _ in range(30):
            room.clock.now_s += 2
            room.hear(0.0)
        assert len(room.system.opened) == 1
        room.end()

    @staticmethod
    def wait_for_opening(room: Room, number: int) -> None:
        """Let a thread wait for the next item until the device was opened so often."""
        opened = threading.Event()

        def tell(_: OpenedInput) -> None:
            if len(room.system.opened) >= number:
                opened.set()

        room.system.on_open = tell
        items, got = room.items, []
        reader = threading.Thread(target=lambda: got.append(next(items)), daemon=True)
        reader.start()
        assert opened.wait(TIMEOUT_S)

        def replay() -> Iterator[AudioBlock | Notice]:
            reader.join(TIMEOUT_S)
            yield from got
            yield from items

        room.items = replay()


class TestHanging:
    """Calls that never answer, as a driver may keep them."""

    @pytest.fixture
    def never(self) -> Iterator[threading.Event]:
        event = threading.Event()
        yield event
        event.set()

    @pytest.fixture(autouse=True)
    def soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "HANGS_S", 0.05)
        monkeypatch.setattr(module, "ENDING_S", 0.05)

    def test_a_close_that_hangs_is_told_and_does_not_keep_the_captions_from_ending(
        self, never: threading.Event
    ) -> None:
        room = Room(usb("port 1")).listen()
        room.hear()
        room.system.opened[-1].on_close = lambda: assert_waited(never)
        [told] = room.end()
        assert isinstance(told, Notice)
        assert (told.kind, told.level) == ("device_hangs", "error")

    def test_after_a_hang_the_captions_go_on(self, never: threading.Event) -> None:
        room = Room(usb("port 1")).listen()
        room.hear()
        room.system.opened[-1].on_close = lambda: assert_waited(never)
        room.plug()
        room.notice("device_lost")
        assert "does not answer" in room.notice("device_hangs").text
        room.plug(usb("port 1"))
        never.set()
        room.notice("device_back")
        room.end()

    def test_an_open_that_hangs_ends_with_the_stop_and_is_closed_when_it_comes(
        self, never: threading.Event
    ) -> None:
        room = Room(usb("port 1")).listen()
        room.hear()
        room.plug()
        room.notice("device_lost")
        room.system.on_open = lambda opened: assert_waited(never)
        room.plug(usb("port 1"))
        room.notice("device_hangs")
        room.end()
        late = room.system.opened[-1]
        closed = threading.Event()
        late.on_close = closed.set
        assert not late.closed
        never.set()
        assert closed.wait(TIMEOUT_S)

    @pytest.mark.parametrize("wait", [False, True])
    def test_a_start_that_hangs_is_an_error_or_awaited(
        self, wait: bool, never: threading.Event
    ) -> None:
        room = Room(usb("port 1"), wait=wait)
        room.system.on_open = lambda opened: assert_waited(never)
        if not wait:
            with pytest.raises(DeviceError, match="does not answer"):
                room.listen()
            return
        room.listen()
        assert "does not answer" in room.notice("device_awaited").text
        room.end()


def assert_waited(event: threading.Event) -> None:
    assert event.wait(TIMEOUT_S)


class TestPatientCalls:
    """A call in a thread of its own."""

    def test_gives_the_answer(self) -> None:
        call = PatientCall(lambda: 42)
        assert call.wait(TIMEOUT_S)
        assert call.result() == 42

    def test_gives_the_error(self) -> None:
        def fail() -> None:
            raise DeviceError("no")

        call = PatientCall(fail)
        assert call.wait(TIMEOUT_S)
        with pytest.raises(DeviceError, match="no"):
            call.result()

    @pytest.mark.parametrize("first", ["answer", "abandon"])
    def test_an_answer_that_nobody_wants_is_discarded_once(self, first: str) -> None:
        go, discarded = threading.Event(), threading.Event()
        thrown: list[int] = []

        def discard(answer: int) -> None:
            thrown.append(answer)
            discarded.set()

        call = PatientCall(lambda: (assert_waited(go), 7)[1])
        if first == "answer":
            go.set()
            assert call.wait(TIMEOUT_S)
        call.abandon(discard)
        go.set()
        assert discarded.wait(TIMEOUT_S)
        assert thrown == [7]


def test_a_late_delivery_of_a_device_that_was_given_up_is_passed_over() -> None:
    room = Room(usb("port 1")).listen()
    room.hear()
    first = room.system.opened[0]
    room.plug()
    room.notice("device_lost")
    room.plug(usb("port 1"))
    room.notice("device_back")
    assert isinstance(next(room.items), AudioBlock)
    first.deliver(ones(BLOCK)[:, None], False, 0.0)
    end = room.hear().end
    assert room.end() == []
    assert end / SAMPLE_RATE == pytest.approx(room.clock.now_s - 1000, abs=1e-3)


def test_hundreds_of_losses_leave_no_threads_behind() -> None:
    room = Room(usb("port 1")).listen()
    before = threading.active_count()
    for number in range(300):
        room.hear()
        room.plug()
        room.notice("device_lost")
        room.plug(usb("port 1", 1 + number % 3))
        room.notice("device_back")
        assert isinstance(next(room.items), AudioBlock)
    assert len(room.system.opened) == 301
    assert all(opened.closed for opened in room.system.opened[:-1])
    room.end()
    assert threading.active_count() <= before + 1


class LifeOfAMicrophone(RuleBasedStateMachine):
    """Whatever happens, audio heard and time lost add up, and the stream goes on."""

    TWIN = usb("port 9", 9)

    def __init__(self) -> None:
        super().__init__()
        self.room = Room(usb("port 1"), self.TWIN, wanted="hw:1,0").listen()
        self.began_s = self.room.clock.now_s
        self.end = self.emitted = self.lost = 0
        self.here, self.card, self.told_busy = True, 1, False

    def teardown(self) -> None:
        for item in self.room.end():
            self.count(item)
        super().teardown()

    def count(self, item: AudioBlock | Notice) -> None:
        if isinstance(item, AudioBlock):
            assert item.start == self.end + item.lost_before
            self.end = item.end
            self.emitted += len(item.samples)
            self.lost += item.lost_before

    @initialize()
    def first(self) -> None:
        self.count(self.room.hear())

    @precondition(lambda self: self.here)
    @rule(blocks=st.integers(1, 5), silent=st.booleans())
    def hear(self, blocks: int, silent: bool) -> None:
        for _ in range(blocks):
            self.count(self.room.hear(0.0 if silent else 0.5))

    @precondition(lambda self: self.here)
    @rule(lost_s=st.floats(0.01, 0.9))
    def overflow(self, lost_s: float) -> None:
        self.room.clock.now_s += lost_s
        block = self.room.hear(overflowed=True)
        assert block.lost_before / SAMPLE_RATE == pytest.approx(lost_s, abs=1e-3)
        self.count(block)

    @precondition(lambda self: self.here)
    @rule(twin_stays=st.booleans())
    def pull_out(self, twin_stays: bool) -> None:
        self.room.plug(*([self.TWIN] if twin_stays else []))
        self.room.notice("device_lost")
        self.here, self.told_busy = False, False

    @precondition(lambda self: self.here)
    @rule(asleep_s=st.floats(LEAP_S, 1e6))
    def sleep(self, asleep_s: float) -> None:
        self.room.clock.now_s += asleep_s
        self.room.deliver()
        self.room.notice("device_lost")
        self.here, self.told_busy = False, False

    @precondition(lambda self: not self.here)
    @rule(away_s=st.floats(0, 500))
    def stay_away(self, away_s: float) -> None:
        self.room.clock.now_s += min(away_s, 100)

    @precondition(lambda self: not self.here and not self.told_busy)
    @rule()
    def be_taken(self) -> None:
        room = self.room
        room.plug(self.TWIN)
        room.cards.plugged.add("port 1")
        room.cards.busy = [(SoundCard("USB Mic", "", "port 1"), "obs (process 7)")]
        item = next(room.items)
        while isinstance(item, Notice) and item.kind == "device_awaited":
            item = next(room.items)
        assert isinstance(item, Notice) and item.kind == "device_busy"
        self.told_busy = True
        room.cards.busy = []

    @precondition(lambda self: not self.here)
    @rule(card=st.integers(0, 5), others=st.integers(0, 3), twin=st.booleans())
    def plug_in(self, card: int, others: int, twin: bool) -> None:
        more = [usb(f"port {20 + n}", 20 + n, "Webcam") for n in range(others)]
        self.room.plug(*more, *([self.TWIN] if twin else []), usb("port 1", card))
        item = next(self.room.items)
        while isinstance(item, Notice) and item.kind == "device_awaited":
            item = next(self.room.items)
        assert isinstance(item, Notice) and item.kind == "device_back"
        self.count(next(self.room.items))
        assert self.room.system.opened[-1].device.place == "port 1"
        self.here = True

    @invariant()
    def all_is_counted(self) -> None:
        assert self.end == self.emitted + self.lost
        if self.here:
            passed_s = self.room.clock.now_s - self.began_s
            assert self.end / SAMPLE_RATE == pytest.approx(passed_s, abs=0.01 + 1e-9 * passed_s)


LifeOfAMicrophone.TestCase.settings = hypothesis_settings(
    max_examples=25, stateful_step_count=30, deadline=None
)
TestLife = LifeOfAMicrophone.TestCase
