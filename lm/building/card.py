"""The model card of a language model: what people should know before they use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def describe(record: Mapping[str, Any]) -> str:
    """Return the card in Markdown.

    Args:
        record: What ``lm.json`` tells, see :func:`lm.building.build.build`.
    """
    registers = record["registers"]
    return "\n".join(
        [
            f"# {record['name']}",
            "",
            f"A {record['order']}-gram language model of {record['words']:,} words, made with "
            f"modified Kneser-Ney smoothing by KenLM, for decoding: "
            f"{' + '.join(f'{count:,}' for count in record['ngrams'])} n-grams"
            f"{_pruning_text(record)}.",
            "",
            "## Text",
            "",
            *_table(
                ("Register", "Share of the mixture", "Files", "Sentences", "Words"),
                [_text_row(name, register) for name, register in registers.items()],
            ),
            "",
            *_dropped_text(registers),
            *_weights_text(record),
            *([record["notes"].strip(), ""] if record.get("notes") else []),
            "## Perplexity",
            "",
            *_judged_text(record),
            "",
            "## How it was made",
            "",
            "```sh",
            record["command"],
            "```",
            "",
            f"With {', '.join(map(' '.join, record['versions'].items()))}.",
            "The recipe, every file of text with its checksum, and all counts stand in `lm.json`.",
            "",
            "## Limits",
            "",
            "It knows the words and the phrases of its text, their age and their subjects "
            "included. Names and new words are unknown to it; a decoder can still spell them, "
            "less readily. Judge it on your own recordings before relying on it.",
            "",
        ]
    )


def _pruning_text(record: Mapping[str, Any]) -> str:
    if record["ngrams"] == record["ngrams_unpruned"]:
        return ""
    before = sum(record["ngrams_unpruned"])
    return f", the ones of {before:,} that matter most (relative-entropy pruning, Stolcke, 1998)"


def _text_row(name: str, register: Mapping[str, Any]) -> tuple[str, ...]:
    train = register["train"]
    files = len(register["sources"])
    share = f"{register['weight']:.3f}"
    return name, share, f"{files:,}", f"{train['sentences']:,}", f"{train['words']:,}"


def _dropped_text(registers: Mapping[str, Any]) -> list[str]:
    """Return lines on the sentences that were left out; none where there were none."""
    reasons: dict[str, int] = {}
    for register in registers.values():
        for reason, count in register["dropped_sentences"].items():
            reasons[reason] = reasons.get(reason, 0) + count
    if not reasons:
        return []
    texts = [f"{count:,} {DROPPED[reason]}" for reason, count in reasons.items()]
    return [f"Sentences left out: {'; '.join(texts)}.", ""]


def _weights_text(record: Mapping[str, Any]) -> list[str]:
    """Return lines on where the weights come from; none where they were given."""
    chosen_by = ", ".join(record["weights_chosen_by"])
    return [f"The shares are those that suit the transcripts of {chosen_by} best.", ""] * bool(
        chosen_by
    )


DROPPED = {
    "other script": "with letters of other scripts",
    "figures or signs": "with figures or signs that have no reading",
    "repeated": "that came before in the register",
    "kept apart": "with a run of words of a test's transcripts",
}


def _judged_text(record: Mapping[str, Any]) -> list[str]:
    """Return lines on the perplexities."""
    if not record["evaluation"]:
        return ["Not measured: no documents were held out."]
    tests = set(record["evaluation"]) - set(record["registers"])
    return [
        "Of the known words and the ends of sentences, on documents that were held out"
        f"{', and on transcripts of recordings' if tests else ''}:",
        "",
        *_table(
            ("Text", "Words", "Unknown words", "Perplexity"),
            [_judged_row(name, found) for name, found in record["evaluation"].items()],
        ),
    ]


def _judged_row(name: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    share = found["unknown"] / found["words"] if found["words"] else 0.0
    return name, f"{found['words']:,}", f"{100 * share:.2f} %", f"{found['perplexity']:.1f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    line = " | ".join("---" if not index else "---:" for index in range(len(head)))
    return [f"| {' | '.join(head)} |", f"| {line} |", *(f"| {' | '.join(row)} |" for row in rows)]
