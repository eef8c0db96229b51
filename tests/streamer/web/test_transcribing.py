"""Files sent to the server: the same transcripts as the command line gives, and nothing left."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
import soundfile

from model.audio import read_audio
from streamer.app import build_stream
from streamer.audio import SAMPLE_RATE
from streamer.events import Event, FinalTranscript
from streamer.replay import WavReplaySource
from streamer.runner import run_inline
from streamer.settings import LiveSettings, WebSettings
from streamer.web.errors import Busy, TooLarge
from tests.streamer.web.conftest import Site, running_site

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "demo/librispeech.flac"
CLIP = ROOT / "tests/data/speech/3664-178355-0010.opus"
FORMATS = ("txt", "srt", "vtt")
DONE_S = 60.0


def post(site: Site, content: bytes, **query: str) -> requests.Response:
    return requests.post(f"{site.url}api/transcribe", data=content, params=query, timeout=60)


def lines(answer: requests.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.text.splitlines()]


def damaged_flac(seconds: float = 4.0) -> bytes:
    """Noise in a file whose second half is nothing."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).normal(0, 0.1, round(seconds * SAMPLE_RATE))
    soundfile.write(file, noise, SAMPLE_RATE, format="FLAC")
    content = file.getvalue()
    return content[: len(content) // 2] + bytes(len(content) // 2)


def long_speech(minutes: int = 4) -> bytes:
    """The demo again and again: long enough that the work on it is going on."""
    samples = read_audio(DEMO, SAMPLE_RATE)
    file = io.BytesIO()
    whole = np.tile(samples, round(minutes * 60 * SAMPLE_RATE / len(samples)))
    soundfile.write(file, whole, SAMPLE_RATE, format="FLAC")
    return file.getvalue()


def wait_until(condition: Callable[[], bool]) -> None:
    due = time.monotonic() + DONE_S
    while not condition():
        assert time.monotonic() < due
        time.sleep(0.02)


def ended(site: Site, reason: str) -> float:
    """How many uploads have ended for a reason."""
    labels = {"kind": "upload", "reason": reason}
    registry = site.services.metrics.registry
    return registry.get_sample_value("captioner_sessions_ended_total", labels) or 0.0


class Finals:
    """A sink that keeps finals."""

    def __init__(self) -> None:
        self.found: list[FinalTranscript] = []

    def emit(self, event: Event, emitted_s: float) -> None:
        self.found += [event] if isinstance(event, FinalTranscript) else []

    def close(self) -> None:
        """Nothing to finish."""


def offline_words(site: Site, path: Path) -> list[dict[str, Any]]:
    """The words that the captioner finds in a file at full speed, without partials."""
    sink = Finals()
    stream = build_stream(LiveSettings(), site.services.models.acoustic, partials=False)
    with WavReplaySource([path], "max") as source:
        run_inline(source, stream, sink)
    words = [asdict(word) for final in sink.found for word in final.words]
    rounded = {"start_s": 3, "end_s": 3, "confidence": 3}
    return [
        {name: round(float(value), 3) if name in rounded else value for name, value in word.items()}
        for word in words
    ]


def test_the_transcripts_are_those_of_the_command_line(site: Site, tmp_path: Path) -> None:
    outputs = [f"--output={tmp_path / 'demo'}.{name}" for name in FORMATS]
    command = [sys.executable, "run_live.py", "--wav", str(DEMO), "--speed", "max", *outputs]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=DONE_S)
    for name in FORMATS:
        answer = post(site, DEMO.read_bytes(), format=name)
        assert answer.status_code == 200
        assert answer.text == (tmp_path / f"demo.{name}").read_text(encoding="utf-8")


def test_json_has_the_same_words_with_times_and_confidences(site: Site) -> None:
    found = post(site, DEMO.read_bytes()).json()
    assert found["words"] == offline_words(site, DEMO)
    assert found["text"] == " ".join(word["word"] for word in found["words"])
    assert [word for final in found["finals"] for word in final["words"]] == found["words"]
    assert found["model"] == site.services.models.name
    assert found["duration_s"] == pytest.approx(soundfile.info(str(DEMO)).duration, abs=0.001)
    assert found["notices"] == []
    assert "recording" not in found


def test_json_lines_are_those_of_the_command_line_with_the_length(
    site: Site, tmp_path: Path
) -> None:
    output = tmp_path / "clip.jsonl"
    command = ["run_live.py", "--wav", str(CLIP), "--speed", "max", "--output", str(output)]
    subprocess.run(
        [sys.executable, *command], cwd=ROOT, check=True, capture_output=True, timeout=DONE_S
    )
    expected = [json.loads(line) for line in output.read_text().splitlines()]
    found = [one for one in lines(post(site, CLIP.read_bytes(), format="jsonl", title="clip"))]
    assert found[0]["duration_s"] == pytest.approx(soundfile.info(str(CLIP)).duration, abs=0.001)
    assert found[0]["source"] == "clip"
    told = [one for one in found if one["type"] in ("partial", "final")]
    wanted = [one for one in expected if one["type"] in ("partial", "final")]
    for one in (*told, *wanted):
        del one["emitted_s"]
    assert told == wanted
    assert found[-1]["type"] == "summary"


