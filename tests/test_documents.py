"""What the documents say of the source is true: imports, names, links, commands, tests."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import run_live
import train
from tests.test_imports import PACKAGES, ROOT, imports_of, modules, own_imports

ARCHITECTURE = ROOT / "docs/architecture.md"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("demo/*.md")])
PROGRAMS = ("run_live", "train")
GROUPS = {
    "lm.making": ("lm.build", "lm.building", "lm.tune", "lm.tuning"),
    "streamer.web": ("streamer.web",),
    "streamer.doctor": ("streamer.doctor",),
    **{
        f"model.{name}": (f"model.{name}",)
        for name in ("engines", "training", "corpora", "variation", "evaluation", "commands")
    },
}
"""Parts that the diagram shows apart from their packages."""


def group_of(module: str) -> str:
    """Return the part of the diagram that a module belongs to."""
    for group, parts in GROUPS.items():
        if any(module == part or module.startswith(f"{part}.") for part in parts):
            return group
    return module.partition(".")[0]


def real_edges() -> set[tuple[str, str]]:
    """Return the imports between the parts; those of model's core count for programs only."""
    every = frozenset(name for package in PACKAGES for name in modules(package))
    edges = {edge for package in PACKAGES for edge in imports_of(package)}
    for program in PROGRAMS:
        source = (ROOT / f"{program}.py").read_text(encoding="utf-8")
        edges |= {(program, imported) for imported in own_imports(source, every)}
    grouped = {(group_of(module), group_of(imported)) for module, imported in edges}
    return {
        (module, imported)
        for module, imported in grouped
        if module != imported and (imported != "model" or module in PROGRAMS)
    }


def diagram(text: str, title: str) -> str:
    """Return the Mermaid diagram of a section."""
    section = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return section.partition("```mermaid\n")[2].partition("```")[0]


def drawn_edges(text: str) -> list[tuple[str, str]]:
    """Return the arrows of a diagram whose lines read ``a --> b & c``."""
    lines = [line.strip() for line in text.splitlines() if "-->" in line]
    pairs = [line.split(" --> ") for line in lines]
    return [(left, right) for left, rights in pairs for right in rights.split(" & ")]


def test_the_diagram_of_packages_shows_the_imports_and_no_others() -> None:
    drawn = drawn_edges(diagram(ARCHITECTURE.read_text(encoding="utf-8"), "The packages"))
    assert len(drawn) == len(set(drawn))
    assert set(drawn) - real_edges() == set(), "drawn, but nothing imports so"
    assert real_edges() - set(drawn) == set(), "imported, but not drawn"


def test_an_arrow_names_one_part_or_several() -> None:
    assert drawn_edges("flowchart TD\n  a --> b & c.d\n") == [("a", "b"), ("a", "c.d")]


@cache
def definitions(path: Path) -> frozenset[str]:
    """Return the names that a source defines at the start of a line."""
    text = path.read_text(encoding="utf-8")
    return frozenset(re.findall(r"^\s*(?:async )?(?:def|class) (\w+)", text, re.MULTILINE)) | (
        frozenset(re.findall(r"^(\w+)\b.* = ", text, re.MULTILINE))
    )


def exists(name: str) -> bool:
    """Return whether a dotted name is a package, a module, or something that one defines."""
    path = ROOT.joinpath(*name.split("."))
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    module, _, last = name.rpartition(".")
    source = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    return source.is_file() and last in definitions(source)


def test_every_module_and_class_in_the_architecture_exists() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    names = set(re.findall(r"`((?:model|lm|streamer)\.[\w.]+)`", text)) - set(GROUPS)
    assert names
    assert {name for name in names if not exists(name)} == set()
    assert not exists("streamer.microphone.NoSuchSource")
    classes = set(re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", diagram(text, "The way of the sound")))
    defined = frozenset(
        n for p in PACKAGES for path in modules(p).values() for n in definitions(path)
    )
    assert classes - defined <= {"JSON", "KenLM"}


def links(path: Path) -> Iterator[str]:
    """Yield the targets of a document's links and pictures that lie in the project."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(path: Path) -> set[str]:
    """Return the anchors that a page makes of the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in links(path):
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_that_are_named_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for file, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text):
        assert (ROOT / file).is_file(), file
        assert not name or name in definitions(ROOT / file), f"{file}::{name}"


def commands(path: Path) -> Iterator[list[str]]:
    """Yield the words of every command line of a document, without comments."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    spans = re.findall(r"`((?:make|python|train\.py|run_live\.py) [^`\n]+)`", text)
    for line in [line for block in blocks for line in block.splitlines()] + spans:
        try:
            words = shlex.split(line.strip().removeprefix("$ "), comments=True)
        except ValueError:
            continue
        if words:
            yield words


def known_options(program: str) -> set[str]:
    """Return the options of a program and of its commands."""
    parsers = [{"run_live.py": run_live, "train.py": train}[program].parser()]
    options: set[str] = set()
    for parser in parsers:
        for action in parser._actions:
            options |= set(action.option_strings)
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
    return options


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_that_are_told_exist(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for words in commands(path):
        if words[0] == "make":
            targets = [word for word in words[1:] if re.fullmatch(r"[a-z][a-z0-9-]*", word)]
            assert all(f"\n{target}:" in makefile for target in targets), words
        programs = [word for word in words if word in ("run_live.py", "train.py")]
        if programs:
            given = [word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)]
            assert set(given) <= known_options(programs[0]), words
        scripts = [w for w in words if re.fullmatch(r"(benchmarks|scripts|tests)/[\w./-]+", w)]
        assert all((ROOT / script).exists() for script in scripts), words


def test_each_of_the_twenty_complaints_is_answered_and_shown() -> None:
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    answers = re.findall(r"^\*\*(\d+)\. .+?(?=^\*\*|^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert sorted(map(int, answers)) == list(range(1, 21))
    for answer in re.finditer(r"^\*\*\d+\. .+?(?=^\*\*|^## |\Z)", text, re.MULTILINE | re.DOTALL):
        shown = re.search(
            r"`(tests/|python |scripts/|train\.py |run_live\.py |--|[a-z]+\.[a-z_]+`)", answer[0]
        )
        assert shown or "](" in answer[0], answer[0]
