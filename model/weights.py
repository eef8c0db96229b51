"""Names and shapes of a network's weights, known without Keras."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from model.recipe import NetworkSettings

GATES = {"gru": 3, "lstm": 4, "rnn": 1}
"""Gates of each kind of recurrent cell, counted with what they gate."""

BIAS_ROWS = {"gru": 2, "lstm": 1, "rnn": 1}
"""Biases of each gate: the GRU has one more, within its recurrent product."""


MOST_WEIGHTS = 1 << 28
"""Numbers in the weights of a network; more would be no work for a small computer."""


def most_bytes(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return the bytes that an archive of weights with ``shapes`` takes at most.

    Raises:
        ValueError: If these are more than :data:`MOST_WEIGHTS`.
    """
    count = sum(math.prod(shape) for shape in shapes.values())
    if count > MOST_WEIGHTS:
        raise ValueError(f"network: has {count:,} weights, more than {MOST_WEIGHTS:,}")
    # Of 64 bits each, with the name and the header of each array, and some that are unknown.
    return 8 * count + 4096 * (len(shapes) + 16)


def weight_shapes(network: NetworkSettings) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of a network, by its name.

    The moving statistics of batch normalisation are among them.  Intermediate
    outputs share the last dense layer and have no weights of their own.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    size = network.features
    for index, kernel in enumerate(network.kernels):
        shapes |= _dense_shapes(f"convolution_{index}", (kernel, size, network.filters))
        shapes |= _norm_shapes(network, f"convolution_{index}_norm", network.filters)
        size = network.filters
    for index in range(network.layers):
        name = f"{network.cell}_{index}"
        shapes |= _recurrent_shapes(network, name, size)
        shapes |= _norm_shapes(network, f"{name}_norm", network.width)
        size = network.width
    if network.dense:
        shapes |= _dense_shapes("time_distributed_dense", (size, network.symbols))
    return shapes


def matrix_gates(network: NetworkSettings) -> dict[str, int]:
    """Return the weights that are matrices within the network, and of how many gates each is.

    The gates lie beside each other along the last axis; a convolution's kernel is one matrix
    of its windows.  The last layer, which gives the symbols, is left out.
    """
    kernels = {f"convolution_{index}/kernel": 1 for index in range(len(network.kernels))}
    recurrent = {
        name: GATES[network.cell]
        for name in weight_shapes(network)
        if name.startswith(f"{network.cell}_") and name.endswith("kernel")
    }
    return kernels | recurrent


def weight_problems(
    weights: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> list[str]:
    """Return what is wrong with weights that should have ``shapes``; empty where nothing is."""
    problems = [f"weight {name} is missing" for name in shapes if name not in weights]
    problems += [f"weight {name} is unknown" for name in weights if name not in shapes]
    for name, shape in shapes.items():
        if name not in weights:
            continue
        if weights[name].shape != shape:
            problems.append(f"weight {name} must have shape {shape}, got {weights[name].shape}")
        elif not np.isfinite(weights[name]).all():
            problems.append(f"weight {name} holds NaN or infinity")
    return problems


def _dense_shapes(layer: str, kernel: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {f"{layer}/kernel": kernel, f"{layer}/bias": kernel[-1:]}


def _recurrent_shapes(
    network: NetworkSettings, layer: str, features: int
) -> dict[str, tuple[int, ...]]:
    rows = {
        "kernel": features,
        "recurrent_kernel": network.units,
        "bias": BIAS_ROWS[network.cell],
    }
    columns = GATES[network.cell] * network.units
    return {
        f"{layer}/{direction}_{name}": (count, columns)
        for direction in ("forward", "backward")[: network.directions]
        for name, count in rows.items()
    }


def _norm_shapes(network: NetworkSettings, layer: str, size: int) -> dict[str, tuple[int, ...]]:
    names = {
        "none": (),
        "layer": ("gamma", "beta"),
        "batch": ("gamma", "beta", "moving_mean", "moving_variance"),
    }
    return {f"{layer}/{name}": (size,) for name in names[network.normalisation]}
