"""The compiled step as Python calls it: every size is checked before C++ sees it."""

from __future__ import annotations

import ctypes
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from model.errors import StepError
from model.recipe import NetworkSettings, Optimizer
from model.weights import weight_shapes

PANEL = 32
"""Columns that the products compute at once: sizes of layers are multiples of it."""

POINTER, SIZE, INT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
FLOAT, DOUBLE, SEED = ctypes.c_float, ctypes.c_double, ctypes.c_uint64
SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "factor_bits": (INT, []),
    "network_open": (POINTER, [POINTER]),
    "network_close": (None, [POINTER]),
    "network_size": (SIZE, [POINTER]),
    "network_read": (INT, [POINTER, POINTER, INT, POINTER, POINTER, POINTER]),
    "network_learn": (INT, [*[POINTER] * 3, INT, *[POINTER] * 5, *[FLOAT] * 2, SEED, POINTER]),
    "network_move": (DOUBLE, [POINTER, INT, *[POINTER] * 4, ctypes.c_int64, FLOAT, FLOAT]),
}
"""Result and arguments of each function of ``step.cpp``."""


class StepLibrary:
    """The functions of ``step.cpp``.

    Args:
        path: The compiled library; see :func:`model.training.compiled.build.built_library`.

    Raises:
        StepError: If it cannot be loaded.
    """

    def __init__(self, path: Path) -> None:
        try:
            functions = ctypes.CDLL(str(path))
            for name, (result, arguments) in SIGNATURES.items():
                function = getattr(functions, name)
                function.restype, function.argtypes = result, arguments
        except (AttributeError, OSError) as error:
            raise StepError(
                f"{path}: the compiled step cannot be loaded ({error}); delete it to compile it "
                "anew, or give another cache folder with XDG_CACHE_HOME"
            ) from error
        self.functions = functions

    @property
    def factor_bits(self) -> int:
        """Bits of the numbers that are multiplied: 16 (bfloat16) or 32; sums have 32."""
        return int(self.functions.factor_bits())


def shape_problem(network: NetworkSettings) -> str:
    """Return why the compiled step cannot train a network; empty where it can."""
    wanted = {
        "cell": network.cell == "gru",
        "bidirectional": network.bidirectional,
        "normalisation": network.normalisation == "layer",
        "dense": network.dense,
        "strides": network.strides == (2, 2),
        "dilations": all(dilation == 1 for dilation in network.dilations),
        "filters": network.filters % PANEL == 0,
        "units": network.units % PANEL == 0,
        "symbols": network.symbols <= PANEL,
    }
    broken = [f"network.{name}" for name, holds in wanted.items() if not holds]
    if not broken:
        return ""
    return (
        "it is made for two convolutions of stride 2 without dilation, bidirectional gru layers "
        f"with layer normalisation, filters and units that are multiples of {PANEL} and at most "
        f"{PANEL} symbols, and not for this {', '.join(broken)}"
    )


