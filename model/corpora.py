"""Find recordings with their transcripts in folders, for a manifest.

Two layouts are known: LibriSpeech's, where ``*.trans.txt`` files list the
recordings beside them, and a ``.txt`` beside each recording.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from model.alphabet import ENGLISH, Alphabet
from model.audio import OPEN_END, open_audio, read_audio
from model.errors import AudioFileError, ManifestError
from model.manifest import Utterance
from model.text import normalise_text

AUDIO_SUFFIXES = (".flac", ".wav", ".ogg", ".opus", ".mp3")
LIST_SUFFIX = ".trans.txt"


@dataclass(frozen=True)
class Findings:
    """What a search found.

    Attributes:
        rows: Usable utterances.
        problems: One line for each recording or transcript that cannot be used.
    """

    rows: list[Utterance] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def find_utterances(
    folder: str | Path,
    corpus: str = "",
    alphabet: Alphabet = ENGLISH,
    progress: Callable[[int], None] = lambda done: None,
) -> Findings:
    """Find the recordings below a folder and normalise their transcripts.

    Args:
        folder: Searched with all the folders in it, in the order of their names.
        corpus: Name of the corpus; the folder's where empty.
        alphabet: The symbols that transcripts may use.
        progress: Called with the number of recordings looked at.

    Raises:
        ManifestError: If there is no such folder, or nothing of either layout in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ManifestError(f"{folder}: no such folder; give one with recordings in it")
    search = _Search(corpus or folder.resolve().name, alphabet, progress)
    for place in [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]:
        search.look_in(place)
    findings = search.findings
    if not findings.rows and not findings.problems:
        raise ManifestError(f"{folder}: holds no recordings ({', '.join(AUDIO_SUFFIXES)})")
    return findings


class _Search:
    """Adds what folders hold to its findings."""

    def __init__(self, corpus: str, alphabet: Alphabet, progress: Callable[[int], None]) -> None:
        self.findings = Findings()
        self._corpus = corpus
        self._alphabet = alphabet
        self._progress = progress
        self._done = 0

    def look_in(self, folder: Path) -> None:
        """Add what is in a folder itself."""
        files = sorted(path for path in folder.iterdir() if path.is_file())
        audio = {path.stem: path for path in files if path.suffix.lower() in AUDIO_SUFFIXES}
        for path in files:
            if path.name.endswith(LIST_SUFFIX):
                self._add_listed(path, audio)
        for path in audio.values():
            self._add_with_text_beside(path)

    def _add_listed(self, path: Path, audio: dict[str, Path]) -> None:
        """Add the recordings that a ``*.trans.txt`` names, and take them out of ``audio``."""
        for number, line in enumerate(self._read(path).splitlines(), 1):
            if not line.strip():
                continue
            name, _, text = line.strip().partition(" ")
            if name in audio:
                speaker = name.split("-")[0]
                self._add(audio.pop(name), text, f"{path}:{number}", speaker)
            else:
                self._report(f"{path}:{number}: there is no recording {name} beside it")

    def _add_with_text_beside(self, path: Path) -> None:
        transcript = path.with_suffix(".txt")
        if not transcript.exists():
            self._report(f"{path}: has no transcript; write it to {transcript.name} beside it")
        elif text := self._read(transcript):
            self._add(path, text, str(transcript), "")

    def _add(self, audio: Path, text: str, place: str, speaker: str) -> None:
        try:
            normalised = normalise_text(text, self._alphabet)
            if not normalised:
                raise ValueError("has no words")
        except ValueError as error:
            return self._report(f"{place}: {error}")
        try:
            duration = _duration(audio)
        except AudioFileError as error:
            return self._report(str(error))
        row = Utterance(audio, normalised, duration, speaker, self._corpus)
        self.findings.rows.append(row)
        return self._count()

    def _read(self, path: Path) -> str:
        """Return a file's text; "", with the problem reported, where it has none."""
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            self._report(f"{path}: cannot be read as UTF-8 text: {error}")
            return ""
        if not text.strip():
            self._report(f"{path}: is empty; write what is said in the recording")
        return text.strip()

    def _report(self, problem: str) -> None:
        self.findings.problems.append(problem)
        self._count()

    def _count(self) -> None:
        self._done += 1
        self._progress(self._done)


def _duration(path: Path) -> float:
    """Return the length of a recording in seconds."""
    with open_audio(path) as file:
        if not file.frames:
            raise AudioFileError(f"{path}: holds no samples; give a recording with sound in it")
        frames, rate = file.frames, file.samplerate
    return float((frames if frames != OPEN_END else len(read_audio(path, rate))) / rate)
