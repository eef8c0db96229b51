"""A network as a graph of ONNX, written operator by operator with a bundle's weights.

Converted from Keras, the recurrent layers would be loops; written so, each is the one
operator that ONNX Runtime has for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from model.bundle import ModelBundle
from model.engines.engine import can_stream
from model.recipe import NetworkSettings
from model.weights import BIAS_ROWS, GATES

OPSET = 17
IR_VERSION = 8

EPSILON = 1e-3
"""What Keras adds to a variance by default."""

GATE_ORDER = {"gru": (0, 1, 2), "lstm": (0, 3, 1, 2), "rnn": (0,)}
"""Place, among our gates, of each gate in ONNX's order: z, r, h; i, o, f, c; and the only one."""


def network_graph(bundle: ModelBundle, metadata: Mapping[str, str] | None = None) -> ModelProto:
    """Return the network of a bundle as a model of ONNX.

    Its inputs are features float32 (batch, frames, size), zero beyond each length,
    lengths int32 (batch,), skipped int32 (1,) and states float32 (layers, batch, units); its
    outputs logits float32 (batch, n, symbols) and forward float32 (layers, n, batch, units),
    where n is ``output_frames(frames) - skipped``.  They mean what they do for
    :meth:`model.engines.engine.Engine.window`; without skipped frames and with states of
    zeros these are the logits of whole utterances.  LSTM cells always start from zeros.

    Args:
        bundle: Settings and weights.
        metadata: Kept in the model, for those who read it.
    """
    return _NetworkGraph(bundle.network, bundle.weights).model(bundle.name, metadata or {})


def utterance_graph(bundle: ModelBundle, metadata: Mapping[str, str] | None = None) -> ModelProto:
    """Return the network for one utterance at a time, in operators that GPUs run.

    Everything that depends on values is given from outside, so that no operator computes
    shapes, which ONNX Runtime would do on the processor and TensorRT asks to be told of:
    there are no lengths, and the frames that are kept behind the convolutions are named one
    by one.  Its inputs are features float32 (1, frames, size), kept int32 (n,), the output
    frames that the recurrent layers read, and states float32 (layers, 1, units), which
    LSTM cells lack; its outputs are those of :func:`network_graph` for a batch of one.

    Args:
        bundle: Settings and weights.
        metadata: Kept in the model, for those who read it.
    """
    return _UtteranceGraph(bundle.network, bundle.weights).model(bundle.name, metadata or {})


class _Graph:
    """Nodes and constants of a graph, named by their count."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Add a node and return the name of its first output."""
        name = f"{operator.lower()}_{len(self.nodes)}"
        names = [name, *(f"{name}_{index}" for index in range(1, outputs))]
        self.nodes.append(helper.make_node(operator, inputs, names, name, **attributes))
        return name

    def constant(self, values: Any, kind: type = np.float32) -> str:
        """Add a constant and return its name."""
        name = f"constant_{len(self.constants)}"
        array: np.ndarray = np.ascontiguousarray(values, dtype=kind)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def integers(self, *values: int) -> str:
        """Add a constant of int64 (values,)."""
        return self.constant(values, np.int64)

    def slice(self, values: str, start: str | int, end: int, axis: int) -> str:
        """Add what takes a part along an axis; its start may be int32 (1,) of the graph."""
        if isinstance(start, int):
            start = self.constant([start], np.int32)
        stop, axes = (self.constant([value], np.int32) for value in (end, axis))
        return self.add("Slice", values, start, stop, axes)


