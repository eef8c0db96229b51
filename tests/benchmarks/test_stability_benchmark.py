"""The benchmark of stability: what it gathers, fits and shows anew."""

from __future__ import annotations

import json
import math
from dataclasses import astuple, replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks import stability as program
from benchmarks.live.figures import repeatable
from benchmarks.live.rolling import Candidate, KeepingSettler, Rolled, Roller
from benchmarks.live.staying import (
    Examples,
    StabilityOptions,
    examples_of,
    fit,
    held_out,
    measure_stability,
    probabilities,
    scores,
    source,
)
from benchmarks.live.tapes import single_tape
from model.acoustic import AcousticModel
from model.commands.terminal import Terminal
from model.corpora.manifest import Utterance, read_manifest, write_manifest
from model.errors import UsageError
from streamer import stability as shipped
from streamer.app import build_stream, load_model
from streamer.events import Event, PartialTranscript, Word
from streamer.replay import WavReplaySource
from streamer.runner import run_inline
from streamer.settings import LiveSettings, PartialSettings
from streamer.stability import WordStability, measures
from tests.benchmarks.events import Kept, final

ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "tests" / "data" / "speech" / "manifest.jsonl"
NO_LANGUAGE_MODEL = ("decoder.kind=greedy",)


def quiet() -> Terminal:
    return Terminal(Console(file=StringIO()), Console(file=StringIO()))


@pytest.fixture(scope="module")
def rows() -> list[Utterance]:
    """Return two short recordings of two speakers."""
    every = read_manifest(SPEECH)
    return [every[5], every[10]]


@pytest.fixture(scope="module")
def acoustic() -> AcousticModel:
    return load_model(LiveSettings().model)


@pytest.fixture(scope="module")
def rolled(rows: list[Utterance], acoustic: AcousticModel) -> list[Rolled]:
    roller = Roller(LiveSettings(), acoustic)
    return [roller.roll(row) for row in rows]


def live(row: Utterance, acoustic: AcousticModel, partials: PartialSettings) -> list[Event]:
    """Return the transcripts of the live path, with nothing in between."""
    settings, kept = replace(LiveSettings(), partials=partials), Kept()
    with WavReplaySource([row.audio], "max", settings.audio.block_ms) as source:
        run_inline(source, build_stream(settings, acoustic), kept)
    return kept.events


@pytest.mark.parametrize("threshold", (0.0, 0.55, 0.95))
def test_showing_anew_is_what_the_live_path_would_show(
    threshold: float, rows: list[Utterance], rolled: list[Rolled], acoustic: AcousticModel
) -> None:
    settings = replace(PartialSettings(), stability=threshold)
    shown = [told.event for told in rolled[0].shown_anew(settings, WordStability())]
    assert shown == live(rows[0], acoustic, settings)
    assert any(isinstance(event, PartialTranscript) for event in shown)


def test_what_is_measured_is_of_what_is_shown_anew(rolled: list[Rolled]) -> None:
    late = rolled[0].judged(replace(PartialSettings(), stability=1.0), WordStability())
    soon = rolled[0].judged(replace(PartialSettings(), stability=0.0), WordStability())
    assert len(late.words) == len(soon.words) > 0
    assert sum(word.latency.stream_s for word in soon.words) < sum(
        word.latency.stream_s for word in late.words
    )
    assert late.flicker.lost <= soon.flicker.lost


def words(*texts: str) -> list[Word]:
    """Return words of half a second, of falling confidence."""
    return [
        Word(text, place / 2, place / 2 + 0.5, 0.9 - place / 5) for place, text in enumerate(texts)
    ]


def test_words_that_are_not_settled_are_kept_with_what_is_known_of_them() -> None:
    settings = replace(PartialSettings(), settle_after=2, settle_lag_ms=0)
    settler = KeepingSettler(settings)
    settler.update(words("the", "cap"), 1.0)
    assert settler.update(words("the", "cat", "sat"), 1.6)[0] == "the"
    assert [candidate.word.word for candidate in settler.candidates] == [
        "the",
        "cap",
        "cat",
        "sat",
    ]
    the, cap, cat, sat = (candidate.measures for candidate in settler.candidates)
    assert the == pytest.approx(measures(0.9, 0.5, 0.0, True, 3))
    assert cap == pytest.approx(measures(0.7, 0.0, 0.0, False, 3))
    # A word that was read otherwise before is new; one that was not read before is, too.
    assert cat == pytest.approx(measures(0.7, 0.6, 0.0, True, 3))
    assert sat == pytest.approx(measures(0.5, 0.1, 0.0, False, 3))
    assert [look.audio_s for look in settler.looks] == [1.0, 1.6]


