from __future__ import annotations

import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from model.errors import StepError
from model.recipe import NetworkSettings, Recipe, TrainingSettings
from model.training.compiled import choice
from model.training.compiled.build import SOURCE, built_library
from model.training.compiled.choice import chosen_step
from model.training.compiled.library import StepLibrary
from model.training.distribution import Distribution

COMPILER = """#!/bin/sh
[ "$1" = --version ] && exec echo {version}
for last; do :; done
{command}
"""


def compiler(folder: Path, command: str = 'echo library > "$last"', version: str = "1") -> str:
    """Return a compiler that runs ``command`` in place of compiling into ``$last``."""
    path = folder / "compiler"
    path.write_text(COMPILER.format(command=command, version=version))
    path.chmod(0o755)
    return str(path)


def test_a_step_is_compiled_once_for_each_compiler_and_flags(tmp_path: Path) -> None:
    folder, notices = tmp_path / "cache", []

    def build(flags: str = "") -> Path:
        environment = {"CXX": name, "CXXFLAGS": flags, "PATH": os.environ["PATH"]}
        return built_library(environment, folder, notices.append)

    name = compiler(tmp_path)
    first = build()
    assert first.read_text() == "library\n"
    assert build() == first
    assert notices == ["compiling the training step for this processor, once"]
    assert len({first, build("-DX"), build("-DX -DY")}) == 3
    compiler(tmp_path, version="2")
    assert build() != first
    assert len(notices) == 4
    assert len(list(folder.iterdir())) == 4
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_library_is_in_the_users_cache_and_nothing_in_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.stat().st_mtime_ns for path in SOURCE.parent.rglob("*")}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", compiler(tmp_path))
    assert built_library().parent == tmp_path / "live-captioner" / "step"
    after = {path: path.stat().st_mtime_ns for path in SOURCE.parent.rglob("*")}
    assert after == before


def test_a_missing_compiler_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"no C\+\+ compiler \(c\+\+ or .*apt install g\+\+"):
        built_library({"PATH": str(tmp_path)}, tmp_path)
    with pytest.raises(StepError, match=r"no C\+\+ compiler \(nowhere\)"):
        built_library({"PATH": str(tmp_path), "CXX": "nowhere -v"}, tmp_path)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("echo first >&2; echo 'x.h: error: no omp.h' >&2; echo last >&2; exit 1", "no omp.h"),
        ("echo killed >&2; exit 1", "(killed)"),
        ("exit 7", "exit code 7"),
        ("kill $$", "exit code -15"),
    ],
)
def test_a_compiler_that_fails_is_quoted(tmp_path: Path, command: str, said: str) -> None:
    environment = {"CXX": compiler(tmp_path, command), "PATH": os.environ["PATH"]}
    with pytest.raises(StepError, match="does not compile the step") as caught:
        built_library(environment, tmp_path / "cache")
    assert said in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_flags_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    environment = {"CXX": compiler(tmp_path), "CXXFLAGS": "'-O2", "PATH": os.environ["PATH"]}
    with pytest.raises(StepError, match=r"CXXFLAGS: cannot be read .*No closing quotation"):
        built_library(environment, tmp_path)


def test_a_folder_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"CXX": compiler(tmp_path), "PATH": os.environ["PATH"]}
    with pytest.raises(StepError, match=r"compiler/cache: cannot hold .*XDG_CACHE_HOME"):
        built_library(environment, tmp_path / "compiler" / "cache")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(StepError, match="belongs to another user"):
        built_library(environment, tmp_path / "others")


def test_a_user_without_a_home_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", fail)
    with pytest.raises(StepError, match=r"has no home .*set XDG_CACHE_HOME"):
        built_library({"CXX": compiler(tmp_path), "PATH": os.environ["PATH"]})


def test_a_damaged_library_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "step.so"
    path.write_text("damaged")
    with pytest.raises(StepError, match=r"step\.so: .*cannot be loaded .*delete it"):
        StepLibrary(path)


@pytest.mark.parametrize("name", ["g++", "clang++"])
def test_every_compiler_that_is_there_compiles_it(name: str, tmp_path: Path) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    environment = {**os.environ, "CXX": name, "CXXFLAGS": "-O0 -Wall -Wextra -Werror"}
    try:
        library = built_library(environment, tmp_path)
    except StepError as error:
        if "omp" in str(error):
            pytest.skip(f"{name} lacks OpenMP")
        raise
    assert StepLibrary(library).factor_bits in (16, 32)


def choose(wanted: choice.StepChoice, recipe: Recipe, devices: int = 1) -> tuple[bool, str]:
    """Return whether the steps are compiled, and what is said."""
    said: list[str] = []
    library = chosen_step(wanted, recipe, Distribution(devices=devices), said.append)
    return library is not None, "; ".join(said)


@pytest.fixture
def built(native: StepLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "built_library", lambda notify: Path(native.functions._name))


def test_the_step_is_compiled_where_it_can_be(built: None) -> None:
    for wanted in ("auto", "compiled"):
        compiled, said = choose(wanted, Recipe())  # type: ignore[arg-type]
        assert compiled
        assert "compiled C++ computes the steps, with products of " in said
    assert choose("keras", Recipe()) == (False, "")


@pytest.mark.parametrize(
    ("recipe", "devices", "reason"),
    [
        (Recipe(network=NetworkSettings(cell="rnn")), 1, "not for this network.cell"),
        (Recipe(), 2, "is for one device and host"),
        (
            Recipe(
                network=NetworkSettings(intermediate=(1,)),
                training=TrainingSettings(intermediate_weight=0.3),
            ),
            1,
            "has no training.intermediate_weight but 0",
        ),
    ],
)
def test_what_the_compiled_step_cannot_do_keras_does(
    built: None, recipe: Recipe, devices: int, reason: str
) -> None:
    compiled, said = choose("auto", recipe, devices)
    assert not compiled
    assert said.startswith("Keras computes the steps: ")
    assert reason in said
    with pytest.raises(StepError, match=r"^--step compiled: .*; with --step keras") as caught:
        choose("compiled", recipe, devices)
    assert reason in str(caught.value)


def test_intermediate_outputs_that_the_loss_leaves_out_are_none(built: None) -> None:
    recipe = Recipe(network=NetworkSettings(intermediate=(1,)))
    assert choose("compiled", replace(recipe))[0]


def test_a_gpu_is_left_to_keras(built: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_has_gpu", lambda: True)
    assert choose("auto", Recipe()) == (False, "Keras computes the steps: a GPU is at hand")
    assert choose("compiled", Recipe())[0]


def test_without_a_compiler_keras_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "nowhere")
    compiled, said = choose("auto", Recipe())
    assert not compiled
    assert said.startswith("Keras computes the steps: there is no C++ compiler (nowhere); install")