def test_json_lines_come_while_the_work_goes_on(site: Site) -> None:
    with requests.post(
        f"{site.url}api/transcribe?format=jsonl&keep=true",
        data=long_speech(),
        stream=True,
        timeout=60,
    ) as answer:
        assert answer.headers["Content-Type"] == "application/jsonl"
        kinds = []
        for line in answer.iter_lines():
            kinds.append(json.loads(line)["type"])
            if "final" in kinds:
                break
        assert kinds[0] == "start"
        assert "partial" in kinds
        assert site.services.desk.taken == 1
    # The client has gone: the work ends, and nothing is kept.
    wait_until(lambda: site.services.desk.taken == 0)
    assert ended(site, "gone") >= 1
    assert site.services.library.count() == 0


def test_a_client_that_goes_away_frees_its_place(site: Site) -> None:
    before = ended(site, "gone")
    with closing(connected(site)) as client:
        client.sendall(head_of(site, long_speech(), "format=json&keep=true"))
        wait_until(lambda: site.services.desk.taken == 1)
    wait_until(lambda: site.services.desk.taken == 0)
    assert ended(site, "gone") == before + 1
    assert site.services.library.count() == 0


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_what_is_kept_is_in_the_library(site: Site, form: str) -> None:
    answer = post(site, CLIP.read_bytes(), format=form, keep="true", title=" The clip ")
    last = answer.json() if form == "json" else lines(answer)[-1]
    library = site.services.library
    kept = library.recording(last["recording"])
    assert (kept.title, kept.origin, kept.state) == ("The clip", "upload", "finished")
    assert kept.duration_s == pytest.approx(soundfile.info(str(CLIP)).duration, abs=0.01)
    told = answer.json()["finals"] if form == "json" else lines(answer)
    texts = [one["text"] for one in told if one.get("type", "final") == "final"]
    assert [segment.text for segment in kept.segments] == texts
    samples = read_audio(library.audio(kept.id), SAMPLE_RATE)
    np.testing.assert_allclose(samples, read_audio(CLIP, SAMPLE_RATE), atol=1e-4)
    library.delete(kept.id)


def test_nothing_of_a_file_is_left_that_was_not_kept(site: Site) -> None:
    def files() -> set[Path]:
        return {path for path in site.folder.rglob("*") if path.is_file()}

    before = files()
    post(site, CLIP.read_bytes())
    assert files() == before
    with closing(connected(site)) as client:
        request = head_of(site, CLIP.read_bytes() * 100)
        client.sendall(request[: len(request) // 2])
        time.sleep(0.2)
        assert files() == before


def test_a_damaged_file_gives_what_can_be_heard_only_where_that_can_be_told(site: Site) -> None:
    answer = post(site, damaged_flac(), format="srt")
    assert answer.status_code == 422
    assert "the file: damaged after" in answer.json()["error"]
    assert "format=jsonl" in answer.json()["error"]
    found = lines(post(site, damaged_flac(), format="jsonl"))
    (notice,) = [one for one in found if one["type"] == "notice"]
    assert (notice["kind"], notice["level"]) == ("file_damaged", "error")
    assert found[-1]["type"] == "summary"
    assert 1 < found[-1]["audio_s"] < 3


def test_of_a_damaged_file_that_is_kept_stays_what_was_heard(site: Site) -> None:
    answer = post(site, damaged_flac(), keep="true")
    assert answer.status_code == 422
    (kept,) = site.services.library.recordings().recordings
    assert f"is kept as recording {kept.id}" in answer.json()["error"]
    assert 1 < kept.duration_s < 3
    site.services.library.delete(kept.id)


def test_a_full_server_says_when_to_come_again(site: Site) -> None:
    with ExitStack() as taken:
        for _ in range(site.services.desk.seats):
            taken.enter_context(site.services.desk.seat("stream"))
        answer = post(site, CLIP.read_bytes())
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "are taken" in answer.json()["error"]
    assert post(site, CLIP.read_bytes()).status_code == 200


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("", "application/json"),
        ("application/x-subrip", "application/x-subrip"),
        ("text/vtt, text/plain;q=0.5", "text/vtt"),
        ("text/html, text/*;q=0.5", "text/plain"),
        ("application/jsonl", "application/jsonl"),
    ],
)
def test_the_header_chooses_the_form(site: Site, accept: str, media_type: str) -> None:
    answer = requests.post(
        f"{site.url}api/transcribe",
        data=CLIP.read_bytes(),
        headers={"Accept": accept},
        timeout=60,
    )
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].partition(";")[0] == media_type


@pytest.mark.parametrize(
    ("query", "headers", "status", "text"),
    [
        ({"format": "doc"}, {}, 400, "format: must be one of json, srt, vtt, txt, jsonl"),
        ({"format": ""}, {}, 400, "format: must be one of"),
        ({"keep": "yes"}, {}, 400, "keep: must be true or false, got 'yes'"),
        ({"keep": "true", "title": "x" * 201}, {}, 400, "at most 200 characters"),
        ({}, {"Accept": "image/png"}, 406, "a transcript can be application/json"),
        ({}, {"Content-Type": "multipart/form-data; boundary=x"}, 415, "not a form"),
    ],
)
def test_what_cannot_be_answered_is_said(
    site: Site, query: dict[str, str], headers: dict[str, str], status: int, text: str
) -> None:
    answer = requests.post(
        f"{site.url}api/transcribe",
        params=query,
        data=CLIP.read_bytes(),
        headers=headers,
        timeout=60,
    )
    assert answer.status_code == status
    assert text in answer.json()["error"]


