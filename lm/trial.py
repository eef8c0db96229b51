"""Tries a KenLM binary file in a process of its own, which may crash in place of the captioner.

KenLM maps such a file and believes what it reads there: of files with a few wrong bytes
every tenth makes it end the process.  A file of ``lm.build`` has a checksum against that; any
other is loaded, and asked for some words, by a process that may do little else.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import product
from pathlib import Path

from lm.errors import LanguageModelError
from lm.language_model import COMMON_WORDS, LanguageModel
from model.confinement import bare_environment, confine, follow, python_command

ROOM = 1 << 30
"""Bytes of memory that Python and KenLM may take beside the file."""

WORDS_TRIED = 16
"""Words of a list that are tried in all orders, beside the common ones."""

CPU_S = 120
"""Seconds of computing after which it is taken to hang."""

REFUSED = 3
"""Exit code where KenLM refuses the file by itself, as it will again."""


def check_binary(path: Path, unigrams: Path | None = None) -> None:
    """Refuse a KenLM binary file that ends the process which uses it.

    It shows that a file is damaged, not that it is not: a file made to do harm is as
    dangerous as a program, and belongs no more than that on a machine.

    Args:
        path: The file.
        unigrams: List of the known words, if there is one.

    Raises:
        LanguageModelError: If it is such a file.
    """
    files = [str(each.absolute()) for each in (path, unigrams) if each is not None]
    done = subprocess.run(
        [*python_command("lm.trial"), str(os.getpid()), *files],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=bare_environment(),
        check=False,
    )
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise LanguageModelError(
            f"{path}: makes KenLM fail ({name}); it is damaged: copy or build it again"
        )
    if done.returncode not in (0, REFUSED):
        raise LanguageModelError(
            f"{path}: could not be tried in {ROOM >> 20} MB of memory beside its own size; copy or "
            "build it again, by lm.build, whose files need no trial"
        )


def main(arguments: list[str]) -> int:
    """Try a file and return the exit code; what KenLM refuses by itself is no concern of it.

    Args:
        arguments: The process that started this one, the file, and the list of its words.
    """
    if not follow(int(arguments[0])):
        return 1
    files = list(map(Path, arguments[1:]))
    confine(ROOM + files[0].stat().st_size, CPU_S)
    try:
        model = LanguageModel.load(*files)
    except LanguageModelError:
        return REFUSED
    listed = model.words or ()
    some = listed[:: len(listed) // WORDS_TRIED + 1]
    for context in product([*COMMON_WORDS, "<unk>", "</s>", *some], repeat=3):
        state = model.start()
        for word in context:
            _, state = model.score(state, word)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
