"""Files of tuned settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from lm.calibration import Calibration
from lm.search import SearchSettings
from lm.tuned import CorpusRates, Evidence, TunedDecoder, WideRates, read_tuned, write_tuned
from model.errors import SettingsError

TUNED = TunedDecoder(
    SearchSettings(24, 0.65, -0.25),
    Calibration(0.1, 0.2, 0.3, -0.4, 0.5),
    Evidence(
        date="2026-01-02",
        acoustic_model="small",
        weights_sha256="12" * 32,
        words=30,
        wide=WideRates(10, 0.21, 0.2),
        corpora={"books": CorpusRates(20, 0.4, 0.3), "": CorpusRates(10, 0.5, 0.4)},
    ),
)


@pytest.mark.parametrize("tuned", [TUNED, TunedDecoder()])
def test_tuned_settings_come_back_as_written(tuned: TunedDecoder, tmp_path: Path) -> None:
    write_tuned(tuned, tmp_path / "decoder.yaml")
    assert read_tuned(tmp_path / "decoder.yaml") == tuned


def test_what_is_left_out_keeps_its_default(tmp_path: Path) -> None:
    (tmp_path / "decoder.yaml").write_text("search: {alpha: 0.9}\n")
    found = read_tuned(tmp_path / "decoder.yaml")
    assert found == TunedDecoder(SearchSettings(alpha=0.9))


def test_every_problem_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "decoder.yaml"
    path.write_text("search:\n  alpha: -1\ncalibration:\n  acoustics: 2\n")
    with pytest.raises(SettingsError) as caught:
        read_tuned(path)
    assert "decoder.yaml:2: search.alpha: must be 0 to 10, got -1" in str(caught.value)
    assert "decoder.yaml:4: calibration.acoustics" in str(caught.value)
