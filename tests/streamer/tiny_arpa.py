"""A language model of a few words, for tests that need a real file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def write_arpa(path: Path, words: Iterable[str]) -> Path:
    """Write a bigram model in which all of the words are equally likely, and return its path."""
    known = sorted(set(words))
    entries = "".join(f"-1\t{word}\t0\n" for word in known)
    path.write_text(
        f"\\data\\\nngram 1={len(known) + 3}\nngram 2=1\n\n\\1-grams:\n-99\t<s>\t0\n"
        f"-1\t</s>\n-9\t<unk>\n{entries}\n\\2-grams:\n-0.1\t<s> {known[0]}\n\n\\end\\\n"
    )
    return path
