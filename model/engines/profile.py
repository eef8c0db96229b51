"""How long the utterances are that TensorRT builds an engine for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from model.engines.engine import can_stream
from model.recipe import NetworkSettings

LONGEST_FRAMES = 6400
"""Feature frames, of 10 ms each: the longest utterance that can be asked for, and some more."""

USUAL_FRAMES = 288
"""Feature frames of the windows that partials read, which come most often."""

Shapes = Mapping[str, tuple[int, ...]]
Length = Literal["shortest", "usual", "longest"]


@dataclass(frozen=True)
class ShapeProfile:
    """Shapes of the inputs of :func:`model.engines.onnx_graph.utterance_graph`, by name.

    Attributes:
        shortest: Of the shortest utterance.
        usual: Of those that it is to be fastest for.
        longest: Of the longest.
    """

    shortest: Shapes
    usual: Shapes
    longest: Shapes

    def texts(self) -> dict[str, str]:
        """Return all of them, as :meth:`text` does, by the names of the attributes."""
        lengths: tuple[Length, ...] = ("shortest", "usual", "longest")
        return {length: self.text(length) for length in lengths}

    def text(self, length: Length) -> str:
        """Return one of them as TensorRT's tools read it, such as ``kept:72,states:3x1x256``."""
        shapes: Shapes = getattr(self, length)
        return ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in shapes.items())


def profile_of(network: NetworkSettings) -> ShapeProfile:
    """Return the shapes that a network is read with live."""
    return ShapeProfile(*(_shapes(network, n) for n in (1, USUAL_FRAMES, LONGEST_FRAMES)))


def _shapes(network: NetworkSettings, frames: int) -> Shapes:
    shapes: dict[str, tuple[int, ...]] = {
        "features": (1, frames, network.features),
        "kept": (network.output_frames(frames),),
    }
    if can_stream(network):
        shapes["states"] = (network.layers, 1, network.units)
    return shapes
