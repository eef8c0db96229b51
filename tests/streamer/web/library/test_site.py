"""The library as a running server has it: from an upload to its deletion."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.streamer.web.conftest import Site

SPEECH = Path(__file__).parents[3] / "data" / "speech" / "669-129074-0001.opus"


def ask(site: Site, method: str, path: str, body: Any = None, **headers: str) -> Any:
    """Return the answer's status, headers and content, of JSON the value."""
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    request = Request(f"{site.url}api/{path}", content, {"Content-Type": kind, **headers})
    request.method = method
    try:
        with urlopen(request, timeout=60) as answer:
            status, found, content = answer.status, answer.headers, answer.read()
    except HTTPError as error:
        with error:
            status, found, content = error.code, error.headers, error.read()
    if found.get_content_type() == "application/json" and content:
        return status, found, json.loads(content)
    return status, found, content


def test_a_recording_is_uploaded_corrected_and_deleted(site: Site) -> None:
    status, _, made = ask(
        site, "POST", "transcribe?format=json&keep=true&title=Clip", SPEECH.read_bytes()
    )
    assert status == 200
    id = made["recording"]
    _, _, recording = ask(site, "GET", f"recordings/{id}")
    assert (recording["title"], recording["origin"]) == ("Clip", "upload")
    assert recording["text"] == made["text"]
    assert recording["duration_s"] == pytest.approx(8.12, abs=0.01)
    status, headers, part = ask(site, "GET", f"recordings/{id}/audio", Range="bytes=100-199")
    assert (status, len(part)) == (206, 100)
    assert headers["Content-Range"].endswith(f"/{44 + round(recording['duration_s'] * 16_000) * 2}")
    truth = "the little woman thought that the secret might keep"
    texts = [truth, *([""] * (len(recording["segments"]) - 1))]
    status, _, corrected = ask(
        site, "POST", f"recordings/{id}/corrections", {"base": 0, "segments": texts}
    )
    assert (status, corrected["text"]) == (200, truth)
    first = corrected["segments"][0]
    times = [time for word in first["words"] for time in (word["start_s"], word["end_s"])]
    assert times == sorted(times)
    assert first["start_s"] - 0.3 <= times[0] < times[-1] <= first["end_s"] + 0.3
    even = (first["end_s"] - first["start_s"]) * len("the") / len(truth.replace(" ", ""))
    assert first["words"][0]["end_s"] - first["words"][0]["start_s"] != pytest.approx(even)
    assert ask(site, "DELETE", f"recordings/{id}")[0] == 204
    assert ask(site, "GET", f"recordings/{id}")[0] == 404
    assert not list(site.folder.rglob(f"*{id}*"))


def test_many_at_once_get_what_they_ask_for(site: Site) -> None:
    _, _, made = ask(site, "POST", "transcribe?format=json&keep=true", SPEECH.read_bytes())
    id, wrong = made["recording"], list[object]()

    def visit(title: str) -> None:
        for _ in range(5):
            renamed = ask(site, "PATCH", f"recordings/{id}", {"title": title})
            audio = ask(site, "GET", f"recordings/{id}/audio")
            listed = ask(site, "GET", "recordings?q=visitor")
            if (renamed[0], audio[0], listed[0]) != (200, 200, 200):
                wrong.append((renamed, audio[0], listed))

    visitors = [threading.Thread(target=visit, args=(f"visitor {n}",)) for n in range(6)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert wrong == []
    assert ask(site, "DELETE", f"recordings/{id}")[0] == 204
