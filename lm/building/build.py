"""What ``python -m lm.build`` does: from text to the folder of a language model."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lm.building.card import describe
from lm.building.joining import JoinedModel, join
from lm.building.judging import judge, open_model
from lm.building.kenlm_tools import COUNTER, PACKER, find_tool
from lm.building.recipe import LanguageRecipe
from lm.building.registers import Notice, PreparedRegister, prepare
from lm.building.sources import TextOption, registers_of
from lm.bundle import LanguageBundle, check_place, write_bundle
from lm.errors import LanguageModelError
from model.corpora.manifest import Utterance, read_manifests
from model.errors import UsageError
from model.files import check_folder, unwritable

LIBRARIES = ("kenlm", "normt2s", "numpy")


@dataclass(frozen=True)
class BuildOptions:
    """What to build from, and where it goes.

    Attributes:
        text: Files and folders of text, by register.
        output: Folder of the language model.
        apart: Manifests with whose transcripts the text may share no long run of words.
        judge: Manifests whose transcripts judge the model as well, by corpus.
        weigh: Manifests whose transcripts choose the weights of the registers.
        work: Folder in which normalised text is kept for other builds; None for none.
        name: Of the model; the folder's where empty.
        notes: Markdown file for the card: licences and attribution of the text.
        command: How it was asked for, for the record.
    """

    text: Sequence[TextOption]
    output: Path
    apart: Sequence[Path] = ()
    judge: Sequence[Path] = ()
    weigh: Sequence[Path] = ()
    work: Path | None = None
    name: str = ""
    notes: Path | None = None
    command: str = ""


def build(options: BuildOptions, recipe: LanguageRecipe, say: Notice) -> LanguageBundle:
    """Build a language model and return its folder.

    Nothing that was there before is touched until all is done.

    Raises:
        UsageError: If the text, the recipe or a place cannot be used.
        LanguageModelError: If building fails.
    """
    registers = registers_of(options.text)
    _check_weights(recipe, [register.name for register in registers])
    check_place(options.output)
    _check_work(options)
    check_folder(options.output.resolve().parent)
    for tool in (COUNTER, PACKER):
        find_tool(tool)
    notes = _read_notes(options.notes)
    apart, tuning = (
        [row.text for row in read_manifests(paths)] for paths in (options.apart, options.weigh)
    )
    judging = read_manifests(options.judge)
    try:
        with _scratch_folder(options) as scratch:
            prepared = [
                prepare(register, recipe.text, apart, options.work or scratch, say)
                for register in registers
            ]
            _say_sizes(prepared, say)
            joined = join(prepared, recipe, tuning, scratch, say)
            record = _record(options, recipe, prepared, joined) | {"notes": notes}
            record["evaluation"] = _evaluated(joined, prepared, judging)
            return write_bundle(
                options.output, joined.binary, joined.words, record, describe(record)
            )
    except OSError as error:
        raise unwritable(options.work or options.output, error, LanguageModelError) from error


def _check_weights(recipe: LanguageRecipe, names: Sequence[str]) -> None:
    unknown = sorted(set(recipe.mixture.weights) - set(names))
    if unknown:
        raise UsageError(
            f"mixture.weights: there is no text of {', '.join(unknown)}, the registers being "
            f"{', '.join(names)}; leave out those weights, or name the text so"
        )


def _check_work(options: BuildOptions) -> None:
    """Refuse a folder of work that the model would take the place of."""
    output, work = options.output.resolve(), options.work and options.work.resolve()
    if work and (work == output or output in work.parents):
        raise UsageError(
            f"--work {options.work}: lies in the folder of the language model, which is replaced "
            "as a whole; give a folder beside it"
        )


def _read_notes(path: Path | None) -> str:
    try:
        return path.read_text(encoding="utf-8") if path is not None else ""
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"{path}: cannot be read ({reason}); give a Markdown file") from error


@contextmanager
def _scratch_folder(options: BuildOptions) -> Iterator[Path]:
    """Give a folder for this build alone, on the disk of ``work`` or of the output."""
    parent = options.work or options.output.resolve().parent
    check_folder(parent)
    with TemporaryDirectory(prefix=f".{options.output.name}.", dir=parent) as folder:
        yield Path(folder)


def _say_sizes(prepared: Sequence[PreparedRegister], say: Notice) -> None:
    for register in prepared:
        dropped = ", ".join(f"{count:,} {why}" for why, count in register.dropped.items())
        say(
            f"{register.name}: {register.train.words:,} words in {register.train.sentences:,} "
            f"sentences, {register.held_out.words:,} held out; left out: {dropped or 'none'}"
        )


def _record(
    options: BuildOptions,
    recipe: LanguageRecipe,
    prepared: Sequence[PreparedRegister],
    joined: JoinedModel,
) -> dict[str, Any]:
    """Return what ``lm.json`` is to tell, but for the notes and the evaluation."""
    registers = {
        register.name: {"weight": joined.weights[register.name], **register.describe()}
        for register in prepared
    }
    return {
        "name": options.name or options.output.resolve().name,
        "order": len(joined.counts),
        "words": len(joined.words),
        "ngrams": list(joined.counts),
        "ngrams_unpruned": list(joined.unpruned),
        "fixed_discounts": list(joined.fallback),
        "registers": registers,
        "weights_chosen_by": [path.name for path in options.weigh],
        "kept_apart_from": [path.name for path in options.apart],
        "recipe": asdict(recipe),
        "command": options.command,
        "versions": {
            "python": ".".join(map(str, sys.version_info[:3])),
            **{name: version(name) for name in LIBRARIES},
        },
    }


def _evaluated(
    joined: JoinedModel, prepared: Sequence[PreparedRegister], rows: Sequence[Utterance]
) -> dict[str, Any]:
    """Return what the model makes of held-out documents, and of transcripts by corpus."""
    model = open_model(joined.binary)
    found: dict[str, Any] = {}
    for register in prepared:
        if register.held_out.words:
            with register.held_out_file.open(encoding="utf-8") as sentences:
                found[register.name] = judge(model, map(str.rstrip, sentences)).describe()
    for corpus in sorted({row.corpus for row in rows}):
        texts = [row.text for row in rows if row.corpus == corpus]
        found[f"transcripts of {corpus or 'no name'}"] = judge(model, texts).describe()
    return found
