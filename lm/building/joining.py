"""From registers to one model: vocabulary, a model for each register, their mixture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from lm.building.arpa import read_arpa, write_arpa
from lm.building.kenlm_tools import estimate, pack
from lm.building.mixture import best_weights, mix
from lm.building.ngrams import SENTENCE_END, SENTENCE_START, UNKNOWN, NGramModel
from lm.building.pruning import counted_histories, prune_to
from lm.building.recipe import LanguageRecipe, SizeSettings, VocabularySettings
from lm.building.registers import Notice, PreparedRegister
from lm.errors import LanguageModelError
from model.files import write_whole

MB = 1_000_000

VOCABULARY_FILE = "vocabulary.txt"
BINARY_FILE = "mixture.binary"
MARKS = (SENTENCE_START, SENTENCE_END, UNKNOWN)

KEPT_FREE = 100_000
"""Bytes of a folder that are kept for what people and programs read of the model."""


@dataclass(frozen=True)
class JoinedModel:
    """A model of all registers.

    Attributes:
        binary: KenLM's binary file of it.
        words: Its vocabulary, sorted by code point.
        counts: Number of n-grams of each order.
        weights: Share of each register in it.
        unpruned: Number of n-grams of each order before it was made to fit.
        fallback: Registers with too few rare words to estimate their discounts.
    """

    binary: Path
    words: tuple[str, ...]
    counts: tuple[int, ...]
    weights: dict[str, float]
    unpruned: tuple[int, ...]
    fallback: tuple[str, ...]


def choose_words(
    counts: Sequence[Counter[str]], weights: Sequence[float], settings: VocabularySettings
) -> list[str]:
    """Return the words to know, sorted by code point.

    Args:
        counts: How often each word comes, for each register.
        weights: Of the registers.
        settings: How many words, and how often each must come in all.

    Raises:
        LanguageModelError: If fewer than two words remain.
    """
    total: Counter[str] = Counter()
    shares: dict[str, float] = {}
    for found, weight in zip(counts, weights, strict=True):
        total.update(found)
        scale = weight / max(found.total(), 1)
        for word, count in found.items():
            shares[word] = shares.get(word, 0.0) + scale * count
    often = [word for word, count in total.items() if count >= settings.min_count]
    often.sort(key=lambda word: (-shares[word], word))
    words = sorted(often[: settings.size or None])
    if len(words) < 2:
        raise LanguageModelError(
            f"the text has {len(total)} different words, and {len(words)} that come at least "
            f"{settings.min_count} times; a language model needs two or more: give more text, "
            "or a lower --min-count"
        )
    return words


def join(
    registers: Sequence[PreparedRegister],
    recipe: LanguageRecipe,
    tuning: Sequence[str],
    work: Path,
    say: Notice,
) -> JoinedModel:
    """Estimate a model of each register, mix them, and make the mixture small enough.

    Args:
        registers: What to learn from.
        recipe: How.
        tuning: Normalised sentences whose perplexity chooses the weights of the mixture;
            empty for those of the recipe.
        work: Folder of intermediate files.
        say: Takes notices.

    Raises:
        LanguageModelError: If KenLM's programs are missing or fail, or the model cannot
            be made small enough.
    """
    weights = [recipe.mixture.weights.get(register.name, 1.0) for register in registers]
    counts = [register.counts() for register in registers]
    words = choose_words(counts, weights, recipe.vocabulary)
    write_whole(work / VOCABULARY_FILE, "\n".join(words).encode())
    say(f"vocabulary: {len(words):,} words")
    models, fallback = _estimated(registers, recipe, work, say)
    if tuning and len(models) > 1:
        weights = list(best_weights(models, tuning))
    names = [register.name for register in registers]
    shares = dict(zip(names, (weight / sum(weights) for weight in weights), strict=True))
    adaptation = recipe.mixture.adaptation
    joint = mix(models, weights, adaptation) if len(models) > 1 else models[0]
    say(f"mixture of {', '.join(f'{name} {share:.3f}' for name, share in shares.items())}")
    pruned = _pruned(joint, registers, weights, recipe.size, say)
    binary = work / BINARY_FILE
    _store(pruned, binary, recipe.size, work, say)
    _check_size(binary, recipe.size)
    return JoinedModel(
        binary, _spoken(pruned), pruned.counts, shares, joint.counts, tuple(fallback)
    )


def _estimated(
    registers: Sequence[PreparedRegister], recipe: LanguageRecipe, work: Path, say: Notice
) -> tuple[list[NGramModel], list[str]]:
    """Return a model of each register, and the names of those with fixed discounts."""
    models, fallback = [], []
    for register in registers:
        arpa = work / f"{register.name}.arpa"
        say(f"{register.name}: counting n-grams")
        if estimate(register.train_file, work / VOCABULARY_FILE, arpa, recipe.ngrams, work):
            fallback.append(register.name)
            say(f"{register.name}: too few rare words for its own discounts; took fixed ones")
        models.append(read_arpa(arpa))
        arpa.unlink()
    return models, fallback


def _pruned(
    model: NGramModel,
    registers: Sequence[PreparedRegister],
    weights: Sequence[float],
    size: SizeSettings,
    say: Notice,
) -> NGramModel:
    """Return the model, without n-grams that matter little where it is too large."""
    say(f"n-grams: {_counted(model)}")
    if not size.max_mb:
        return model
    limit = size.max_mb * MB - len("\n".join(_spoken(model))) - KEPT_FREE
    if limit <= 0:
        raise LanguageModelError(
            f"--max-mb {size.max_mb:g}: the list of words and the record alone take more; "
            "give the language model more room, or a smaller vocabulary"
        )
    with ExitStack() as files:
        texts = [files.enter_context(r.train_file.open(encoding="utf-8")) for r in registers]
        fits = size.trie.bytes(model.words, model.counts) <= limit
        histories = None if fits else counted_histories(model, texts, weights)
    pruned = prune_to(model, limit, lambda counts: size.trie.bytes(model.words, counts), histories)
    if pruned is not model:
        say(f"n-grams that fit {size.max_mb:g} MB: {_counted(pruned)}")
    return pruned


def _store(model: NGramModel, binary: Path, size: SizeSettings, work: Path, say: Notice) -> None:
    """Write a model as a binary file of KenLM."""
    say("packing")
    arpa = work / "mixture.arpa"
    write_arpa(model, arpa)
    pack(arpa, binary, size.trie, work)
    arpa.unlink()


def _check_size(binary: Path, size: SizeSettings) -> None:
    there = binary.stat().st_size
    if size.max_mb and there > size.max_mb * MB:
        raise LanguageModelError(
            f"the language model takes {there / MB:.1f} MB, more than --max-mb {size.max_mb:g}; "
            "give it more room, or a smaller vocabulary"
        )


def _spoken(model: NGramModel) -> tuple[str, ...]:
    """Return the words of a model but its marks of sentences and unknown words."""
    return tuple(word for word in model.words if word not in MARKS)


def _counted(model: NGramModel) -> str:
    return " + ".join(f"{count:,}" for count in model.counts)