def test_a_word_stays_if_the_final_has_it_there() -> None:
    said = final("a cat a", 2.0)

    def stays(text: str, end_s: float) -> bool:
        return Candidate(Word(text, end_s - 0.2, end_s, 0.5), ()).stays(said)

    assert stays("cat", 1.0) and stays("cat", 1.2) and stays("a", 1.5)
    assert not stays("cat", 1.3)
    assert not stays("cap", 1.0)


def drawn(count: int, truth: WordStability, seed: int = 1) -> Examples:
    """Return words that stay with just the probability that a stability says."""
    random = np.random.default_rng(seed)
    known = [
        (random.uniform(0.05, 0.95), random.uniform(0, 1.5), random.uniform(0, 1), number % 2 > 0)
        for number in range(count)
    ]
    inputs = [measures(*one, letters=int(random.integers(1, 9))) for one in known]
    chances = probabilities(truth, np.array(inputs))
    speakers = tuple(f"speaker {number % 5}" for number in range(count))
    return Examples(np.array(inputs), random.uniform(size=count) < chances, speakers)


def test_probabilities_are_those_of_the_stability() -> None:
    stability, known = WordStability(), (0.8, 0.5, 0.25, True, 3)
    found = probabilities(stability, np.array([measures(*known)]))
    assert found == pytest.approx([stability.probability(*known)])


def test_the_fit_finds_the_weights_that_words_were_drawn_with() -> None:
    truth = WordStability(-0.4, 1.2, 0.3, 1.5, 0.8, 0.5)
    examples = drawn(20_000, truth)
    assert astuple(fit(examples)) == pytest.approx(astuple(truth), abs=0.15)
    own = probabilities(fit(examples), examples.measures)
    assert scores(own, examples.stayed)["calibration_error"] < 0.015
    other = held_out(examples)
    assert other is not None
    assert scores(other, examples.stayed)["log_loss"] == pytest.approx(
        scores(own, examples.stayed)["log_loss"], abs=0.002
    )


def test_more_of_what_speaks_for_a_word_never_makes_it_less_likely() -> None:
    fitted = fit(drawn(2_000, WordStability(0.0, -1.0, -1.0, -1.0, -1.0, -1.0)))
    assert astuple(fitted)[1:5] == (0.0, 0.0, 0.0, 0.0)
    assert fitted.letters < -0.5


def test_one_speaker_is_not_judged_by_others() -> None:
    examples = drawn(50, WordStability())
    assert held_out(replace(examples, speakers=("one",) * 50)) is None


def test_log_loss_is_the_mean_of_the_logarithms() -> None:
    found = scores(np.array([0.9, 0.2]), np.array([True, False]))
    assert found["log_loss"] == pytest.approx(-(math.log(0.9) + math.log(0.8)) / 2, abs=1e-4)
    assert found["calibration_error"] == pytest.approx(0.15)


def test_weights_are_printed_as_they_stand_in_the_module() -> None:
    assert source(WordStability()) in Path(shipped.__file__).read_text(encoding="utf-8")


def test_recordings_in_which_nothing_was_read_are_refused(rolled: list[Rolled]) -> None:
    silent = replace(rolled[0], settlers=(), finals=())
    with pytest.raises(UsageError, match="no word was read"):
        examples_of([silent])


def test_figures_are_the_same_each_time_and_are_written(
    rows: list[Utterance], tmp_path: Path
) -> None:
    manifest, output = tmp_path / "two.jsonl", tmp_path / "stability.json"
    write_manifest(manifest, rows)
    options = StabilityOptions(manifest, output, overrides=NO_LANGUAGE_MODEL, thresholds=(0.9, 0.5))
    record = measure_stability(options, quiet())
    again = measure_stability(options, quiet())
    assert repeatable(record) == repeatable(again) == repeatable(json.loads(output.read_bytes()))
    for points in record["curves"].values():
        assert [point["stability"] for point in points] == [0.5, 0.9]
        assert points[0]["latency_s"]["all"]["p50"] <= points[1]["latency_s"]["all"]["p50"]
    assert record["scores"]["as fitted"]["log_loss"] <= record["scores"]["as they are"]["log_loss"]
    table = output.with_suffix(".md").read_text(encoding="utf-8")
    assert source(WordStability(**record["weights"]["as fitted"])) in table
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_wrong_requests_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--manifest", str(tmp_path / "no.jsonl")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "stability.py: error: " in said and "cannot be read as a manifest" in said
    with pytest.raises(SystemExit):
        program.main(["--manifest", str(SPEECH), "--stability", "2"])
    assert "must be a number from 0 to 1, got 2" in capsys.readouterr().err


def test_a_tape_of_a_recording_without_noise_is_the_recording(rows: list[Utterance]) -> None:
    assert single_tape(rows[0], None, Path()).path == rows[0].audio
