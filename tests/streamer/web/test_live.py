"""The live captions of the machine, for viewers that come, go, and come back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.request import Request, urlopen

import pytest
from typing_extensions import Self
from websocket import WebSocket, create_connection

from streamer.audio import AudioBlock
from streamer.errors import DeviceError
from streamer.events import Event, FinalTranscript, Notice, PartialTranscript, Status, Word
from streamer.microphone import MicrophoneSource
from streamer.replay import WavReplaySource
from streamer.settings import AudioSettings
from streamer.web.errors import Busy, Conflict
from streamer.web.keeping import Shelf
from streamer.web.live import WAITING_AT_MOST, LiveHub, Message, Position, Viewer
from streamer.web.metrics import Metrics
from streamer.web.model_host import ModelHost
from tests.streamer.sound_system import SoundSystem, device
from tests.streamer.tone_speech import EventList
from tests.streamer.web.conftest import Site
from tests.streamer.web.test_keeping import Recordings

CLIP = Path(__file__).parents[2] / "data" / "speech" / "1737-146161-0013.opus"
GIVEN_UP_S = 60.0


class NoModels:
    """Stands for the models where no stream is opened."""

    name = "english"

    def on_exchange(self, listener: Callable[[], None]) -> None: ...


def hub_of(history: int = 100, viewers: int = 5) -> LiveHub:
    models, shelf = cast(ModelHost, NoModels()), cast(Shelf, None)
    return LiveHub(models, shelf, None, Metrics(), history=history, viewers=viewers)


def final(number: int, text: str = "hello") -> FinalTranscript:
    words = (Word(text, 0.1, 0.5, 0.9),)
    return FinalTranscript(number, text, words, 0.0, 1.0, 1.2, "silence")


def partial(text: str) -> PartialTranscript:
    return PartialTranscript(1, "", text, 0.0, 1.0)


def taken(viewer: Viewer) -> list[Message]:
    messages = []
    while (message := viewer.take(0.0)) is not None:
        messages.append(message)
    return messages


def seqs(messages: list[Message]) -> list[int]:
    return [message["seq"] for message in messages if message["type"] == "final"]


def test_who_comes_late_gets_what_was_said() -> None:
    hub = hub_of()
    for number in range(1, 4):
        hub.emit(final(number), number)
    hub.emit(partial("and so"), 4.0)
    hello, *rest = taken(hub.watch())
    assert hello["type"] == "hello"
    assert (hello["run"], hello["seq"], hello["missed"]) == (hub.run, 3, False)
    assert seqs(rest) == [1, 2, 3]
    assert rest[-1]["tail"] == "and so"


def test_who_comes_after_a_final_gets_no_partial_of_it() -> None:
    hub = hub_of()
    hub.emit(partial("hel"), 1.0)
    hub.emit(final(1), 2.0)
    assert [message["type"] for message in taken(hub.watch())] == ["hello", "final"]


def test_who_comes_back_gets_what_it_missed_and_nothing_twice() -> None:
    hub = hub_of()
    viewer = hub.watch()
    hub.emit(final(1), 1.0)
    seen = seqs(taken(viewer))
    hub.leave(viewer)
    hub.emit(final(2), 2.0)
    again = hub.watch(Position(hub.run, seen[-1]))
    hub.emit(final(3), 3.0)
    assert seen + seqs(taken(again)) == [1, 2, 3]


def test_what_is_no_longer_remembered_is_said_to_be_missed() -> None:
    hub = hub_of(history=10)
    for number in range(1, 31):
        hub.emit(final(number), number)
    hello, *rest = taken(hub.watch(Position(hub.run, 5)))
    assert hello["missed"]
    assert seqs(rest) == list(range(21, 31))
    hello, *rest = taken(hub.watch(Position(hub.run, 20)))
    assert not hello["missed"]
    assert seqs(rest) == list(range(21, 31))


def test_another_run_of_the_server_starts_anew() -> None:
    hub = hub_of()
    hub.emit(final(1), 1.0)
    assert seqs(taken(hub.watch(Position("another", 50)))) == [1]


def test_a_newer_partial_takes_the_place_of_one_that_waits() -> None:
    hub = hub_of()
    viewer = hub.watch()
    taken(viewer)
    status = Status(1.0, -30.0, 0.0, 0.0, True)
    for number in range(50):
        hub.emit(partial(f"word {number}"), number)
        hub.emit(status, number)
    messages = taken(viewer)
    assert [m["tail"] for m in messages if m["type"] == "partial"] == ["word 49"]
    assert sum(m["type"] == "status" for m in messages) == 1


def test_a_partial_never_takes_the_place_of_a_final() -> None:
    hub = hub_of()
    viewer = hub.watch()
    taken(viewer)
    hub.emit(partial("one"), 1.0)
    hub.emit(final(1), 2.0)
    hub.emit(partial("two"), 3.0)
    assert [m["type"] for m in taken(viewer)] == ["partial", "final", "partial"]


def test_a_viewer_that_falls_behind_is_sent_away_and_costs_no_more() -> None:
    hub = hub_of(history=WAITING_AT_MOST * 3)
    viewer = hub.watch()
    for number in range(1, WAITING_AT_MOST * 2):
        hub.emit(final(number), number)
    assert viewer.ended
    assert viewer.take(0.0) is None
    hub.leave(viewer)
    assert hub.viewing == 0


def test_too_many_viewers_are_told_so() -> None:
    hub = hub_of(viewers=2)
    first = hub.watch()
    hub.watch()
    with pytest.raises(Busy, match=r"web\.viewers"):
        hub.watch()
    hub.leave(first)
    hub.watch()


def test_viewers_are_told_when_what_is_kept_was_deleted() -> None:
    hub = hub_of()
    viewer = hub.watch()
    hub.emit(Notice("keeping_ended", "the recording was deleted", "warning"), 1.0)
    notice, keeping = taken(viewer)[1:]
    assert notice["text"] == "the recording was deleted"
    assert keeping == {"type": "keeping", "keeping": False, "recording": None}


def test_the_program_s_log_gets_every_event() -> None:
    log = EventList()
    models = cast(ModelHost, NoModels())
    hub = LiveHub(models, cast(Shelf, None), None, Metrics(), log=log)
    events: list[Event] = [Notice("device_lost", "gone"), Status(1.0, -30.0, 0.0, 0.0, False)]
    for event in events:
        hub.emit(event, 1.0)
    assert log.events == events


def test_who_stops_keeping_is_not_kept_when_the_next_stream_begins() -> None:
    shelf = Recordings()
    models = cast(ModelHost, NoModels())
    hub = LiveHub(models, shelf, None, Metrics())
    hub._source = WavReplaySource([CLIP])  # As while a stream goes on.
    hub.keep(True, "meeting")
    hub._keeper.finish()
    hub._go_on_keeping()
    assert [kept.title for kept in shelf.all] == ["meeting", "meeting"]
    hub.keep(False)
    hub._go_on_keeping()
    assert hub.recording is None
    assert len(shelf.all) == 2


def test_a_microphone_that_is_awaited_is_not_listened_to() -> None:
    system = SoundSystem([])
    hub = LiveHub(cast(ModelHost, NoModels()), cast(Shelf, None), lambda: microphone, Metrics())
    with MicrophoneSource("", AudioSettings(), backend=system, wait=True) as microphone:
        hub._source = microphone  # As while its stream goes on.
        assert hub.state == "waiting"
    system.devices = [device(0, "USB Mic")]
    with MicrophoneSource("", AudioSettings(), backend=system, wait=True) as microphone:
        hub._source = microphone
        assert hub.state == "listening"


def test_nothing_is_kept_while_nothing_is_heard() -> None:
    with pytest.raises(Conflict, match="nothing"):
        hub_of().keep(True)


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + GIVEN_UP_S
    while not holds():
        assert time.monotonic() < until, "it never came to be"
        time.sleep(0.05)


@contextmanager
def watching(site: Site, query: str = "") -> Iterator[WebSocket]:
    socket = create_connection(f"{site.ws_url}api/live{query}", timeout=GIVEN_UP_S)
    try:
        yield socket
    finally:
        socket.close()
        socket.shutdown()  # It does not close its end where the server closed first.


def read_until(socket: WebSocket, kind: str) -> list[dict[str, Any]]:
    messages = [json.loads(socket.recv())]
    while messages[-1]["type"] != kind:
        messages.append(json.loads(socket.recv()))
    return messages


def keep(site: Site, **order: object) -> dict[str, Any]:
    request = Request(
        f"{site.url}api/live/keep", json.dumps(order).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=GIVEN_UP_S) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def test_every_browser_sees_the_same_and_what_is_kept_is_kept(site: Site) -> None:
    with watching(site) as first, watching(site) as second:
        site.play_live(CLIP)
        read_until(first, "start")
        kept = keep(site, keep=True, title="meeting")
        assert kept["keeping"]
        heard = [read_until(socket, "summary") for socket in (first, second)]
        with watching(site) as late:
            hello = json.loads(late.recv())
            remembered = [m for m in read_until(late, "summary") if m["type"] == "final"]
    finals = [[m for m in messages if m["type"] == "final"] for messages in heard]
    assert finals[0] == finals[1] == remembered
    assert finals[0]
    assert hello["source"] == CLIP.name
    wait_until(lambda: site.services.library.recording(kept["recording"]).state == "finished")
    recording = site.services.library.recording(kept["recording"])
    assert recording.title == "meeting"
    assert recording.origin == "live"
    texts = [m["text"] for m in finals[0] if m["text"]]
    assert [s.text for s in recording.segments if s.text][-1:] == texts[-1:]
    with watching(site) as socket:
        assert json.loads(socket.recv())["keeping"] is False


class Failing:
    """A microphone that cannot be opened at first."""

    name, lossless = "microphone", False
    attempts = 0

    def __enter__(self) -> Self:
        Failing.attempts += 1
        raise DeviceError("no microphone is there; plug one in")

    def __exit__(self, *_: object) -> None: ...

    def __iter__(self) -> Iterator[AudioBlock | Notice]:
        return iter(())

    def stop(self) -> None: ...


def test_a_microphone_that_is_not_there_is_told_once_and_looked_for_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.web.live.RETRY_S", 0.05)
    hub = site.services.live
    viewer = hub.watch()
    taken(viewer)
    hub.play(Failing)
    wait_until(lambda: Failing.attempts >= 4)
    assert hub.state == "failed"
    site.play_live(CLIP)
    messages: list[Message] = []

    def heard() -> bool:
        messages.extend(taken(viewer))
        return bool(seqs(messages))

    wait_until(heard)
    hub.leave(viewer)
    told = [m for m in messages if m["type"] == "notice" and "plug one in" in m["text"]]
    assert len(told) == 1


def test_a_long_history_does_not_send_its_reader_away() -> None:
    hub = hub_of(history=2 * WAITING_AT_MOST)
    for number in range(2 * WAITING_AT_MOST):
        hub.emit(final(number), number)
    viewer = hub.watch()
    hub.emit(final(0, "news"), 0.0)
    assert not viewer.ended
    assert len(seqs(taken(viewer))) == 2 * WAITING_AT_MOST + 1
