"""The robustness benchmark: what is drawn, measured, written and compared."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.robustness import SEARCH, RobustnessOptions, drawn, main, measure
from benchmarks.robustness_tables import comparison, read_run, report
from model.acoustic import AcousticModel
from model.bundle import save_bundle
from model.commands.terminal import Terminal
from model.corpora.manifest import read_manifest, write_manifest
from model.errors import UsageError
from model.evaluation.assessment import GREEDY, Assessor
from model.evaluation.rates import ErrorRates
from tests.lm.toys import write_arpa
from tests.model.engines.toys import toy_bundle

SPEECH = Path(__file__).parents[1] / "data" / "speech" / "manifest.jsonl"
CONDITIONS = ["clean", "pink noise, 5 dB", "telephone"]
CORPORA = {"librispeech": [0], "commonvoice": [1, 2], "overall": [0, 1, 2]}


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> RobustnessOptions:
    """Return what measures a toy on three short recordings of two corpora."""
    folder = tmp_path_factory.mktemp("robustness")
    rows = read_manifest(SPEECH)
    write_manifest(folder / "three.jsonl", [rows[5], rows[9], rows[10]])
    return RobustnessOptions(
        save_bundle(toy_bundle(), folder / "toy"),
        folder / "three.jsonl",
        write_arpa(folder / "toy.arpa"),
        only=("noise, 5", "telephone"),
    )


@pytest.fixture(scope="module")
def record(options: RobustnessOptions) -> dict[str, Any]:
    return measure(options, quiet())


def quiet() -> Terminal:
    return Terminal(Console(file=StringIO()), Console(file=StringIO()))


def words(options: RobustnessOptions, *more: object) -> list[str]:
    given = ["--bundle", options.bundle, "--manifest", options.manifest, "--only", *options.only]
    return list(map(str, [*given, *more]))


def without_machine(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "machine"}


def with_errors(record: Mapping[str, Any], condition: str, errors: list[int]) -> dict[str, Any]:
    """Return a run that read a condition greedily with so many errors."""
    changed = json.loads(json.dumps(record))
    changed["word_errors"][condition][GREEDY] = errors
    return dict(changed)


def test_a_seed_draws_the_recordings_wherever_they_stand() -> None:
    rows = read_manifest(SPEECH)
    few, more = (drawn(rows, number, 1) for number in (2, 3))
    assert Counter(row.corpus for row in few) == dict.fromkeys({row.corpus for row in rows}, 2)
    assert set(few) < set(more)
    assert [row for row in rows if row in more] == more
    assert set(drawn(rows[::-1], 2, 1)) == set(few)
    assert any(set(drawn(rows, 2, seed)) != set(few) for seed in (2, 3, 4))
    assert drawn(rows, 0, 1) == rows


def test_the_figures_are_the_same_every_time(
    options: RobustnessOptions, record: dict[str, Any]
) -> None:
    assert without_machine(record) == without_machine(measure(options, quiet()))
    other = measure(replace(options, seed=2), quiet())
    assert other["word_errors"]["clean"] == record["word_errors"]["clean"]
    assert other["sounds"] != record["sounds"]


def test_clean_recordings_are_read_as_evaluation_reads_them(
    options: RobustnessOptions, record: dict[str, Any]
) -> None:
    rows = read_manifest(options.manifest)
    readings = Assessor(AcousticModel.load(options.bundle)).assess(rows).readings
    assert record["word_errors"]["clean"][GREEDY] == [one.rates.word_errors for one in readings]
    total = sum((one.rates for one in readings), ErrorRates())
    found = record["figures"]["clean"][GREEDY]["overall"]
    assert {name: found[name] for name in asdict(total)} == asdict(total)
    assert found["cer"] == pytest.approx(total.cer, abs=1e-5)


def test_the_record_tells_what_it_is_of(options: RobustnessOptions, record: dict[str, Any]) -> None:
    settings = json.loads((options.bundle / "bundle.json").read_text())
    assert record["bundle"]["weights_sha256"] == settings["weights_sha256"]
    digest = hashlib.sha256((options.language_model or Path()).read_bytes()).hexdigest()
    assert record["language_model"]["sha256"] == digest
    assert list(record["conditions"]) == list(record["figures"]) == CONDITIONS
    assert shlex.split(record["command"])[2:] == [
        *("--bundle", str(options.bundle), "--language-model", str(options.language_model)),
        *("--manifest", str(options.manifest), "--seed", "1", "--only", "noise, 5", "telephone"),
    ]


@pytest.mark.parametrize("reader", [GREEDY, SEARCH])
def test_figures_of_a_corpus_are_those_of_its_recordings(
    reader: str, record: dict[str, Any]
) -> None:
    recordings = record["sounds"]["recordings"]
    for condition in CONDITIONS:
        assert list(record["figures"][condition][reader]) == list(CORPORA)
        for corpus, places in CORPORA.items():
            found = record["figures"][condition][reader][corpus]
            errors = [record["word_errors"][condition][reader][place] for place in places]
            assert found["words"] == sum(recordings[place]["words"] for place in places)
            assert found["substitutions"] + found["deletions"] + found["insertions"] == sum(errors)
            assert found["wer"] == pytest.approx(sum(errors) / found["words"], abs=1e-5)
            if len(places) > 1:
                assert found["wer_low"] <= found["wer"] <= found["wer_high"]
            else:
                assert found["wer_low"] is found["wer_high"] is None


def test_the_report_has_a_table_for_each_way_of_reading(record: dict[str, Any]) -> None:
    text = report(record)
    assert text.startswith("Words wrong by captioner, %, in librispeech (1 recording, ")
    for reader in (GREEDY, SEARCH):
        assert f"| Read {reader} | librispeech | commonvoice | overall |" in text
    found = record["figures"]["telephone"][GREEDY]["overall"]
    cell = "{:.1f} ({:.1f} to {:.1f})".format(
        *(100 * found[key] for key in ("wer", "wer_low", "wer_high"))
    )
    assert re.search(rf"^\| telephone \|.*\| {re.escape(cell)} \|$", text, re.MULTILINE)


def test_a_change_is_that_of_the_same_recordings(record: dict[str, Any]) -> None:
    lengths = [one["words"] for one in record["sounds"]["recordings"]]
    before = with_errors(record, "clean", lengths)
    after = with_errors(record, "clean", [0, 0, lengths[2]])
    text = comparison(before, after, ("old", "new"))
    head = f"greedy: old | new | change | {SEARCH}: old | new | change |"
    assert text.count(head) == len(CORPORA)
    tables = dict(zip(CORPORA, text.split("\n\n")[1:], strict=True))
    assert "| clean | 100.0 | 0.0 | -100.0 (- to -) |" in tables["librispeech"]
    left = 100 * lengths[2] / (lengths[1] + lengths[2])
    start = f"| clean | 100.0 | {left:.1f} | {left - 100:+.1f} (-100.0 to +0.0) |"
    assert start in tables["commonvoice"]
    alike = comparison(before, before, ("old", "new"))
    assert set(re.findall(r"([+-]\d+\.\d) \(", alike)) == {"+0.0"}


def test_what_only_one_run_has_is_not_compared(record: dict[str, Any]) -> None:
    fewer = json.loads(json.dumps(record))
    for part in ("conditions", "figures", "word_errors"):
        del fewer[part]["telephone"]
    del fewer["figures"]["clean"][SEARCH]
    for text in (comparison(record, fewer, "ab"), comparison(fewer, record, "ab")):
        assert "telephone" not in text
        assert SEARCH not in text
        assert "pink noise, 5 dB" in text


def test_other_sounds_are_not_compared(record: dict[str, Any]) -> None:
    changed = [json.loads(json.dumps(record)) for _ in range(2)]
    changed[0]["sounds"]["seed"] = 2
    changed[1]["conditions"]["telephone"] = "over the Atlantic"
    for other in changed:
        with pytest.raises(UsageError, match="heard other sounds"):
            comparison(record, other, "ab")


def test_the_program_measures_writes_and_compares(
    options: RobustnessOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    greedy = replace(options, only=("telephone",))
    assert main(words(greedy, "--output", before)) == 0
    assert capsys.readouterr().out.count("| telephone |") == 1
    assert main(words(greedy, "--output", after, "--compare", before)) == 0
    measured = capsys.readouterr().out
    assert main(["--compare", str(before), str(after)]) == 0
    compared = capsys.readouterr().out
    assert compared.startswith("before: captioner; after: captioner.")
    assert measured.endswith(f"\n\n{compared}")
    assert without_machine(read_run(before)) == without_machine(read_run(after))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--only", "thunder"], "--only: must each be in one of clean; pink noise, 20 dB; "),
        (["--output", "figures.txt"], "figures.txt: no name for the figures, they are JSON"),
        (["--compare", "a.json", "b.json"], "--compare BEFORE.json AFTER.json alone"),
        (["--compare", "missing.json"], "missing.json: cannot be compared: No such file"),
        (["--bundle", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_wrong_usage_is_told(
    more: list[str],
    message: str,
    options: RobustnessOptions,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(words(options, *more)) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_what_is_no_run_is_refused(record: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    contents = {"": "no figures", "[]": "no figures", '{"schema": 1}': "no figures"}
    contents[json.dumps({**record, "schema": 2})] = "its schema is 2, this program reads 1"
    for content, reason in contents.items():
        path.write_text(content)
        with pytest.raises(UsageError, match=reason):
            read_run(path)
