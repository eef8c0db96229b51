"""Which package may import which, and what a mere import must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"model", "lm", "streamer"}
FROM_MODEL_IN_LM = {
    "model.alphabet",
    "model.confinement",
    "model.errors",
    "model.files",
    "model.records",
    "model.settings",
    "model.text",
}
MAKING_LM = ("lm.build", "lm.building", "lm.tune", "lm.tuning")
"""Commands and their parts: they bring the packages together, as train.py does."""
LIGHT_MODEL_MODULES = [
    "model.training.feature_cache",
    "model.commands.features",
    "model.features",
    "model.corpora.manifest",
    "model.settings",
]
NOT_LIVE = {"tensorflow", "keras", "jax", "librosa", "matplotlib", "pandas", "pyctcdecode"}
MOST_MEMORY_MB = 400
"""Of the live program with its default models: what small computers can spare."""
HEAVY = {"tensorflow", "keras", "jax", "sounddevice", "kenlm", "librosa", "matplotlib"}


def modules(package: str) -> dict[str, Path]:
    """Return the source of each module of a package by its dotted name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def own_imports(source: str, is_module: frozenset[str]) -> Iterator[str]:
    """Yield the project's modules that a source imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in is_module else str(node.module) for name in inner]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] in PACKAGES)


def imports_of(package: str) -> set[tuple[str, str]]:
    """Return (module, imported module) for every import between the project's modules."""
    every = frozenset(name for package in PACKAGES for name in modules(package))
    return {
        (name, imported)
        for name, path in modules(package).items()
        for imported in own_imports(path.read_text(encoding="utf-8"), every)
    }


@pytest.mark.parametrize(
    ("source", "imported"),
    [
        ("from model import network", {"model.network"}),
        ("from model.network import build_network", {"model.network"}),
        ("def f():\n    import lm.decoder as d", {"lm.decoder"}),
        ("import numpy, models", set()),
    ],
)
def test_every_form_of_import_is_seen(source: str, imported: set[str]) -> None:
    assert set(own_imports(source, frozenset({"model.network"}))) == imported


def test_model_imports_neither_of_the_others() -> None:
    found = imports_of("model")
    assert found
    assert {edge for edge in found if not edge[1].startswith("model")} == set()


def is_part(name: str, of: tuple[str, ...]) -> bool:
    """Return whether a module is one of some packages or modules, or inside of one."""
    return any(name == other or name.startswith(f"{other}.") for other in of)


def test_decoding_imports_only_the_text_side_of_model() -> None:
    edges = {edge for edge in imports_of("lm") if not edge[1].startswith("lm")}
    decoding = {edge for edge in edges if not is_part(edge[0], MAKING_LM)}
    assert {edge for edge in decoding if edge[1] not in FROM_MODEL_IN_LM} == set()


def test_decoding_needs_nothing_of_what_makes_language_models() -> None:
    edges = {edge for edge in imports_of("lm") if not is_part(edge[0], MAKING_LM)}
    assert {edge for edge in edges if is_part(edge[1], MAKING_LM)} == set()


def test_lm_does_not_import_the_live_side() -> None:
    assert {edge for edge in imports_of("lm") if edge[1].startswith("streamer")} == set()


def test_importing_the_live_side_loads_no_heavy_library() -> None:
    names = [*modules("streamer"), *modules("lm"), *LIGHT_MODEL_MODULES]
    program = f"""
import importlib, sys
for name in {[name.removesuffix(".__init__") for name in names]}:
    before = set(sys.modules)
    importlib.import_module(name)
    print(name, *({HEAVY} & (set(sys.modules) - before)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    loaded = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    assert len(loaded) == len(names)
    assert {name: heavy for name, heavy in loaded.items() if heavy} == {}


def test_captioning_loads_no_heavy_library_and_needs_little_memory() -> None:
    program = f"""
import re, sys
from run_live import main
assert main(["--wav", "tests/data/speech/common_voice_en_17369372.opus", "--speed", "max"]) == 0
print(*({NOT_LIVE} & set(sys.modules)), file=sys.stderr)
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1], file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    loaded, peak_kb = done.stderr.splitlines()
    assert loaded.split() == []
    assert int(peak_kb) < MOST_MEMORY_MB * 1024
