"""Reports of readings made by hand, with errors that can be counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from model.corpora.manifest import Utterance
from model.evaluation.assessment import Assessment, Reading
from model.evaluation.report import Report, confusion_record, processors
from model.evaluation.report_files import check_output, write_report
from model.evaluation.report_plots import confusion_matrix, draw_report
from model.evaluation.report_text import aligned_lines, card_report, full_report


def reading(
    number: int, corpus: str, reference: str, text: str, audio_s: float, **labels: str
) -> Reading:
    row = Utterance(Path(f"{number}.wav"), reference, audio_s, corpus=corpus, **labels)
    return Reading(row, text, audio_s, computing_s=0.1)


READINGS = (
    reading(0, "books", "the cat sat", "the cat sat", 1.5, speaker="ann", accent="scots"),
    reading(1, "books", "a cat ran", "the cat ran on", 2.0, speaker="ann", accent="scots"),
    reading(2, "books", "the mat", "mat", 16.0, speaker="bob"),
    reading(3, "", "go", "no", 7.0, speaker="bob"),
)


def report_of(readings: Sequence[Reading] = READINGS, **more: object) -> Report:
    given = Assessment("toy", "greedy", readings, "", {}, len(readings))
    return Report(replace(given, **more), "train.py evaluate")


@pytest.fixture
def report() -> Report:
    return report_of()


@pytest.fixture
def noisy() -> Report:
    worse = [replace(READINGS[0], text="that"), READINGS[1], *READINGS[2:]]
    return report_of(noise="pink noise", noisy={10.0: worse, 0.0: worse[:2]}, planned=12)


def test_each_grouping_counts_its_own_recordings(report: Report) -> None:
    counted = {
        name: (found.recordings, found.rates.words, found.rates.word_errors)
        for groups in (report.corpora, report.speakers, report.accents, report.lengths)
        for name, found in groups.items()
    }
    assert counted == {
        "books": (3, 8, 3),
        "": (1, 1, 1),
        "ann": (2, 6, 2),
        "books: bob": (1, 2, 1),
        "unnamed: bob": (1, 1, 1),
        "scots": (2, 6, 2),
        "below 2 s": (1, 3, 0),
        "2 to 5 s": (1, 3, 2),
        "5 to 10 s": (1, 1, 1),
        "15 s and longer": (1, 2, 1),
    }
    assert next(iter(report.lengths)) == "below 2 s"
    assert report.overall.rates == report.corpora["books"].rates + report.corpora[""].rates
    assert (report.overall.speakers, report.overall.speech_s) == (3, 26.5)


def test_cosines_are_those_of_recordings_and_of_all_as_one(report: Report) -> None:
    single = [1, 2 / 12**0.5, 1 / 2**0.5, 0]
    assert report.overall.cosine == pytest.approx(np.mean(single))
    wanted = dict(the=2, cat=2, sat=1, a=1, ran=1, mat=1, go=1)
    read = dict(the=2, cat=2, sat=1, ran=1, on=1, mat=1, no=1)
    product = sum(count * read.get(word, 0) for word, count in wanted.items())
    norms = [sum(count**2 for count in counts.values()) for counts in (wanted, read)]
    assert report.overall.cosine_whole == pytest.approx(product / (norms[0] * norms[1]) ** 0.5)


def test_confusions_are_counted_by_what_stands_in_the_place(report: Report) -> None:
    assert confusion_record(report.words) == {
        "substitutions": [["a", "the", 1], ["go", "no", 1]],
        "deletions": [["the", 1]],
        "insertions": [["on", 1]],
    }
    assert report.words["cat", "cat"] == 2
    assert report.characters["g", "n"] == 1


def test_the_worst_come_first_and_the_faultless_not_at_all(report: Report) -> None:
    assert [one.row.audio.name for one in report.worst] == ["3.wav", "1.wav", "2.wav"]


def test_the_speed_is_computing_for_each_second(report: Report) -> None:
    assert report.speed.real_time_factor == pytest.approx(0.4 / 26.5)
    assert report.speed.processors == processors() >= 1


def test_the_record_holds_all_and_differs_from_run_to_run_in_its_timing_only(
    noisy: Report,
) -> None:
    slow = [replace(one, computing_s=9.0) for one in READINGS]
    again = replace(noisy, assessment=replace(noisy.assessment, readings=slow))
    records = [json.loads(json.dumps(one.record())) for one in (noisy, again)]
    assert [one.pop("timing")["computing_s"] for one in records] == [0.4, 36.0]
    assert records[0] == records[1]
    record = records[0]
    assert (record["readings"], record["readings_planned"]) == (10, 12)
    assert record["overall"]["wer"] == pytest.approx(4 / 9, abs=1e-5)
    assert record["overall"]["wer_low"] <= record["overall"]["wer"] <= 1
    assert record["utterances"][1]["hypothesis"] == "the cat ran on"
    assert (record["utterances"][1]["substitutions"], record["utterances"][1]["insertions"]) == (
        *(1, 1),
    )
    [ten, zero] = record["noise"]["levels"]
    assert (ten["snr_db"], ten["recordings"], ten["corpora"][""]["wer"]) == (10, 4, 1)
    assert zero["hypotheses"] == ["that", "the cat ran on"]


def test_the_report_reads_as_it_should(noisy: Report) -> None:
    text = full_report(noisy, ["wer_by_corpus.png"])
    golden = Path(__file__).parent / "golden_report.md"
    speed = next(line for line in text.splitlines() if line.startswith("Real-time factor"))
    assert text.replace(speed, "(speed)") == golden.read_text(encoding="utf-8")
    assert "0.4 s from samples to text for 26.5 s of audio" in speed


def test_the_card_has_the_tables_without_single_recordings(noisy: Report) -> None:
    card = card_report(noisy)
    for part in ("| overall | 4 |", "### By speaker", "### By accent", "| 10 dB | 4 |"):
        assert part in card
    for part in ("length", "Confused", "Worst", "Real-time"):
        assert part not in card


def test_many_speakers_are_summed_up() -> None:
    readings = [
        reading(i, "books", "a b c d", "a b c d"[: 1 + 2 * (i % 4)], 3.0, speaker=f"s{i:02}")
        for i in range(24)
    ]
    report = report_of(readings)
    summary = "| 24 | 0.00 | 18.75 | 37.50 | 56.25 | 75.00 |"
    assert summary in full_report(report) and summary in card_report(report)
    assert "| s00 |" in full_report(report) and "| s23 |" not in full_report(report)
    assert "| s00 |" not in card_report(report)


def test_names_cannot_break_a_table() -> None:
    report = report_of([replace(READINGS[0], row=replace(READINGS[0].row, corpus="a|b"))])
    assert "| a\\|b | 1 | 3 | 0.00 |  |" in full_report(report)


def test_what_was_left_out_is_said() -> None:
    text = full_report(report_of(planned=5, problems=("9.wav: damaged",)))
    assert "**Incomplete: 4 of 5 readings.**\n- left out: 9.wav: damaged\n" in text
    assert "Incomplete" not in full_report(report_of())


def test_alignments_are_wrapped_between_words() -> None:
    pairs = [("one", "one"), ("two", "too"), ("three", ""), ("", "four"), ("five", "five")]
    assert aligned_lines(pairs, width=16) == [
        *("ref one TWO THREE", "hyp one TOO *****", ""),
        *("ref **** five", "hyp FOUR five"),
    ]


def test_a_confusion_matrix_holds_shares_of_its_rows(report: Report) -> None:
    symbols, shares = confusion_matrix(report.characters)
    assert symbols == [*sorted(symbols[:-1]), ""]
    place = {symbol: index for index, symbol in enumerate(symbols)}
    assert shares[place["g"], place["n"]] == 1
    assert shares[place["c"], place["c"]] == 1
    sums = shares.sum(axis=1)
    assert np.all(np.isclose(sums, 1) | (sums == 0))
    added = sum(count for (wanted, _), count in report.characters.items() if not wanted)
    assert shares[place[""], place["o"]] == pytest.approx(report.characters["", "o"] / added)


def test_pictures_are_drawn_of_what_there_is_and_the_same_each_time(
    report: Report, noisy: Report, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("plain", "noisy", "again")]
    for folder in folders:
        folder.mkdir()
    plain, drawn = draw_report(report, folders[0]), draw_report(noisy, folders[1])
    assert set(drawn) - set(plain) == {"wer_by_noise.png"}
    assert set(plain) == {
        *("wer_by_corpus.png", "wer_by_speaker.png", "wer_by_length.png"),
        "character_confusions.png",
    }
    draw_report(noisy, folders[2])
    for name in drawn:
        assert (folders[1] / name).read_bytes() == (folders[2] / name).read_bytes()
        assert min(imread(folders[1] / name).shape[:2]) > 100


def test_a_single_recording_without_labels_has_a_report_too(tmp_path: Path) -> None:
    report = report_of([reading(0, "", "a", "", 3.0)])
    names = {path.name for path in write_report(report, tmp_path)}
    assert names == {"report.json", "report.md", "wer_by_corpus.png", "character_confusions.png"}
    assert "| unnamed | 1 | 1 | 100.00 |  | 100.00 | 0 | 1 | 0 | 0.000 |  |" in (
        tmp_path / "report.md"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["r.json", "r.md"])
def test_a_file_is_written_alone(report: Report, tmp_path: Path, name: str) -> None:
    check_output(tmp_path / "deep" / name)
    assert write_report(report, tmp_path / "deep" / name) == [tmp_path / "deep" / name]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == [name]
    text = (tmp_path / "deep" / name).read_text(encoding="utf-8")
    assert text.startswith("{" if name.endswith("json") else "# Evaluation of toy")
    assert "![" not in text