class _NetworkGraph:
    """The graph of a network; ``hidden`` is time-major after the convolutions.

    An empty name, as ONNX has it for an input that is left out, stands for no lengths.
    """

    lengths = "lengths"
    batch: str | int = "batch"

    def __init__(self, network: NetworkSettings, weights: Mapping[str, np.ndarray]) -> None:
        self.network = network
        self.weights = weights
        self.graph = _Graph()

    def model(self, name: str, metadata: Mapping[str, str]) -> ModelProto:
        """Return the whole."""
        graph, network = self.graph, self.network
        hidden, lengths = "features", self.lengths
        for index in range(len(network.kernels)):
            hidden, lengths = self._convolve(index, hidden, lengths)
        hidden = graph.add("Transpose", hidden, perm=(1, 0, 2))
        hidden, lengths = self._keep(hidden, lengths)
        forward = []
        for index in range(network.layers):
            hidden, states = self._recur(index, hidden, lengths)
            forward.append(states)
        graph.nodes.append(helper.make_node("Concat", forward, ["forward"], axis=0))
        if network.dense:
            hidden = self._dense(hidden)
        graph.nodes.append(helper.make_node("Transpose", [hidden], ["logits"], perm=(1, 0, 2)))
        return self._finish(name, metadata)

    def _keep(self, hidden: str, lengths: str) -> tuple[str, str]:
        """Return the frames that the recurrent layers read, and their lengths."""
        graph = self.graph
        kept = graph.slice(hidden, "skipped", np.iinfo(np.int32).max, 0)
        return kept, graph.add("Sub", lengths, "skipped")

    def _finish(self, name: str, metadata: Mapping[str, str]) -> ModelProto:
        graph = helper.make_graph(
            self.graph.nodes, name, self._inputs(), self._outputs(), self.graph.constants
        )
        model = helper.make_model(
            graph,
            producer_name="captioner",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        if metadata:
            helper.set_model_props(model, dict(metadata))
        return model

    def _inputs(self) -> list[Any]:
        network = self.network
        features = (self.batch, "frames", network.features)
        states = (network.layers, self.batch, network.units)
        return [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, features),
            helper.make_tensor_value_info("lengths", TensorProto.INT32, ("batch",)),
            helper.make_tensor_value_info("skipped", TensorProto.INT32, (1,)),
            helper.make_tensor_value_info("states", TensorProto.FLOAT, states),
        ]

    def _outputs(self) -> list[Any]:
        network = self.network
        logits = (self.batch, "outputs", network.symbols)
        forward = (network.layers, "outputs", self.batch, network.units)
        return [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, logits),
            helper.make_tensor_value_info("forward", TensorProto.FLOAT, forward),
        ]

    def _convolve(self, index: int, hidden: str, lengths: str) -> tuple[str, str]:
        """Return what a convolution makes of (batch, frames, size), and the lengths of that."""
        graph, network, name = self.graph, self.network, f"convolution_{index}"
        kernel, stride = network.kernels[index], network.strides[index]
        dilation = network.dilations[index] if network.dilations else 1
        margin = dilation * (kernel // 2)
        channels_first = graph.add("Transpose", hidden, perm=(0, 2, 1))
        convolved = graph.add(
            "Conv",
            channels_first,
            graph.constant(self.weights[f"{name}/kernel"].transpose(2, 1, 0)),
            graph.constant(self.weights[f"{name}/bias"]),
            dilations=(dilation,),
            pads=(margin, margin),
            strides=(stride,),
        )
        hidden = graph.add("Transpose", convolved, perm=(0, 2, 1))
        hidden = graph.add("Relu", self._normalise(f"{name}_norm", hidden))
        if not lengths:
            return hidden, lengths
        lengths = graph.add(
            "Div",
            graph.add("Add", lengths, graph.constant([stride - 1], np.int32)),
            graph.constant([stride], np.int32),
        )
        return graph.add("Mul", hidden, self._mask(hidden, lengths)), lengths

    def _mask(self, hidden: str, lengths: str) -> str:
        """Return 1 within each length and 0 beyond it, float32 (batch, frames, 1)."""
        graph = self.graph
        frames = graph.add("Shape", hidden, start=1, end=2)
        frames = graph.add("Squeeze", frames, graph.integers(0))
        zero, one = (graph.constant(value, np.int64) for value in (0, 1))
        steps = graph.add("Range", zero, frames, one)
        wide = graph.add("Cast", lengths, to=TensorProto.INT64)
        present = graph.add("Less", steps, graph.add("Unsqueeze", wide, graph.integers(1)))
        mask = graph.add("Cast", present, to=TensorProto.FLOAT)
        return graph.add("Unsqueeze", mask, graph.integers(2))

    def _recur(self, index: int, hidden: str, lengths: str) -> tuple[str, str]:
        """Return the outputs of a layer for (frames, batch, size), and the forward ones.

        The latter are (1, frames, batch, units), before normalisation.
        """
        graph, network, name = self.graph, self.network, f"{self.network.cell}_{index}"
        inputs = [hidden, *map(graph.constant, self._recurrent_weights(name)), lengths]
        if can_stream(network):
            inputs.append(self._initial_state(index))
        outputs = graph.add(
            network.cell.upper(),
            *inputs,
            hidden_size=network.units,
            direction="bidirectional" if network.bidirectional else "forward",
            **({"linear_before_reset": 1} if network.cell == "gru" else {}),
        )
        directions_last = graph.add("Transpose", outputs, perm=(0, 2, 1, 3))
        merged = graph.add("Reshape", directions_last, graph.integers(0, 0, network.width))
        first = graph.slice(outputs, 0, 1, 1)
        forward = graph.add("Transpose", first, perm=(1, 0, 2, 3))
        return self._normalise(f"{name}_norm", merged), forward

    def _initial_state(self, index: int) -> str:
        """Return float32 (directions, batch, units): zeros for the backward direction."""
        graph = self.graph
        state = graph.slice("states", index, index + 1, 0)
        if not self.network.bidirectional:
            return state
        return graph.add("Pad", state, graph.integers(0, 0, 0, 1, 0, 0))

    def _recurrent_weights(self, layer: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ONNX's W (directions, gates, size), R (…, units) and B (directions, 2 gates)."""
        directions = ("forward", "backward")[: self.network.directions]
        kernels, recurrent, biases = (
            [self._ordered(self.weights[f"{layer}/{way}_{part}"]) for way in directions]
            for part in ("kernel", "recurrent_kernel", "bias")
        )
        if BIAS_ROWS[self.network.cell] == 1:
            biases = [np.concatenate([bias, np.zeros_like(bias)]) for bias in biases]
        return (
            np.stack([kernel.T for kernel in kernels]),
            np.stack([kernel.T for kernel in recurrent]),
            np.stack([bias.reshape(-1) for bias in biases]),
        )

    def _ordered(self, values: np.ndarray) -> np.ndarray:
        """Return (rows, gates * units) with the gates in ONNX's order."""
        gates = np.split(values, GATES[self.network.cell], axis=1)
        return np.concatenate([gates[place] for place in GATE_ORDER[self.network.cell]], axis=1)

    def _normalise(self, name: str, hidden: str) -> str:
        graph, weights = self.graph, self.weights
        if self.network.normalisation == "none":
            return hidden
        gamma, beta = weights[f"{name}/gamma"], weights[f"{name}/beta"]
        if self.network.normalisation == "layer":
            scale, shift = graph.constant(gamma), graph.constant(beta)
            return graph.add("LayerNormalization", hidden, scale, shift, epsilon=EPSILON)
        scales = gamma / np.sqrt(weights[f"{name}/moving_variance"] + EPSILON)
        shifts = beta - scales * weights[f"{name}/moving_mean"]
        scaled = graph.add("Mul", hidden, graph.constant(scales))
        return graph.add("Add", scaled, graph.constant(shifts))

    def _dense(self, hidden: str) -> str:
        graph, name = self.graph, "time_distributed_dense"
        product = graph.add("MatMul", hidden, graph.constant(self.weights[f"{name}/kernel"]))
        return graph.add("Add", product, graph.constant(self.weights[f"{name}/bias"]))


class _UtteranceGraph(_NetworkGraph):
    """The graph for one utterance; see :func:`utterance_graph`."""

    lengths = ""
    batch = 1

    def _keep(self, hidden: str, lengths: str) -> tuple[str, str]:
        return self.graph.add("Gather", hidden, "kept", axis=0), lengths

    def _inputs(self) -> list[Any]:
        features, _, _, states = super()._inputs()
        kept = helper.make_tensor_value_info("kept", TensorProto.INT32, ("outputs",))
        return [features, kept, *([states] if can_stream(self.network) else [])]
