"""The tuning command, from a manifest to the settings that the captioner reads."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from lm.search import SearchSettings
from lm.tune import main
from lm.tuned import read_tuned
from lm.tuning.command import TuneOptions, tune
from lm.tuning.inputs import Source, load_inputs
from lm.tuning.search import TuningPlan
from model.commands.terminal import Terminal
from model.corpora.manifest import Utterance
from model.errors import CaptionerError, UsageError
from tests.lm.toys import write_arpa
from tests.lm.tuning.material import acoustic_bundle, recordings, scored

ROOT = Path(__file__).parents[2]
PLAN = TuningPlan(
    alphas=(0.5,),
    betas=(0.5,),
    steps={"alpha": 0.5},
    widths=(4, 16),
    beam_thresholds=(12.0,),
    symbol_thresholds=(5.0,),
    widest=32,
)


@pytest.fixture
def rows(tmp_path: Path) -> list[Utterance]:
    return recordings(tmp_path / "speech", 12)


@pytest.fixture
def options(rows: list[Utterance], tmp_path: Path) -> TuneOptions:
    bundle = acoustic_bundle(tmp_path / "acoustic")
    scored(rows, bundle, tmp_path / "cache")
    source = Source(
        [tmp_path / "speech" / "manifest.jsonl"],
        bundle,
        write_arpa(tmp_path / "tiny.arpa"),
        cache=tmp_path / "cache",
    )
    return TuneOptions(source, tmp_path / "tuned", plan=PLAN)


@pytest.fixture
def terminal() -> Terminal:
    return Terminal(Console(file=StringIO(), width=80), Console(file=StringIO(), width=80))


def shown(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_tuning_writes_settings_evidence_and_pictures(
    options: TuneOptions, terminal: Terminal
) -> None:
    tuned = tune(options, terminal)
    files = {path.name for path in options.output.iterdir()}
    assert files == {
        "decoder.yaml",
        "tuning.csv",
        "alpha-beta.png",
        "beam.png",
        "reliability.png",
    }
    assert read_tuned(options.output / "decoder.yaml") == tuned
    evidence = tuned.evidence
    assert evidence is not None
    assert evidence.recordings == 12
    assert evidence.words == 3 * 9
    assert evidence.greedy_wer == pytest.approx(9 / 27, abs=1e-5)
    assert evidence.beam_wer < evidence.greedy_wer
    assert evidence.corpora.keys() == {"books", "phones"}
    assert evidence.acoustic_model == "small"
    assert "33.33" in shown(terminal.out)


def test_a_rerun_computes_nothing_and_finds_the_same(
    options: TuneOptions, terminal: Terminal
) -> None:
    first = tune(options, terminal)
    trials = (options.output / "tuning.csv").read_bytes()
    assert tune(options, terminal) == first
    assert (options.output / "tuning.csv").read_bytes() == trials


def test_trials_can_be_forgotten(options: TuneOptions, terminal: Terminal) -> None:
    options.output.mkdir()
    (options.output / "tuning.csv").write_text("no table\n")
    with pytest.raises(UsageError, match=r"tuning\.csv"):
        tune(options, terminal)
    tune(replace(options, anew=True), terminal)


def test_settings_are_chosen_by_the_corpora_asked_for(
    options: TuneOptions, terminal: Terminal
) -> None:
    source = replace(options.source, corpora=("books",))
    evidence = tune(replace(options, source=source), terminal).evidence
    assert evidence is not None
    assert evidence.corpus == "books"
    assert evidence.corpora.keys() == {"books", "phones"}
    inputs = load_inputs(source, terminal)
    assert {item.row.corpus for item in inputs.chosen} == {"books"}


def test_a_beam_width_asked_for_is_kept(options: TuneOptions, terminal: Terminal) -> None:
    assert tune(replace(options, beam_width=7), terminal).search.beam_width == 7


def test_other_models_do_not_share_trials(options: TuneOptions, terminal: Terminal) -> None:
    before = load_inputs(options.source, terminal).data
    arpa = options.source.language_model
    arpa.write_text(arpa.read_text().replace("-1.2\tcat", "-1.3\tcat"))
    assert load_inputs(options.source, terminal).data != before


def test_a_corpus_that_is_not_there_is_named(options: TuneOptions, terminal: Terminal) -> None:
    source = replace(options.source, corpora=("poems",))
    with pytest.raises(UsageError, match=r"--corpus poems: .* have books, phones"):
        tune(replace(options, source=source), terminal)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"language_model": "none.binary"}, "none.binary: no such file"),
        ({"manifest": "none.jsonl"}, "none.jsonl: cannot be read as a manifest"),
        ({"manifest": "empty.jsonl"}, "empty.jsonl: holds no rows"),
        ({"model": "."}, "is no model bundle"),
        ({"output": "empty.jsonl"}, "empty.jsonl: cannot be written"),
        ({"beam_width": "20000"}, "--beam-width: must be 1 to 10000, got 20000"),
    ],
)
def test_input_that_cannot_be_used_is_named(
    given: dict[str, str],
    message: str,
    options: TuneOptions,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty.jsonl").touch()
    arguments = {
        "manifest": options.source.manifests[0],
        "model": options.source.model,
        "language-model": options.source.language_model,
        "output": options.output,
        "cache": options.source.cache,
    }
    arguments |= {
        name.replace("_", "-"): value if value.isdecimal() else tmp_path / value
        for name, value in given.items()
    }
    command = [word for name, path in arguments.items() for word in (f"--{name}", str(path))]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.startswith("lm.tune: error: ")
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize("wrong", [["--jobs", "0"], ["--tolerance", "-1"], ["--limit", "many"]])
def test_wrong_usage_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--manifest", "dev.jsonl", *wrong])
    assert caught.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def test_help_loads_no_large_library() -> None:
    program = (
        "import sys; from lm.tune import parser; parser().format_help();"
        "print(*{'numpy', 'tensorflow', 'kenlm', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "")


def test_a_lost_process_is_told_with_the_remedy(
    options: TuneOptions, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    from concurrent.futures.process import BrokenProcessPool

    from lm.tuning.pool import Pool

    def broken(*_: object) -> None:
        raise BrokenProcessPool

    monkeypatch.setattr(Pool, "results", broken)
    with pytest.raises(CaptionerError, match="the same command goes on"):
        tune(options, terminal)


def test_the_search_starts_with_the_width_of_the_plan(options: TuneOptions) -> None:
    assert options.start() == SearchSettings(PLAN.width)
