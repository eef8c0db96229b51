"""The long stream, and what is made of it."""

from __future__ import annotations

import functools
import gc
import json
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.soak import main, soak
from benchmarks.soaking import stream as long_stream
from benchmarks.soaking.judging import Growth, Sample, judge, memory_growth
from benchmarks.soaking.report import markdown, picture
from benchmarks.soaking.stream import STEP, LongSource, Recording, Turn, plan
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.errors import OutputError
from tests.streamer.tone_speech import caption_stream, say

HOUR_S = 3600


def recording(text: str) -> Recording:
    samples = say(text)
    return Recording(f"{text}.wav", text, np.pad(samples, (0, -len(samples) % STEP)))


RECORDINGS = [recording(text) for text in ("abc de fag", "bad cab", "had a bed", "face")]


@pytest.fixture(autouse=True)
def quiet_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay the tones on noise that they are read through."""
    monkeypatch.setattr(long_stream, "LEVELS_DB", (-120.0, -110.0))


def turns(seconds: float, seed: int = 1) -> list[Turn]:
    return list(plan(RECORDINGS, seconds, seed))


def test_a_plan_is_the_same_for_the_same_seed_only() -> None:
    assert turns(300) == turns(300)
    assert turns(300) != turns(300, seed=2)


def test_turns_follow_each_other_with_every_recording_as_often() -> None:
    planned = turns(600)
    position = 0
    for turn in planned:
        assert turn.start == position + turn.lost_before
        assert turn.pause % STEP == turn.length % STEP == turn.hole % STEP == 0
        position = turn.end
    assert 600 * SAMPLE_RATE <= position < 610 * SAMPLE_RATE
    times = np.bincount([turn.recording for turn in planned])
    assert times.max() - times.min() <= 1


def test_audio_is_lost_between_recordings_and_inside_of_them() -> None:
    planned = turns(1200)
    assert sum(turn.lost_before > 0 for turn in planned) >= 3
    inside = [turn for turn in planned if turn.hole]
    assert len(inside) >= 3
    for turn in inside:
        ((start, size),) = turn.losses
        assert turn.speech_start < start < start + size < turn.end


def test_the_source_places_its_audio_as_planned() -> None:
    planned = turns(120)
    stream = np.full(planned[-1].end, np.nan, np.float32)
    minutes: list[float] = []
    position = 0
    for block in LongSource(RECORDINGS, iter(planned), on_minute=minutes.append):
        assert isinstance(block, AudioBlock)
        assert block.start == position + block.lost_before
        assert 0 < len(block.samples) <= 512
        stream[block.start : block.end] = block.samples
        position = block.end
    starts = [turn.speech_start / SAMPLE_RATE / 60 for turn in planned]
    assert minutes == [next(start for start in starts if start >= due) for due in (1, 2)]
    lost = [stream[start : start + size] for turn in planned for start, size in turn.losses]
    assert lost and all(np.isnan(samples).all() for samples in lost)
    assert np.isnan(stream).sum() == sum(map(len, lost))
    for turn in planned:
        if not turn.hole:
            said = stream[turn.speech_start : turn.end]
            assert np.allclose(said, RECORDINGS[turn.recording].samples, atol=1e-4)


def test_a_source_that_is_stopped_ends_with_the_turn() -> None:
    source = LongSource(RECORDINGS, plan(RECORDINGS, HOUR_S, 1))
    end = 0
    for block in source:
        assert isinstance(block, AudioBlock)
        end = block.end
        source.stop()
    assert source.given == 1
    assert end == turns(1)[0].end


def kept_bytes() -> int:
    """Return what Python holds for good, without what caches of a bounded size do."""
    for cache in gc.get_objects():
        # Asked for its class, a proxy of what is gone would raise an error.
        if type(cache) is functools._lru_cache_wrapper and cache.cache_info().maxsize:
            cache.cache_clear()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_minutes_of_stream_change_nothing_and_keep_nothing(tmp_path: Path) -> None:
    """A history anywhere in the live path would show in what Python holds."""
    held: list[int] = []
    tracemalloc.start()
    try:
        found = soak(
            lambda recorder: caption_stream(recorder=recorder),
            RECORDINGS,
            200,
            1,
            tmp_path,
            lambda minutes: held.append(kept_bytes()),
        )
    finally:
        tracemalloc.stop()
    # What the computing costs depends on what else the machine does.
    assert [problem for problem in found.problems if not problem.startswith("the cost")] == []
    assert found.losses >= 2
    assert [part.rates.wer for part in found.parts] == [0.0, 0.0]
    assert [part.strays for part in found.parts] == [0, 0]
    assert all(part.again > 10 and abs(part.shift_s) < 0.001 for part in found.parts)
    assert all(part.same_place == 1.0 for part in found.parts)
    assert len(found.samples) == len(held) >= 4
    assert found.files == 1
    # All features of a minute are 2 MB, and its events alone more than this.
    assert held[-1] - held[1] < 30_000, held


def written(folder: Path, planned: list[Turn], late_s: float = 0.0) -> Path:
    """Write the events of a reading without errors whose words come late from half time on."""
    half = planned[-1].end / 2
    events = []
    for turn in planned:
        for start, size in turn.losses:
            lost = {
                "start_s": round(start / SAMPLE_RATE, 3),
                "lost_s": round(size / SAMPLE_RATE, 3),
            }
            events.append({"type": "gap", **lost})
        start_s = turn.speech_start / SAMPLE_RATE + (late_s if turn.start > half else 0)
        texts = RECORDINGS[turn.recording].text.split()
        words = [
            {"word": text, "start_s": start_s + 0.1 * place, "end_s": start_s + 0.1 * place + 0.1}
            for place, text in enumerate(texts)
        ]
        events.append({"type": "final", "words": words})
    lost_s = sum(size for turn in planned for _, size in turn.losses) / SAMPLE_RATE
    heard = {"audio_s": planned[-1].end / SAMPLE_RATE, "lost_s": round(lost_s, 3)}
    events.append({"type": "summary", "utterances": len(planned), "partials": 0, **heard})
    path = folder / "captions.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    return path


def samples(minutes: int, memory_mb: float = 0.0, cost: float = 0.0) -> list[Sample]:
    """Return samples with what memory and cost grow by in a minute."""
    return [
        Sample(minute, 100 + memory_mb * minute, 3.0 * minute + cost * minute**2, 5, 9)
        for minute in range(minutes + 1)
    ]


def problems(folder: Path, planned: list[Turn], **changes: float) -> str:
    late_s = changes.pop("late_s", 0.0)
    events = written(folder, planned, late_s)
    return "; ".join(judge(RECORDINGS, planned, [events], samples(60, **changes)).problems)


def test_what_changes_is_found(tmp_path: Path) -> None:
    planned = turns(HOUR_S)
    assert problems(tmp_path, planned) == ""
    assert "words come +0.100 s late" in problems(tmp_path, planned, late_s=0.1)
    assert "memory grew by 20.5 to 20.5 MiB" in problems(tmp_path, planned, memory_mb=0.5)
    assert "the cost rose" in problems(tmp_path, planned, cost=0.1)


def test_threads_and_files_that_stay_open_are_found(tmp_path: Path) -> None:
    planned = turns(HOUR_S)
    taken = [replace(sample, handles=9 + int(sample.minutes) // 50) for sample in samples(60)]
    found = judge(RECORDINGS, planned, [written(tmp_path, planned)], taken)
    assert found.problems == ("the number of handles rose from 9 to 10",)
    assert "Threads 5 to 5, open files 9 to 10; captions in 1 parts" in markdown(found)


def test_a_stream_may_be_mostly_quiet() -> None:
    planned = list(plan(RECORDINGS, 2 * HOUR_S, 1, quiet=0.9))
    spoken = sum(turn.length for turn in planned)
    assert spoken / planned[-1].end == pytest.approx(0.1, abs=0.02)
    assert all(turn.pause % STEP == 0 for turn in planned)


def test_a_loss_in_another_place_is_found(tmp_path: Path) -> None:
    planned = turns(HOUR_S)
    events = written(tmp_path, planned)
    place = next(place for place, turn in enumerate(planned) if turn.lost_before)
    moved = list(planned)
    moved[place] = replace(planned[place], lost_before=planned[place].lost_before + 160)
    found = judge(RECORDINGS, moved, [events], samples(60)).problems
    assert any("losses of audio" in problem for problem in found)
    assert any("lost, but it was" in problem for problem in found)


def test_events_that_break_off_are_an_error(tmp_path: Path) -> None:
    planned = turns(HOUR_S)
    events = written(tmp_path, planned)
    events.write_text("".join(events.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(OutputError, match="breaks off; make room"):
        judge(RECORDINGS, planned, [events], samples(60))


@pytest.mark.parametrize(("content", "message"), [(None, "No such file"), ("", "holds no rows")])
def test_a_manifest_without_recordings_is_an_error(
    content: str | None,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest = tmp_path / "manifest.jsonl"
    if content is not None:
        manifest.write_text(content, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["soak.py", "--manifest", str(manifest)])
    assert main() == 2
    assert message in capsys.readouterr().err


def test_a_short_stream_tells_nothing_of_memory() -> None:
    assert memory_growth(samples(20, memory_mb=1.0)) is None
    assert memory_growth(samples(120, memory_mb=1.0)) == Growth(101.0, 101.0)


def test_the_report_says_what_changed(tmp_path: Path) -> None:
    planned = turns(HOUR_S)
    found = judge(RECORDINGS, planned, [written(tmp_path, planned, 0.1)], samples(60))
    report = markdown(found)
    assert report.startswith("# 1.0 hours of stream") and "late" in report
    assert "nothing changed" in markdown(replace(found, problems=()))
    picture(found, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").stat().st_size > 10_000
    assert json.loads(json.dumps(found.figures()))["recordings"] == len(RECORDINGS)
