from __future__ import annotations

import stat
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import AudioFileError
from streamer.audio import SAMPLE_RATE
from streamer.web.learning.clips import CONTEXT_S, Clip, Cutter, write_clips
from tests.streamer.web.learning.toys import Recording, Segment, id_of, random_bundle

LENGTH_S = 60
ID = id_of("one")
CUTTER = Cutter(random_bundle())


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a minute in which every sample tells its place."""
    path = tmp_path_factory.mktemp("audio") / "minute.wav"
    ramp = np.arange(LENGTH_S * SAMPLE_RATE) % 30_000
    soundfile.write(path, ramp.astype(np.int16), SAMPLE_RATE, "PCM_16")
    return path


def cut(audio: Path, *segments: tuple[float, float, str]) -> tuple[tuple[Clip, ...], Counter[str]]:
    found = CUTTER.cut(Recording(ID, "", audio, [Segment(*segment) for segment in segments]))
    return found.clips, Counter(found.left_out)


@st.composite
def speech(draw: st.DrawFn) -> list[tuple[float, float, str]]:
    """Draw segments in the order of time; neighbours may touch or overlap a little."""
    at, segments = 0.0, []
    for _ in range(draw(st.integers(0, 8))):
        start = max(0.0, at + draw(st.floats(-0.3, 3)))
        end = start + draw(st.floats(0.05, 20))
        segments.append(
            (start, end, draw(st.sampled_from(["a", "hello there", "", "\u20ac\u20ac"])))
        )
        at = end
    return segments


@settings(derandomize=True, deadline=None)
@given(segments=speech())
def test_clips_lie_in_the_recording_and_apart_and_hold_their_segment(
    audio: Path, segments: list[tuple[float, float, str]]
) -> None:
    clips, left_out = cut(audio, *segments)
    assert len(clips) + sum(left_out.values()) == len(segments)
    for clip in clips:
        assert 0 <= clip.start < clip.end <= LENGTH_S * SAMPLE_RATE
        assert 0.3 <= clip.duration_s <= 17
        start_s, end_s, _ = segments[clip.number]
        assert clip.start / SAMPLE_RATE >= start_s - CONTEXT_S - 1e-4
        assert clip.end / SAMPLE_RATE <= end_s + CONTEXT_S + 1e-4
    assert all(one.end <= other.start for one, other in pairwise(clips))


def test_a_clip_has_context_but_no_more_than_half_of_the_pause(audio: Path) -> None:
    clips, _ = cut(audio, (1.0, 2.0, "one"), (2.1, 3.0, "two"), (9.0, 10.0, "three"))
    spans = [(clip.start / SAMPLE_RATE, clip.end / SAMPLE_RATE) for clip in clips]
    assert spans == [(0.8, 2.05), (2.05, 3.2), (8.8, 10.2)]
    overlapping, _ = cut(audio, (1.0, 2.2, "one"), (2.0, 3.0, "two"))
    assert [(c.start, c.end) for c in overlapping] == [
        (round(0.8 * SAMPLE_RATE), round(2.1 * SAMPLE_RATE)),
        (round(2.1 * SAMPLE_RATE), round(3.2 * SAMPLE_RATE)),
    ]


def test_texts_become_as_the_model_writes_them(audio: Path) -> None:
    clips, _ = cut(
        audio, (0, 4, "It's 5 o'clock, Dr. Smith!"), (5, 8, "CAF\u00c9 \u2014 na\u00efve")
    )
    assert [clip.text for clip in clips] == ["it's five o'clock doctor smith", "cafe naive"]


@pytest.mark.parametrize(
    ("segment", "reason"),
    [
        ((1.0, 2.0, "  ,.! "), "empty"),
        ((1.0, 2.0, "\u4f60\u597d"), "unspellable"),
        ((0.0, 0.05, "a"), "short"),
        ((1.0, 18.0, "a long silence"), "long"),
        ((1.0, 1.3, "much too much to say in that time " * 3), "crowded"),
        ((70.0, 71.0, "beyond the end"), "no_audio"),
    ],
)
def test_what_cannot_be_learned_from_is_left_out_with_its_reason(
    audio: Path, segment: tuple[float, float, str], reason: str
) -> None:
    clips, left_out = cut(audio, segment)
    assert (clips, left_out) == ((), Counter({reason: 1}))


def test_a_recording_that_is_lost_has_no_audio(tmp_path: Path) -> None:
    clips, left_out = cut(tmp_path / "gone.wav", (0.0, 1.0, "hello"))
    assert (clips, left_out) == ((), Counter(no_audio=1))


def test_clips_are_written_sample_for_sample_for_their_owner_only(
    audio: Path, tmp_path: Path
) -> None:
    clips, _ = cut(audio, (1.0, 2.0, "one"), (5.0, 7.0, "two"))
    rows = write_clips(audio, clips, tmp_path)
    whole, _ = soundfile.read(audio, dtype="int16")
    for clip, row in zip(clips, rows, strict=True):
        assert (row.text, row.speaker) == (clip.text, ID)
        assert row.duration == pytest.approx(clip.duration_s)
        assert stat.S_IMODE(row.audio.stat().st_mode) == 0o600
        samples, rate = soundfile.read(row.audio, dtype="int16")
        assert (rate, soundfile.info(str(row.audio)).subtype) == (SAMPLE_RATE, "PCM_16")
        np.testing.assert_array_equal(samples, whole[clip.start : clip.end])


def test_a_recording_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.wav"
    damaged.write_bytes(b"RIFF, or so it says")
    with pytest.raises(AudioFileError, match=r"damaged\.wav: a recording that was corrected"):
        write_clips(damaged, [Clip(ID, 0, 0, 100, "a")], tmp_path)
