"""Keeps recordings without pause and says what was kept, until it is killed.

Run as a program with a library's folder.  For each line of standard input, a seed, it
starts a child and says its process; the child says each thing once the library has done it.
When the child is dead, it says so.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import numpy as np

from streamer.audio import AudioBlock
from streamer.web.library.kept import KeptRecording
from streamer.web.library.library import Library
from tests.streamer.web.library.shelves import Hears, final


def say(*words: object) -> None:
    """Write a line with one call."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def sound(id: str, samples: int) -> np.ndarray:
    """Return the int16 samples that a recording begins with."""
    return np.random.default_rng(int(id[:8], 16)).integers(-9000, 9000, samples, np.int16)


def words(id: str, place: int, corrected: bool = False) -> str:
    """Return what an utterance of a recording says, which is in no other."""
    return f"{'mended' if corrected else 'heard'}{id[:16]} {place}"


class Child:
    """Does with a library what chance wants."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._random = random.Random(seed)
        self._library = Library.open(folder)
        self._going: dict[KeptRecording, tuple[int, int]] = {}
        self._ended: list[str] = []

    def work(self) -> None:
        """Go on for ever."""
        say("opened")
        while True:
            if len(self._going) < 2:
                self._begin()
            kept = self._random.choice(list(self._going))
            acts = [self._push, self._push, self._push, self._add, self._add, self._finish]
            self._random.choice(acts)(kept)
            if self._random.random() < 0.3 and self._ended:
                self._random.choice([self._delete, self._delete, self._correct])()

    def _begin(self) -> None:
        kept = self._library.begin("", "live", "toy")
        self._going[kept] = (0, 0)
        say("begun", kept.id)

    def _push(self, kept: KeptRecording) -> None:
        start, finals = self._going[kept]
        end = start + self._random.randrange(1, 3000)
        samples = sound(kept.id, end)[start:].astype(np.float32) / 32768
        assert kept.push(AudioBlock(samples, start)) == []
        self._going[kept] = (end, finals)
        say("pushed", kept.id, end)

    def _add(self, kept: KeptRecording) -> None:
        end, finals = self._going[kept]
        kept.add(final(words(kept.id, finals), finals, finals + 1.0))
        self._going[kept] = (end, finals + 1)
        say("added", kept.id, finals + 1)

    def _finish(self, kept: KeptRecording) -> None:
        end, finals = self._going.pop(kept)
        kept.finish()
        say("finished", kept.id)
        if end or finals:
            self._ended.append(kept.id)

    def _correct(self) -> None:
        id = self._random.choice(self._ended)
        recording = self._library.recording(id)
        texts = [words(id, place, True) for place in range(len(recording.segments or ()))]
        say("correcting", id)
        self._library.correct(id, recording.revision, texts, Hears())
        say("corrected", id)

    def _delete(self) -> None:
        id = self._ended.pop(self._random.randrange(len(self._ended)))
        say("deleting", id)
        self._library.delete(id)
        say("deleted", id)


def main(folder: Path) -> None:
    """Start children for as long as seeds come."""
    say("ready")
    for line in sys.stdin:
        child = os.fork()
        if not child:
            Child(folder, int(line)).work()
        say("child", child)
        os.waitpid(child, 0)
        say("dead")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
