"""The test recordings: truth, prediction and the errors between them."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from model.corpora.manifest import read_manifest
from model.evaluation.rates import error_rates
from streamer.web.inference.reading import TestSet, aligned
from tests.streamer.web.conftest import ROOT, Site

MANIFEST = ROOT / "tests/data/speech/manifest.jsonl"
CLIP = "common_voice_en_17362319"

texts = st.lists(st.sampled_from(["the", "cat", "sat", "hut"]), max_size=6).map(" ".join)


@pytest.fixture
def client(site: Site) -> FlaskClient:
    client = site.app.test_client()
    client.environ_base["HTTP_HOST"] = "127.0.0.1"
    return client


@settings(derandomize=True, deadline=None)
@given(truth=texts.filter(bool), prediction=texts)
def test_the_alignment_holds_both_texts_and_as_many_errors_as_the_rates_count(
    truth: str, prediction: str
) -> None:
    pairs = aligned(truth, prediction)
    assert " ".join(pair.truth for pair in pairs if pair.truth) == truth
    assert " ".join(pair.prediction for pair in pairs if pair.prediction) == prediction
    rates = error_rates([truth], [prediction])
    counts = [
        sum(pair.kind == kind for pair in pairs)
        for kind in ("substitution", "deletion", "insertion")
    ]
    assert counts == [rates.substitutions, rates.deletions, rates.insertions]
    assert all((pair.kind == "same") == (pair.truth == pair.prediction) for pair in pairs)


def test_every_recording_of_the_manifest_is_there_with_its_attribution(
    site: Site, client: FlaskClient
) -> None:
    shown = client.get("/api/inference").get_json()
    rows = read_manifest(MANIFEST)
    assert [clip["id"] for clip in shown["clips"]] == [row.audio.stem for row in rows]
    credits = {clip["corpus"]: clip["credit"] for clip in shown["clips"]}
    assert "CC BY 4.0" in credits["librispeech"] and "CC0" in credits["commonvoice"]
    assert shown["model"] == site.services.models.name
    assert "Test clips" in client.get("/inference").text


def test_a_clip_is_read_by_the_network_alone_and_as_captions_are(
    site: Site, client: FlaskClient
) -> None:
    found = client.get(f"/api/inference/{CLIP}").get_json()
    assert found["truth"] == "a song a girl a maid"
    greedy, beam = found["readings"]
    assert (greedy["decoder"], beam["decoder"]) == ("greedy", "language_model")
    for reading in (greedy, beam):
        rates = error_rates([found["truth"]], [reading["text"]])
        assert reading["wer"] == pytest.approx(rates.wer, abs=1e-5)
        assert reading["cer"] == pytest.approx(rates.cer, abs=1e-5)
    again = client.get(f"/api/inference/{CLIP}").get_json()
    assert again == found


def test_a_clip_can_be_heard_in_pieces_and_seen(client: FlaskClient) -> None:
    whole = (MANIFEST.parent / f"{CLIP}.opus").read_bytes()
    with client.get(f"/api/inference/{CLIP}/audio") as audio:
        assert (audio.mimetype, audio.data) == ("audio/ogg", whole)
    piece = {"Range": "bytes=10-19"}
    with client.get(f"/api/inference/{CLIP}/audio", headers=piece) as part:
        assert (part.status_code, part.data) == (206, whole[10:20])
    for kind in ("waveform", "spectrogram"):
        picture = client.get(f"/api/inference/{CLIP}/{kind}.png?width=120&height=40")
        assert picture.mimetype == "image/png"
        assert picture.data.startswith(b"\x89PNG")
        assert client.get(f"/api/inference/{CLIP}/{kind}.png?width=x").status_code == 400


@pytest.mark.parametrize("path", ["nothing", "..%2Fmanifest", "nothing/audio", "a/waveform.png"])
def test_other_clips_are_not_found(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/api/inference/{path}")
    assert answer.status_code == 404
    assert set(answer.get_json()) == {"error"}


def test_without_test_recordings_there_are_no_clips() -> None:
    assert TestSet(None).clips() == []
