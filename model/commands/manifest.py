"""What ``train.py manifest`` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model.commands.common import check_file
from model.commands.terminal import Terminal
from model.corpora.finding import CorpusOptions, EntryChecker, find_entries
from model.corpora.manifest import read_manifests, write_manifest
from model.errors import ManifestError
from model.wording import counted


def make_manifest(
    sources: Sequence[Path],
    output: Path,
    options: CorpusOptions,
    dev: Sequence[Path],
    skip_bad: bool,
    terminal: Terminal,
) -> None:
    """Write a manifest of the recordings of corpora.

    Args:
        sources: Folders and files of any layout.
        output: The manifest.
        options: How the sources are read.
        dev: Manifests whose recordings and speakers must not be among these.
        skip_bad: Whether to leave out what cannot be used.
        terminal: Says what was read, what is wrong with it, and what was written.

    Raises:
        UsageError: If ``output`` is no ``.jsonl`` file, or one of the files to read.
        ManifestError: If something cannot be used and ``skip_bad`` is not set, if
            nothing can be used, or if the manifest cannot be written.
    """
    check_file(output, (".jsonl",), [*sources, *dev])
    checker = EntryChecker(options, read_manifests(dev))
    for source in sources:
        layout, found = find_entries(source, options)
        terminal.say(f"{source}: read as {layout}")
        with terminal.counting(str(source), len(found)) as progress:
            checker.check(found, progress)
    findings = checker.findings
    problems = [str(problem) for problem in findings.problems]
    total = f"{counted(len(problems), 'problem')} ({findings.count()})"
    if problems and not skip_bad:
        remedy = "mend them, or give --skip-bad to leave the rows out"
        lines = [f"{output}: not written:", *problems, f"{total}; {remedy}"]
        raise ManifestError("\n".join(lines))
    for line in [*problems, total] if problems else ():
        terminal.say(line)
    if not findings.rows:
        raise ManifestError(f"{output}: not written: there is no usable recording")
    write_manifest(output, findings.rows)
    hours = sum(row.duration for row in findings.rows) / 3600
    left_out = f", {findings.left_out} left out" if findings.left_out else ""
    recordings = counted(len(findings.rows), "recording")
    terminal.say(f"{output}: {recordings}, {hours:.2f} hours{left_out}")