def test_a_body_that_is_empty_or_no_sound_is_refused(site: Site) -> None:
    assert post(site, b"").status_code == 400
    answer = post(site, b"hello")
    assert answer.status_code == 415
    assert answer.json() == {
        "error": "the file: is not WAV, FLAC, Ogg, Opus or MP3; convert it to one of them"
    }


def connected(site: Site) -> socket.socket:
    address = urlsplit(site.url)
    assert address.hostname is not None
    return socket.create_connection((address.hostname, address.port or 80), timeout=DONE_S)


def head_of(site: Site, body: bytes, query: str = "", headers: str = "") -> bytes:
    """A request as it is sent; other headers may take the place of the body's length."""
    length = headers or f"Content-Length: {len(body)}\r\n"
    host = urlsplit(site.url).netloc
    head = f"POST /api/transcribe?{query} HTTP/1.1\r\nHost: {host}\r\n{length}\r\n"
    return head.encode() + body


def answer_of(client: socket.socket) -> tuple[int, dict[str, str]]:
    """Return the status and the JSON of an answer that closes the connection."""
    content = b""
    while piece := client.recv(65_536):
        content += piece
    head, _, body = content.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.fixture(scope="module")
def small_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that takes files of a megabyte and ten seconds."""
    web = WebSettings(upload_mb=1, longest_s=10.0)
    with running_site(tmp_path_factory.mktemp("small") / "data", web) as site:
        yield site


def test_a_file_that_is_said_to_be_too_large_is_refused_before_it_is_sent(
    small_site: Site,
) -> None:
    with closing(connected(small_site)) as client:
        client.sendall(head_of(small_site, b"", headers="Content-Length: 3000000000\r\n"))
        status, body = answer_of(client)
    assert status == TooLarge.status
    assert "is larger than 1 MB" in body["error"]


def test_pieces_are_counted_where_the_length_is_not_said(small_site: Site) -> None:
    def pieces() -> Iterator[bytes]:
        yield from [bytes(100_000)] * 20

    answer = requests.post(f"{small_site.url}api/transcribe", data=pieces(), timeout=60)
    assert answer.status_code == TooLarge.status
    assert "is larger than 1 MB" in answer.json()["error"]


def test_a_file_in_pieces_is_transcribed(site: Site) -> None:
    content = CLIP.read_bytes()
    pieces = (content[start : start + 1000] for start in range(0, len(content), 1000))
    answer = requests.post(f"{site.url}api/transcribe", data=pieces, timeout=60)
    assert answer.json()["words"] == post(site, content).json()["words"]


@pytest.mark.parametrize("piece", [b"zz\r\n", b"-5\r\nhello\r\n"])
def test_broken_pieces_are_no_failure_of_the_server(site: Site, piece: bytes) -> None:
    with closing(connected(site)) as client:
        client.sendall(head_of(site, piece, headers="Transfer-Encoding: chunked\r\n"))
        client.shutdown(socket.SHUT_WR)
        head = client.recv(65_536)
    assert not head or int(head.split()[1]) == 400


def test_a_file_longer_than_allowed_is_refused_at_once_or_told_where_it_ends(
    small_site: Site,
) -> None:
    answer = post(small_site, DEMO.read_bytes())
    assert answer.status_code == TooLarge.status
    assert "longer than 0.166667 minutes" in answer.json()["error"]
    content = bytearray(DEMO.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)  # 36 bits of the header hold the number of samples.
    found = lines(post(small_site, bytes(content), format="jsonl"))
    assert found[0]["duration_s"] is None
    assert [one["kind"] for one in found if one["type"] == "notice"] == ["file_too_long"]
    assert found[-1]["audio_s"] == 10.0
    assert post(small_site, bytes(content), format="txt").status_code == TooLarge.status


def test_a_server_that_stops_ends_its_work_in_order(tmp_path: Path) -> None:
    with running_site(tmp_path / "data") as site:
        with requests.post(
            f"{site.url}api/transcribe?format=jsonl&keep=true",
            data=long_speech(),
            stream=True,
            timeout=60,
        ) as answer:
            told = answer.iter_lines()
            assert json.loads(next(told))["type"] == "start"
            # A recording in which nothing was heard yet would not be kept.
            assert json.loads(next(told))["type"] == "partial"
            site.services.desk.close(DONE_S)
            rest = [json.loads(line) for line in told]
        assert [one["kind"] for one in rest if one["type"] == "notice"] == ["stopped"]
        assert rest[-1]["type"] == "summary"
        assert site.services.library.recording(rest[-1]["recording"]).state == "finished"
        assert post(site, CLIP.read_bytes()).status_code == Busy.status
