"""Recurrent layers over sequences of true lengths, fast on every Keras backend.

Keras's own recurrent layers project the inputs step by step and let the
framework differentiate the loop.  Here all steps are projected in one product.
For the gated recurrent units the weight gradients are one product after the
loop as well, which makes training on a CPU about twice as fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from model.recipe import Cell
from model.weights import BIAS_ROWS, GATES


def frame_mask(lengths: Any, frames: Any, time_first: bool = False) -> Any:
    """Return which of ``frames`` frames lie within each length, bool (batch, frames).

    With ``time_first`` (frames, batch): TensorFlow grumbles where truth values are transposed.
    """
    steps, lengths = ops.arange(frames), ops.cast(lengths, "int32")
    return steps[:, None] < lengths if time_first else steps < lengths[:, None]


@keras.saving.register_keras_serializable("captioner")
class Recurrent(keras.layers.Layer):  # type: ignore[misc]
    """Recurrent units that read each sequence forwards, or forwards and backwards.

    The cells, each with its gates in the order in which the weights hold them:

    - ``gru``: that of Cho et al. (2014) with the reset gate applied after the
      recurrent product (``reset_after`` in Keras, ``linear_before_reset`` in ONNX);
      update, reset, candidate.
    - ``lstm``: that of Hochreiter and Schmidhuber (1997) with the forget gate of
      Gers et al. (2000), whose bias starts at 1; input, forget, candidate, output.
    - ``rnn``: the hyperbolic tangent of inputs and outputs of the step before
      (Elman, 1990).

    Args:
        units: Size of the output of each direction.
        cell: Kind of the units.
        bidirectional: Whether to read backwards as well.

    Call with ``(inputs, lengths)``: float (batch, time, features) and int (batch,).
    Steps at or after a sequence's length leave the state as it is, so padding
    changes nothing.  Returns (batch, time, units of all directions), forward
    before backward.

    A third argument, float (batch, units), is the forward output before the first step,
    zeros where it is left out.  It is for recognising: no gradient goes through a layer
    that has it, and an LSTM, whose memory is not its output, has none.
    """

    def __init__(
        self, units: int, cell: Cell = "gru", bidirectional: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.cell = cell
        self.bidirectional = bidirectional

    @property
    def directions(self) -> tuple[str, ...]:
        """Names of the directions; those of their weights begin with them."""
        return ("forward", "backward") if self.bidirectional else ("forward",)

    def build(self, inputs_shape: Any, lengths_shape: Any, state_shape: Any = None) -> None:
        features, units = inputs_shape[-1], self.units
        for direction in self.directions:
            for name, rows, initializer in (
                ("kernel", features, "glorot_uniform"),
                ("recurrent_kernel", units, "orthogonal"),
                ("bias", BIAS_ROWS[self.cell], _forget_nothing if self.cell == "lstm" else "zeros"),
            ):
                weight = self.add_weight(
                    shape=(rows, GATES[self.cell] * units),
                    initializer=initializer,
                    name=f"{direction}_{name}",
                )
                setattr(self, f"{direction}_{name}", weight)

    def call(self, inputs: Any, lengths: Any, state: Any = None) -> Any:
        present = frame_mask(lengths, ops.shape(inputs)[1], time_first=True)
        mask = ops.cast(ops.expand_dims(present, -1), inputs.dtype)
        inputs = ops.transpose(inputs, (1, 0, 2))
        outputs = [
            self._read(inputs, mask, direction, state if direction == "forward" else None)
            for direction in self.directions
        ]
        return ops.transpose(ops.concatenate(outputs, axis=-1), (1, 0, 2))

    def compute_output_shape(
        self, inputs_shape: Any, lengths_shape: Any, state_shape: Any = None
    ) -> Any:
        return (*inputs_shape[:-1], len(self.directions) * self.units)

    def get_config(self) -> dict[str, Any]:
        config = {"units": self.units, "cell": self.cell, "bidirectional": self.bidirectional}
        return {**super().get_config(), **config}

    def _read(self, inputs: Any, mask: Any, direction: str, state: Any) -> Any:
        """Return the outputs of one direction, (time, batch, units)."""
        bias = getattr(self, f"{direction}_bias")
        projected = ops.matmul(inputs, getattr(self, f"{direction}_kernel")) + bias[0]
        # Slices are tensors; TensorFlow wants no variables in a custom gradient.
        kernel = getattr(self, f"{direction}_recurrent_kernel")[:]
        reverse = direction == "backward"
        if self.cell == "gru":
            if state is not None:
                return _forward(projected, kernel, bias[1], mask, reverse, state)[0]
            return _recur(projected, kernel, bias[1], mask, reverse)
        states = _loop(_CELLS[self.cell], projected, kernel, mask, reverse, state)
        return states[..., : self.units]


def _forget_nothing(shape: tuple[int, ...], dtype: Any = None) -> Any:
    """Return the bias of an LSTM before training: 1 for the forget gate, 0 for the others."""
    units = shape[-1] // GATES["lstm"]
    return ops.broadcast_to(ops.cast(ops.arange(shape[-1]) // units == 1, dtype), shape)


def _lstm(state: Any, inputs: Any, kernel: Any) -> Any:
    """Return the next output and memory, one beside the other as in ``state``."""
    units = kernel.shape[0]
    output, memory = state[:, :units], state[:, units:]
    gates = inputs + ops.matmul(output, kernel)
    entering, kept, candidate, leaving = (
        gates[:, start : start + units] for start in range(0, 4 * units, units)
    )
    memory = ops.sigmoid(kept) * memory + ops.sigmoid(entering) * ops.tanh(candidate)
    return ops.concatenate([ops.sigmoid(leaving) * ops.tanh(memory), memory], axis=-1)


def _elman(state: Any, inputs: Any, kernel: Any) -> Any:
    return ops.tanh(inputs + ops.matmul(state, kernel))


_CELLS: dict[str, Callable[[Any, Any, Any], Any]] = {"lstm": _lstm, "rnn": _elman}
"""The next state, from a state, projected inputs and the recurrent kernel."""


def _loop(
    cell: Callable[[Any, Any, Any], Any],
    projected: Any,
    kernel: Any,
    mask: Any,
    reverse: bool,
    start: Any = None,
) -> Any:
    """Return the state after each step, (time, batch, size of the state)."""

    def step(state: Any, now: Any) -> Any:
        inputs, present = now
        new = state + present * (cell(state, inputs, kernel) - state)
        return new, new

    if start is None:
        size = kernel.shape[0] * (2 if cell is _lstm else 1)
        start = ops.zeros_like(projected[0, :, :size])
    return _scan(step, start, (projected, mask), reverse)


def _recur(projected: Any, kernel: Any, bias: Any, mask: Any, reverse: bool) -> Any:
    """Run a GRU; (time, batch, 3 * units) -> states (time, batch, units)."""

    @ops.custom_gradient  # type: ignore[untyped-decorator]
    def run(projected: Any, kernel: Any, bias: Any, mask: Any) -> Any:
        states, gates = _forward(projected, kernel, bias, mask, reverse)

        def gradient(above: Any) -> Any:
            start = ops.zeros_like(states[:1])
            before = ops.concatenate(
                [states[1:], start] if reverse else [start, states[:-1]], axis=0
            )
            known = gates or _gates(projected, ops.matmul(before, kernel) + bias)
            return _backward(above, before, known, kernel, mask, reverse)

        return states, gradient

    return run(projected, kernel, bias, mask)


def _forward(
    projected: Any, kernel: Any, bias: Any, mask: Any, reverse: bool, start: Any = None
) -> tuple[Any, tuple[Any, ...]]:
    """Return the state after each step, (time, batch, units), and what ``_gates`` gave.

    Only JAX keeps the gates, which makes the backward pass faster: it leaves them out
    where no gradient is wanted.  TensorFlow would slow down what only recognises.
    """
    keep = keras.backend.backend() == "jax"

    def step(state: Any, now: Any) -> Any:
        inputs, present = now
        gates = _gates(inputs, ops.matmul(state, kernel) + bias)
        update, _, candidate, _ = gates
        new = state + present * (1 - update) * (candidate - state)
        return new, (new, gates) if keep else new

    if start is None:
        start = ops.zeros_like(projected[0, :, : kernel.shape[0]])
    outputs = _scan(step, start, (projected, mask), reverse)
    return outputs if keep else (outputs, ())


def _backward(
    above: Any, before: Any, gates: tuple[Any, ...], kernel: Any, mask: Any, reverse: bool
) -> Any:
    """Return the gradients of projected inputs, kernel, bias and mask.

    What does not need the gradient of the state is computed for all steps at once,
    which leaves the loop with that alone.
    """
    update, reset, candidate, recurrent = gates
    to_update = mask * (before - candidate) * update * (1 - update)
    to_candidate = mask * (1 - update) * (1 - candidate * candidate)
    to_reset = to_candidate * recurrent * reset * (1 - reset)
    to_inputs = ops.concatenate([to_update, to_reset, to_candidate], axis=-1)
    to_recurrent = ops.concatenate([to_update, to_reset, to_candidate * reset], axis=-1)
    kept = 1 - mask * (1 - update)
    transposed = ops.transpose(kernel)

    def step(carried: Any, now: Any) -> Any:
        above, to_recurrent, kept = now
        total = above + carried
        return total * kept + ops.matmul(_thrice(total) * to_recurrent, transposed), total

    totals = _scan(step, ops.zeros_like(before[0]), (above, to_recurrent, kept), not reverse)
    totals = _thrice(totals)
    to_recurrent = totals * to_recurrent
    to_kernel = ops.tensordot(before, to_recurrent, axes=[[0, 1], [0, 1]])
    to_bias = ops.sum(to_recurrent, axis=(0, 1))
    return totals * to_inputs, to_kernel, to_bias, ops.zeros_like(mask)


def _gates(inputs: Any, recurrent: Any) -> tuple[Any, Any, Any, Any]:
    """Return update, reset, candidate and the candidate's recurrent part, (..., units) each."""
    units = inputs.shape[-1] // 3
    gates = ops.sigmoid(inputs[..., : 2 * units] + recurrent[..., : 2 * units])
    update, reset = gates[..., :units], gates[..., units:]
    recurrent = recurrent[..., 2 * units :]
    return update, reset, ops.tanh(inputs[..., 2 * units :] + reset * recurrent), recurrent


