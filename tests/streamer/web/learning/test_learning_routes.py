"""Learning over HTTP, on a running server with the shipped models and its own library."""

from __future__ import annotations

import io
import zipfile

import pytest
from flask.testing import FlaskClient

from model.bundle import load_bundle
from streamer.audio import AudioBlock
from streamer.events import FinalTranscript
from streamer.web.learning.learning import Learning
from tests.model.conftest import RATE, speak
from tests.streamer.web.conftest import ROOT, Site


@pytest.fixture
def client(site: Site) -> FlaskClient:
    client = site.app.test_client()
    client.environ_base["HTTP_HOST"] = "127.0.0.1"
    return client


@pytest.fixture
def learning(site: Site) -> Learning:
    return site.services.learning


def kept(site: Site, *texts: str) -> str:
    """Keep a recording and correct it; return its id."""
    recording = site.services.library.begin("Tones", "upload", "toy")
    at = 0
    for number, text in enumerate(texts, 1):
        samples = speak(text)
        recording.push(AudioBlock(samples, at))
        start_s, at = at / RATE, at + len(samples)
        final = FinalTranscript(number, "", (), start_s, at / RATE, at / RATE, "silence")
        recording.add(final)
    recording.finish()
    site.services.library.correct(recording.id, 0, texts, site.services.models)
    return recording.id


def test_the_page_and_what_it_shows_at_first(client: FlaskClient) -> None:
    page = client.get("/learn")
    assert page.status_code == 200 and "What there is to learn from" in page.text
    shown = client.get("/api/learning").get_json()
    assert shown["corrected"] == {"recordings": 0, "clips": 0, "minutes": 0, "words": 0}
    assert shown["lacking"] == "Correct or confirm two recordings in the library first."
    assert shown["job"] is None and shown["has_test"]
    assert shown["models"]["shipped"] == {"name": "shipped", "in_use": True}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "train", {"minutes": 5}, 409),
        ("POST", "train", {"minutes": 0}, 422),
        ("POST", "train", {"minutes": "5"}, 422),
        ("POST", "train", {"minutes": True}, 422),
        ("POST", "train", {"minutes": 5, "hours": 1}, 422),
        ("POST", "train", {}, 422),
        ("POST", "train", [], 400),
        ("POST", "train", None, 415),
        ("POST", "resume", None, 409),
        ("POST", "stop", None, 409),
        ("DELETE", "job", None, 409),
        ("POST", "rollback", None, 409),
        ("POST", "models/mine-1/use", None, 404),
        ("POST", "models/..%2F..%2Fetc/use", None, 404),
        ("POST", "models/mine-01/use", None, 404),
        ("DELETE", "models/mine-1", None, 404),
        ("DELETE", "models/shipped", None, 404),
        ("GET", "export", None, 409),
        ("GET", "train", None, 405),
    ],
)
def test_wrong_requests_are_told_why(
    client: FlaskClient, method: str, path: str, body: object, status: int
) -> None:
    answer = client.open(f"/api/learning/{path}", method=method, json=body)
    assert answer.status_code == status
    assert set(answer.get_json()) == {"error"}


def test_corrected_speech_is_shown_exported_and_gone_when_it_is_deleted(
    site: Site, client: FlaskClient, learning: Learning
) -> None:
    ids = [kept(site, "ab", "cab", ""), kept(site, "ba", "\u4f60\u597d")]
    shown = client.get("/api/learning").get_json()
    assert (shown["train"]["recordings"], shown["held_out"]["recordings"]) == (1, 1)
    assert (shown["corrected"]["clips"], shown["corrected"]["words"]) == (3, 3)
    assert {one["reason"] for one in shown["left_out"]} == {"empty", "unspellable"}
    assert {one["id"]: one["side"] for one in shown["recordings"]}.keys() == set(ids)
    assert shown["lacking"] == ""

    answer = client.get("/api/learning/export")
    assert answer.mimetype == "application/zip"
    assert "corrections.zip" in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        names = archive.namelist()
    assert {"train.jsonl", "dev.jsonl", "README.txt"} < set(names)
    assert sum(name.endswith(".flac") for name in names) == 3
    answer.close()
    assert not list((site.folder / "learning").glob("export-*"))

    for id in ids:
        assert client.delete(f"/api/recordings/{id}").status_code == 204
    assert client.get("/api/learning").get_json()["recordings"] == []
    assert learning.registry.state.sides == {}


def test_the_programs_own_model_can_always_be_used(site: Site, client: FlaskClient) -> None:
    answer = client.post("/api/learning/models/shipped/use")
    assert answer.status_code == 200
    assert answer.get_json()["in_use"] == "shipped"
    assert site.services.models.name == load_bundle(ROOT / "models/default").name
