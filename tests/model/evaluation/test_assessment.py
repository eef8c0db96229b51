"""Which recordings are recognised, in what order, with what added; by a model made of rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from model.alphabet import ENGLISH
from model.audio import read_audio
from model.corpora.manifest import Utterance
from model.errors import AudioFileError
from model.evaluation.assessment import Assessor, Noise, check_recordings, first_of_each
from model.variation.noises import coloured_noise

RATE = 16_000


class Extractor:
    """Keeps what it is given, and gives it back."""

    def __init__(self) -> None:
        self.heard: list[np.ndarray] = []

    def extract(self, samples: np.ndarray) -> np.ndarray:
        self.heard.append(samples)
        return samples


@pytest.fixture
def model() -> Any:
    """Return what reads "ab" whatever it hears."""
    scores = np.eye(ENGLISH.size)[[*ENGLISH.encode("ab")]]
    features = SimpleNamespace(sample_rate=RATE)
    return SimpleNamespace(
        bundle=SimpleNamespace(name="rule", alphabet=ENGLISH, features=features),
        extractor=Extractor(),
        log_probs=lambda features, final: scores if final else None,
    )


def white(*levels: float) -> Noise:
    return Noise(
        "white noise", levels, lambda length, random: coloured_noise("white", length, RATE, random)
    )


def after(calls: int) -> Callable[[], bool]:
    """Return a function that says no so many times, and then yes."""
    numbers = count()
    return lambda: next(numbers) >= calls


def test_recordings_are_read_as_they_are_and_then_at_each_level(
    model: Any, tone_rows: Sequence[Utterance]
) -> None:
    done: list[int] = []
    ticks: Iterator[int] = count()
    assessor = Assessor(model, clock=lambda: float(next(ticks)))
    found = assessor.assess(tone_rows[:3], white(20, 0), done.append)
    assert done == list(range(1, 10))
    assert (found.done, found.planned, found.problems) == (9, 9, ())
    assert [one.row for one in found.readings] == list(tone_rows[:3])
    assert {level: len(readings) for level, readings in found.noisy.items()} == {20: 3, 0: 3}
    assert [one.text for one in found.readings] == ["ab"] * 3
    assert found.readings[0].rates.word_errors == 0
    assert found.readings[1].rates.word_errors == 2
    assert found.readings[0].audio_s == pytest.approx(tone_rows[0].duration)
    assert [one.computing_s for one in found.readings] == [1] * 3


def test_the_same_noise_is_added_each_time_only_louder(
    model: Any, tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    moved = tmp_path / tone_rows[1].audio.name
    moved.write_bytes(tone_rows[1].audio.read_bytes())
    Assessor(model).assess(tone_rows[:2], white(20, 0))
    Assessor(model).assess([replace(tone_rows[1], audio=moved)], white(20))
    clean, other, low, other_low, loud, _, _, moved_low = model.extractor.heard
    np.testing.assert_array_equal(clean, read_audio(tone_rows[0].audio, RATE))
    np.testing.assert_allclose(10 * (low - clean), loud - clean, atol=1e-5)
    np.testing.assert_array_equal(other_low, moved_low)
    size = min(len(clean), len(other))
    assert abs(np.corrcoef((low - clean)[:size], (other_low - other)[:size])[0, 1]) < 0.1


def test_a_caller_may_read_the_outputs_in_another_way(
    model: Any, tone_rows: Sequence[Utterance]
) -> None:
    assessor = Assessor(model, read=lambda scores: f"{scores.shape[1]} symbols", decoder="beam")
    found = assessor.assess(tone_rows[:1])
    assert (found.decoder, found.readings[0].text) == ("beam", f"{ENGLISH.size} symbols")


@pytest.mark.parametrize(("calls", "levels"), [(0, {}), (2, {}), (5, {20: 2})])
def test_stopping_keeps_what_was_read(
    model: Any, tone_rows: Sequence[Utterance], calls: int, levels: dict[float, int]
) -> None:
    found = Assessor(model, stopped=after(calls)).assess(tone_rows[:3], white(20, 0))
    assert (len(found.readings), found.done, found.planned) == (min(calls, 3), calls, 9)
    assert {level: len(readings) for level, readings in found.noisy.items()} == levels


def test_a_recording_that_turns_out_damaged_is_left_out_and_named_once(
    model: Any, tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.flac"
    soundfile.write(damaged, read_audio(tone_rows[0].audio, RATE), RATE)
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    rows = [replace(tone_rows[0], audio=damaged), tone_rows[1]]
    check_recordings([damaged])
    found = Assessor(model).assess(rows, white(10))
    assert [one.row for one in found.readings] == [tone_rows[1]]
    assert (found.done, found.planned) == (2, 4)
    [problem] = found.problems
    assert "damaged.flac: damaged" in problem


def test_all_recordings_that_are_no_audio_are_named(
    tone_rows: Sequence[Utterance], tmp_path: Path
) -> None:
    (tmp_path / "empty.wav").touch()
    paths = [tmp_path / "gone.wav", tone_rows[0].audio, tmp_path / "empty.wav"]
    with pytest.raises(AudioFileError, match="2 recordings cannot be used; mend") as caught:
        check_recordings(paths)
    for part in ("gone.wav: no such file", "empty.wav: the file is empty"):
        assert part in str(caught.value)


def test_the_first_of_each_corpus_are_taken(tone_rows: Sequence[Utterance]) -> None:
    rows = [replace(tone_rows[0], corpus=corpus) for corpus in "aabab"]
    assert [row.corpus for row in first_of_each(rows, 2)] == ["a", "a", "b", "b"]
