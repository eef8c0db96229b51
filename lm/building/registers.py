"""Registers made ready: normalised sentences on disk, a part of the documents held out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from lm.building.recipe import TextSettings
from lm.building.sentences import KEPT_APART, REPEATED, SeenBefore, SharedRuns, sentences_of
from lm.building.sources import Register, digest, documents
from lm.errors import LanguageModelError
from model.alphabet import ENGLISH, Alphabet
from model.files import make_folder, unwritable, write_whole

VERSION = 1
"""Raised whenever the same text and settings make other sentences."""

TRAIN_FILE, HELD_OUT_FILE = "train.txt", "held-out.txt"
COUNTS_FILE, RECORD_FILE = "counts.txt", "register.json"

Notice = Callable[[str], None]


@dataclass(frozen=True)
class TextCount:
    """How much text there is.

    Attributes:
        documents: Files or blocks of lines.
        sentences: In them.
        words: In them.
    """

    documents: int = 0
    sentences: int = 0
    words: int = 0


@dataclass(frozen=True)
class PreparedRegister:
    """A register whose sentences are on disk, one a line.

    Attributes:
        name: What reports call it.
        folder: Of its files.
        sources: Name and SHA-256 of each file that it was read from.
        train: Size of what the model is made from.
        held_out: Size of what judges it.
        dropped: Sentences that were left out, by reason.
    """

    name: str
    folder: Path
    sources: tuple[tuple[str, str], ...] = ()
    train: TextCount = field(default_factory=TextCount)
    held_out: TextCount = field(default_factory=TextCount)
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def train_file(self) -> Path:
        """The sentences that the model is made from."""
        return self.folder / TRAIN_FILE

    @property
    def held_out_file(self) -> Path:
        """The sentences that judge it."""
        return self.folder / HELD_OUT_FILE

    def counts(self) -> Counter[str]:
        """Return how often each word comes in the text for the model."""
        with (self.folder / COUNTS_FILE).open(encoding="utf-8") as lines:
            pairs = (line.split() for line in lines)
            return Counter({word: int(count) for word, count in pairs})

    def describe(self) -> dict[str, Any]:
        """Return what a record of the model tells of it."""
        return {
            "sources": [{"name": name, "sha256": sha} for name, sha in self.sources],
            "train": asdict(self.train),
            "held_out": asdict(self.held_out),
            "dropped_sentences": self.dropped,
        }


def prepare(
    register: Register,
    settings: TextSettings,
    apart: Sequence[str],
    work: Path,
    say: Notice,
    alphabet: Alphabet = ENGLISH,
) -> PreparedRegister:
    """Write the sentences of a register below ``work``, or find them there from before.

    Args:
        register: What to read.
        settings: How.
        apart: Normalised texts with which no sentence may share a run of words.
        work: Folder of intermediate files; prepared text is found there by its content.
        say: Takes notices.
        alphabet: The symbols that sentences may have.

    Raises:
        LanguageModelError: If a file cannot be read or holds no sentence that can be
            spelled, or the folder cannot be written.
    """
    sources = tuple((path.name, digest(path)) for path in register.files)
    key = [VERSION, register.name, sources, asdict(settings), list(apart), alphabet.symbols]
    folder = work / f"{register.name}-{sha256(json.dumps(key).encode()).hexdigest()[:16]}"
    try:
        if not (folder / RECORD_FILE).is_file():
            say(f"{register.name}: reading text")
            make_folder(folder)
            found = _Writer(folder, settings, apart, alphabet).write(register)
            write_whole(folder / RECORD_FILE, json.dumps(found).encode())
        prepared = _load(register.name, folder, sources)
    except OSError as error:
        raise unwritable(folder, error, LanguageModelError) from error
    if not prepared.train.words:
        raise LanguageModelError(
            f"{register.name}: holds no sentences to learn from"
            f"{_because(prepared)}; give text that the letters a to z can spell"
        )
    return prepared


def _load(name: str, folder: Path, sources: tuple[tuple[str, str], ...]) -> PreparedRegister:
    record = json.loads((folder / RECORD_FILE).read_bytes())
    return PreparedRegister(
        name,
        folder,
        sources,
        TextCount(**record["train"]),
        TextCount(**record["held_out"]),
        record["dropped"],
    )


def _because(prepared: PreparedRegister) -> str:
    reasons = [f"{count} with {reason}" for reason, count in prepared.dropped.items()]
    return f" (left out: {', '.join(reasons)})" if reasons else ""


class _Writer:
    """Writes the sentences of a register and counts what becomes of them."""

    def __init__(
        self, folder: Path, settings: TextSettings, apart: Sequence[str], alphabet: Alphabet
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._alphabet = alphabet
        self._shared = SharedRuns(apart, settings.apart_words)
        self._seen = SeenBefore()
        self._dropped: Counter[str] = Counter()
        self._words: Counter[str] = Counter()
        self._sizes: dict[str, Counter[str]] = {"train": Counter(), "held_out": Counter()}

    def write(self, register: Register) -> dict[str, Any]:
        """Write all files but the record; return the record."""
        share = self._settings.held_out
        every = round(1 / share) if share else 0
        with ExitStack() as files:
            train = files.enter_context(self._opened(TRAIN_FILE))
            held_out = files.enter_context(self._opened(HELD_OUT_FILE))
            found = documents(register, self._settings.whole_files, self._settings.block_lines)
            for number, lines in enumerate(found):
                if every and number % every == every // 2:
                    self._write("held_out", self._plain(lines), held_out)
                else:
                    self._write("train", self._single(lines), train)
        with self._opened(COUNTS_FILE) as counts:
            counts.writelines(f"{word} {count}\n" for word, count in sorted(self._words.items()))
        return {**self._sizes, "dropped": dict(sorted(self._dropped.items()))}

    def _opened(self, name: str) -> IO[str]:
        return (self._folder / name).open("w", encoding="utf-8")

    def _write(self, part: str, sentences: Iterator[str], file: IO[str]) -> None:
        size = self._sizes[part]
        size["documents"] += 1
        for sentence in sentences:
            words = sentence.split()
            size["sentences"] += 1
            size["words"] += len(words)
            if part == "train":
                self._words.update(words)
            file.write(sentence + "\n")

    def _plain(self, lines: Iterator[str]) -> Iterator[str]:
        """Yield the sentences of lines that are apart from what they shall not touch."""
        for line in lines:
            for sentence in sentences_of(line, self._dropped, self._alphabet):
                if self._shared.touches(sentence.split()):
                    self._dropped[KEPT_APART] += 1
                else:
                    yield sentence

    def _single(self, lines: Iterator[str]) -> Iterator[str]:
        """Yield those sentences, long ones once in the whole register."""
        least = self._settings.once_words
        for sentence in self._plain(lines):
            long = least and sentence.count(" ") + 1 >= least
            if long and self._seen.add(sentence):
                self._dropped[REPEATED] += 1
            else:
                yield sentence
