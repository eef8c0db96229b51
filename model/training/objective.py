"""What a training makes smaller, and how: the network with its loss, and the optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from model.network import ctc_loss

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the iteration that makes a matrix orthogonal (Jordan et al., 2024)."""

MUON_MOMENTUM = 0.95

MUON_STEP = 0.2
"""Root mean square of a step at a rate of 1: about that of Adam's (Liu et al., 2025)."""


class CtcModel(keras.Model):  # type: ignore[misc]
    """The network with its loss: weighted mean negative log-likelihood of a label.

    Args:
        network: Gives logits, or a list: the logits and those of intermediate layers.
        intermediate_weight: Share of the loss that the mean over the intermediate ones
            has (Lee and Watanabe, 2021).
        consistency: Weight of :func:`divergence` beside the final loss; above 0, rows come
            in pairs.
    """

    def __init__(
        self, network: keras.Model, intermediate_weight: float = 0.0, consistency: float = 0.0
    ) -> None:
        super().__init__()
        self.network = network
        self.intermediate_weight = intermediate_weight
        self.consistency = consistency

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
            return self._final_loss(y, y_pred)
        logits, *others = y_pred
        intermediate = sum(_loss(y, other) for other in others) / len(others)
        weight = self.intermediate_weight
        return (1 - weight) * self._final_loss(y, logits) + weight * intermediate

    def _final_loss(self, targets: Any, logits: Any) -> Any:
        loss = _loss(targets, logits)
        if not self.consistency:
            return loss
        _, _, logit_lengths, shares = targets
        differences = divergence(logits, logit_lengths)
        return loss + self.consistency * ops.sum(differences * ops.cast(shares, differences.dtype))


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


class GuardedMuon(GuardedAdam):
    """Muon (Jordan et al., 2024) for the matrices within a network, Adam for what is left.

    The momentum of each gate is made orthogonal, nearly, by five steps of Newton and Schulz; its
    step is as long as one of Adam (Liu et al., 2025), so that both share a rate.

    Args:
        gates: Number of gates of each matrix, by the path of its variable.
        learning_rate: Of all variables.
        global_clipnorm: Largest norm over all gradients.
    """

    def __init__(
        self, gates: Mapping[str, int], learning_rate: float, global_clipnorm: float
    ) -> None:
        super().__init__(learning_rate, global_clipnorm=global_clipnorm)
        self._gates_by_path = gates

    def build(self, variables: Sequence[Any]) -> None:
        super().build(variables)
        self._gates = [self._gates_by_path.get(variable.path, 0) for variable in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        place = self._get_variable_index(variable)
        gates, momentum = self._gates[place], self._momentums[place]
        if not gates:
            super().update_step(gradient, variable, learning_rate)
            return
        self.assign(momentum, momentum * MUON_MOMENTUM + gradient)
        ahead = gradient + momentum * MUON_MOMENTUM
        columns = variable.shape[-1] // gates
        parts = ops.transpose(ops.reshape(ahead, (-1, gates, columns)), (1, 0, 2))
        steps = orthogonal(parts) * (MUON_STEP * max(parts.shape[1:]) ** 0.5)
        steps = ops.reshape(ops.transpose(steps, (1, 0, 2)), variable.shape)
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * steps)


def orthogonal(matrices: Any) -> Any:
    """Return the nearest matrices with equal singular values, nearly, float (n, rows, columns).

    The singular values come to lie about 1, from 0.7 to 1.2, but for those next to 0 (the
    quintic iteration of Jordan et al., 2024).
    """
    first, second, third = NEWTON_SCHULZ
    wide = matrices.shape[-2] < matrices.shape[-1]
    turned = matrices if wide else ops.transpose(matrices, (0, 2, 1))
    norms = ops.sqrt(ops.sum(ops.square(turned), axis=(-2, -1), keepdims=True))
    turned = turned / (norms + 1e-7)
    for _ in range(5):
        products = turned @ ops.transpose(turned, (0, 2, 1))
        factors = second * products + third * products @ products
        turned = first * turned + factors @ turned
    return turned if wide else ops.transpose(turned, (0, 2, 1))


def divergence(logits: Any, lengths: Any) -> Any:
    """Return how far what each row reads is from what the other of its pair does, float (batch,).

    The Kullback-Leibler divergence of the row's symbols from the other's, summed over the
    frames; the other counts as given, without a gradient (CR-CTC; Yao et al., 2024).

    Args:
        logits: (batch, frames, symbols), the batch even: rows 0 and 1 are a pair, and so on.
        lengths: int (batch,) frames; the same for both of a pair.
    """
    scores = ops.log_softmax(logits)
    frames, symbols = ops.shape(logits)[1:]
    pairs = ops.reshape(ops.stop_gradient(scores), (-1, 2, frames, symbols))
    others = ops.reshape(ops.flip(pairs, axis=1), (-1, frames, symbols))
    within = ops.arange(frames)[None] < ops.cast(lengths, "int32")[:, None]
    each = ops.sum(ops.exp(others) * (others - scores), axis=-1)
    return ops.sum(ops.where(within, each, ops.zeros_like(each)), axis=-1)


def _loss(targets: Any, logits: Any) -> Any:
    """Return the sum over rows of the negative log-likelihood times the row's share."""
    labels, label_lengths, logit_lengths, shares = targets
    losses = ctc_loss(labels, label_lengths, logits, logit_lengths)
    return ops.sum(losses * ops.cast(shares, losses.dtype))
