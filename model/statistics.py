"""Feature statistics on disk: one small file that training, export and people can read."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from model.errors import ManifestError
from model.features import FeatureStatistics


def save_statistics(path: str | Path, statistics: FeatureStatistics) -> None:
    """Write an NPZ archive with ``mean``, ``deviation`` and ``prior_frames``.

    Raises:
        ManifestError: If it cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.savez(
                file,
                mean=statistics.mean,
                deviation=statistics.deviation,
                prior_frames=np.float64(statistics.prior_frames),
            )
    except OSError as error:
        raise ManifestError(f"{path}: cannot be written: {error.strerror or error}") from error


def load_statistics(path: str | Path) -> FeatureStatistics:
    """Read what :func:`save_statistics` wrote; without ``prior_frames`` its default holds.

    Raises:
        ManifestError: If the file is missing, damaged or holds something else.
    """
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            prior = arrays["prior_frames"] if "prior_frames" in arrays.files else None
            return FeatureStatistics(
                arrays["mean"].astype(np.float32),
                arrays["deviation"].astype(np.float32),
                FeatureStatistics.prior_frames if prior is None else float(prior),
            )
    except (
        AttributeError,
        BadZipFile,
        EOFError,
        KeyError,
        OSError,
        TypeError,
        ValueError,
    ) as error:
        raise ManifestError(
            f"{path}: holds no feature statistics ({error}); write it with "
            "train.py stats MANIFEST --output"
        ) from error
