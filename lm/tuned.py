"""Tuned settings of the search with the evidence for them, as a YAML file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lm.calibration import Calibration
from lm.search import SearchSettings
from model.files import write_output
from model.settings import at_least, check, format_settings, load_settings

TUNED_FILE = "decoder.yaml"

HEAD = "# Settings of the search, as lm.tune found them, and the evidence; rates are shares.\n"


@dataclass(frozen=True)
class CorpusRates:
    """Word error rates on the recordings of a corpus.

    Attributes:
        words: Words in its references.
        greedy_wer: Of the likeliest symbols.
        beam_wer: Of the tuned search.
    """

    words: int = 0
    greedy_wer: float = 0.0
    beam_wer: float = 0.0

    def __post_init__(self) -> None:
        check(self, at_least(0, "words", "greedy_wer", "beam_wer"))


@dataclass(frozen=True)
class WideRates:
    """What narrowing the search costs.

    Attributes:
        words: Words in the references of the recordings that both searches read.
        beam_wer: Word error rate of the tuned search on them.
        wide_wer: That of the widest beam, hardly pruned.
    """

    words: int = 0
    beam_wer: float = 0.0
    wide_wer: float = 0.0


@dataclass(frozen=True)
class Evidence:
    """What settings were tuned on, and how well they did; error rates are shares.

    Attributes:
        date: When, ISO 8601.
        acoustic_model: Name of the bundle.
        weights_sha256: Of its weights.
        language_model_sha256: Of the n-gram file, and of a list of words given with it.
        manifest_sha256: Of the recordings and their references.
        corpus: The only corpus that settings were chosen by, or "" for all.
        recordings: How many were read with the settings chosen.
        words: Words in their references.
        greedy_wer: Of the likeliest symbols.
        beam_wer: Of the tuned search.
        wide: Rates of the widest beam, on a part of the recordings.
        tuned_wer: Of the settings of the fewest errors before the search was narrowed, on
            the recordings that they were chosen by.
        held_out_wer: On the same, where each half of the speakers is read with the
            settings that the other half chose.
        calibration_error: Expected calibration error of the confidences of speakers that
            the calibration was not fitted on.
        corpora: Rates by corpus.
    """

    date: str = ""
    acoustic_model: str = ""
    weights_sha256: str = ""
    language_model_sha256: str = ""
    manifest_sha256: str = ""
    corpus: str = ""
    recordings: int = 0
    words: int = 0
    greedy_wer: float = 0.0
    beam_wer: float = 0.0
    wide: WideRates = field(default_factory=WideRates)
    tuned_wer: float = 0.0
    held_out_wer: float = 0.0
    calibration_error: float = 0.0
    corpora: dict[str, CorpusRates] = field(default_factory=dict)


@dataclass(frozen=True)
class TunedDecoder:
    """All that a file of tuned settings holds.

    Attributes:
        search: Settings of the search.
        calibration: Weights of the confidences.
        evidence: What they were tuned on; None where they were not.
    """

    search: SearchSettings = field(default_factory=SearchSettings)
    calibration: Calibration = field(default_factory=Calibration)
    evidence: Evidence | None = None


def read_tuned(path: Path) -> TunedDecoder:
    """Read a file of tuned settings; a key left out keeps its default.

    Raises:
        SettingsError: If it cannot be read, or a key is unknown, given twice, of the wrong
            type or out of range; every problem is named with its line.
    """
    return load_settings(TunedDecoder, path)


def write_tuned(tuned: TunedDecoder, path: Path) -> None:
    """Write a file from which :func:`read_tuned` makes an equal value.

    Raises:
        UsageError: If it cannot be written; a file that was there stays.
    """
    write_output(path, (HEAD + format_settings(tuned)).encode())
