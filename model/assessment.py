"""Error rates of a model on the recordings of a manifest, by corpus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from model.acoustic import AcousticModel
from model.audio import read_audio
from model.evaluation import ErrorRates, error_rates, greedy_text
from model.manifest import Utterance

OVERALL = "overall"
COLUMNS = ("corpus", "recordings", "words", "WER %", "CER %", "sub", "del", "ins")


@dataclass(frozen=True)
class Assessment:
    """How well a model did.

    Attributes:
        model: Name of its bundle.
        rates: Errors by corpus.
        recordings: Number of recordings by corpus.
    """

    model: str
    rates: dict[str, ErrorRates]
    recordings: dict[str, int]

    @property
    def overall(self) -> ErrorRates:
        """Errors on all corpora together."""
        return sum(self.rates.values(), ErrorRates())

    def table(self) -> list[list[str]]:
        """Return a row of text for each corpus and one for all, under ``COLUMNS``."""
        rows = [_cells(name, self.recordings[name], rates) for name, rates in self.rates.items()]
        return [*rows, _cells(OVERALL, sum(self.recordings.values()), self.overall)]

    def record(self, command: str) -> dict[str, Any]:
        """Return plain values for JSON, with the command that made them."""
        corpora = {
            name: {"recordings": self.recordings[name], **_figures(rates)}
            for name, rates in self.rates.items()
        }
        total = {"recordings": sum(self.recordings.values()), **_figures(self.overall)}
        return {
            "model": self.model,
            "decoder": "greedy",
            "command": command,
            "corpora": corpora,
            OVERALL: total,
        }

    def markdown(self, command: str) -> str:
        """Return the table in Markdown, with the command that made it."""
        rule = ["---", *["---:"] * (len(COLUMNS) - 1)]
        lines = [f"| {' | '.join(cells)} |" for cells in (COLUMNS, rule, *self.table())]
        return "\n".join([f"Greedy decoding of whole recordings, by `{command}`:", "", *lines, ""])


def assess(
    model: AcousticModel,
    rows: Sequence[Utterance],
    progress: Callable[[int], None] = lambda done: None,
) -> Assessment:
    """Recognise whole recordings as the live path does, and count the errors.

    Args:
        model: Recognises; the best symbol of each frame is taken.
        rows: What to recognise.
        progress: Called with the number of recordings done.

    Raises:
        AudioFileError: If a recording cannot be read.
    """
    texts = []
    for done, row in enumerate(rows, 1):
        texts.append(_recognise(model, row))
        progress(done)
    corpora: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        corpora.setdefault(row.corpus, []).append(index)
    rates = {
        corpus: error_rates([rows[i].text for i in members], [texts[i] for i in members])
        for corpus, members in corpora.items()
    }
    return Assessment(model.bundle.name, rates, {name: len(i) for name, i in corpora.items()})


def first_of_each(rows: Sequence[Utterance], limit: int) -> list[Utterance]:
    """Return the first ``limit`` rows of each corpus."""
    taken: dict[str, int] = {}
    kept = []
    for row in rows:
        taken[row.corpus] = taken.get(row.corpus, 0) + 1
        if taken[row.corpus] <= limit:
            kept.append(row)
    return kept


def _recognise(model: AcousticModel, row: Utterance) -> str:
    samples = read_audio(row.audio, model.bundle.features.sample_rate)
    return greedy_text(
        model.log_probs(model.extractor.extract(samples), final=True), model.bundle.alphabet
    )


def _figures(rates: ErrorRates) -> dict[str, float]:
    return {**asdict(rates), "wer": round(rates.wer, 5), "cer": round(rates.cer, 5)}


def _cells(name: str, recordings: int, rates: ErrorRates) -> list[str]:
    return [
        name or "unnamed",
        str(recordings),
        str(rates.words),
        f"{100 * rates.wer:.2f}",
        f"{100 * rates.cer:.2f}",
        str(rates.substitutions),
        str(rates.deletions),
        str(rates.insertions),
    ]
