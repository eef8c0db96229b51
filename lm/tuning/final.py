"""Reading all recordings with the settings found, with the evidence for every word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lm.decoder import DecodedWord
from lm.search import SearchSettings
from lm.tuning.confidence import JudgedWord, which_are_right
from lm.tuning.log_probs import Scored
from lm.tuning.parts import Part, speaker_of
from lm.tuning.trials import MakeDecoder
from model.alphabet import Alphabet
from model.evaluation.rates import ErrorRates, error_rates, greedy_text


@dataclass(frozen=True)
class FinalReading:
    """A recording and all that was read from it.

    Attributes:
        item: The recording.
        greedy: The reading of the likeliest symbols.
        read: The words that the search read.
    """

    item: Scored
    greedy: str
    read: tuple[DecodedWord, ...]

    @property
    def text(self) -> str:
        """The words that the search read, separated by spaces."""
        return " ".join(word.text for word in self.read)

    @property
    def rates(self) -> ErrorRates:
        """Errors of the search."""
        return error_rates([self.item.row.text], [self.text])

    @property
    def greedy_rates(self) -> ErrorRates:
        """Errors of the likeliest symbols."""
        return error_rates([self.item.row.text], [self.greedy])

    def words(self) -> list[JudgedWord]:
        """Return each word that the search read with evidence, judged."""
        speaker = speaker_of(self.item)
        right = which_are_right(self.item.row.text, self.text)
        return [
            JudgedWord(word.evidence, is_right, speaker)
            for word, is_right in zip(self.read, right, strict=True)
            if word.evidence is not None
        ]


@dataclass(frozen=True)
class FinalReader:
    """Reads parts of the recordings, in this process or another.

    Attributes:
        make_decoder: Makes the decoder.
        alphabet: Symbols of the network.
        settings: Of the search.
        parts: The recordings.
    """

    make_decoder: MakeDecoder
    alphabet: Alphabet
    settings: SearchSettings
    parts: Mapping[Part, Sequence[Scored]]

    def __call__(self, part: Part) -> list[FinalReading]:
        """Return the readings of a part."""
        decoder = self.make_decoder(self.settings)
        readings = []
        for item in self.parts[part]:
            log_probs = item.log_probs()
            greedy = greedy_text(log_probs, self.alphabet)
            readings.append(FinalReading(item, greedy, decoder.decode(log_probs).words))
        return readings


def by_corpus(readings: Iterable[FinalReading]) -> dict[str, list[FinalReading]]:
    """Return the readings of each corpus, by its name."""
    found: dict[str, list[FinalReading]] = {}
    for reading in readings:
        found.setdefault(reading.item.row.corpus, []).append(reading)
    return {name: found[name] for name in sorted(found)}


def total(rates: Iterable[ErrorRates]) -> ErrorRates:
    """Return the errors of several recordings together."""
    return sum(rates, ErrorRates())
