"""Feature statistics on disk: one small file that training, export and people can read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from model.arrays import as_float32, read_arrays
from model.errors import ManifestError
from model.features import FeatureStatistics
from model.files import read_file, write_output

LARGEST = 1 << 20
"""Bytes of the largest file that is read; those written have some thousand."""


def save_statistics(path: str | Path, statistics: FeatureStatistics) -> None:
    """Write an NPZ archive with ``mean``, ``deviation`` and ``prior_frames``.

    Raises:
        ManifestError: If it cannot be written.
    """
    archive = io.BytesIO()
    np.savez(
        archive,
        mean=statistics.mean,
        deviation=statistics.deviation,
        prior_frames=np.float64(statistics.prior_frames),
    )
    write_output(Path(path), archive.getbuffer(), ManifestError)


def load_statistics(path: str | Path) -> FeatureStatistics:
    """Read what :func:`save_statistics` wrote; without ``prior_frames`` its default holds.

    Raises:
        ManifestError: If the file is missing, damaged or holds something else.
    """
    try:
        arrays = read_arrays(read_file(Path(path), LARGEST), LARGEST)
        prior = arrays.get("prior_frames", FeatureStatistics.prior_frames)
        return FeatureStatistics(
            as_float32(arrays["mean"]), as_float32(arrays["deviation"]), float(prior)
        )
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise ManifestError(
            f"{path}: holds no feature statistics ({error}); write it with "
            "train.py stats MANIFEST --output"
        ) from error


def statistics_problems(statistics: FeatureStatistics, size: int) -> list[str]:
    """Return what makes statistics unusable for frames of ``size`` values."""
    mean, deviation = statistics.mean, statistics.deviation
    rules = {
        f"the mean and the deviation must have {size} values each": mean.shape
        == deviation.shape
        == (size,),
        "the mean must be finite": bool(np.isfinite(mean).all()),
        "the deviation must be above 0 and finite": bool(
            (deviation > 0).all() and np.isfinite(deviation).all()
        ),
        "prior_frames must be above 0": statistics.prior_frames > 0,
    }
    return [problem for problem, holds in rules.items() if not holds]
