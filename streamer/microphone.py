"""The microphone: found by name, opened at its own rate, reopened when it comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import TypeVar

from typing_extensions import Self

from streamer import microphone_notices as notices
from streamer.audio import AudioBlock
from streamer.clocks import boot_clock
from streamer.default_input import choice_notice
from streamer.devices import Backend
from streamer.errors import (
    DeviceAmbiguous,
    DeviceBusy,
    DeviceError,
    PortAudioMissing,
)
from streamer.events import Notice
from streamer.finding import DeviceFinder
from streamer.handover import Chunk, Handover, lost_samples
from streamer.opening import Opened, Opener
from streamer.pace import Pace
from streamer.patience import PatientCall
from streamer.portaudio import PortAudio
from streamer.reopening import Attempts, Reminders
from streamer.resampling import ChannelMixer, Resampling
from streamer.settings import AudioSettings
from streamer.sound_cards import SoundCards, pcm_of
from streamer.sound_server import SoundServer

FIRST_AUDIO_S = 5.0
"""How long a device may take to give its first audio; Bluetooth takes seconds."""

SILENT_CALLBACK_S = 1.0
"""After this long without audio a device that was running counts as gone."""

LEAP_S = 3.0
"""After this long between two chunks a device is opened anew: the machine slept."""

POLL_S = 0.1
"""How often it is looked whether the device still runs, or is back, while no audio comes."""

HANDOVER_S = 10.0
"""Audio that may wait between PortAudio's thread and the iteration."""

STEADY_S = 10.0
"""A device that ran for less is not opened again at once: its plug may be loose."""

ZEROS_S = 10.0
"""Nothing but zeros for so long from a device that came back makes it be opened anew;
twice that the next time."""

LONGEST_ZEROS_S = 600.0
"""The most that becomes."""

HANGS_S = 10.0
"""After this long without an answer the audio system is said to hang."""

ENDING_S = 2.0
"""How long an answer is waited for after :meth:`MicrophoneSource.stop`."""

LOOK_ROUND_S = 1.0
"""How often it is looked which other cards are there."""

T = TypeVar("T")


