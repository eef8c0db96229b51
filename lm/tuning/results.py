"""What a tuning found: settings with their evidence, a table, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import numpy as np

from lm.calibration import Calibration
from lm.search import SearchSettings
from lm.tuned import CorpusRates, Evidence, TunedDecoder, WideRates
from lm.tuning import plots
from lm.tuning.confidence import Bin, JudgedWord, bins, calibration_error, fit, held_out_confidences
from lm.tuning.final import FinalReading, by_corpus, total
from lm.tuning.inputs import Inputs
from lm.tuning.log_probs import digest_of
from lm.tuning.parts import speaker_of
from lm.tuning.search import Narrowing, Outcomes
from lm.tuning.trials import Outcome
from model.evaluation.confidence import wer_interval
from model.evaluation.report import OVERALL, UNNAMED
from model.files import unwritable

COLUMNS = ("corpus", "clips", "words", "greedy %", "beam %", "95 %", "gain %")


@dataclass(frozen=True)
class Found:
    """What the search for settings came to.

    Attributes:
        tuned: Settings of the fewest errors with the beam that it started with.
        whole: What comes of them on all recordings.
        tried: Outcomes on the way there, on an eighth of the recordings.
        narrowing: What less work costs.
        held_out: The same, each half of the speakers read with the other's settings.
    """

    tuned: SearchSettings
    whole: Outcome
    tried: Outcomes
    narrowing: Narrowing
    held_out: Outcome


@dataclass(frozen=True)
class Results:
    """All that a tuning found.

    Attributes:
        inputs: What it was tuned on.
        found: The settings.
        readings: Of all recordings with them.
    """

    inputs: Inputs
    found: Found
    readings: Sequence[FinalReading]

    @property
    def settings(self) -> SearchSettings:
        """The settings chosen."""
        return self.found.narrowing.settings

    @cached_property
    def words(self) -> list[JudgedWord]:
        """Every word that was read, judged."""
        return [word for reading in self.readings for word in reading.words()]

    @cached_property
    def calibration(self) -> Calibration:
        """Fitted on all words."""
        return fit(self.words)

    @cached_property
    def reliability(self) -> list[Bin]:
        """Of the confidences of speakers that the calibration was not fitted on."""
        return bins(held_out_confidences(self.words), [word.right for word in self.words])

    @property
    def acoustic_reliability(self) -> list[Bin]:
        """Of the mean probability of the symbols, for comparison."""
        acoustic = np.array([word.evidence.acoustic for word in self.words])
        return bins(acoustic, [word.right for word in self.words])

    def tuned_decoder(self, today: date) -> TunedDecoder:
        """Return settings and calibration with their evidence."""
        return TunedDecoder(self.settings, self.calibration, self._evidence(today))

    def table(self) -> list[list[str]]:
        """Return a row of text for each corpus and one for all, under ``COLUMNS``."""
        groups = by_corpus(self.readings)
        rows = [_row(name or UNNAMED, readings) for name, readings in groups.items()]
        return [*rows, _row(OVERALL, self.readings)]

    def summary(self) -> list[str]:
        """Return what the table does not say, a line each."""
        narrowing, held_out = self.found.narrowing, self.found.held_out
        narrow, wide = narrowing.tried[narrowing.settings], narrowing.tried[narrowing.wide]
        return [
            f"settings: {self.settings}",
            f"decoding: {narrow.real_time_factor:.4f} of real time on one core",
            f"beam {narrowing.wide.beam_width} on an eighth: {100 * wide.wer:.2f} % against "
            f"{100 * narrow.wer:.2f} %, in {wide.decoding_s / max(narrow.decoding_s, 1e-9):.1f} "
            "times the time",
            f"before narrowing: {100 * self.found.whole.wer:.2f} %; each half of the speakers "
            f"with the settings of the other: {100 * held_out.wer:.2f} %",
            f"confidences: expected error {calibration_error(self.reliability):.3f}; of the "
            f"symbols' probability {calibration_error(self.acoustic_reliability):.3f}",
        ]

    def draw(self, folder: Path, tolerance: float) -> list[str]:
        """Draw the pictures and return their names; raises UsageError."""
        found, narrowing = self.found, self.found.narrowing
        names = [plots.ALPHA_BETA_FILE, plots.BEAM_FILE, plots.RELIABILITY_FILE]
        try:
            plots.draw_alpha_beta(found.tried, found.tuned, folder / names[0])
            plots.draw_beam(narrowing, tolerance, folder / names[1])
            plots.draw_reliability(self.acoustic_reliability, self.reliability, folder / names[2])
        except OSError as error:
            raise unwritable(folder, error) from error
        return names

    def _evidence(self, today: date) -> Evidence:
        narrowing = self.found.narrowing
        narrow, wide = narrowing.tried[narrowing.settings], narrowing.tried[narrowing.wide]
        overall = _rates(self.readings)
        chosen = {item.row.corpus for item in self.inputs.chosen}
        groups = by_corpus(self.readings)
        return Evidence(
            date=today.isoformat(),
            acoustic_model=self.inputs.acoustics.name,
            weights_sha256=self.inputs.acoustics.weights_sha256,
            language_model_sha256=self.inputs.language_model_sha256,
            manifest_sha256=digest_of(self.inputs.scored),
            corpus="" if chosen == set(groups) else ", ".join(sorted(chosen)),
            recordings=len(self.readings),
            words=overall.words,
            greedy_wer=overall.greedy_wer,
            beam_wer=overall.beam_wer,
            wide=WideRates(wide.words, _rounded(narrow.wer), _rounded(wide.wer)),
            tuned_wer=_rounded(self.found.whole.wer),
            held_out_wer=_rounded(self.found.held_out.wer),
            calibration_error=_rounded(calibration_error(self.reliability)),
            corpora={name: _rates(readings) for name, readings in groups.items()},
        )


def _row(name: str, readings: Sequence[FinalReading]) -> list[str]:
    rates = _rates(readings)
    speakers = [speaker_of(reading.item) for reading in readings]
    interval = wer_interval([reading.rates for reading in readings], speakers)
    gain = 1 - rates.beam_wer / rates.greedy_wer if rates.greedy_wer else 0.0
    return [
        name,
        str(len(readings)),
        str(rates.words),
        f"{100 * rates.greedy_wer:.2f}",
        f"{100 * rates.beam_wer:.2f}",
        f"{100 * interval.low:.0f} to {100 * interval.high:.0f}" if interval else "",
        f"{100 * gain:.1f}",
    ]


def _rates(readings: Sequence[FinalReading]) -> CorpusRates:
    beam = total(reading.rates for reading in readings)
    greedy = total(reading.greedy_rates for reading in readings)
    return CorpusRates(beam.words, _rounded(greedy.wer), _rounded(beam.wer))


def _rounded(share: float) -> float:
    return round(share, 5)
