"""Bodies of requests on their way in, and the forms that transcripts have."""

from __future__ import annotations

import io
import socket
from pathlib import Path

import pytest
from flask import Flask, Request
from werkzeug.datastructures import MIMEAccept, MultiDict
from werkzeug.test import EnvironBuilder

from streamer.errors import OutputError
from streamer.events import AudioGap, FinalTranscript, Notice, Word
from streamer.web.errors import BadRequest, NotAcceptable
from streamer.web.transcribing.forms import Wish, as_record, as_text
from streamer.web.transcribing.upload import UPLOAD_S, TooSlow, has_gone, received

WORDS = (Word("hello", 0.1, 0.5, 0.9), Word("there", 0.6, 1.0, 0.4))
FINAL = FinalTranscript(1, "hello there", WORDS, 0.0, 1.2, 1.5, "silence")
EMPTY = FinalTranscript(2, "", (), 2.0, 3.0, 3.0, "silence")
EVENTS = [(FINAL, 1.6), (AudioGap(1.5, 0.5), 1.7), (EMPTY, 3.1), (Notice("x", "a word"), 3.2)]


def request_with(stream: object, length: int) -> Request:
    """A request whose body comes from a stream."""
    environ = EnvironBuilder(method="POST").get_environ()
    environ.update({"wsgi.input": stream, "CONTENT_LENGTH": str(length)})
    with Flask(__name__).request_context(environ) as context:
        return context.request


class Silent:
    """A connection on which nothing comes for too long."""

    def read(self, size: int = -1) -> bytes:
        raise TimeoutError("timed out")


def test_the_body_arrives_whole_in_a_file_without_a_name(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    with received(request_with(io.BytesIO(content), len(content)), tmp_path) as file:
        assert list(tmp_path.iterdir()) == []
        file.seek(0)
        assert file.read() == content


def test_a_body_that_drips_is_given_up(tmp_path: Path) -> None:
    times = iter([0.0, UPLOAD_S / 2, UPLOAD_S + 1])
    request = request_with(io.BytesIO(bytes(500_000)), 500_000)
    with (
        pytest.raises(TooSlow, match="longer than 30 minutes"),
        received(request, tmp_path, lambda: next(times)),
    ):
        pass


def test_a_client_that_falls_silent_is_told_so(tmp_path: Path) -> None:
    with (
        pytest.raises(TooSlow, match="stopped arriving"),
        received(request_with(Silent(), 1000), tmp_path),
    ):
        pass


def test_a_body_that_breaks_off_is_malformed(tmp_path: Path) -> None:
    with (
        pytest.raises(BadRequest, match="broke off"),
        received(request_with(io.BytesIO(b"abc"), 1000), tmp_path),
    ):
        pass


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    request = request_with(io.BytesIO(b"abc"), 3)
    with pytest.raises(OutputError, match="make room"), received(request, missing):
        pass


def test_a_client_has_gone_when_it_has_closed_its_end() -> None:
    ours, theirs = socket.socketpair()
    request = request_with(io.BytesIO(), 0)
    assert not has_gone(request)()
    request.environ["captioner.socket"] = ours
    with ours:
        gone = has_gone(request)
        assert not gone()
        theirs.send(b"the next request")
        assert not gone()
        theirs.close()
        assert gone()


def test_the_query_wins_over_the_header() -> None:
    accept = MIMEAccept([("text/vtt", 1)])
    assert Wish.of(MultiDict(), accept).form == "vtt"
    assert Wish.of(MultiDict({"format": "srt"}), accept).form == "srt"
    assert Wish.of(MultiDict(), MIMEAccept()) == Wish("json")


def test_a_title_is_one_printable_line() -> None:
    query = MultiDict({"keep": "true", "title": " a\nb\x1b[2J "})
    assert Wish.of(query, MIMEAccept()) == Wish("json", True, "a b[2J")


def test_what_cannot_be_given_is_refused() -> None:
    with pytest.raises(NotAcceptable):
        Wish.of(MultiDict(), MIMEAccept([("application/json", 0), ("image/png", 1)]))
    with pytest.raises(BadRequest, match="got '" + "x" * 40 + "'"):
        Wish.of(MultiDict({"format": "x" * 500}), MIMEAccept())


def test_a_record_has_utterances_with_words_only() -> None:
    found = as_record(EVENTS, "tiny", 3.0)
    assert found["text"] == "hello there"
    assert [word["word"] for word in found["words"]] == ["hello", "there"]
    assert [final["text"] for final in found["finals"]] == ["hello there"]
    assert set(found["finals"][0]) == {"start_s", "end_s", "text", "words"}
    assert found["notices"] == ["a word"]


def test_texts_are_those_of_the_files_of_captions() -> None:
    assert as_text(EVENTS, "txt") == "hello there\n[audio lost: 0.5 s]\n"
    assert as_text(EVENTS, "srt") == "1\n00:00:00,100 --> 00:00:01,100\nhello there\n"
    assert as_text([], "vtt") == "WEBVTT\n"
