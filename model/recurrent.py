"""A bidirectional GRU over sequences of true lengths, fast on every Keras backend.

Keras's own recurrent layers project the inputs step by step and let the
framework differentiate the loop.  Here all steps are projected in one product,
and the weight gradients are one product after the loop as well, which makes
training on a CPU about twice as fast.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("captioner")
class BidirectionalGRU(keras.layers.Layer):  # type: ignore[misc]
    """Gated recurrent units that read each sequence forwards and backwards.

    The cell is that of Cho et al. (2014) with the reset gate applied after the
    recurrent product (``reset_after`` in Keras, ``linear_before_reset`` in ONNX),
    gates in the order update, reset, candidate.

    Args:
        units: Size of the state of each direction.

    Call with ``(inputs, lengths)``: float (batch, time, features) and int (batch,).
    Steps at or after a sequence's length leave the state as it is, so padding
    changes nothing.  Returns (batch, time, 2 * units), forward before backward.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, inputs_shape: Any, lengths_shape: Any) -> None:
        features, units = inputs_shape[-1], self.units
        for direction in ("forward", "backward"):
            for name, rows, initializer in (
                ("kernel", features, "glorot_uniform"),
                ("recurrent_kernel", units, "orthogonal"),
                ("bias", 2, "zeros"),
            ):
                weight = self.add_weight(
                    shape=(rows, 3 * units), initializer=initializer, name=f"{direction}_{name}"
                )
                setattr(self, f"{direction}_{name}", weight)

    def call(self, inputs: Any, lengths: Any) -> Any:
        steps = ops.shape(inputs)[1]
        inputs = ops.transpose(inputs, (1, 0, 2))
        present = ops.expand_dims(ops.arange(steps)[:, None] < ops.cast(lengths, "int32"), -1)
        mask = ops.cast(present, inputs.dtype)
        outputs = []
        for direction in ("forward", "backward"):
            bias = getattr(self, f"{direction}_bias")
            projected = ops.matmul(inputs, getattr(self, f"{direction}_kernel")) + bias[0]
            state = _recur(
                projected,
                # Slices are tensors; TensorFlow wants no variables in a custom gradient.
                getattr(self, f"{direction}_recurrent_kernel")[:],
                bias[1],
                mask,
                reverse=direction == "backward",
            )
            outputs.append(state)
        return ops.transpose(ops.concatenate(outputs, axis=-1), (1, 0, 2))

    def compute_output_shape(self, inputs_shape: Any, lengths_shape: Any) -> Any:
        return (*inputs_shape[:-1], 2 * self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def _recur(projected: Any, kernel: Any, bias: Any, mask: Any, reverse: bool) -> Any:
    """Run the recurrence; (time, batch, 3 * units) -> states (time, batch, units)."""

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
    projected: Any, kernel: Any, bias: Any, mask: Any, reverse: bool
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
