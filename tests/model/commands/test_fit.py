from __future__ import annotations

from pathlib import Path

import numpy as np

from model.commands.fit import FitOptions, _given_statistics
from model.features import FeatureStatistics
from model.statistics import save_statistics
from model.training.checkpoint import Checkpoint, Progress, write_checkpoint


def test_statistics_of_a_start_without_a_checkpoint_are_not_used(tmp_path: Path) -> None:
    """They may be of other recordings, and their file cut short."""
    options = FitOptions([], [], tmp_path)
    save_statistics(tmp_path / "statistics.npz", FeatureStatistics(np.ones(3), np.ones(3)))
    assert _given_statistics(options, 3) is None
    write_checkpoint(tmp_path, Checkpoint(Progress(step=1), {"model/0000/a": np.ones(1)}))
    given = _given_statistics(options, 3)
    assert given is not None
    np.testing.assert_array_equal(given.mean, np.ones(3))
