"""What is installed for captions alone is enough for them, and what trains says what it lacks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from model.errors import MissingPartError
from model.parts import (
    TRAINING_LIBRARIES,
    missing_libraries,
    require_libraries,
    training_parts,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CLIP = "tests/data/speech/common_voice_en_17369372.opus"
REMEDY = "install the parts that train, with: scripts/setup"


def names(requirements: Iterable[str], extras: frozenset[str] = frozenset()) -> set[str]:
    """Return the packages that apply to this Python and machine, with those that they require."""
    found: set[str] = set()
    waiting = [(Requirement(text), extras) for text in requirements]
    while waiting:
        requirement, extras = waiting.pop()
        name = canonicalize_name(requirement.name)
        environments = [{"extra": extra} for extra in ("", *extras)]
        applies = requirement.marker is None or any(map(requirement.marker.evaluate, environments))
        if not applies or name in found:
            continue
        found.add(name)
        wanted = frozenset(requirement.extras)
        waiting += [(Requirement(text), wanted) for text in required_by(name)]
    return found


def required_by(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


def locked() -> dict[str, list[Requirement]]:
    """Return the lines of the lock by package."""
    found: dict[str, list[Requirement]] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


@cache
def not_live() -> frozenset[str]:
    """Return what can be imported of the locked packages, and captions do not bring along."""
    apart = locked().keys() - names(PROJECT["dependencies"])
    return frozenset(
        module
        for module, packages in packages_distributions().items()
        if all(canonicalize_name(package) in apart for package in packages)
    )


def run(program: str, *arguments: str, live_only: bool = True) -> subprocess.CompletedProcess[str]:
    """Run Python with what captions do not need made missing, as on a small computer."""
    blocked = sorted(not_live()) if live_only else []
    program = f"import sys\nsys.modules.update(dict.fromkeys({blocked}))\n{program}"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_each_named_package_is_locked_at_its_version() -> None:
    lock = locked()
    every = chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for requirement in map(Requirement, every):
        name = canonicalize_name(requirement.name)
        if name == PROJECT["name"]:
            continue
        assert requirement.specifier in {line.specifier for line in lock[name]}, name


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12"])
def test_the_lock_has_one_version_of_a_package_for_each_python(python: str) -> None:
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    for name, lines in locked().items():
        apply = [line for line in lines if not line.marker or line.marker.evaluate(environment)]
        assert len(apply) <= 1, name


def test_what_training_needs_is_told_from_what_captions_need() -> None:
    train = names(PROJECT["optional-dependencies"]["train"])
    live = names(PROJECT["dependencies"])
    assert {"tensorflow", "keras", "jax", "matplotlib"} <= train - live
    assert {"numpy", "onnxruntime", "kenlm", "flask"} <= live


@pytest.mark.skipif(bool(missing_libraries("tensorflow")), reason="only captions are installed")
def test_the_libraries_of_training_are_those_of_its_packages() -> None:
    direct = {Requirement(text).name for text in PROJECT["optional-dependencies"]["train"]}
    modules = {
        module
        for module, packages in packages_distributions().items()
        if any(canonicalize_name(package) in map(canonicalize_name, direct) for package in packages)
        and re.fullmatch(r"[A-Za-z]\w*", module)
    }
    assert modules - {"pylab"} == TRAINING_LIBRARIES
    assert not_live() >= TRAINING_LIBRARIES


def test_captions_are_the_same_without_what_only_training_needs() -> None:
    program = "from run_live import main\nsys.exit(main(sys.argv[1:]))"
    arguments = ("--wav", CLIP, "--speed", "max", "--format", "jsonl")
    finals = []
    for live_only in (True, False):
        done = run(program, *arguments, live_only=live_only)
        assert (done.returncode, done.stderr) == (0, "")
        events = [json.loads(line) for line in done.stdout.splitlines()]
        finals.append([one | {"emitted_s": 0} for one in events if one["type"] == "final"])
    assert finals[0] == finals[1] != []


def test_the_page_needs_no_more_and_says_what_learning_lacks() -> None:
    program = """
import importlib, pkgutil, streamer
for module in pkgutil.walk_packages(streamer.__path__, "streamer."):
    importlib.import_module(module.name)
from streamer.settings import LearningSettings
from streamer.web.learning.learning import Learning
from types import SimpleNamespace
workshop = SimpleNamespace(settings=LearningSettings(), registry=None, folder=None)
print(Learning(workshop, None, None, None, None).lacking(()))
"""
    done = run(program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("keras and jax are not installed")
    assert REMEDY in done.stdout


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("train", ("fit", "--manifest", "a.jsonl", "--dev", "b.jsonl", "--output", "{folder}/run")),
        ("train", ("features", CLIP, "--plot", "{folder}/a.png")),
        (
            "train",
            (
                *("evaluate", "--bundle", "models/default", "--output", "{folder}/report"),
                *("--manifest", "tests/data/speech/manifest.jsonl"),
            ),
        ),
        (
            "train",
            (
                *("export", "--bundle", "models/default", "--format", "litert"),
                *("--output", "{folder}/a.tflite"),
            ),
        ),
        (
            "lm.tune",
            (
                *("--manifest", "tests/data/speech/manifest.jsonl", "--model", "models/default"),
                *("--language-model", "models/language", "--output", "{folder}/decoder.yaml"),
                *("--cache", "{folder}"),
            ),
        ),
    ],
)
def test_what_trains_says_what_is_missing(
    program: str, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    given = [argument.format(folder=tmp_path) for argument in arguments]
    done = run(f"from {program} import main\nsys.exit(main(sys.argv[1:]))", *given)
    assert done.returncode == 2, done.stderr
    assert "not installed" in done.stderr and "scripts/setup" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_is_judged_without_what_only_training_needs(tmp_path: Path) -> None:
    manifest = tmp_path / "one.jsonl"
    (line,) = [
        line
        for line in (ROOT / "tests/data/speech/manifest.jsonl").read_text().splitlines()
        if Path(CLIP).name in line
    ]
    row = json.loads(line)
    manifest.write_text(json.dumps(row | {"audio": str(ROOT / CLIP)}) + "\n")
    program = "from train import main\nsys.exit(main(sys.argv[1:]))"
    report = tmp_path / "report.json"
    given = ("evaluate", "--bundle", "models/default", "--manifest", str(manifest))
    done = run(program, *given, "--output", str(report))
    assert done.returncode == 0, done.stderr
    assert json.loads(report.read_text())


def test_a_missing_library_of_training_is_named_with_the_remedy() -> None:
    named = rf"^keras is not installed, .*; {REMEDY}"
    with pytest.raises(MissingPartError, match=named), training_parts():
        raise ModuleNotFoundError("No module named 'keras'", name="keras.ops")


def test_other_missing_modules_are_not_taken_for_it() -> None:
    with pytest.raises(ModuleNotFoundError, match="abacus"), training_parts():
        raise ModuleNotFoundError("No module named 'abacus'", name="abacus")


def test_libraries_are_asked_for_before_the_work() -> None:
    require_libraries("numpy", "json")
    with pytest.raises(MissingPartError, match=r"^abacus and sliderule are not installed"):
        require_libraries("numpy", "abacus", "sliderule")
