"""Recordings as they are streamed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.live.tapes import PAUSE_S, ROOM_DB, pink_noise, session_tape, single_tape
from model.audio import read_audio
from model.corpora.manifest import Utterance, read_manifest
from model.variation.noises import active_power
from streamer.audio import SAMPLE_RATE

SPEECH = Path(__file__).parents[1] / "data" / "speech" / "manifest.jsonl"


@pytest.fixture
def rows() -> list[Utterance]:
    return read_manifest(SPEECH)[:3]


def test_a_recording_alone_is_its_own_file(rows: list[Utterance], tmp_path: Path) -> None:
    tape = single_tape(rows[0], None, tmp_path)
    assert tape.path == rows[0].audio
    assert (tape.clips[0].start, tape.clips[0].end) == (0, len(tape.samples))


def test_noise_is_the_same_each_time_and_of_its_level(
    rows: list[Utterance], tmp_path: Path
) -> None:
    clean = single_tape(rows[0], None, tmp_path).samples
    tape = single_tape(rows[0], pink_noise(10), tmp_path)
    assert np.array_equal(tape.samples, single_tape(rows[0], pink_noise(10), tmp_path).samples)
    ratio = active_power(clean) / active_power(tape.samples - clean)
    assert 10 * np.log10(ratio) == pytest.approx(10, abs=0.5)
    assert np.array_equal(read_audio(tape.path, SAMPLE_RATE), tape.samples)


def test_a_session_has_every_recording_between_quiet_pauses(
    rows: list[Utterance], tmp_path: Path
) -> None:
    tape = session_tape(rows, None, tmp_path)
    assert np.array_equal(read_audio(tape.path, SAMPLE_RATE), tape.samples)
    before = 0
    for row, clip in zip(rows, tape.clips, strict=True):
        whole = read_audio(row.audio, SAMPLE_RATE)
        assert np.array_equal(tape.samples[clip.start : clip.end], whole)
        pause = tape.samples[before : clip.start]
        assert PAUSE_S[0] <= len(pause) / SAMPLE_RATE <= PAUSE_S[1]
        assert 10 * np.log10(np.mean(pause**2)) == pytest.approx(ROOM_DB, abs=0.1)
        before = clip.end
    assert len(tape.samples) > before


def test_a_pause_depends_on_the_recording_behind_it_alone(
    rows: list[Utterance], tmp_path: Path
) -> None:
    first, _, third = session_tape(rows, None, tmp_path).clips
    alone = session_tape(rows[2:], None, tmp_path).clips[0]
    again = session_tape(rows[:1], None, tmp_path).clips[0]
    assert first == again
    assert third.end - third.start == alone.end - alone.start
    assert session_tape(rows, None, tmp_path).clips[0] == first


def test_noise_goes_on_through_the_pauses(rows: list[Utterance], tmp_path: Path) -> None:
    quiet = session_tape(rows, None, tmp_path)
    noisy = session_tape(rows, pink_noise(0), tmp_path)
    assert noisy.clips == quiet.clips
    added = noisy.samples - quiet.samples
    first = quiet.clips[0]
    pause, speech = added[: first.start], added[first.start : first.end]
    assert np.mean(pause**2) == pytest.approx(np.mean(speech**2), rel=0.5)
