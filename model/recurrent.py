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
                ops.convert_to_tensor(getattr(self, f"{direction}_recurrent_kernel")),
                ops.convert_to_tensor(bias[1]),
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
        states, saved = _forward(projected, kernel, bias, mask, reverse)

        def gradient(*arguments: Any, upstream: Any = None) -> Any:
            above = arguments[0] if upstream is None else upstream
            return _backward(above, saved, kernel, mask, reverse)

        return states, gradient

    return run(projected, kernel, bias, mask)


def _forward(projected: Any, kernel: Any, bias: Any, mask: Any, reverse: bool) -> Any:
    units = kernel.shape[0]

    def step(state: Any, now: Any) -> Any:
        inputs, present = now
        recurrent = ops.matmul(state, kernel) + bias
        gates = ops.sigmoid(inputs[:, : 2 * units] + recurrent[:, : 2 * units])
        update, reset = gates[:, :units], gates[:, units:]
        candidate = ops.tanh(inputs[:, 2 * units :] + reset * recurrent[:, 2 * units :])
        blend = update * state + (1 - update) * candidate
        new = present * blend + (1 - present) * state
        return new, (new, state, gates, candidate, recurrent[:, 2 * units :])

    start = ops.zeros_like(projected[0, :, :units])
    _, (states, *saved) = ops.scan(step, start, (projected, mask), reverse=reverse)
    return states, saved


def _backward(above: Any, saved: Any, kernel: Any, mask: Any, reverse: bool) -> Any:
    """Return the gradients of projected inputs, kernel, bias and mask."""
    units = kernel.shape[0]
    transposed = ops.transpose(kernel)
    before = saved[0]

    def step(carried: Any, now: Any) -> Any:
        above, state, gates, candidate, recurrent, present = now
        update, reset = gates[:, :units], gates[:, units:]
        total = above + carried
        active = total * present
        to_candidate = active * (1 - update) * (1 - candidate * candidate)
        to_update = active * (state - candidate) * update * (1 - update)
        to_reset = to_candidate * recurrent * reset * (1 - reset)
        to_gates = ops.concatenate([to_update, to_reset], axis=-1)
        to_inputs = ops.concatenate([to_gates, to_candidate], axis=-1)
        to_recurrent = ops.concatenate([to_gates, to_candidate * reset], axis=-1)
        carried = (
            total * (1 - present) + active * update + ops.matmul(to_recurrent, transposed)
        )
        return carried, (to_inputs, to_recurrent)

    _, (to_inputs, to_recurrent) = ops.scan(
        step, ops.zeros_like(above[0]), (above, *saved, mask), reverse=not reverse
    )
    to_kernel = ops.matmul(
        ops.transpose(ops.reshape(before, (-1, units))),
        ops.reshape(to_recurrent, (-1, 3 * units)),
    )
    return to_inputs, to_kernel, ops.sum(to_recurrent, axis=(0, 1)), ops.zeros_like(mask)
