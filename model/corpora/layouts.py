"""How corpora lie on disk: which recordings there are, and where their transcripts stand.

A reader of a layout looks at names and texts only; audio and spelling are checked
afterwards, the same for all of them, see :mod:`model.corpora.finding`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from model.corpora.manifest import Utterance, manifest_lines, parse_row
from model.errors import ManifestError

AUDIO_SUFFIXES = (".flac", ".wav", ".ogg", ".opus", ".mp3")
LIST_SUFFIX = ".trans.txt"
CLIPS_FOLDER = "clips"
CLIP_COLUMNS = ("client_id", "path", "sentence")
"""Columns that every table of Common Voice has."""

WAVES_FOLDER = "wavs"
WAVES_TABLE = "metadata.csv"


class Kind(str, Enum):
    """What is wrong with a row, in words to count by."""

    ROW = "unusable lines"
    TRANSCRIPT = "missing or empty transcripts"
    SYMBOLS = "transcripts that cannot be spelt"
    TOO_LONG = "transcripts too long for their recordings"
    MISSING = "missing recordings"
    DAMAGED = "unreadable recordings"
    DURATION = "wrong durations"
    REPEATED = "recordings given twice"
    IN_DEV = "recordings or speakers of the dev set"


@dataclass(frozen=True)
class Problem:
    """Why a row cannot be used.

    Attributes:
        kind: To count by.
        place: File, and line where it has lines.
        text: What is wrong, the rule, and the remedy.
    """

    kind: Kind
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


@dataclass(frozen=True)
class Entry:
    """A recording and its transcript as a corpus has them, nothing checked.

    Attributes:
        place: Where the transcript stands: file, and line where it has lines.
        row: Its text is as written; its duration is 0 where the corpus does not tell.
    """

    place: str
    row: Utterance


Found = Iterator[Entry | Problem]


def recognise(source: Path, layout: str = "", subset: str = "") -> tuple[str, Path]:
    """Return the name of a source's layout, and the path that its reader takes.

    Args:
        source: A folder or a file.
        layout: One of ``LAYOUTS``, to be taken unseen; recognised where empty.
        subset: Which table of a Common Voice folder, such as "train".

    Raises:
        ManifestError: If there is no such file or folder, if it is of no layout, or if
            a subset has to be chosen or cannot be.
    """
    if not source.exists():
        raise ManifestError(f"{source}: no such folder or file; give one with recordings in it")
    name = layout or (_layout_of_file(source) if source.is_file() else _layout_of_folder(source))
    if name == "commonvoice":
        return name, source if source.is_file() else _clip_table(source, subset)
    if subset:
        raise ManifestError(
            f"{source}: has no subset {subset}: it is read as {name}, and only Common Voice "
            "has tables to choose from; leave --subset out"
        )
    return name, source


def _layout_of_file(source: Path) -> str:
    if source.name == WAVES_TABLE:
        return "ljspeech"
    by_suffix = {".tsv": "commonvoice", ".jsonl": "manifest", ".json": "manifest"}
    if source.suffix.lower() not in by_suffix:
        raise ManifestError(
            f"{source}: is of no known layout; give a folder, a table of Common Voice (.tsv), "
            f"LJSpeech's {WAVES_TABLE} or a manifest (.jsonl)"
        )
    return by_suffix[source.suffix.lower()]


def _layout_of_folder(source: Path) -> str:
    if (source / CLIPS_FOLDER).is_dir() and any(source.glob("*.tsv")):
        return "commonvoice"
    if (source / WAVES_TABLE).is_file():
        return "ljspeech"
    return "librispeech" if next(source.rglob(f"*{LIST_SUFFIX}"), None) else "text"


def _clip_table(folder: Path, subset: str) -> Path:
    """Return the table of a Common Voice folder that is meant."""
    tables = {path.stem: path for path in sorted(folder.glob("*.tsv")) if _is_clip_table(path)}
    if subset in tables:
        return tables[subset]
    if len(tables) == 1 and not subset:
        return next(iter(tables.values()))
    if not tables:
        raise ManifestError(
            f"{folder}: holds no table (.tsv) with the columns {', '.join(CLIP_COLUMNS)}; "
            "give the folder of one language of Common Voice, or another --layout"
        )
    wrong = f"has no subset {subset}" if subset else "holds several subsets"
    raise ManifestError(f"{folder}: {wrong}; choose one with --subset: {', '.join(tables)}")


def _is_clip_table(path: Path) -> bool:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return set(CLIP_COLUMNS) <= set(file.readline().rstrip("\r\n").split("\t"))


def read_lists(folder: Path, corpus: str) -> Found:
    """Read LibriSpeech's layout: ``*.trans.txt`` files list the recordings beside them.

    Recordings that no list names may have a ``.txt`` beside them.
    """
    for place in _folders(folder):
        audio = _recordings(place)
        for path in sorted(place.glob(f"*{LIST_SUFFIX}")):
            yield from _read_list(path, audio, _corpus_name(folder, corpus))
        yield from _read_beside(audio, _corpus_name(folder, corpus))


def read_texts(folder: Path, corpus: str) -> Found:
    """Read a folder, with those in it, in which each recording has a ``.txt`` beside it."""
    for place in _folders(folder):
        yield from _read_beside(_recordings(place), _corpus_name(folder, corpus))


def read_clips(table: Path, corpus: str) -> Found:
    """Read a table of Common Voice: tab-separated, unquoted, clips in the folder beside it."""
    header, *lines = _table_lines(table)
    columns = header.split("\t")
    if lacking := sorted(set(CLIP_COLUMNS) - set(columns)):
        raise ManifestError(
            f"{table}: lacks the columns {', '.join(lacking)}; give a table of Common Voice"
        )
    for number, line in enumerate(lines, 2):
        fields = dict(zip(columns, line.split("\t"), strict=False))
        if all(fields.get(column, "").strip() for column in ("client_id", "path")):
            yield Entry(f"{table}:{number}", _clip(fields, table.parent, corpus or "commonvoice"))
        elif line.strip():
            text = "names no clip or no speaker; every line must have a path and a client_id"
            yield Problem(Kind.ROW, f"{table}:{number}", f"{text}; take the line out")


def read_waves(source: Path, corpus: str) -> Found:
    """Read LJSpeech's layout: ``id|text|normalised text`` a line, the recordings in ``wavs``."""
    table = source if source.is_file() else source / WAVES_TABLE
    corpus = _corpus_name(table.parent, corpus)
    for number, line in enumerate(_table_lines(table), 1):
        name, *texts = line.split("|")
        text = next((text for text in reversed(texts[:2]) if text.strip()), "")
        if texts and name.strip():
            audio = _wave(table.parent / WAVES_FOLDER, name.strip())
            yield Entry(f"{table}:{number}", Utterance(audio, text, 0.0, corpus, corpus))
        elif line.strip():
            text = "must be id|text|normalised text; mend the line, or give another --layout"
            yield Problem(Kind.ROW, f"{table}:{number}", text)


