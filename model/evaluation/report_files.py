"""Reports on disk: one file, or a folder with everything."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from model.errors import UsageError
from model.evaluation.report import Report
from model.evaluation.report_text import full_report
from model.files import check_folder, make_folder, unwritable
from model.parts import require_libraries

JSON_FILE = "report.json"
MARKDOWN_FILE = "report.md"


def check_output(output: Path) -> None:
    """Find out before the work whether a report can be written; make its folder.

    Args:
        output: A ``.json`` or ``.md`` file, or a folder: one that is there, or a name
            without a suffix.

    Raises:
        UsageError: If it is neither, or cannot be written, or what draws a folder's pictures
            is missing.
    """
    if not _is_folder(output) and output.suffix not in (".json", ".md"):
        raise UsageError(
            f"--output: must end in .json or .md, or be a folder (a name without a point), "
            f"got {output}"
        )
    if _is_folder(output):
        require_libraries("matplotlib")
    folder = output if _is_folder(output) else output.parent
    try:
        make_folder(folder)
    except OSError as error:
        raise unwritable(output, error) from error
    check_folder(folder)
    if output.exists() and not os.access(output, os.W_OK):
        raise unwritable(output, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def write_report(report: Report, output: Path) -> list[Path]:
    """Write a report where :func:`check_output` has looked, and return its files.

    A folder gets the JSON and the Markdown, and pictures.

    Raises:
        UsageError: If a file cannot be written.
    """
    try:
        if _is_folder(output):
            return _write_folder(report, output)
        text = _json(report) if output.suffix == ".json" else full_report(report)
        output.write_text(text, encoding="utf-8")
        return [output]
    except OSError as error:
        raise unwritable(output, error) from error


def _write_folder(report: Report, folder: Path) -> list[Path]:
    """Write the figures first, as the pictures need more room."""
    (folder / JSON_FILE).write_text(_json(report), encoding="utf-8")
    from model.evaluation.report_plots import draw_report

    pictures = draw_report(report, folder)
    (folder / MARKDOWN_FILE).write_text(full_report(report, pictures), encoding="utf-8")
    return [folder / name for name in (JSON_FILE, MARKDOWN_FILE, *pictures)]


def _is_folder(output: Path) -> bool:
    return os.path.isdir(output) or not output.suffix


def _json(report: Report) -> str:
    return json.dumps(report.record(), indent=2, ensure_ascii=False) + "\n"