class CompiledNetwork:
    """The captioner's network, its weights one float32 array in the order of ``weight_shapes``.

    One thread at a time may use it.

    Args:
        library: Computes.
        settings: Shape of the network.

    Raises:
        ValueError: If the library cannot compute such a network.
        MemoryError: If there is no memory.
    """

    def __init__(self, library: StepLibrary, settings: NetworkSettings) -> None:
        if problem := shape_problem(settings):
            raise ValueError(problem)
        self.settings = settings
        self._functions = library.functions
        sizes = [settings.features, settings.symbols, settings.layers, settings.filters]
        numbers = np.array([*sizes, settings.units, *settings.kernels], np.intc)
        self._network = self._functions.network_open(numbers.ctypes.data)
        if not self._network:
            raise MemoryError("no memory for the network")
        weakref.finalize(self, self._functions.network_close, self._network)
        self.size: int = self._functions.network_size(self._network)
        shapes = weight_shapes(settings).values()
        assert self.size == sum(int(np.prod(shape)) for shape in shapes)

    def logits(self, weights: np.ndarray, features: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the logits, float32 (batch, output frames, symbols), zero beyond each length.

        Args:
            weights: float32 (weights,).
            features: float32 (batch, frames, features).
            lengths: int (batch,) feature frames, 1 to frames.

        Raises:
            ValueError: If an array is of another shape or type, or a length out of range.
            MemoryError: If there is no memory.
        """
        rows = _Rows(self.settings, features, lengths)
        found = np.empty((int(rows.outputs.sum()), self.settings.symbols), np.float32)
        self._call(
            self._functions.network_read,
            _address(weights, np.float32, (self.size,)),
            *(len(rows.order), rows.features.ctypes.data, rows.lengths.ctypes.data),
            found.ctypes.data,
        )
        return rows.spread(found, self.settings.output_frames(features.shape[1]))

    def learn(
        self,
        weights: np.ndarray,
        gradients: np.ndarray,
        features: np.ndarray,
        lengths: np.ndarray,
        labels: np.ndarray,
        label_lengths: np.ndarray,
        shares: np.ndarray,
        seed: int,
        consistency: float = 0.0,
    ) -> np.ndarray:
        """Return each row's loss, float64 (batch,); set the gradients.

        It is the negative log-likelihood of the labels and, times ``consistency``, the
        divergence from the other row of its pair; see
        :func:`model.training.objective.divergence`.  Infinite where the labels do not fit the
        frames, with no part in the gradients; NaN where the features or weights are.

        Args:
            weights: float32 (weights,).
            gradients: float32 (weights,); gets those of the sum of rows times shares.
            features: float32 (batch, frames, features).
            lengths: int (batch,) feature frames, 1 to frames.
            labels: int (batch, labels), 1 to symbols - 1 within each length.
            label_lengths: int (batch,).
            shares: float (batch,) what each row is multiplied with in the loss.
            seed: Decides what dropout drops; from 0 on.
            consistency: Above 0, rows 0 and 1, 2 and 3 and so on are pairs of the same length.

        Raises:
            ValueError: If an array is of another shape or type, or a value out of range.
            MemoryError: If there is no memory.
        """
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"seed must be 0 to 2 to the power of 64, got {seed}")
        rows = _Rows(self.settings, features, lengths)
        if consistency and (len(lengths) % 2 or np.any(lengths[::2] != lengths[1::2])):
            raise ValueError(f"lengths must come in equal pairs, got {lengths.tolist()}")
        counts = _integers("label_lengths", label_lengths, (len(rows.order),))
        said = _integers("labels", labels, (len(rows.order), labels.shape[-1]))
        within = np.arange(labels.shape[-1]) < counts[:, None]
        _require("label_lengths", counts, 0, labels.shape[-1])
        _require("labels", said[within], 1, self.settings.symbols - 1)
        packed = said[rows.order][within[rows.order]]
        counts = counts[rows.order]
        if shares.shape != counts.shape or not np.issubdtype(shares.dtype, np.floating):
            raise ValueError(f"shares must be float {counts.shape}, got {shares.shape}")
        ordered = shares[rows.order].astype(np.float32)
        losses = np.empty(len(rows.order))
        self._call(
            self._functions.network_learn,
            *(_address(array, np.float32, (self.size,)) for array in (weights, gradients)),
            *(len(rows.order), rows.features.ctypes.data, rows.lengths.ctypes.data),
            *(array.ctypes.data for array in (packed, counts, ordered)),
            *(self.settings.dropout, consistency, seed, losses.ctypes.data),
        )
        result = np.empty_like(losses)
        result[rows.order] = losses
        return result

    def move(
        self,
        optimizer: Optimizer,
        weights: np.ndarray,
        gradients: np.ndarray,
        momentum: np.ndarray,
        velocity: np.ndarray,
        step: int,
        learning_rate: float,
        clip_norm: float,
    ) -> float:
        """Make a step of the optimizer in place; return the norm of the gradients before clipping.

        As :class:`model.training.objective.GuardedAdam` or
        :class:`model.training.objective.GuardedMuon` does, but that nothing is changed where the
        norm is not finite.

        Args:
            optimizer: Which of them.
            weights: float32 (weights,), as are the others.
            gradients: Of the loss.
            momentum: Moving average of the gradients.
            velocity: Moving average of their squares, of the weights that Adam moves.
            step: Number of the step; the first is 1.
            learning_rate: Of the step.
            clip_norm: Largest norm.

        Raises:
            ValueError: If an array is of another shape or type, or the step below 1.
            MemoryError: If there is no memory.
        """
        if step < 1:
            raise ValueError(f"must be a step from 1 on, got {step}")
        arrays = (weights, gradients, momentum, velocity)
        addresses = [_address(array, np.float32, (self.size,)) for array in arrays]
        move = self._functions.network_move
        muon = int(optimizer == "muon")
        norm = float(move(self._network, muon, *addresses, step, learning_rate, clip_norm))
        if norm < 0:
            raise MemoryError("no memory for the optimizer")
        return norm

    def _call(self, function: Any, *arguments: Any) -> None:
        if function(self._network, *arguments):
            raise MemoryError("no memory for the batch; it takes less with a lower batch_s")


class _Rows:
    """A batch without its padding, as C++ wants it: the longest rows first."""

    def __init__(
        self, settings: NetworkSettings, features: np.ndarray, lengths: np.ndarray
    ) -> None:
        if features.ndim != 3 or features.dtype != np.float32 or not len(features):
            raise ValueError(
                f"features must be float32 (batch, frames, features), not empty, got "
                f"{features.dtype} {features.shape}"
            )
        if features.shape[2] != settings.features:
            raise ValueError(f"must have {settings.features} features, got {features.shape[2]}")
        own = _integers("lengths", lengths, features.shape[:1])
        _require("lengths", own, 1, features.shape[1])
        self.order = np.argsort(-own, kind="stable")
        self.lengths = own[self.order]
        self.features = np.concatenate([features[row, : own[row]] for row in self.order])
        self.outputs = settings.output_frames(self.lengths)

    def spread(self, packed: np.ndarray, frames: int) -> np.ndarray:
        """Return what C++ gives step by step, (all frames, n), as (batch, frames, n)."""
        result = np.zeros((len(self.order), frames, packed.shape[1]), np.float32)
        steps = np.arange(self.outputs[0])
        present = steps[:, None] < self.outputs
        step, place = np.nonzero(present)
        result[self.order[place], step] = packed
        return result


def _address(array: np.ndarray, kind: type, shape: tuple[int, ...]) -> int:
    """Return where an array is; raise ValueError if it is not what C++ takes it for."""
    if array.dtype != kind or array.shape != shape or not array.flags.carray:
        raise ValueError(
            f"must be a writable {np.dtype(kind)} array {shape} in one piece, got {array.dtype} "
            f"{array.shape}"
        )
    return array.ctypes.data


def _integers(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a copy in C's integers; raise ValueError if it is of another shape or type."""
    if array.shape != shape or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name} must be integers {shape}, got {array.dtype} {array.shape}")
    return array.astype(np.intc)


def _require(name: str, values: np.ndarray, lowest: int, highest: int) -> None:
    if values.size and not (lowest <= values.min() and values.max() <= highest):
        raise ValueError(
            f"{name} must be {lowest} to {highest}, got {values.min()} to {values.max()}"
        )
