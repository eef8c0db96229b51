"""Transcripts as files: what the writers of live captions would have written."""

from __future__ import annotations

import json

import pytest

from streamer.events import Word
from streamer.web.library.downloads import FORMATS, download
from streamer.web.library.transcripts import Recording, Segment, joined

SEGMENTS = (
    Segment(
        0.5, 2.0, "Hello, <world>!", (Word("Hello,", 0.5, 1.0, 1.0), Word("<world>!", 1, 2, 1))
    ),
    Segment(2.5, 3.0, "", ()),
    Segment(
        3661.5,
        3662.0,
        "caf\N{LATIN SMALL LETTER E WITH ACUTE}",
        (Word("café", 3661.5, 3662, 0.25),),
    ),
)

GOLDEN = {
    "srt": "1\n00:00:00,500 --> 00:00:02,000\nHello, <world>!\n\n"
    "2\n01:01:01,500 --> 01:01:02,500\ncafé\n",
    "vtt": "WEBVTT\n\n1\n00:00:00.500 --> 00:00:02.000\nHello, &lt;world&gt;!\n\n"
    "2\n01:01:01.500 --> 01:01:02.500\ncafé\n",
    "txt": "Hello, <world>!\ncafé\n",
}


def recording(title: str = "Talk") -> Recording:
    return Recording(
        id="0" * 32,
        title=title,
        origin="upload",
        model="toy",
        created_us=1_700_000_000_123_456,
        duration_s=3700.0,
        state="finished",
        reviewed=True,
        revision=1,
        text=joined(SEGMENTS),
        segments=SEGMENTS,
    )


@pytest.mark.parametrize("format", ["srt", "vtt", "txt"])
def test_subtitles_and_text(format: str) -> None:
    file = download(recording(), format)  # type: ignore[arg-type]
    assert file.content.decode() == GOLDEN[format]


def test_json_is_the_recording_as_it_is_told() -> None:
    content = json.loads(download(recording(), "json").content)
    assert content == recording().plain()
    assert content["created"] == "2023-11-14T22:13:20.123Z"
    assert content["segments"][0] == {
        "start_s": 0.5,
        "end_s": 2.0,
        "text": "Hello, <world>!",
        "words": [
            {"word": "Hello,", "start_s": 0.5, "end_s": 1.0, "confidence": 1.0},
            {"word": "<world>!", "start_s": 1, "end_s": 2, "confidence": 1},
        ],
    }


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Talk", "Talk"),
        ("../../etc/passwd", "etc passwd"),
        ('a<b>:"c"|d?*', "a b c d"),
        ("Über uns…", "Über uns…"),
        ("x" * 150, "x" * 100),
        ("", "recording 2023-11-14T22.13"),
        (" . ", "recording 2023-11-14T22.13"),
    ],
)
def test_names_are_safe(title: str, name: str) -> None:
    assert {download(recording(title), format).name for format in FORMATS} == {
        f"{name}.{format}" for format in FORMATS
    }