def _thrice(values: Any) -> Any:
    """Return ``values`` (..., units) once for each gate, (..., 3 * units)."""
    return ops.concatenate([values, values, values], axis=-1)


def _scan(step: Any, start: Any, inputs: tuple[Any, ...], reverse: bool) -> Any:
    """Return what ``step(state, inputs at a time) -> (state, output)`` gives out, stacked."""
    if keras.backend.backend() == "tensorflow":
        return _tensorflow_scan(step, start, inputs, reverse)
    return ops.scan(step, start, inputs, reverse=reverse)[1]


def _tensorflow_scan(step: Any, start: Any, inputs: tuple[Any, ...], reverse: bool) -> Any:
    """Scan in TensorFlow, where ``keras.ops.scan`` fails when the time is not known."""
    import tensorflow as tf

    steps = tf.shape(inputs[0])[0]
    arrays = [tf.TensorArray(x.dtype, steps).unstack(x) for x in inputs]

    def body(count: Any, state: Any, outputs: Any) -> Any:
        index = steps - 1 - count if reverse else count
        state, output = step(state, tuple(array.read(index) for array in arrays))
        return count + 1, state, outputs.write(index, output)

    outputs = tf.TensorArray(start.dtype, steps, element_shape=start.shape)
    _, _, outputs = tf.while_loop(lambda count, *_: count < steps, body, (0, start, outputs))
    return outputs.stack()
