"""A client's stream over its WebSocket, on a real server with the shipped models."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile
import soxr
from simple_websocket import ConnectionClosed, Server
from websocket import WebSocket, create_connection

from streamer.app import build_stream, load_model
from streamer.errors import ReaderGone
from streamer.events import FinalTranscript, Word
from streamer.replay import WavReplaySource
from streamer.runner import run_inline
from streamer.settings import LiveSettings, WebSettings
from streamer.web import streaming
from streamer.web.keeping import Keeper
from streamer.web.library.library import Library
from streamer.web.streaming import SocketSink
from tests.streamer.web.conftest import Site, running_site

CLIP = Path(__file__).parents[2] / "data" / "speech" / "1737-146161-0013.opus"
"""About 6 s of speech."""

PIECE_S = 0.1
GIVEN_UP_S = 60.0

Message = dict[str, Any]


def speech(rate: int = 16_000) -> np.ndarray:
    """Return the clip as int16 samples."""
    samples, own_rate = soundfile.read(CLIP, dtype="float32")
    if own_rate != rate:
        samples = soxr.resample(samples, own_rate, rate)
    return np.rint(samples * 32_767).astype("<i2")


class Client:
    """Sends speech ahead of time, and reads what comes."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.messages: list[Message] = []

    def send(self, samples: np.ndarray, rate: int = 16_000) -> None:
        step = round(rate * PIECE_S)
        for start in range(0, len(samples), step):
            self.socket.send_binary(samples[start : start + step].tobytes())

    def order(self, **order: object) -> None:
        self.socket.send(json.dumps(order))

    def read_until(self, wanted: Callable[[Message], bool]) -> Message:
        while text := self.socket.recv():
            self.messages.append(json.loads(text))
            if wanted(self.messages[-1]):
                return self.messages[-1]
        raise AssertionError(f"the server ended; it said {self.messages[-3:]}")

    def read_type(self, kind: str) -> Message:
        return self.read_until(lambda message: message["type"] == kind)

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.messages if message["type"] == "final"]


@contextmanager
def connected(site: Site, query: str = "rate=16000") -> Iterator[Client]:
    socket = create_connection(f"{site.ws_url}api/stream?{query}", timeout=GIVEN_UP_S)
    try:
        yield Client(socket)
    finally:
        socket.close()
        socket.shutdown()  # It does not close its end where the server closed first.


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + GIVEN_UP_S
    while not holds():
        assert time.monotonic() < until, "it never came to be"
        time.sleep(0.05)


class Collected:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def emit(self, event: object, emitted_s: float) -> None:
        if text := getattr(event, "text", ""):
            self.texts.append(text)

    def close(self) -> None: ...


def offline_texts(path: Path) -> list[str]:
    """Return the finals of a file, as ``run_live.py --wav --speed max`` gives them."""
    settings = LiveSettings()
    collected = Collected()
    with WavReplaySource([path], "max") as source:
        run_inline(source, build_stream(settings, load_model(settings.model)), collected)
    return collected.texts


def letters(texts: list[str]) -> str:
    return "".join(texts).replace(" ", "")


def resemblance(texts: list[str], others: list[str]) -> float:
    return SequenceMatcher(None, letters(texts), letters(others), autojunk=False).ratio()


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_speech_becomes_captions_while_it_comes(site: Site, rate: int) -> None:
    with connected(site, f"rate={rate}") as client:
        client.send(speech(rate), rate)
        client.order(type="end")
        summary = client.read_type("summary")
    assert client.messages[0]["type"] == "start"
    assert client.messages[0]["schema"] == 1
    assert any(message["type"] == "partial" for message in client.messages)
    assert summary["audio_s"] == pytest.approx(len(speech()) / 16_000, abs=0.05)
    assert summary["lost_s"] == 0
    wanted, heard = letters(offline_texts(CLIP)), letters(client.texts)
    assert abs(len(heard) - len(wanted)) <= 0.3 * len(wanted)
    assert set(" ".join(client.texts).split()) & set(" ".join(offline_texts(CLIP)).split())


