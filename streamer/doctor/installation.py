"""The program as it is installed: Python, packages, configuration."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from model.errors import CaptionerError
from streamer.doctor.finding import Finding

PROGRAM = "live-captioner"
SETUP = "scripts/setup --live"
MOST_NAMED = 4
"""Packages that a finding names; the figures hold them all."""


def check_program(python: tuple[int, int, int] | None = None) -> Iterator[Finding]:
    """Yield which version of the program it is, and whether Python is one that it is tested with.

    Args:
        python: Version of Python; the running one if None.
    """
    version = ".".join(map(str, python or sys.version_info[:3]))
    program, accepted = _program()
    text = f"{PROGRAM} {program}, Python {version}, {platform.system()} {platform.release()}"
    figures = {"program": program, "python": version, "machine": platform.machine()}
    if accepted and version not in SpecifierSet(accepted):
        remedy = f"it is made for Python {accepted}: remove .venv and run {SETUP} with such a one"
        yield Finding("program", "Program", "failure", text, remedy, figures)
    else:
        yield Finding("program", "Program", "ok", text, figures=figures)


def _program() -> tuple[str, str]:
    """Return the installed version of the program and which Python it takes."""
    try:
        told = metadata.metadata(PROGRAM)
    except metadata.PackageNotFoundError:
        return "(not installed)", ""
    return told["Version"], "".join(told.get_all("Requires-Python") or ())


def check_packages(lock: Path) -> Iterator[Finding]:
    """Yield whether the packages that captions need are there, at the versions that were tested.

    Args:
        lock: The list of tested versions.
    """
    try:
        tested = locked(lock.read_text(encoding="utf-8"))
    except OSError:
        tested = {}
    needed = needed_packages(PROGRAM, requirements_of)
    installed = {name: installed_version(name) for name in {*needed, *tested}}
    yield judge_packages(needed, tested, installed)


def judge_packages(
    needed: frozenset[str], tested: Mapping[str, str], installed: Mapping[str, str | None]
) -> Finding:
    """Return what the versions mean.

    Args:
        needed: Names of the packages that captions need, of their packages too.
        tested: The tested version of each package.
        installed: The installed version of each, None where it is missing.
    """
    there = {name: version for name, version in installed.items() if version is not None}
    missing = sorted(needed - there.keys())
    other = {
        name: f"{version} for {tested[name]}"
        for name, version in sorted(there.items())
        if name in tested and version != tested[name]
    }
    figures = {"missing": missing, "other": other, "installed": len(there)}
    if missing:
        text = f"missing: {_some(missing)}"
        return Finding("packages", "Packages", "failure", text, f"run {SETUP}", figures)
    if other:
        text = "not as tested: " + _some([f"{name} {what}" for name, what in other.items()])
        return Finding("packages", "Packages", "warning", text, f"run {SETUP}", figures)
    if not needed:
        text, remedy = f"{PROGRAM} is not installed as a package", f"run {SETUP}"
        return Finding("packages", "Packages", "warning", text, remedy, figures)
    text = f"all {len(needed)} that captions need" + (", as tested" if tested else "")
    return Finding("packages", "Packages", "ok", text, figures=figures)


def _some(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def locked(text: str) -> dict[str, str]:
    """Return the versions that a list of ``NAME==VERSION; MARKER`` lines gives to this Python."""
    versions: dict[str, str] = {}
    for line in text.splitlines():
        if re.match(r"[A-Za-z0-9]", line):
            requirement = Requirement(line.partition(" #")[0])
            if requirement.marker is None or requirement.marker.evaluate():
                version = str(requirement.specifier).removeprefix("==")
                versions[canonicalize_name(requirement.name)] = version
    return versions


def needed_packages(program: str, requirements: Callable[[str], tuple[str, ...]]) -> frozenset[str]:
    """Return the packages that a program needs without its extras, and those that they need.

    Args:
        program: Name of the package of the program.
        requirements: Returns what a package asks for, as its metadata say it.
    """
    found: set[str] = set()
    waiting: list[tuple[str, str]] = [(program, "")]
    while waiting:
        package, extra = waiting.pop()
        for text in requirements(package):
            asked = Requirement(text)
            name = canonicalize_name(asked.name)
            if asked.marker is not None and not asked.marker.evaluate({"extra": extra}):
                continue
            waiting += [(name, inner) for inner in ("", *asked.extras) if name not in found]
            found.add(name)
    return frozenset(found)


def requirements_of(package: str) -> tuple[str, ...]:
    """Return what an installed package asks for; nothing where it is missing."""
    try:
        return tuple(metadata.requires(package) or ())
    except metadata.PackageNotFoundError:
        return ()


def installed_version(package: str) -> str | None:
    """Return the installed version of a package; None where it is missing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def configuration_finding(
    config: Path | None, overrides: int, error: CaptionerError | None
) -> Finding:
    """Return whether the settings can be used.

    Args:
        config: The file, or None.
        overrides: How many were given by ``--set``.
        error: What is wrong with them, or None.
    """
    source = str(config) if config else "the defaults"
    text = source + (f" and {overrides} by --set" if overrides else "")
    if error is None:
        return Finding("configuration", "Configuration", "ok", text)
    remedy = "correct it; the checks below take the defaults in its place"
    return Finding("configuration", "Configuration", "failure", str(error), remedy)


def finding_of(error: CaptionerError, check: str, title: str) -> Finding:
    """Return an error as a finding: its last clause is the remedy, as in all our messages."""
    text, _, remedy = str(error).rpartition("; ")
    return Finding(check, title, "failure", text or remedy, remedy if text else "")
