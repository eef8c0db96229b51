"""KenLM's programs: counting n-grams on disk, and packing a model into a binary file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lm.building.pruning import TrieFormat
from lm.building.recipe import NGramSettings
from lm.errors import LanguageModelError

COUNTER, PACKER = "lmplz", "build_binary"

SHOWN_LINES = 6
"""Last lines of a program that failed that are shown."""

NO_DISCOUNTS = "BadDiscountException"
"""What lmplz calls a text with too few rare words for its discounts."""

NO_ROOM = ("No space left on device", "WriteFDException")


def find_tool(name: str) -> str:
    """Return the path of one of KenLM's programs: beside Python or on the PATH.

    Raises:
        LanguageModelError: If it is not installed.
    """
    found = shutil.which(name, path=Path(sys.executable).parent) or shutil.which(name)
    if found is None:
        raise LanguageModelError(
            f"{name}: is not installed; make it from KenLM's source with: make kenlm-tools"
        )
    return found


def estimate(
    text: Path, vocabulary: Path, output: Path, settings: NGramSettings, work: Path
) -> bool:
    """Estimate a model with modified Kneser-Ney smoothing (Heafield et al., 2013).

    Args:
        text: A sentence a line.
        vocabulary: The words that n-grams may have, separated by white space.
        output: ARPA file to write.
        settings: Order, pruning and memory.
        work: Folder for the sorting on disk.

    Returns:
        Whether the text had too few rare words, so that fixed discounts were taken.

    Raises:
        LanguageModelError: If lmplz is missing or fails.
    """
    command = [
        *(find_tool(COUNTER), "--order", str(settings.order), "--memory", settings.memory),
        *("--temp_prefix", f"{work}/", "--limit_vocab_file", str(vocabulary)),
        *("--prune", *map(str, settings.prune), "--text", str(text), "--arpa", str(output)),
    ]
    try:
        _run(command, work)
    except LanguageModelError as error:
        if NO_DISCOUNTS not in str(error):
            raise
        _run([*command, "--discount_fallback"], work)
        return True
    return False


def pack(arpa: Path, output: Path, trie: TrieFormat, work: Path) -> None:
    """Make a binary file of an ARPA file: a quantised trie with compressed pointers.

    Args:
        arpa: The model.
        output: Binary file to write.
        trie: Its numbers of bits.
        work: Folder for the sorting on disk.

    Raises:
        LanguageModelError: If build_binary is missing or fails.
    """
    bits = ("-q", trie.probability_bits, "-b", trie.back_off_bits, "-a", trie.pointer_bits)
    command = [find_tool(PACKER), *map(str, bits), "-T", f"{work}/", "trie"]
    _run([*command, str(arpa), str(output)], work)


def _run(command: Sequence[str], work: Path) -> None:
    """Run a program to its end; what it says is shown where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if not done.returncode:
        return
    name = Path(command[0]).name
    if any(sign in done.stderr for sign in NO_ROOM):
        raise LanguageModelError(
            f"{name}: cannot write below {work}: the disk is full; free some space, or give "
            "another folder with --work"
        )
    lines = [line for line in done.stderr.splitlines() if line.strip(" -*=0123456789")]
    raise LanguageModelError(
        "\n".join(
            [
                f"{name}: failed (exit code {done.returncode}); its last lines were:",
                *(f"  {line[:300]}" for line in lines[-SHOWN_LINES:]),
                "another amount of memory (--memory), a lower --order or more pruning may help",
            ]
        )
    )
