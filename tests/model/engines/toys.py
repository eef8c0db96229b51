"""Bundles with random weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from model.alphabet import ENGLISH
from model.bundle import ModelBundle, Provenance
from model.features import FeatureSettings, FeatureStatistics
from model.recipe import NetworkSettings
from model.weights import weight_shapes

SETTINGS: dict[str, dict[str, Any]] = {
    "captioner": {"intermediate": (1,), "dropout": 0.1},
    "cnn-dilated": {
        "kernels": (11, 7, 7),
        "strides": (2, 1, 1),
        "dilations": (1, 2, 4),
        "normalisation": "batch",
    },
    "lstm": {"cell": "lstm", "kernels": (5,), "strides": (3,)},
    "tanh-forwards": {"cell": "rnn", "bidirectional": False, "normalisation": "batch"},
    "no-dense": {
        "kernels": (),
        "strides": (),
        "units": 29,
        "bidirectional": False,
        "normalisation": "none",
        "dense": False,
    },
}
"""What differs from a small network, by name."""


def toy_bundle(name: str = "captioner") -> ModelBundle:
    """Return a network of :data:`SETTINGS` with random weights."""
    random = np.random.default_rng(1)
    small = {"filters": 6, "layers": 2, "units": 7}
    network = NetworkSettings(**{**small, **SETTINGS[name]})
    weights = {}
    for weight, shape in weight_shapes(network).items():
        values = random.normal(0, 0.4, shape)
        positive = weight.endswith(("gamma", "moving_variance"))
        weights[weight] = (np.abs(1 + values) if positive else values).astype(np.float32)
    mels = network.features
    statistics = FeatureStatistics(np.full(mels, -6, np.float32), np.full(mels, 2, np.float32))
    notes = Provenance(notes="Noise: CC0.")
    return ModelBundle(name, ENGLISH, FeatureSettings(), statistics, network, weights, notes)


def noise(lengths: np.ndarray, size: int = 80, seed: int = 2) -> np.ndarray:
    """Return features float32 (batch, longest, size), zero beyond each length."""
    values = np.random.default_rng(seed).normal(size=(len(lengths), max(lengths), size))
    for row, length in zip(values, lengths, strict=True):
        row[length:] = 0
    return values.astype(np.float32)
