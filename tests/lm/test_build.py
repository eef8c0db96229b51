"""The command that builds language models, with KenLM's own programs on little text."""

from __future__ import annotations

import io
import json
import random
import sys
from pathlib import Path

import pytest
from rich.console import Console

from lm.build import command_text, main
from lm.building.judging import judge, open_model
from lm.bundle import CARD_FILE, LanguageBundle
from lm.language_model import LanguageModel
from tests.lm.tools import needs_tools

PLACES = ("harbour", "garden", "market", "church", "river", "station", "island", "forest")
PEOPLE = ("anna", "peter", "the doctor", "my sister", "the captain", "her brother")
DEEDS = ("walked to", "came from", "saw", "painted", "never left", "dreamt of")
QUESTIONS = ("do you like", "have you seen", "what about", "i really love", "i never watched")


def story(count: int, seed: int = 0) -> str:
    draw = random.Random(seed).choice
    sentences = (
        f"{draw(PEOPLE).capitalize()} {draw(DEEDS)} the {draw(PLACES)} and the {draw(PLACES)}."
        for _ in range(count)
    )
    return "\n".join(sentences)


def chat(count: int, seed: int = 0) -> str:
    draw = random.Random(seed).choice
    return "\n".join(f"{draw(QUESTIONS)} the {draw(PLACES)}?" for _ in range(count))


