"""The benchmark of errors: what texts are worth, whose fault errors are, how they are grouped."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from io import StringIO
from itertools import groupby, product
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks import errors as program
from benchmarks.causes.cases import Case, best_of, snr_db, words_said
from benchmarks.causes.command import ErrorOptions, compare, draw_sample, measure
from benchmarks.causes.groups import (
    NEIGHBOURS,
    PLACES,
    RANKS,
    Vocabulary,
    band,
    band_names,
    by_case,
    by_corpus,
    by_speaker,
    by_word,
    confusions,
    letters_of,
    place_of,
    unknown_read,
    up_to,
    up_to_names,
    without_unknown,
)
from benchmarks.causes.kinds import by_kind, judge_case, nearness
from benchmarks.causes.scores import Fault, Judge, Worth, faults, kind_of, mended, text_log_prob
from benchmarks.causes.sections import Section, report
from lm.beam import BeamDecoder
from lm.language_model import LanguageModel
from lm.search import SearchSettings
from lm.tuning.log_probs import Scored
from model.alphabet import ENGLISH, Alphabet
from model.audio import read_audio
from model.commands.terminal import Terminal
from model.corpora.manifest import Utterance, read_manifest, write_manifest
from model.errors import UsageError
from model.evaluation.rates import align_words
from tests.lm.toys import path_of, random_log_probs, write_arpa

ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "tests" / "data" / "speech" / "manifest.jsonl"
WIDE = SearchSettings(beam_width=5_000, beam_threshold=500.0, symbol_threshold=49.0)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return LanguageModel.load(write_arpa(tmp_path_factory.mktemp("toy") / "toy.arpa"))


def case(said: str, read: str, corpus: str = "books", speaker: str = "", greedy: str = "") -> Case:
    row = Utterance(Path("a.wav"), said, 1.0, speaker, corpus)
    return Case(Scored(row, "", Path("a.npy")), read, (read,), greedy or read)


def heard(tmp_path: Path, log_probs: np.ndarray, said: str, read: str) -> Case:
    """Return a recording whose log-probabilities are on disk."""
    path = tmp_path / "heard.npy"
    np.save(path, log_probs)
    return replace(case(said, read), scored=Scored(case(said, read).row, "", path))


def test_the_probability_of_a_text_is_the_sum_over_all_paths_that_spell_it() -> None:
    alphabet = Alphabet(("", "a", "b", " "))
    log_probs = np.log(np.random.default_rng(0).dirichlet(np.ones(4), 6))
    sums: dict[str, float] = {}
    for path in product(range(4), repeat=6):
        spelled = alphabet.decode(label for label, _ in groupby(path) if label)
        text = " ".join(spelled.split())
        sums[text] = sums.get(text, 0.0) + math.exp(sum(log_probs[range(6), path]))
    assert sum(sums.values()) == pytest.approx(1)
    for text, probability in sums.items():
        found = text_log_prob(log_probs, text.split(), alphabet)
        assert found == pytest.approx(math.log(probability))
    assert text_log_prob(log_probs, ["aaaa"], alphabet) == -math.inf


def test_without_frames_only_nothing_is_said() -> None:
    silence = np.zeros((0, ENGLISH.size), np.float32)
    assert text_log_prob(silence, [], ENGLISH) == 0.0
    assert text_log_prob(silence, ["a"], ENGLISH) == -math.inf


@pytest.mark.parametrize("seed", range(3))
def test_a_reading_is_worth_what_a_wide_search_says(seed: int, toy: LanguageModel) -> None:
    log_probs = random_log_probs(seed, 5, sharpness=6.0)
    decoder, judge = BeamDecoder(ENGLISH, toy, WIDE), Judge(ENGLISH, toy, WIDE)
    for reading in decoder.n_best(log_probs, 5):
        worth = judge.worth(log_probs, reading.text.split())
        assert worth.total == pytest.approx(reading.score, abs=1e-3)


def test_errors_are_the_fault_of_what_prefers_them() -> None:
    read = Worth(-10.0, -10.0)
    assert kind_of(Worth(-8.0, -11.0), read) == "search"
    assert kind_of(Worth(-8.0, -11.0), read, unknown=True) == "search"
    assert kind_of(Worth(-8.0, -13.0), read) == "language"
    assert kind_of(Worth(-13.0, -8.0), read) == "acoustic"
    assert kind_of(Worth(-10.0, -10.0), read) == kind_of(Worth(-11.0, -11.0), read) == "both"
    assert kind_of(Worth(-8.0, -13.0), read, unknown=True) == "unknown"


def test_faults_are_runs_of_wrong_words_and_each_can_be_put_right_alone() -> None:
    pairs = align_words("the cat sat on a mat", "the hat on a red mat now")
    found = faults(pairs)
    assert [(one.right, one.read) for one in found] == [
        ("cat sat", "hat"),
        ("", "red"),
        ("", "now"),
    ]
    assert sum(len(one.pairs) for one in found) == 4
    assert [" ".join(mended(pairs, one)) for one in found] == [
        "the cat sat on a red mat now",
        "the hat on a mat now",
        "the hat on a red mat",
    ]
    assert faults(align_words("the cat", "the cat")) == []


@pytest.mark.parametrize(
    ("said", "read", "kind"),
    (
        ("the cat sat", "the hut sat", "search"),
        ("the hut sat", "the cat sat", "both"),
        ("the dog sat", "the cat sat", "unknown"),
    ),
)
def test_a_recording_is_judged_by_its_sound_and_its_words(
    said: str, read: str, kind: str, toy: LanguageModel, tmp_path: Path
) -> None:
    one = heard(tmp_path, path_of("the cat sat"), said, read)
    settings = SearchSettings()
    judged = judge_case(one, Judge(ENGLISH, toy, settings), Vocabulary(toy))
    assert [found for _, found in judged.faults] == [kind]
    sections = {section.title: section for section in by_kind([judged])}
    assert sum(row["errors"] or 0 for row in sections["Whose fault: all"].rows.values()) == 1
    assert sections["Whose fault: all"].rows == sections["Whose fault: books"].rows


def test_what_is_right_is_nobodys_fault(toy: LanguageModel) -> None:
    judged = judge_case(
        case("the cat", "the cat"), Judge(ENGLISH, toy, SearchSettings()), Vocabulary(toy)
    )
    assert judged.whole is None and judged.faults == ()


def test_wrong_words_are_near_or_far() -> None:
    pairs = {
        "the same but for spaces": ("any one", "anyone"),
        "one letter apart": ("cat", "cats"),
        "at least half of the letters right": ("water", "waiters"),
        "fewer letters right": ("knit", "like"),
        "only left out": ("a", ""),
        "only added": ("", "a"),
    }
    for name, (right, read) in pairs.items():
        aligned = align_words(right, read) if right and read else [(right, read)]
        assert nearness(Fault(0, tuple(aligned))) == name


def test_words_are_said_at_places() -> None:
    said = list(words_said(case("one two three four five", "one too three five")))
    assert [one.word for one in said if one.wrong] == ["two", "four"]
    assert [place_of(one) for one in said] == list(PLACES[:5])
    assert {place_of(one) for one in words_said(case("one two", "one"))} == {PLACES[-1]}
    assert (said[0].before, said[0].after, said[4].after) == ("", "two", "")
    assert [letters_of(one) for one in said] == ["3", "3", "5", "4", "4"]


def test_groups_of_words_share_all_errors() -> None:
    cases = [case("one two three four five", "one too three five")]
    section = by_word("Place", "", cases, place_of, PLACES)
    assert sum(row["of_errors"] or 0 for row in section.rows.values()) == pytest.approx(1)
    assert sum(row["words"] or 0 for row in section.rows.values()) == 5
    assert section.rows["second"]["substitutions"] == section.rows["last but one"]["deletions"] == 1


def test_groups_of_recordings_share_all_errors() -> None:
    cases = [case("a b c d", "a b x", "books"), case("a b", "a b", "talks", greedy="x")]
    rows = by_case("Corpus", "", by_corpus(cases)).rows
    assert list(rows) == ["books", "talks", "all"]
    assert rows["books"]["wer"] == 0.5 and rows["books"]["of_errors"] == 1
    assert rows["all"]["perfect"] == 0.5 and rows["talks"]["greedy_wer"] == 1


def test_many_speakers_come_in_quarters_of_them() -> None:
    many = [case("a b c d", "a b c d"[: 2 * n - 1], "talks", f"s{n}") for n in (1, 2, 3, 4)]
    many += [case("a b c d", "x", "talks", f"t{n}") for n in range(5)]
    found = by_speaker([*many, case("a", "a", "books", "reader")])
    assert [len(own) for own in found.values()] == [3, 2, 2, 2, 1]
    assert found["reader"][0].row.corpus == "books"
    assert found["talks, best quarter (3)"][0].row.speaker == "s4"


def test_bands_have_their_lower_edge() -> None:
    names = band_names((10, 20), "dB")
    assert names == ["below 10 dB", "10 to 20 dB", "20 dB and more"]
    assert [band(value, (10, 20)) for value in (9.9, 10, 19, 20, 99)] == [0, 1, 1, 2, 2]
    assert up_to_names((1, 3)) == ["1", "2 to 3", "4 and more"]
    assert [up_to(value, (1, 3)) for value in (1, 2, 3, 4)] == [
        "1",
        "2 to 3",
        "2 to 3",
        "4 and more",
    ]


def test_words_are_ranked_and_unknown_ones_are_apart(toy: LanguageModel) -> None:
    vocabulary = Vocabulary(toy)
    said = list(words_said(case("the dog sat", "the dog hut")))
    common = "rank 1 to 10"
    assert [vocabulary.rank_of(one) for one in said] == [common, "unknown word", common]
    assert [vocabulary.neighbour_of(one) for one in said] == [
        NEIGHBOURS[1],
        NEIGHBOURS[0],
        NEIGHBOURS[1],
    ]
    assert len(vocabulary.names) == len(RANKS) + 2


def test_unknown_words_may_be_left_out_of_the_count(toy: LanguageModel) -> None:
    cases = [case("the dog sat", "the hut cat"), case("the dog", "the dog")]
    rows = without_unknown(cases, Vocabulary(toy)).rows
    assert [row["errors"] for row in rows.values()] == [2, 1, 1]
    assert [row["words"] for row in rows.values()] == [5, 3, 5]
    assert unknown_read(cases, Vocabulary(toy)).rows == {
        "rightly": {"words": 1},
        "wrongly": {"words": 0},
    }


def test_the_commonest_errors_come_first() -> None:
    cases = [case("two cats", "to cats"), case("two mats now", "to mats"), case("a", "a a")]
    replaced, left_out, added = confusions(cases)
    assert replaced.rows == {"two → to": {"times": 2}}
    assert left_out.rows == {"now": {"times": 1}} and added.rows == {"a": {"times": 1}}


def test_the_best_of_a_list_has_the_fewest_wrong_words() -> None:
    assert best_of("the cat sat", ("the hut", "the cat sad", "a")).word_errors == 1
    assert best_of("the cat", ()).deletions == 2


def test_noise_lowers_the_ratio_that_is_estimated() -> None:
    row = read_manifest(SPEECH)[0]
    speech = np.concatenate([np.zeros(8_000, np.float32), read_audio(row.audio, 16_000)])
    noise = np.random.default_rng(0).normal(0, 1, len(speech)).astype(np.float32)
    levels = [snr_db(speech + level * noise) for level in (0.0001, 0.003, 0.01)]
    assert all(level is not None for level in levels)
    assert levels == sorted(levels, key=lambda level: -(level or 0))
    assert snr_db(np.zeros(16_000, np.float32)) is None
    assert snr_db(np.zeros(0, np.float32)) is None


def test_the_sample_is_drawn_of_each_corpus_and_always_the_same() -> None:
    cases = [case(f"{n}", "", corpus) for corpus in ("books", "talks") for n in range(9)]
    drawn = draw_sample(cases, 3)
    assert [one.row.corpus for one in drawn] == ["books"] * 3 + ["talks"] * 3
    assert drawn == draw_sample(cases, 3) and len(draw_sample(cases, 20)) == 18


def record(name: str, wer: float) -> dict[str, object]:
    """Return the figures of a run."""
    section = Section("By corpus", "Of all.", {"all": {"words": 9, "wer": wer}})
    return {"schema": 1, "conditions": {"model": name}, "sections": [section.record()]}


def test_runs_are_set_side_by_side(tmp_path: Path) -> None:
    page = report({"before": record("old", 0.5), "after": record("new", 0.25)})
    assert "|  | Words | WER, % before | WER, % after |" in page
    assert "| all | 9 | 50.0 | 25.0 |" in page
    for name, wer in (("before", 0.5), ("after", 0.25)):
        (tmp_path / f"{name}.json").write_text(json.dumps(record(name, wer)))
    screen = Terminal(Console(file=StringIO()), Console(file=StringIO()))
    output = tmp_path / "both.json"
    compare([tmp_path / "before.json", tmp_path / "after.json"], output, screen)
    assert "| all | 9 | 50.0 | 25.0 |" in output.with_suffix(".md").read_text(encoding="utf-8")
    assert set(json.loads(output.read_bytes())) == {"before", "after"}


@pytest.mark.parametrize("content", ("{}", "[]", "nothing", '{"schema": 9, "sections": []}'))
def test_what_are_no_figures_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    screen = Terminal(Console(file=StringIO()), Console(file=StringIO()))
    with pytest.raises(UsageError, match=r"a\.json: cannot be compared"):
        compare([tmp_path / "a.json"], None, screen)


def test_the_shipped_models_are_measured(tmp_path: Path) -> None:
    rows = read_manifest(SPEECH)
    write_manifest(tmp_path / "two.jsonl", [rows[5], rows[10]])
    options = ErrorOptions(
        ROOT / "models" / "default",
        ROOT / "models" / "language",
        (tmp_path / "two.jsonl",),
        tmp_path / "errors.json",
        sample=1,
        cache=tmp_path / "cache",
    )
    screen = Terminal(Console(file=StringIO()), Console(file=StringIO()))
    found = measure(options, screen)
    assert found == json.loads((tmp_path / "errors.json").read_bytes())
    sections = {section["title"]: section for section in found["sections"]}
    assert len(sections) == len(found["sections"])
    words = sections["By corpus"]["rows"]["all"]["words"]
    assert words == sum(len(row.text.split()) for row in (rows[5], rows[10]))
    live = sections["Whole, cut, and live"]["rows"]["all"]
    assert live["pieces"] >= 1 and 0 <= live["live_wer"] <= 2
    assert "## Whose fault: all" in (tmp_path / "errors.md").read_text(encoding="utf-8")


def test_wrong_requests_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--manifest", str(tmp_path / "no.jsonl")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "errors.py: error: " in said and "cannot be read as a manifest" in said
    assert program.main(["--compare", str(tmp_path / "no.json")]) == 2
    with pytest.raises(SystemExit):
        program.main([])
