"""What the server counts and says of itself."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
import requests
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from websocket import create_connection

from model.errors import CaptionerError
from streamer.events import Summary
from streamer.web.metrics import Metrics
from tests.streamer.web.conftest import ROOT, Site, running_site

CLIP = Path(__file__).parents[2] / "data/speech/common_voice_en_17369372.opus"
GIVEN_UP_S = 60.0
SUMMARY = Summary(10.0, 8.0, 0.5, 0.2, 3, 20, 40)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def read(metrics: Metrics) -> Samples:
    return parsed(metrics.exposition("tiny", seats=6, taken=1, recordings=4).decode())


def changing(samples: Samples) -> Samples:
    """Return what changes by itself: what the process uses."""
    return {key: found for key, found in samples.items() if key[0].startswith("process_")}


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"captioner_{name}", tuple(sorted(labels.items()))]


def test_a_session_is_counted_when_it_begins_and_when_it_ends() -> None:
    metrics = Metrics()
    metrics.session_started("stream")
    metrics.session_started("stream")
    assert value(read(metrics), "sessions", kind="stream") == 2
    metrics.session_ended("stream", "finished")
    metrics.session_ended("stream", "gone")
    found = read(metrics)
    assert value(found, "sessions", kind="stream") == 0
    assert value(found, "sessions_begun_total", kind="stream") == 2
    assert value(found, "sessions_ended_total", kind="stream", reason="finished") == 1
    assert value(found, "sessions_ended_total", kind="stream", reason="gone") == 1


def test_what_a_session_does_is_counted_while_it_goes_on_and_once() -> None:
    metrics, so_far = Metrics(), [Summary(4.0, 3.0, 0.25, 0.5, 1, 6, 12)]
    with metrics.following("stream", lambda: so_far[-1]):
        found = read(metrics)
        assert value(found, "audio_seconds_total", kind="stream") == 4
        assert value(found, "lost_seconds_total", kind="stream") == 0.25
        assert value(found, "rtf", kind="stream") == 0.5
        assert read(metrics) | changing(found) == found
        so_far.append(SUMMARY)
    found = read(metrics)
    assert value(found, "audio_seconds_total", kind="stream") == 10
    assert value(found, "computing_seconds_total", kind="stream") == 2
    assert value(found, "lost_seconds_total", kind="stream") == 0.5
    assert value(found, "finals_total", kind="stream") == 3
    assert value(found, "words_total", kind="stream") == 20
    assert value(found, "rtf", kind="stream") == 0.2


def test_the_slowest_session_at_work_tells_the_factor_and_all_count() -> None:
    metrics = Metrics()
    slow, fast = (Summary(10.0, 8.0, 0.0, rtf, 1, 2, 3) for rtf in (0.5, 0.1))
    with metrics.following("stream", lambda: slow):
        with metrics.following("stream", lambda: fast):
            assert value(read(metrics), "rtf", kind="stream") == 0.5
        found = read(metrics)
        assert value(found, "rtf", kind="stream") == 0.5
        assert value(found, "computing_seconds_total", kind="stream") == 6
    with metrics.following("stream", lambda: fast):
        assert value(read(metrics), "rtf", kind="stream") == 0.1


def test_the_most_lag_is_that_of_a_session_that_goes_on() -> None:
    metrics = Metrics()
    assert value(read(metrics), "lag_seconds") == 0
    metrics.lag("a", 0.5)
    metrics.lag("b", 2.0)
    metrics.lag("b", 1.5)
    assert value(read(metrics), "lag_seconds") == 1.5
    metrics.lag("b", None)
    metrics.lag("c", None)
    assert value(read(metrics), "lag_seconds") == 0.5


def test_state_is_told_as_it_is_at_the_moment() -> None:
    metrics = Metrics()
    metrics.viewers(3)
    metrics.refused("upload")
    found = read(metrics)
    assert value(found, "seats") == 6
    assert value(found, "seats_taken") == 1
    assert value(found, "recordings") == 4
    assert value(found, "viewers") == 3
    assert value(found, "sessions_refused_total", kind="upload") == 1
    assert value(found, "model_info", model="tiny") == 1
    other = parsed(metrics.exposition("other", 1, 0, 0).decode())
    assert [labels for name, labels in other if name == "captioner_model_info"] == [
        (("model", "other"),)
    ]


def test_methods_that_a_client_makes_up_are_one() -> None:
    metrics = Metrics()
    for method in ("GET", "BREW", "SPILL"):
        metrics.request("/", method, 405, 0.1)
    found = read(metrics)
    labels = {"route": "/", "status": "405"}
    assert value(found, "requests_total", method="GET", **labels) == 1
    assert value(found, "requests_total", method="other", **labels) == 2
    assert value(found, "request_seconds_count", route="/") == 3


def test_counts_of_two_servers_are_their_own() -> None:
    one, other = Metrics(), Metrics()
    one.session_started("stream")
    assert value(read(one), "sessions", kind="stream") == 1
    assert ("captioner_sessions", (("kind", "stream"),)) not in read(other)
    assert REGISTRY.get_sample_value("captioner_viewers") is None


def test_counting_from_many_threads_loses_nothing() -> None:
    metrics = Metrics()

    def work() -> None:
        for _ in range(50):
            metrics.session_started("stream")
            with metrics.following("stream", lambda: SUMMARY):
                metrics.exposition("tiny", 1, 1, 0)
            metrics.session_ended("stream", "finished")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value(read(metrics), "words_total", kind="stream") == 4 * 50 * 20


def scraped(site: Site) -> Samples:
    answer = requests.get(f"{site.url}metrics", timeout=60)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return parsed(answer.text)


def test_a_server_counts_what_it_transcribes_by_templates_of_routes(site: Site) -> None:
    answer = requests.post(f"{site.url}api/transcribe", data=CLIP.read_bytes(), timeout=60).json()
    secret = "5ec2e7" + "0" * 26
    requests.get(f"{site.url}api/recordings/{secret}", timeout=60)
    requests.get(f"{site.url}{secret}", timeout=60)
    found = scraped(site)
    assert value(found, "words_total", kind="upload") == len(answer["words"])
    duration_s = pytest.approx(answer["duration_s"], abs=0.01)
    assert value(found, "audio_seconds_total", kind="upload") == duration_s
    labels = {"method": "POST", "route": "/api/transcribe", "status": "200"}
    assert value(found, "requests_total", **labels) == 1
    labels = {"method": "GET", "route": "/api/recordings/<id>", "status": "404"}
    assert value(found, "requests_total", **labels) == 1
    assert value(found, "requests_total", method="GET", route="unknown", status="404") == 1
    assert value(found, "model_info", model=site.services.models.name) == 1
    assert secret not in str(found)


def scraped_until(site: Site, *names: str, kind: str) -> Samples:
    """Return the counts once all of some are above nothing for a kind of session."""
    until = time.monotonic() + GIVEN_UP_S
    while True:
        found = scraped(site)
        counts = [found.get((f"captioner_{name}", (("kind", kind),)), 0.0) for name in names]
        if all(counts):
            return found
        assert time.monotonic() < until, dict(zip(names, counts, strict=True))
        time.sleep(0.1)


def test_what_is_heard_now_is_counted_now(tmp_path: Path) -> None:
    names = ("audio_seconds_total", "computing_seconds_total", "rtf")
    with running_site(tmp_path / "data") as site:
        site.play_live(ROOT / "demo/librispeech.flac")
        assert value(scraped_until(site, *names, kind="live"), "sessions", kind="live") == 1
        address = f"{site.ws_url}api/stream?rate=16000"
        with closing(create_connection(address, timeout=GIVEN_UP_S)) as client:
            client.send_binary(bytes(32_000))
            client.send('{"type":"lost","samples":8000}')
            client.send_binary(bytes(32_000))
            found = scraped_until(site, *names, "lost_seconds_total", kind="stream")
            assert value(found, "sessions", kind="stream") == 1
            assert value(found, "lost_seconds_total", kind="stream") == 0.5


def test_a_server_that_is_well_says_so(site: Site) -> None:
    answer = requests.get(f"{site.url}healthz", timeout=60)
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "model": site.services.models.name, "live": "off"}


def test_a_server_that_cannot_keep_recordings_says_so(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise CaptionerError(f"{site.folder}: no room")

    monkeypatch.setattr(site.services.library, "check", broken)
    answer = requests.get(f"{site.url}healthz", timeout=60)
    assert answer.status_code == 503
    assert "library cannot be written" in answer.json()["status"]
    assert str(site.folder) not in answer.text