class Build:
    """Runs the command in a folder and keeps what it said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "model"
        self.said = ""

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, *arguments: object) -> int:
        file = io.StringIO()
        short = ("--output", self.output, "--memory", "64M", "--set", "text.block_lines=20")
        code = main([*map(str, arguments), *map(str, short)], Console(file=file, width=200))
        self.said = file.getvalue()
        return code

    def fails(self, *arguments: object) -> str:
        """Return what a wrong use says; nothing is left of it."""
        assert self.run(*arguments) == 2, self.said
        assert "lm.build: error: " in self.said
        assert "Traceback" not in self.said
        assert [path for path in self.folder.iterdir() if path.name.startswith(".")] == []
        return self.said


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return Build(tmp_path)


@needs_tools
def test_text_becomes_a_language_model(build: Build) -> None:
    text = build.write("stories.txt", story(600))
    assert build.run("--text", text, "--order", 3, "--prune", 0) == 0, build.said
    bundle = LanguageBundle.load(build.output)
    bundle.verify()
    known = set(" ".join((*PLACES, *PEOPLE, *DEEDS, "and the")).split())
    assert bundle.words.read_text().split() == sorted(known)
    assert LanguageModel.load(build.output).order == 3
    found = bundle.record
    assert found["name"] == "model"
    assert found["recipe"]["ngrams"]["prune"] == [0]
    assert found["registers"]["stories"]["sources"][0]["name"] == "stories.txt"
    assert found["evaluation"]["stories"]["perplexity"] < 8
    assert found["evaluation"]["stories"]["unknown"] == 0
    assert "| stories | 1.000 | 1 |" in (build.output / CARD_FILE).read_text()
    assert "stories: perplexity" in build.said
    assert str(build.folder) not in json.dumps(dict(found))


@needs_tools
def test_registers_are_mixed_by_their_weights(build: Build) -> None:
    stories, talk = build.write("s.txt", story(400)), build.write("t.txt", chat(400))
    perplexities = {}
    for weight in (0.05, 20):
        texts = ("--text", f"stories:{weight}={stories}", "--text", f"talk={talk}")
        assert build.run(*texts, "--set", "ngrams.order=3") == 0, build.said
        record = LanguageBundle.load(build.output).record
        assert record["registers"]["stories"]["weight"] == pytest.approx(weight / (1 + weight))
        model = open_model(build.output / "lm.binary")
        perplexities[weight] = [
            judge(model, text.lower().replace(".", "").replace("?", "").split("\n")).perplexity
            for text in (story(100, seed=9), chat(100, seed=9))
        ]
    assert perplexities[20][0] < perplexities[0.05][0]
    assert perplexities[20][1] > perplexities[0.05][1]


@needs_tools
def test_transcripts_choose_weights_and_judge_and_are_kept_apart(build: Build) -> None:
    stories, talk = build.write("s.txt", story(400)), build.write("t.txt", chat(400))
    leaked = story(400).split("\n")[7].lower().rstrip(".")
    rows = [*chat(40, seed=5).replace("?", "").split("\n"), leaked]
    manifest = build.write(
        "dev.jsonl",
        "".join(
            json.dumps({"audio": "a.wav", "text": row, "duration": 1.0, "corpus": "mine"}) + "\n"
            for row in rows
        ),
    )
    uses = (
        option for name in ("weigh-by", "judge", "keep-apart") for option in (f"--{name}", manifest)
    )
    texts = ("--text", f"stories={stories}", "--text", f"talk={talk}")
    assert build.run(*texts, *uses, "--set", "text.apart_words=5") == 0, build.said
    record = LanguageBundle.load(build.output).record
    assert record["registers"]["talk"]["weight"] > 0.8
    assert record["registers"]["stories"]["dropped_sentences"]["kept apart"] >= 1
    assert record["evaluation"]["transcripts of mine"]["sentences"] == 41
    assert record["weights_chosen_by"] == ["dev.jsonl"]
    assert "transcripts" in (build.output / CARD_FILE).read_text()


@needs_tools
def test_normalised_text_is_kept_for_the_next_build(build: Build) -> None:
    text = build.write("stories.txt", story(300))
    for said in (True, False):
        assert build.run("--text", text, "--work", build.folder / "work") == 0
        assert ("reading text" in build.said) == said


@needs_tools
def test_a_model_too_large_loses_what_matters_least_or_is_refused(build: Build) -> None:
    rare = random.Random(3)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(rare.choices(letters, k=6)) for _ in range(3000)]
    lines = (" ".join(rare.choices(words, k=12)) for _ in range(3000))
    text = build.write("noise.txt", "\n".join(lines))
    options = ("--text", text, "--order", 3, "--prune", 0, "--min-count", 1)
    assert build.run(*options) == 0, build.said
    whole = LanguageBundle.load(build.output)
    size = whole.binary.stat().st_size
    assert build.run(*options, "--max-mb", 0.3) == 0, build.said
    pruned = LanguageBundle.load(build.output)
    assert sum(path.stat().st_size for path in build.output.iterdir()) <= 300_000 < size
    assert sum(pruned.record["ngrams"]) < sum(whole.record["ngrams"])
    assert pruned.record["ngrams_unpruned"] == whole.record["ngrams"]
    assert "matter most" in (build.output / CARD_FILE).read_text()
    assert "take" in build.fails(*options, "--max-mb", 0.13)
    assert "--max-mb 0.05: the list of words" in build.fails(*options, "--max-mb", 0.05)
    assert LanguageBundle.load(build.output).record == pruned.record


@needs_tools
def test_too_few_words_are_refused(build: Build) -> None:
    text = build.write("one.txt", "word\n" * 100)
    assert "1 different words" in build.fails("--text", text)
    assert "lower --min-count" in build.fails("--text", build.write("two.txt", "so few words"))


@needs_tools
def test_text_in_other_scripts_only_is_refused(build: Build) -> None:
    text = build.write("other.txt", "\u041f\u0440\u0438\u0432\u0435\u0442.\n" * 5)
    assert "holds no sentences to learn from (left out: 5 with other script)" in build.fails(
        "--text", text
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "nowhere.txt"], "nowhere.txt: no such file or folder"),
        (["--text", "t.txt", "--order", "9"], "ngrams.order: must be 2 to 6, got 9"),
        (["--text", "t.txt", "--prune", "1", "0"], "ngrams.prune: must be whole numbers"),
        (["--text", "t.txt", "--set", "mixture.weights.u=2"], "there is no text of u"),
        (["--text", "t.txt", "--work", "model/work"], "lies in the folder of the language model"),
        (["--text", "t.txt", "--work", "model"], "give a folder beside it"),
        (["--text", "a:2=t.txt", "--text", "a:3=u.txt"], "give a register one weight"),
        (["--text", "talk:none=t.txt"], "mixture.weights.talk: must be a finite number"),
        (["--text", "talk:-1=t.txt"], "must be above 0 each"),
        (["--text", "t.txt", "--keep-apart", "no.jsonl"], "no.jsonl: cannot be read"),
        (["--text", "t.txt", "--notes", "no.md"], "no.md: cannot be read"),
        (["--text", "t.txt", "--config", "no.yaml"], "no.yaml: cannot be read"),
    ],
)
@needs_tools
def test_a_wrong_use_is_told(
    build: Build, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(build.folder)
    build.write("t.txt", chat(10))
    assert message in build.fails(*arguments)


def test_missing_programs_are_told_before_the_work(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(build.folder / "python"))
    monkeypatch.setenv("PATH", str(build.folder))
    text = build.write("t.txt", chat(10))
    assert "make kenlm-tools" in build.fails("--text", text)


def test_a_folder_with_other_things_is_not_replaced(build: Build) -> None:
    build.output.mkdir()
    (build.output / "mine.txt").write_text("mine")
    text = build.write("t.txt", chat(10))
    assert "is there and is no language model" in build.fails("--text", text)
    assert (build.output / "mine.txt").read_text() == "mine"


@needs_tools
def test_a_full_disk_is_told_and_leaves_nothing(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lm.building.joining.write_whole", fail)
    text = build.write("t.txt", chat(100))
    assert "(No space left on device); free some space" in build.fails("--text", text)


@needs_tools
def test_a_model_without_held_out_documents_says_so(build: Build) -> None:
    text = build.write("t.txt", chat(100))
    assert build.run("--text", text, "--held-out", 0) == 0, build.said
    assert LanguageBundle.load(build.output).record["evaluation"] == {}
    assert "Not measured" in (build.output / CARD_FILE).read_text()


def test_the_recorded_command_names_no_folders_of_the_machine() -> None:
    told = command_text(
        ["--text", "books:3=/home/me/novels", "--output", "out/mine", "--order", "3"]
    )
    assert told == "python -m lm.build --text books:3=novels --output mine --order 3"
