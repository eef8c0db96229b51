"""Which source a sound server gives, without a server."""

from __future__ import annotations

import sys
import threading

import pytest

from streamer import sound_server
from streamer.events import Notice
from streamer.microphone import MicrophoneSource
from streamer.settings import AudioSettings
from streamer.sound_server import SoundServer, Source
from tests.streamer.sound_system import SoundSystem, device, ones

DESK, HEAD = Source("alsa.desk", "Desk microphone"), Source("bluez.head", "Headset")


def test_a_change_is_told_once() -> None:
    server = SoundServer()
    server.learn(DESK)
    assert server.moved() is None
    server.learn(HEAD)
    assert server.moved() == ("Desk microphone", "Headset")
    assert server.moved() is None


def test_no_source_for_a_while_is_no_change() -> None:
    server = SoundServer()
    for source in (DESK, None, DESK):
        server.learn(source)
        assert server.moved() is None


def test_equal_ones_are_told_apart_by_what_the_server_calls_them() -> None:
    server = SoundServer()
    server.learn(Source("usb.1", "USB Mic"))
    server.moved()
    server.learn(Source("usb.2", "USB Mic"))
    assert server.moved() == ("usb.1", "usb.2")


def test_the_microphone_tells_it() -> None:
    system, server = SoundSystem([device(0, "pulse")]), SoundServer()
    server.learn(DESK)
    server.moved()
    with MicrophoneSource("", AudioSettings(), backend=system, server=server) as source:
        server.learn(HEAD)
        system.hear(ones(320))
        source.stop()
        [moved, *_] = list(source)
    assert isinstance(moved, Notice)
    assert (moved.kind, moved.level) == ("device_moved", "info")
    assert "Headset" in moved.text and "Desk microphone" in moved.text


def test_without_its_library_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_server, "ASK_EVERY_S", 0.01)
    monkeypatch.setattr(sound_server, "LONGEST_PAUSE_S", 0.01)
    monkeypatch.setitem(sys.modules, "pulsectl", None)
    server, others = SoundServer(), set(threading.enumerate())
    server.start()
    server.start()
    begun = set(threading.enumerate()) - others
    [asking] = [thread for thread in begun if thread.name == "sound server"]
    assert server.moved() is None
    server.stop()
    asking.join(10)
    assert not asking.is_alive()
