"""What runs the network of a bundle: what every engine does, and how to load one by name."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from model.bundle import ModelBundle
from model.engines.execution import Execution, unusable
from model.errors import EngineError, UsageError
from model.recipe import NetworkSettings

AUTO = "auto"
"""The engine that is the fastest for live captions of networks as small as ours: ``onnx``."""

ENGINES = ("onnx", "cuda", "tensorrt", "tensorflow", "litert")
"""Names of the engines; :func:`model.engines.execution.unusable` tells which can run."""


class Engine(Protocol):
    """Runs a network; immutable, and shared by all who read with it."""

    @property
    def name(self) -> str:
        """One of :data:`ENGINES`, or the backend of Keras in the place of TensorFlow."""

    @property
    def streams(self) -> bool:
        """Whether :meth:`window` works: not for cells whose memory is not their output."""

    def logits(self, features: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Read whole utterances.

        Args:
            features: Normalised, float32 (batch, frames, size), zero beyond each length;
                one frame or more.
            lengths: int32 (batch,), 1 or more each.

        Returns:
            float32 (batch, ``network.output_frames(frames)``, symbols); what lies beyond
            the output frames of a row's length means nothing.
        """

    def window(
        self, features: np.ndarray, skipped: int, states: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read a part of an utterance as if the utterance ended with it.

        It gives what :meth:`logits` gives at these frames for the utterance up to here, if
        ``skipped`` is :func:`context_frames` or more, or the utterance begins with it.

        Args:
            features: Normalised, float32 (frames, size).  They begin ``skipped *
                network.stride`` frames before the window, at a multiple of
                ``network.stride`` from the utterance's start.
            skipped: Output frames before the window that only the convolutions read;
                fewer than ``network.output_frames(frames)``.
            states: float32 (layers, units): forward output of each recurrent layer at the
                output frame before the window; zeros where the utterance begins with it.

        Returns:
            Logits float32 (n, symbols) of the n = ``network.output_frames(frames) -
            skipped`` output frames of the window, and what the recurrent layers gave out
            forwards in each of them, float32 (layers, n, units): ``[:, i]`` are the states
            for a window that begins at frame i + 1 of this one.
        """


def load_engine(
    bundle: ModelBundle, name: str = AUTO, execution: Execution | None = None
) -> Engine:
    """Return an engine that is ready to run a bundle's network.

    Only the libraries of that engine are imported.

    Args:
        bundle: Settings and weights.
        name: One of :data:`ENGINES`, or :data:`AUTO`.
        execution: How those on a GPU run.

    Raises:
        EngineError: If it cannot run on this machine; no other takes its place.
        UsageError: If there is no such engine.
    """
    match ENGINES[0] if name == AUTO else name:
        case "onnx":
            _check_usable(name)
            from model.engines.onnx_engine import OnnxEngine

            return OnnxEngine(bundle)
        case "cuda" | "tensorrt":
            _check_usable(name)
            from model.engines.device_engine import load_device

            return load_device(bundle, name, execution)
        case "tensorflow":
            _check_usable(name)
            from model.engines.tensorflow_engine import load_tensorflow

            return load_tensorflow(bundle)
        case "litert":
            _check_usable(name)
            from model.engines.litert_engine import LiteRtEngine

            return LiteRtEngine(bundle)
    raise UsageError(f"--engine: must be {AUTO} or one of {', '.join(ENGINES)}, got {name}")


def _check_usable(name: str) -> None:
    reason = unusable(name)
    if reason:
        raise EngineError(f"--engine {name}: {reason}")


def can_stream(network: NetworkSettings) -> bool:
    """Return whether a network can go on from its outputs: an LSTM has a memory besides."""
    return network.cell != "lstm"


def context_frames(network: NetworkSettings) -> int:
    """Return how many output frames before a window its convolutions hear.

    With so many skipped, the window's frames are those of the whole utterance.
    """
    reach, step = 0, 1
    dilations = network.dilations or (1,) * len(network.kernels)
    for kernel, stride, dilation in zip(network.kernels, network.strides, dilations, strict=True):
        reach += step * dilation * (kernel // 2)
        step *= stride
    return -(-reach // network.stride)
