"""What a training makes smaller, and how: the network with its loss, and the optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from model.network import ctc_loss


class CtcModel(keras.Model):  # type: ignore[misc]
    """The network with its loss: weighted mean negative log-likelihood of a label.

    Args:
        network: Gives logits, or a list: the logits and those of intermediate layers.
        intermediate_weight: Share of the loss that the mean over the intermediate ones
            has (Lee and Watanabe, 2021).
    """

    def __init__(self, network: keras.Model, intermediate_weight: float = 0.0) -> None:
        super().__init__()
        self.network = network
        self.intermediate_weight = intermediate_weight

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.network(inputs, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        if not isinstance(y_pred, list | tuple):
            return _loss(y, y_pred)
        final, *intermediate = (_loss(y, logits) for logits in y_pred)
        weight = self.intermediate_weight
        return (1 - weight) * final + weight * (sum(intermediate) / len(intermediate))


class GuardedAdam(keras.optimizers.Adam):  # type: ignore[misc]
    """Adam (Kingma and Ba, 2015) that keeps good weights when a gradient is not finite.

    ``gradient_norm`` holds the norm over all gradients of the last step, before clipping.
    Where it is not finite every gradient counts as zero: the weights move by what momentum
    they have, and stay finite.
    """

    def build(self, variables: Sequence[Any]) -> None:
        super().build(variables)
        self.gradient_norm = self.add_variable(
            (), dtype="float32", aggregation="only_first_replica", name="gradient_norm"
        )

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        present = [gradient for gradient in grads if gradient is not None]
        norm = ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in present))
        self.gradient_norm.assign(norm)
        finite = ops.isfinite(norm)
        safe = [
            None if gradient is None else ops.where(finite, gradient, ops.zeros_like(gradient))
            for gradient in grads
        ]
        super().apply(safe, trainable_variables)


def _loss(targets: Any, logits: Any) -> Any:
    """Return the sum over rows of the negative log-likelihood times the row's share."""
    labels, label_lengths, logit_lengths, shares = targets
    losses = ctc_loss(labels, label_lengths, logits, logit_lengths)
    return ops.sum(losses * ops.cast(shares, losses.dtype))
