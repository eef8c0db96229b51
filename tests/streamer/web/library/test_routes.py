"""The library over HTTP."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from flask import Flask, Response, jsonify
from flask.testing import FlaskClient
from PIL import Image

from model.errors import CaptionerError
from streamer.web.library.library import Library
from streamer.web.library.routes import blueprint
from streamer.web.services import EXTENSION
from tests.streamer.web.library.shelves import Hears, keep, noise, push

NOBODY = "0" * 32


@pytest.fixture
def client(library: Library) -> FlaskClient:
    app = Flask(__name__)
    app.extensions[EXTENSION] = SimpleNamespace(library=library, models=Hears())
    app.register_blueprint(blueprint)

    @app.errorhandler(CaptionerError)
    def answer(error: CaptionerError) -> tuple[Response, int]:
        return jsonify(error=str(error)), error.status  # type: ignore[attr-defined]

    return app.test_client()


def get(client: FlaskClient, path: str, **options: Any) -> Any:
    answer = client.get(f"/api/recordings{path}", **options)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json


def test_a_recording_is_told(client: FlaskClient, library: Library) -> None:
    id = keep(library, ["hello world", ""], "Talk")
    told = get(client, f"/{id}")
    assert told == library.recording(id).plain()
    [listed] = get(client, "?q=WORLD")["recordings"]
    assert {**listed, "segments": told["segments"]} == {**told, "snippet": listed["snippet"]}
    assert listed["snippet"] == {
        "start_s": 0.0,
        "pieces": [{"text": "hello ", "match": False}, {"text": "world", "match": True}],
    }


def test_lists_have_pages(client: FlaskClient, library: Library) -> None:
    ids = [keep(library, [f"n{n}"]) for n in range(5)]
    first = get(client, "?limit=3")
    second = get(client, f"?limit=3&before={first['next']}")
    assert [one["id"] for one in first["recordings"] + second["recordings"]] == ids[::-1]
    assert second["next"] is None
    assert get(client, "?q=nothing") == {"recordings": [], "next": None}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "limit=-1",
        "limit=%D9%A3",
        "limit=9999999999999999999999",
        "before=x",
        f"q={'x' * 201}",
    ],
)
def test_a_list_that_cannot_be_is_refused(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/api/recordings?{query}")
    assert answer.status_code == 400
    assert answer.json["error"].startswith(query.partition("=")[0])


def test_it_is_renamed(client: FlaskClient, library: Library) -> None:
    id = keep(library, ["a"])
    answer = client.patch(f"/api/recordings/{id}", json={"title": " New\tname "})
    assert (answer.status_code, answer.json["title"]) == (200, "New name")
    assert library.recording(id).title == "New name"


def test_it_is_corrected_and_restored(client: FlaskClient, library: Library) -> None:
    id = keep(library, ["helo", "x"])
    body = {"base": 0, "segments": ["hello", ""]}
    answer = client.post(f"/api/recordings/{id}/corrections", json=body)
    assert (answer.status_code, answer.json["revision"], answer.json["text"]) == (200, 1, "hello")
    again = client.post(f"/api/recordings/{id}/corrections", json=body)
    assert again.status_code == 409
    assert "somebody else corrected" in again.json["error"]
    assert get(client, f"/{id}?revision=0")["text"] == "helo x"
    restored = client.post(f"/api/recordings/{id}/revisions/0/restore")
    assert (restored.status_code, restored.json["text"]) == (200, "helo x")
    history = get(client, f"/{id}/revisions")["revisions"]
    assert [(one["number"], one["kind"], one["restored"], one["reviewed"]) for one in history] == [
        (2, "restore", 0, False),
        (1, "correction", None, True),
        (0, "model", None, False),
    ]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("", b"{", 400),
        ("", b"[]", 400),
        ("", b"\xff", 400),
        ("", b"[" * 100_000, 400),
        ("", {}, 422),
        ("", {"title": 1}, 422),
        ("", {"title": None}, 422),
        ("", {"title": "x" * 201}, 422),
        ("", {"title": "x", "state": "finished"}, 422),
        ("/corrections", {"base": 0}, 422),
        ("/corrections", {"base": 0, "segments": "one"}, 422),
        ("/corrections", {"base": 0, "segments": ["one", "two"]}, 422),
        ("/corrections", {"base": 0, "segments": [None]}, 422),
        ("/corrections", {"base": 0, "segments": ["x" * 10_001]}, 422),
        ("/corrections", {"base": True, "segments": ["one"]}, 422),
        ("/corrections", {"base": "0", "segments": ["one"]}, 422),
        ("/corrections", {"base": -1, "segments": ["one"]}, 422),
        ("/corrections", {"base": 10**30, "segments": ["one"]}, 409),
    ],
)
def test_bodies_are_read_strictly(
    client: FlaskClient, library: Library, path: str, body: object, status: int
) -> None:
    id = keep(library, ["one"])
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    send = client.post if path else client.patch
    answer = send(f"/api/recordings/{id}{path}", data=content, content_type="application/json")
    assert answer.status_code == status
    assert answer.json["error"]
    assert library.recording(id).revision == 0
    plain = send(f"/api/recordings/{id}{path}", data=content, content_type="text/plain")
    assert plain.status_code == 415


def test_what_users_type_is_cleaned(client: FlaskClient, library: Library) -> None:
    id = keep(library, ["one"])
    body = b'{"base": 0, "segments": [" \\ud800<b>\\u0000\\u202etwo\\n\\n "]}'
    answer = client.post(
        f"/api/recordings/{id}/corrections", data=body, content_type="application/json"
    )
    assert answer.json["text"] == "<b>two"


@pytest.mark.parametrize("id", [NOBODY, NOBODY[1:], "A" * 32, "..", "%00" * 32, "x' OR 1=1"])
def test_what_is_not_there_is_not_found(client: FlaskClient, library: Library, id: str) -> None:
    stays = keep(library, ["stays"])
    ask = client.get, client.delete, client.patch
    paths = ["", "/audio", "/waveform.png", "/spectrogram.png", "/transcript", "/revisions"]
    answers = [client.get(f"/api/recordings/{id}{path}") for path in paths]
    answers += [send(f"/api/recordings/{id}", json={"title": ""}) for send in ask]
    answers += [
        client.post(f"/api/recordings/{id}/corrections", json={"base": 0, "segments": []}),
        client.post(f"/api/recordings/{id}/revisions/0/restore"),
        client.get(f"/api/recordings/{stays}?revision=1"),
        client.get(f"/api/recordings/{stays}?revision=999999999"),
        client.post(f"/api/recordings/{stays}/revisions/{10**30}/restore"),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert library.ids() == {stays}


def test_it_is_deleted(client: FlaskClient, library: Library) -> None:
    id = keep(library, ["a"])
    answer = client.delete(f"/api/recordings/{id}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert client.get(f"/api/recordings/{id}").status_code == 404
    assert client.get(f"/api/recordings/{id}/audio").status_code == 404


def test_audio_comes_whole_and_in_ranges(client: FlaskClient, library: Library) -> None:
    audio = noise(1.0)
    path = f"/api/recordings/{keep(library, ['a'], samples=audio)}/audio"
    whole = client.get(path)
    assert (whole.status_code, whole.mimetype) == (200, "audio/wav")
    assert whole.headers["Accept-Ranges"] == "bytes"
    samples, _ = soundfile.read(io.BytesIO(whole.data), dtype="float32")
    np.testing.assert_array_equal(samples, audio)
    for asked, start, stop in [
        ("0-9", 0, 10),
        ("40-99", 40, 100),
        ("32000-", 32_000, 32_044),
        ("-4", 32_040, 32_044),
    ]:
        part = client.get(path, headers={"Range": f"bytes={asked}"})
        assert part.status_code == 206
        assert part.headers["Content-Range"] == f"bytes {start}-{stop - 1}/32044"
        assert part.data == whole.data[start:stop]
    assert client.get(path, headers={"Range": "bytes=32044-"}).status_code == 416
    head = client.head(path)
    assert (head.content_length, head.data) == (32_044, b"")
    cached = client.get(path, headers={"If-None-Match": whole.headers["ETag"]})
    assert cached.status_code == 304


def test_audio_of_what_goes_on_is_what_there_is(client: FlaskClient, library: Library) -> None:
    kept = library.begin("", "live", "toy")
    push(kept, noise(1.0))
    path = f"/api/recordings/{kept.id}/audio"
    before = client.get(path)
    push(kept, noise(1.0), 16_000)
    after = client.get(path)
    assert [len(before.data), len(after.data)] == [32_044, 64_044]
    for answer, seconds in ((before, 1), (after, 2)):
        assert soundfile.info(io.BytesIO(answer.data)).frames == seconds * 16_000
    assert before.headers["ETag"] != after.headers["ETag"]
    kept.discard()


@pytest.mark.parametrize("name", ["waveform", "spectrogram"])
def test_pictures_are_drawn(client: FlaskClient, library: Library, name: str) -> None:
    id = keep(library, ["a"])
    for query, size in (("", (1200, 160)), ("?width=300&height=50", (300, 50))):
        answer = client.get(f"/api/recordings/{id}/{name}.png{query}")
        assert (answer.status_code, answer.mimetype) == (200, "image/png")
        assert Image.open(io.BytesIO(answer.data)).size == size
        assert client.get(f"/api/recordings/{id}/{name}.png{query}").data == answer.data
    library.delete(id)
    assert client.get(f"/api/recordings/{id}/{name}.png").status_code == 404


@pytest.mark.parametrize(
    "query",
    ["width=49", "width=4001", "height=19", "height=1001", "width=x", "width=4000&height=1000"],
)
def test_pictures_of_other_sizes_are_refused(
    client: FlaskClient, library: Library, query: str
) -> None:
    answer = client.get(f"/api/recordings/{keep(library, ['a'])}/waveform.png?{query}")
    assert answer.status_code == 400
    assert answer.json["error"].startswith(query[:5])


def test_transcripts_are_taken_away_by_their_title(client: FlaskClient, library: Library) -> None:
    id = keep(library, ["hello"], "Über/uns")
    library.correct(id, 0, ["Hello!"], Hears())
    expected = {
        "srt": ("application/x-subrip", "1\n00:00:00,000 --> 00:00:01,000\nHello!\n"),
        "vtt": ("text/vtt", "WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.000\nHello!\n"),
        "txt": ("text/plain", "Hello!\n"),
    }
    for format, (media_type, text) in expected.items():
        answer = client.get(f"/api/recordings/{id}/transcript?format={format}")
        assert (answer.status_code, answer.mimetype, answer.text) == (200, media_type, text)
        disposition = answer.headers["Content-Disposition"]
        assert disposition.startswith("attachment;")
        assert f"filename*=UTF-8''%C3%9Cber%20uns.{format}" in disposition
    content = client.get(f"/api/recordings/{id}/transcript?format=json").json
    assert content == library.recording(id).plain()
    old = client.get(f"/api/recordings/{id}/transcript?format=txt&revision=0")
    assert old.text == "hello\n"
    assert client.get(f"/api/recordings/{id}/transcript?format=doc").status_code == 400
