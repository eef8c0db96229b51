"""Test recordings as the model reads them, each error by its words."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from lm.decoder import Decoder, GreedyDecoder
from model.audio import read_audio
from model.corpora.manifest import Utterance, read_manifest
from model.evaluation.rates import align_words, error_rates, greedy_text
from streamer.web.errors import NotFound

if TYPE_CHECKING:
    from model.acoustic import AcousticModel

ID = re.compile("[A-Za-z0-9_-]{1,80}")

CREDITS = {
    "librispeech": "LibriSpeech, V. Panayotov, G. Chen, D. Povey and S. Khudanpur, 2015; CC BY 4.0",
    "commonvoice": "Common Voice, Mozilla; CC0",
}
"""Where recordings come from, by the corpus in their manifest."""

DIGITS = 5
REMEMBERED = 200
"""Most clips whose reading is remembered."""

Kind = Literal["same", "substitution", "deletion", "insertion"]


class Models(Protocol):
    """What is needed of the model host."""

    @property
    def name(self) -> str: ...

    @property
    def acoustic(self) -> AcousticModel: ...

    def decoder(self) -> Decoder:
        """Return what reads captions."""
        ...


@dataclass(frozen=True)
class Words:
    """A place in the alignment of what was said and what was read.

    Attributes:
        kind: Whether it is right, or what kind of error it is.
        truth: The word that was said; "" for an insertion.
        prediction: The word that was read; "" for a deletion.
    """

    kind: Kind
    truth: str
    prediction: str

    def plain(self) -> dict[str, str]:
        """Return plain values for JSON."""
        return {"kind": self.kind, "truth": self.truth, "prediction": self.prediction}


class TestSet:
    """The recordings of a manifest by their names; may be used from any thread.

    Args:
        manifest: None where there is none.
    """

    __test__ = False

    def __init__(self, manifest: Path | None) -> None:
        rows = read_manifest(manifest) if manifest is not None else []
        named = {row.audio.stem: row for row in rows}
        self._clips = {name: row for name, row in named.items() if ID.fullmatch(name)}
        self._acoustic: AcousticModel | None = None
        self._readings: dict[str, dict[str, Any]] = {}
        self._reading = threading.Lock()

    def clips(self) -> list[dict[str, Any]]:
        """Return the recordings as plain values for JSON."""
        return [_clip(name, row) for name, row in self._clips.items()]

    def row(self, name: str) -> Utterance:
        """Return a recording; raises NotFound."""
        try:
            return self._clips[name]
        except KeyError:
            raise NotFound(
                "there is no such test recording; /api/inference lists those that there are"
            ) from None

    def read(self, name: str, models: Models) -> dict[str, Any]:
        """Return what the model in use makes of a recording, one at a time.

        Raises:
            NotFound: If there is no such recording.
            AudioFileError: If it cannot be read.
        """
        row = self.row(name)
        with self._reading:
            if models.acoustic is not self._acoustic:
                self._acoustic, self._readings = models.acoustic, {}
            if name not in self._readings:
                while len(self._readings) >= REMEMBERED:
                    del self._readings[next(iter(self._readings))]
                self._readings[name] = {
                    **_clip(name, row),
                    "model": models.name,
                    "truth": row.text,
                    "readings": _readings(row, models),
                }
            return self._readings[name]


def aligned(truth: str, prediction: str) -> list[Words]:
    """Return both texts word by word, by the fewest errors."""
    return [Words(_kind(a, b), a, b) for a, b in align_words(truth, prediction)]


def _kind(truth: str, prediction: str) -> Kind:
    if truth == prediction:
        return "same"
    if not prediction:
        return "deletion"
    return "substitution" if truth else "insertion"


def _readings(row: Utterance, models: Models) -> list[dict[str, Any]]:
    acoustic, decoder = models.acoustic, models.decoder()
    samples = read_audio(row.audio, acoustic.bundle.features.sample_rate)
    log_probs = acoustic.log_probs(acoustic.extractor.extract(samples), final=True)
    found = [_reading("greedy", row.text, greedy_text(log_probs, acoustic.bundle.alphabet))]
    if not isinstance(decoder, GreedyDecoder):
        found.append(_reading("language_model", row.text, decoder.decode(log_probs).text))
    return found


def _reading(decoder: str, truth: str, text: str) -> dict[str, Any]:
    rates = error_rates([truth], [text])
    return {
        "decoder": decoder,
        "text": text,
        "words": rates.words,
        "substitutions": rates.substitutions,
        "deletions": rates.deletions,
        "insertions": rates.insertions,
        "wer": round(rates.wer, DIGITS),
        "cer": round(rates.cer, DIGITS),
        "alignment": [words.plain() for words in aligned(truth, text)],
    }


def _clip(name: str, row: Utterance) -> dict[str, Any]:
    return {
        "id": name,
        "corpus": row.corpus,
        "speaker": row.speaker,
        "duration_s": row.duration,
        "credit": CREDITS.get(row.corpus, ""),
    }
