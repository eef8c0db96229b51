"""Manifests: JSON Lines files that pair recordings with their transcripts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.alphabet import ENGLISH, Alphabet
from model.errors import ManifestError
from model.files import read_at_most, write_output
from model.records import parse_json
from model.wording import counted

SOURCES = ("machine", "synthetic")
"""What a row may say of where its transcript or its speech comes from."""

LARGEST = 1 << 30
"""Bytes of the largest manifest that is read: some million rows."""

SHOWN_PROBLEMS = 20
"""How many problems of a manifest or its recordings a message lists."""


@dataclass(frozen=True)
class Utterance:
    """One row of a manifest.

    Attributes:
        audio: Path of the recording; relative paths start at the manifest's folder.
        text: Transcript in the symbols of the alphabet.
        duration: Seconds.
        speaker: Name of the speaker, or "".
        corpus: Name of the corpus, or "".
        source: "machine" where a recogniser wrote the transcript, "synthetic" where a
            synthesiser spoke it, or "".
        weight: Share of the training loss, 1 for a transcript to be trusted; above 0.
        accent: How the speaker's English is called, or "".
    """

    audio: Path
    text: str
    duration: float
    speaker: str = ""
    corpus: str = ""
    source: str = ""
    weight: float = 1.0
    accent: str = ""


def read_manifest(path: str | Path, alphabet: Alphabet = ENGLISH) -> list[Utterance]:
    """Read and check a manifest.

    Args:
        path: A file of JSON Lines with at least ``audio``, ``text`` and ``duration``.
        alphabet: The symbols that transcripts may use.

    Raises:
        ManifestError: If the file is missing or empty, or rows are unusable; every
            problem is listed with its line.
    """
    path = Path(path)
    rows: list[Utterance] = []
    problems: list[str] = []
    for number, line in manifest_lines(path):
        try:
            row = parse_row(line, path.parent)
            _check_text(row.text, alphabet)
            rows.append(row)
        except ValueError as error:
            problems.append(f"{path}:{number}: {error}")
    if problems:
        raise ManifestError(
            f"{list_problems(problems)}\n{counted(len(problems), 'row')} cannot be used; mend "
            "what is named, or let train.py manifest --skip-bad write the rest anew"
        )
    return rows


def read_manifests(paths: Iterable[str | Path], alphabet: Alphabet = ENGLISH) -> list[Utterance]:
    """Read several manifests, joined in order; see :func:`read_manifest`."""
    return [row for path in paths for row in read_manifest(path, alphabet)]


def manifest_lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines of a manifest with their numbers, blank ones left out.

    Raises:
        ManifestError: If the file is missing, not UTF-8 text or without a line.
    """
    try:
        with path.open("rb") as file:
            text = read_at_most(file, LARGEST).decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or str(error)
    except UnicodeDecodeError:
        reason = "it is not UTF-8 text"
    else:
        return _numbered_lines(path, text)
    raise ManifestError(
        f"{path}: cannot be read as a manifest: {reason}; give one written by train.py manifest"
    )


def _numbered_lines(path: Path, text: str) -> list[tuple[int, str]]:
    # Not splitlines: JSON may hold other line separators of Unicode in its strings.
    lines = [pair for pair in enumerate(text.split("\n"), 1) if pair[1].strip()]
    if not lines:
        raise ManifestError(
            f"{path}: holds no rows; write one JSON object a line with audio, text and duration"
        )
    return lines


def write_manifest(path: str | Path, rows: Iterable[Utterance]) -> int:
    """Write a manifest and return its number of rows; audio paths become relative to it.

    Raises:
        ManifestError: If the file cannot be written.
    """
    path = Path(path)
    lines = list(_format_rows(rows, path.parent.resolve()))
    # A name that is not UTF-8 becomes an escape of JSON, which gives it back.
    write_output(path, "".join(lines).encode("utf-8", "backslashreplace"), ManifestError)
    return len(lines)


def hours_by_corpus(rows: Iterable[Utterance]) -> dict[str, float]:
    """Return the hours of speech of each corpus, the largest first."""
    seconds: dict[str, float] = {}
    for row in rows:
        seconds[row.corpus] = seconds.get(row.corpus, 0.0) + row.duration
    ranked = sorted(seconds, key=lambda corpus: -seconds[corpus])
    return {corpus: round(seconds[corpus] / 3600, 4) for corpus in ranked}


def list_problems(problems: Sequence[str]) -> str:
    """Return problems as lines, the first ones only where they are many."""
    shown = list(problems[:SHOWN_PROBLEMS])
    if len(problems) > len(shown):
        shown.append(f"… and {len(problems) - len(shown)} more problems")
    return "\n".join(shown)


def parse_row(line: str, folder: Path) -> Utterance:
    """Return the utterance of a manifest's line; what its text holds is not looked at.

    Args:
        line: A JSON object.
        folder: Where relative paths of audio start.

    Raises:
        ValueError: If it is no such object or a value is of the wrong type or out of
            range; the message names the key.
    """
    row = _json_object(line)
    for key, kinds in (("audio", str), ("text", str), ("duration", (int, float))):
        if not isinstance(row.get(key), kinds) or isinstance(row.get(key), bool):
            raise ValueError(f"{key}: is missing or of the wrong type, got {row.get(key)!r}")
    if not row["audio"].strip() or "\0" in row["audio"] or not _is_encodable(row["audio"]):
        raise ValueError(f"audio: must name a file, got {row['audio']!r}")
    if not 0 < row["duration"] < 86_400:
        raise ValueError(f"duration: must be above 0 s and below a day, got {row['duration']}")
    return Utterance(
        audio=folder / row["audio"],
        text=row["text"],
        duration=float(row["duration"]),
        speaker=str(row.get("speaker", "")),
        corpus=str(row.get("corpus", "")),
        source=_source(row),
        weight=checked_weight(row.get("weight", 1.0)),
        accent=str(row.get("accent", "")),
    )


def _is_encodable(name: str) -> bool:
    """Whether a file can have this name; JSON may hold halves of characters."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def _json_object(line: str) -> dict[str, Any]:
    try:
        row = parse_json(line)
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise ValueError("must be a JSON object")
    return row


def _check_text(text: str, alphabet: Alphabet) -> None:
    if not text.strip():
        raise ValueError("text: must not be empty")
    alphabet.encode(text)


def _source(row: dict[str, Any]) -> str:
    source = row.get("source", "")
    if source not in ("", *SOURCES):
        raise ValueError(f"source: must be {' or '.join(SOURCES)}, or left out, got {source!r}")
    return str(source)


def checked_weight(weight: object) -> float:
    """Return a weight of a row; raises ValueError where it cannot be one."""
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight <= 100:
        raise ValueError(f"weight: must be a number above 0, at most 100, got {weight!r}")
    return float(weight)


def _format_rows(rows: Iterable[Utterance], folder: Path) -> Iterator[str]:
    for row in rows:
        audio = row.audio.resolve()
        record: dict[str, str | float] = {
            "audio": str(audio.relative_to(folder) if audio.is_relative_to(folder) else audio),
            "text": row.text,
            "duration": round(row.duration, 3),
        }
        for key in ("speaker", "corpus", "source", "accent"):
            if value := getattr(row, key):
                record[key] = value
        if row.weight != 1:
            record["weight"] = row.weight
        yield json.dumps(record, ensure_ascii=False) + "\n"
