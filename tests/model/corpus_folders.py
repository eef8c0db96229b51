"""Small corpora of every layout, made of the clips in ``tests/data/speech``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from model.corpora.manifest import Utterance, read_manifest

CLIPS = Path(__file__).parents[1] / "data" / "speech" / "manifest.jsonl"


@cache
def clips() -> Sequence[Utterance]:
    return read_manifest(CLIPS)


def convert(clip: Utterance, path: Path, seconds: float | None = None) -> Path:
    """Write a clip, or its start, in the format that the suffix of ``path`` names."""
    samples, rate = soundfile.read(clip.audio)
    path.parent.mkdir(parents=True, exist_ok=True)
    end = None if seconds is None else round(seconds * rate)
    soundfile.write(path, samples[:end], rate)
    return path


def noise(path: Path, seconds: float, seed: int = 0) -> Path:
    """Write a recording that is like no other, in little time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).normal(0, 0.1, round(16_000 * seconds))
    soundfile.write(path, samples, 16_000)
    return path


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def librispeech(folder: Path) -> Path:
    """Two subsets as OpenSLR packs them, and the list of speakers beside them."""
    for clip, subset in zip(clips()[:2], ("train-clean-5", "dev-clean-2"), strict=True):
        name = clip.audio.stem
        chapter = folder / subset / name.split("-")[0] / name.split("-")[1]
        convert(clip, chapter / f"{name}.flac")
        write_lines(
            chapter / f"{chapter.parent.name}-{chapter.name}.trans.txt",
            [f"{name} {clip.text.upper()}"],
        )
    write_lines(folder / "SPEAKERS.TXT", ["; ID |SEX", "669 | F"])
    return folder


CLIP_HEADER = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents"


def common_voice(folder: Path) -> Path:
    """A release of one language with two tables."""
    for name, clip in zip(("one", "two", "three"), clips()[-3:], strict=True):
        convert(clip, folder / "clips" / f"common_voice_en_{name}.mp3")
    write_lines(
        folder / "train.tsv",
        [
            CLIP_HEADER,
            'abc\tcommon_voice_en_one.mp3\tIt\N{PRIME}s "5 km" away.\t2\t0\t\t\tIndian',
            "def\tcommon_voice_en_two\tNo\N{LINE SEPARATOR} doubt!\t2\t0\t\t\t",
        ],
    )
    write_lines(
        folder / "dev.tsv",
        [
            CLIP_HEADER,
            "abc\tcommon_voice_en_three.mp3\tAgain.\t2\t0\t\t\tIndian",
        ],
    )
    write_lines(folder / "reported.tsv", ["sentence\tlocale", "Bad\ten"])
    return folder


def ljspeech(folder: Path) -> Path:
    convert(clips()[0], folder / "wavs" / "LJ001-0001.wav")
    convert(clips()[1], folder / "wavs" / "LJ001-0002.wav")
    write_lines(
        folder / "metadata.csv",
        [
            'LJ001-0001|Mr. "X" paid $5|Mister "X" paid five dollars',
            "LJ001-0002|In 1984,|",
        ],
    )
    return folder