def test_nothing_is_kept_unless_asked(site: Site) -> None:
    before = site.services.library.count()
    with connected(site) as client:
        client.send(speech())
        client.order(type="end")
        client.read_type("summary")
    assert site.services.library.count() == before
    held = {path.stem for path in (site.folder / "audio").glob("*.wav")}
    assert held <= site.services.library.ids()


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_what_is_kept_is_all_that_was_said(site: Site, when: str) -> None:
    samples = speech()
    query = "rate=16000&keep=true&title=mine" if when == "before" else "rate=16000"
    with connected(site, query) as client:
        client.send(samples[: len(samples) // 2])
        if when == "during":
            client.order(type="keep", title="mine")
        client.send(samples[len(samples) // 2 :])
        client.order(type="end")
        client.read_type("summary")
        if when == "after":
            client.order(type="keep", title="mine")
        client.read_until(lambda message: bool(message.get("finished")))
    (told,) = {m["recording"] for m in client.messages if m["type"] == "kept"}
    kept = site.services.library.recording(told)
    assert kept.title == "mine"
    assert " ".join(segment.text for segment in kept.segments if segment.text) == " ".join(
        text for text in client.texts if text
    )
    heard, _ = soundfile.read(site.services.library.audio(told), dtype="int16")
    np.testing.assert_array_equal(heard, samples)


def test_what_was_kept_can_be_thrown_away(site: Site) -> None:
    before = site.services.library.ids()
    with connected(site, "rate=16000&keep=true") as client:
        client.send(speech()[:16_000])
        client.read_until(lambda message: message.get("recording") is not None)
        client.order(type="discard")
        client.read_until(lambda message: message["type"] == "kept" and not message["recording"])
        client.order(type="end")
        client.read_type("summary")
    assert site.services.library.ids() == before


def test_a_deletion_while_it_is_recorded_is_told(site: Site) -> None:
    with connected(site, "rate=16000&keep=true") as client:
        id = client.read_type("kept")["recording"]
        samples = speech()
        client.send(samples[:16_000])
        site.services.library.delete(id)
        client.send(samples[16_000:])
        assert client.read_type("notice")["kind"] == "keeping_ended"
        assert client.read_type("kept")["recording"] is None
        client.order(type="keep")
        other = client.read_type("kept")["recording"]
        assert other not in (None, id)
        client.order(type="end")
        client.read_type("summary")
        assert client.read_type("kept") == {"type": "kept", "recording": other, "finished": True}
    site.services.library.delete(other)


def test_a_client_that_vanishes_leaves_what_it_kept_and_frees_its_seat(site: Site) -> None:
    before = site.services.library.ids()
    with connected(site, "rate=16000&keep=true&title=cut") as client:
        client.send(speech())
        client.send(np.zeros(32_000, np.int16))
        client.read_type("final")
        client.socket.shutdown()
    wait_until(lambda: site.services.desk.taken == 0)
    (new,) = site.services.library.ids() - before
    wait_until(lambda: site.services.library.recording(new).state == "finished")
    assert any(segment.text for segment in site.services.library.recording(new).segments)


class Gone:
    """The socket of a client that has gone."""

    def send(self, text: str) -> None:
        raise ConnectionClosed()


@pytest.mark.parametrize("kept", [True, False])
def test_only_what_is_kept_goes_on_without_its_client(kept: bool, tmp_path: Path) -> None:
    library = Library.open(tmp_path)
    keeper = Keeper(library, "microphone", 10.0)
    sink = SocketSink(cast(Server, Gone()), keeper)
    if kept:
        keeper.keep("", "toy")
    for place in range(2):
        words = (Word("hello", place, place + 1.0, 0.9),)
        final = FinalTranscript(1, "hello", words, place, place + 1.0, place + 1.0, "silence")
        with nullcontext() if kept else pytest.raises(ReaderGone):
            sink.emit(final, 0.0)
    keeper.finish()
    assert [library.recording(id).text for id in library.ids()] == ["hello hello"] * kept
    library.close()


def test_audio_that_the_client_dropped_is_a_gap(site: Site) -> None:
    samples = speech()
    with connected(site) as client:
        client.send(samples[:32_000])
        client.order(type="lost", samples=8_000)
        client.send(samples[32_000:])
        client.order(type="end")
        summary = client.read_type("summary")
    (gap,) = [message for message in client.messages if message["type"] == "gap"]
    assert gap["start_s"] == pytest.approx(2.0, abs=0.01)
    assert gap["lost_s"] == summary["lost_s"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("query", "rule"),
    [
        ("rate=100", "8000 to 192000"),
        ("rate=1e9", "whole number"),
        ("rate=-5", "whole number"),
        ("rate=%D9%A1%D9%A6%D9%A0%D9%A0%D9%A0", "whole number"),
        ("keep=maybe", "true or false"),
    ],
)
def test_a_wrong_query_is_told_and_ends_it(site: Site, query: str, rule: str) -> None:
    with connected(site, query) as client:
        assert rule in client.read_type("notice")["text"]
        assert client.socket.recv() == ""
    assert site.services.desk.taken == 0


@pytest.mark.parametrize(
    "order",
    ["", "[]", "nonsense", '{"type":"dance"}', '{"type":"lost","samples":-1}', '{"type":"lost"}'],
)
def test_a_wrong_order_is_told_and_the_stream_goes_on(site: Site, order: str) -> None:
    with connected(site) as client:
        client.socket.send(order)
        assert client.read_type("notice")["kind"] == "refused"
        client.order(type="end")
        client.read_type("summary")


def test_audio_faster_than_speech_is_told_and_ends_it(site: Site) -> None:
    with connected(site) as client:
        client.send(np.zeros(16_000 * 32, np.int16))
        notice = client.read_until(lambda message: message.get("kind") == "too_fast")
        assert "/api/transcribe" in notice["text"]
        client.read_type("summary")


def test_who_is_over_the_limit_is_told_so(tmp_path: Path) -> None:
    with (
        running_site(tmp_path / "data", WebSettings(sessions=1)) as site,
        connected(site) as first,
    ):
        first.read_type("start")
        with connected(site) as second:
            notice = second.read_type("notice")
            assert notice["kind"] == "busy"
            assert "(1)" in notice["text"]
            assert second.socket.recv() == ""
        first.send(speech())
        first.order(type="end")
        assert first.read_type("summary")["words"] > 0
        with connected(site) as third:
            third.read_type("start")


def test_a_server_that_stops_finishes_what_is_kept(tmp_path: Path) -> None:
    with running_site(tmp_path / "data") as site:
        client = Client(create_connection(f"{site.ws_url}api/stream?keep=true", timeout=GIVEN_UP_S))
        client.send(speech())
        kept = client.read_until(lambda message: message["type"] == "kept")["recording"]
        client.read_type("partial")
    with running_site(tmp_path / "data") as site:
        recording = site.services.library.recording(kept)
    assert recording.state == "finished"
    assert any(segment.text for segment in recording.segments)
    client.socket.shutdown()


def test_sessions_do_not_mix(site: Site) -> None:
    other = speech()[::-1].copy()
    with connected(site) as first, connected(site) as second:
        for start in range(0, len(other), 16_000):
            first.send(speech()[start : start + 16_000])
            second.send(other[start : start + 16_000])
        for client in (first, second):
            client.order(type="end")
            client.read_type("summary")
    alone = Client(create_connection(f"{site.ws_url}api/stream", timeout=GIVEN_UP_S))
    alone.send(speech())
    alone.order(type="end")
    alone.read_type("summary")
    alone.socket.shutdown()
    assert resemblance(first.texts, alone.texts) > 0.8 > resemblance(second.texts, alone.texts)


def test_a_client_that_is_gone_at_once_leaves_no_recording_behind(site: Site) -> None:
    before = site.services.library.count()
    port = int(site.url.split(":")[-1].strip("/"))
    lines = ["GET /api/stream?keep=true HTTP/1.1", "Host: localhost", "Upgrade: websocket"]
    lines += ["Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
    for tries in range(12):
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raw.sendall("\r\n".join(lines).encode())
            time.sleep(tries * 0.002)
    wait_until(lambda: site.services.desk.taken == 0 and site.services.library.count() == before)


def test_words_alone_keep_no_seat(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "IDLE_S", 1.0)
    with connected(site) as client:
        client.read_type("start")
        asking = threading.Event()

        def ask() -> None:
            while not asking.wait(0.1):
                client.order(type="nonsense")

        thread = threading.Thread(target=ask)
        thread.start()
        notice = client.read_until(lambda m: m.get("kind") == "idle")
        asking.set()
        thread.join()
    assert "hardly any audio" in notice["text"]