class MicrophoneSource:
    """A microphone as a stream of 16 kHz mono blocks; what is lost is counted.

    The device is opened at its own rate and resampled by one resampler for as long
    as audio follows on.  Of several channels the mean is taken of those that have
    carried a signal, so an unused channel does not halve the level.  Samples lie on a
    grid of 16 bits, so that a recording holds them exactly.

    A device that goes away gives a notice ``device_lost``.  It is looked for
    (:class:`~streamer.finding.DeviceFinder`) until it, or another one in its place
    (``device_changed``), is there (``device_back``), or :meth:`stop` is called; the time in
    between is ``lost_before`` the next block.  ``device_busy`` says that another program holds
    it, ``device_hangs`` that the audio system does not answer, ``device_pace`` that its rate
    is wrong, ``device_moved`` that a sound server gives another microphone under the same
    name; ``device_awaited`` reminds, ever more seldom, that it is away.

    Args:
        device: Index or part of the name (any case; a whole name wins); empty for
            the default.
        settings: Length of the blocks and time between attempts to reopen.
        clock: Seconds that only rise, also while the machine sleeps.
        backend: The audio system; PortAudio unless a test gives another.
        wait: Whether to wait for a microphone that is not there when this is entered.
            The stream then begins with ``device_awaited``, and its time once it is there.
        cards: What is known of sound cards.
        server: Tells what a sound server gives; by default asked along with PortAudio.
        poll_s: See ``POLL_S``.
    """

    def __init__(
        self,
        device: str,
        settings: AudioSettings,
        clock: Callable[[], float] = boot_clock,
        backend: Backend | None = None,
        wait: bool = False,
        cards: SoundCards | None = None,
        server: SoundServer | None = None,
        poll_s: float = POLL_S,
    ) -> None:
        self._wanted = device
        self._settings = settings
        self._clock = clock
        self._backend = backend
        self._wait = wait
        self._poll_s = poll_s
        self._server = SoundServer() if server is None and backend is None else server
        cards = SoundCards() if cards is None else cards
        self._finder = DeviceFinder(device, wait, cards)
        self._attempts = Attempts(settings.reopen_every_s, cards.stamp)
        self._opened: Opened | None = None
        self._stopped = threading.Event()
        self._handover = Handover(clock, self._stopped, HANDOVER_S * 1000 / settings.block_ms)
        self._opener = Opener(settings.block_ms, self._handover, clock)
        self._pending: PatientCall[Opened] | None = None
        self._greetings: list[Notice] = []
        self._reminders = Reminders(clock)
        self._back: Notice | None = None
        self._heard_until_s: float | None = None
        self._looked_s = clock()
        self._reason = ""
        self._heard_signal = False
        self._zeros_s = ZEROS_S

    @property
    def name(self) -> str:
        """The device's name; before it is opened, what was asked for."""
        device = self._finder.device
        return device.name if device else self._wanted or "default microphone"

    @property
    def lossless(self) -> bool:
        """False: a microphone does not wait."""
        return False

    @property
    def away(self) -> bool:
        """Whether there is no microphone to hear at the moment."""
        return self._opened is None or self._back is not None

    def __enter__(self) -> Self:
        """Open the device; audio is kept from here on.

        Raises:
            DeviceError: If there is no such device, or it cannot be opened; with ``wait``
                only if several answer to the request.
            PortAudioMissing: If the PortAudio library is not installed.
        """
        try:
            self._start()
        except (PortAudioMissing, DeviceAmbiguous):
            raise
        except DeviceError as error:
            if not self._wait:
                self.__exit__()
                raise
            self._greetings = [notices.awaited(self._wanted, error)]
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        list(self._close())
        if self._pending is not None:
            self._pending.abandon(Opened.close)
        if self._server is not None:
            self._server.stop()

    def __iter__(self) -> Iterator[AudioBlock | Notice]:
        stream = Resampling()
        while self._greetings:
            yield self._greetings.pop()
        while True:
            if self._opened is not None:
                yield from self._listen(stream)
                yield from stream.finish()
                if not self._stopped.is_set() and self._back is None:
                    self._reminders = Reminders(self._clock)
                    yield notices.lost(self.name, self._reason)
                yield from self._close()
            if self._stopped.is_set():
                return
            yield from self._reopen()

    def forget(self) -> None:
        """Forget what was heard since the device was opened: the stream starts now."""
        self._handover.clear()

    def stop(self) -> None:
        """End the iteration soon; may be called from any thread, more than once."""
        self._stopped.set()
        self._handover.wake()

    def _listen(self, stream: Resampling) -> Iterator[AudioBlock | Notice]:
        """Yield what the open device gives, until it goes away or :meth:`stop` is called."""
        assert self._opened is not None
        rate = self._opened.rate
        mixer, pace = ChannelMixer(), Pace(rate)
        previous: Chunk | None = None
        for chunk in self._chunks():
            lost_s = _lost_s(previous, chunk, pace)
            if previous is None:
                stream.start(rate, self._away_s(chunk, rate))
            elif lost_s:
                yield from stream.finish()
                stream.start(rate, lost_s)
            yield from self._news(pace)
            yield from stream.push(mixer.mix(chunk.samples))
            self._heard_until_s = chunk.arrived_s
            self._look_round(chunk.arrived_s)
            previous = chunk
        if self._clock() - self._opened.began_s >= STEADY_S:
            self._attempts.begin_anew()

    def _news(self, pace: Pace) -> Iterator[Notice]:
        """Tell, once, that the device is back, is another one now, or has a wrong rate."""
        if self._back is not None:
            back, self._back = self._back, None
            self._reminders = Reminders(self._clock)
            yield back
        while self._greetings:
            yield self._greetings.pop()
        moved = self._server.moved() if self._server is not None else None
        if moved is not None:
            yield notices.moved(self.name, *moved)
        measured = pace.wrong_rate
        if measured is not None and not pace.told:
            pace.told = True
            yield notices.wrong_pace(self.name, measured, pace.rate)

    def _chunks(self) -> Iterator[Chunk]:
        """Yield chunks until the device is gone, hears nothing but zeros, or stops are asked."""
        quiet_since_s = arrived_s = began_s = self._clock()
        patience_s = FIRST_AUDIO_S
        doubted = self._back is not None and self._heard_signal
        self._reason = "is gone or gives no audio: plug it in again"
        while True:
            chunk = self._handover.get(self._poll_s)
            if chunk is None:
                if self._is_gone(self._clock() - quiet_since_s >= patience_s):
                    return
                continue
            if patience_s < FIRST_AUDIO_S and self._leapt(chunk, arrived_s):
                return
            quiet_since_s, patience_s = self._clock(), SILENT_CALLBACK_S
            arrived_s = chunk.arrived_s
            if chunk.samples.any():
                self._heard_signal, self._zeros_s, doubted = True, ZEROS_S, False
            elif doubted and arrived_s - began_s >= self._zeros_s:
                self._zeros_s = min(2 * self._zeros_s, LONGEST_ZEROS_S)
                self._reason = "gives nothing but zeros since it came back"
                return
            yield chunk

    def _is_gone(self, overdue: bool) -> bool:
        opened = self._opened
        return self._stopped.is_set() or opened is None or not opened.input.active or overdue

    def _leapt(self, chunk: Chunk, before_s: float) -> bool:
        """Return whether the machine slept, or stood still, before a chunk."""
        leapt = not chunk.overflowed and chunk.arrived_s - before_s >= LEAP_S
        if leapt:
            self._reason = "gave no audio for a while, as after a sleep of the machine"
        return leapt

    def _away_s(self, chunk: Chunk, rate: int) -> float:
        """Seconds of audio lost while the device was away, before its first chunk."""
        if self._back is None or self._heard_until_s is None:
            return 0.0
        return max(0.0, chunk.arrived_s - len(chunk.samples) / rate - self._heard_until_s)

    def _look_round(self, now_s: float) -> None:
        if now_s - self._looked_s >= LOOK_ROUND_S:
            self._looked_s = now_s
            self._finder.look_round()

    def _reopen(self) -> Iterator[Notice]:
        """Try to open the device until that works or :meth:`stop` is called."""
        reminders = self._reminders
        while not self._stopped.wait(self._poll_s):
            if reminders.away.due():
                yield notices.still_away(self.name, reminders.away.lasting_s)
            if not self._attempts.due(self._poll_s):
                continue
            pending, self._pending = self._pending, None
            look = partial(self._look, self._attempts.list_due())
            try:
                opened = yield from self._patiently(pending or PatientCall(look), Opened.close)
            except DeviceBusy as error:
                if reminders.busy.due():
                    yield notices.busy(error)
            except DeviceError:
                continue
            else:
                if opened is not None:
                    self._welcome(opened)
                return

    def _start(self) -> None:
        """Open the device for the first time, or raise why that cannot be."""
        self._pending = PatientCall(self._first_look)
        if not self._pending.wait(HANGS_S):
            raise DeviceError(notices.no_answer(self.name))
        pending, self._pending = self._pending, None
        opened = pending.result()
        self._take(opened)
        self._heard_until_s = opened.began_s
        self._greet()

    def _first_look(self) -> Opened:
        self._backend = self._backend or PortAudio()
        return self._opener.open(self._backend, self._finder.find(self._backend, anew=True))

    def _look(self, anew: bool) -> Opened:
        """Find and open the device; in the thread of the audio system."""
        if self._backend is None:
            return self._first_look()
        if anew:
            self._backend.refresh()
        return self._opener.open(self._backend, self._finder.find(self._backend, anew))

    def _take(self, opened: Opened) -> None:
        self._opened = opened
        self._finder.took(opened.device)
        if self._server is not None and pcm_of(opened.device.name) is None:
            self._server.start()

    def _welcome(self, opened: Opened) -> None:
        """Take a device that is there again, and have that told with its first audio."""
        before = self._finder.device
        self._back = notices.back(before, opened)
        self._take(opened)
        if before is None:
            self._greet()
        elif notices.is_another(before, opened.device):
            self._greetings = [notices.changed(before, opened.device)]

    def _greet(self) -> None:
        """Have it told why this device is heard, where that needs telling."""
        choice = choice_notice(self._finder.devices, self._wanted)
        self._greetings = [choice] if choice is not None else []

    def _close(self) -> Iterator[Notice]:
        opened, self._opened = self._opened, None
        if opened is not None:
            yield from self._patiently(PatientCall(opened.close), lambda _: None)

    def _patiently(
        self, pending: PatientCall[T], discard: Callable[[T], None]
    ) -> Generator[Notice, None, T | None]:
        """Wait for a call for as long as it takes; return None if stopped meanwhile."""
        waited_s = stopped_s = 0.0
        told = False
        while not pending.wait(self._poll_s):
            waited_s += self._poll_s
            stopped_s += self._poll_s * self._stopped.is_set()
            if stopped_s >= ENDING_S or (waited_s >= HANGS_S and not told):
                told = True
                yield notices.hangs(self.name, ending=stopped_s > 0)
            if stopped_s >= ENDING_S:
                pending.abandon(discard)
                return None
        return pending.result()


def _lost_s(previous: Chunk | None, chunk: Chunk, pace: Pace) -> float:
    """Return the seconds lost between two chunks, told by the device or not; mostly 0."""
    told_s = 0.0
    if previous is not None and chunk.overflowed:
        told_s = lost_samples(previous, chunk, pace.rate) / pace.rate
        pace.lost(told_s)
    return told_s + pace.untold_s(chunk)