def read_rows(manifest: Path, corpus: str) -> Found:
    """Read a manifest; a row's own corpus counts where ``corpus`` is empty."""
    for number, line in manifest_lines(manifest):
        place = f"{manifest}:{number}"
        try:
            row = parse_row(line, manifest.parent)
            yield Entry(place, replace(row, corpus=corpus or row.corpus))
        except ValueError as error:
            yield Problem(Kind.ROW, place, f"{error}; mend the row or take it out")


LAYOUTS: dict[str, Callable[[Path, str], Found]] = {
    "librispeech": read_lists,
    "commonvoice": read_clips,
    "ljspeech": read_waves,
    "text": read_texts,
    "manifest": read_rows,
}
"""Readers by name; each takes a path and the name of the corpus, or "" for its usual one."""


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ManifestError(f"{folder}: is no folder; give one with recordings in it")
    return [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]


def _recordings(folder: Path) -> dict[str, Path]:
    """Return the recordings of a folder by their names without suffix."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES)
    return {path.stem: path for path in files if path.is_file() and path.name[0] != "."}


def _corpus_name(folder: Path, given: str) -> str:
    return given or folder.resolve().name


def _read_list(path: Path, audio: dict[str, Path], corpus: str) -> Found:
    """Yield what a ``*.trans.txt`` lists, and take it out of ``audio``."""
    try:
        lines = _lines(path)
    except (OSError, ValueError) as error:
        yield _unread(path, error)
        return
    for number, line in enumerate(lines, 1):
        name, _, text = line.strip().partition(" ")
        place = f"{path}:{number}"
        if name in audio:
            yield Entry(place, Utterance(audio.pop(name), text, 0.0, name.split("-")[0], corpus))
        elif name:
            text = f"there is no recording {name} beside it; put it there or take the line out"
            yield Problem(Kind.MISSING, place, text)


def _read_beside(audio: dict[str, Path], corpus: str) -> Found:
    for path in audio.values():
        transcript = path.with_suffix(".txt")
        try:
            text = " ".join(_lines(transcript))
            yield Entry(str(transcript), Utterance(path, text, 0.0, corpus=corpus))
        except FileNotFoundError:
            text = f"has no transcript; write it to {transcript.name} beside it"
            yield Problem(Kind.TRANSCRIPT, str(path), text)
        except (OSError, ValueError) as error:
            yield _unread(transcript, error)


def _unread(transcript: Path, error: OSError | ValueError) -> Problem:
    """Return the problem of a transcript that cannot be read."""
    text = str(error)
    if isinstance(error, OSError):
        text = f"cannot be read ({error.strerror or error}); put a text there that can be"
    return Problem(Kind.TRANSCRIPT, str(transcript), text)


def _clip(fields: dict[str, str], folder: Path, corpus: str) -> Utterance:
    """Return a clip; its speaker is a short digest of the long one that the table has."""
    name = fields["path"].strip()
    name = name if Path(name).suffix.lower() in AUDIO_SUFFIXES else f"{name}.mp3"
    return Utterance(
        audio=folder / CLIPS_FOLDER / name,
        text=fields.get("sentence", ""),
        duration=0.0,
        speaker=hashlib.sha256(fields["client_id"].encode()).hexdigest()[:12],
        corpus=corpus,
        accent=(fields.get("accents") or fields.get("accent") or "").strip(),
    )


def _wave(folder: Path, name: str) -> Path:
    found = (folder / f"{name}{suffix}" for suffix in AUDIO_SUFFIXES)
    return next((path for path in found if path.exists()), folder / f"{name}.wav")


def _lines(path: Path) -> list[str]:
    """Return the lines of a text, at least one; raises ValueError where it is not UTF-8."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    # Not splitlines: a sentence may hold other line separators of Unicode.
    return text.removesuffix("\n").split("\n")


def _table_lines(path: Path) -> list[str]:
    try:
        return _lines(path)
    except ValueError as error:
        raise ManifestError(f"{path}: {error}") from error
